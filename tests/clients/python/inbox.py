"""A mail server for tests: takes mail over SMTP with STARTTLS and signing in.

    python inbox.py CERTIFICATE KEY [BUSY]

Prints the port, then each mail as a JSON object on a line of its own. The
first BUSY mails are refused for the moment with 451, as greylisting does.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Inbox:
    def __init__(self, busy):
        self.busy = busy

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if self.busy > 0:
            self.busy -= 1
            say({"refused": message["Message-ID"]})
            return "451 4.7.1 try again later"
        parts = [part for part in message.walk() if not part.is_multipart()]
        say(
            {
                "mail_from": envelope.mail_from,
                "rcpt_tos": envelope.rcpt_tos,
                "encrypted": session.ssl is not None,
                "user": session.auth_data.decode() if session.auth_data else None,
                "content_type": message.get_content_type(),
                "headers": {name.lower(): str(value) for name, value in message.items()},
                "parts": {part.get_content_type(): part.get_content() for part in parts},
            }
        )
        return "250 OK"


def sign_in(server, session, envelope, mechanism, data):
    if (data.login, data.password) == (b"weir", b"secret"):
        return AuthResult(success=True, auth_data=data.login)
    return AuthResult(success=False, handled=False)


def say(what):
    print(json.dumps(what), flush=True)


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    inbox = Inbox(int(sys.argv[3]) if len(sys.argv) > 3 else 0)

    def serve():
        return SMTP(
            inbox,
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            authenticator=sign_in,
        )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
