//! A client for HTTP/1.1 that can tell a request that was never sent from one that
//! was not answered: what was not sent cannot be stored. One connection for each
//! request, so that none is repeated behind the caller's back.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest line of a head.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The largest answer.
const BODY_BYTES_MAX: u64 = 1 << 30;

const CONNECT: Duration = Duration::from_secs(2);

/// What a server says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens: the server has not seen a byte of it.
    Unsent(io::Error),
    /// The server may have seen it.
    Unknown(io::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(error) => write!(f, "nobody listens: {error}"),
            Self::Unknown(error) => write!(f, "no answer: {error}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl Answer {
    /// 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks, and waits for the whole answer.
///
/// # Errors
/// No answer, or half of one.
pub(crate) fn request(
    to: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
    patience: Duration,
) -> Result<Answer, NoAnswer> {
    let stream = TcpStream::connect_timeout(&to, CONNECT).map_err(NoAnswer::Unsent)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let timed = Timed { stream: &stream, until: Instant::now() + patience };
    exchange(timed, head.as_bytes(), body).map_err(NoAnswer::Unknown)
}

fn exchange(mut timed: Timed<'_>, head: &[u8], body: &[u8]) -> io::Result<Answer> {
    timed.stream.set_nodelay(true)?;
    timed.stream.set_write_timeout(Some(timed.left()?))?;
    // A server that refuses may answer before it has read all.
    let sent = timed.stream.write_all(head).and_then(|()| timed.stream.write_all(body));
    let mut reader = BufReader::with_capacity(64 * 1024, &mut timed);
    read_answer(&mut reader).map_err(|error| sent.err().unwrap_or(error))
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let first = line(reader)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| broken(&format!("{first:?} is no answer")))?;
    let (mut length, mut is_chunked) = (None, false);
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<u64>().ok();
        }
        is_chunked |= name.eq_ignore_ascii_case("transfer-encoding") && value.contains("chunked");
    }
    let mut body = Vec::new();
    if is_chunked {
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = length {
        exactly(reader, length, &mut body)?;
    } else {
        reader.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
    }
    Ok(Answer { status, body })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(reader)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| broken("a chunk without a size"))?;
        if size == 0 {
            while !line(reader)?.is_empty() {}
            return Ok(());
        }
        exactly(reader, size, body)?;
        line(reader)?;
    }
}

fn exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if length.saturating_add(body.len() as u64) > BODY_BYTES_MAX {
        return Err(broken("an answer that is too large"));
    }
    let read = reader.take(length).read_to_end(body)?;
    if (read as u64) < length { Err(broken("half an answer")) } else { Ok(()) }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(broken("half an answer"));
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A connection that is read until a moment, not for as long as bytes trickle.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<(u16, String)> {
        let answer = read_answer(&mut text.as_bytes())?;
        Ok((answer.status, answer.text()))
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let check = |text: &str, expected: Option<(u16, &str)>| {
            let found = read(text).ok();
            assert_eq!(found, expected.map(|(status, body)| (status, body.to_owned())), "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Some((200, "abc")));
        check("HTTP/1.1 503 Busy\r\n\r\nlater", Some((503, "later")));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
            Some((200, "abc")),
        );
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", None);
        check("HTTP/1.1 200 OK\r\nContent-Len", None);
        check("", None);
        check("hello\r\n\r\n", None);
    }

    #[test]
    fn who_does_not_listen_has_seen_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = request(address, ("GET", "/"), &[], b"", Duration::from_secs(1)).expect_err("refused");
        assert!(matches!(error, NoAnswer::Unsent(_)), "{error}");
    }

    #[test]
    fn who_hangs_up_may_have_seen_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || drop(listener.accept()));
        let error = request(address, ("GET", "/"), &[], b"", Duration::from_secs(5)).expect_err("no answer");
        assert!(matches!(error, NoAnswer::Unknown(_)), "{error}");
        server.join().expect("it ends");
    }
}
