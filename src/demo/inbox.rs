//! The operator of the demo: a mailbox behind a small SMTP server, and an
//! address for webhooks. Both on loopback, both only for what the demo's own
//! rules tell.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};

/// The longest mail that is taken.
const MAIL_BYTES_MAX: u64 = 1 << 20;

/// Mails and webhooks that were taken.
#[derive(Clone, Debug)]
pub struct Inbox {
    seen: Arc<Seen>,
    webhook_port: u16,
    smtp_port: u16,
}

#[derive(Debug)]
struct Seen {
    dir: PathBuf,
    mails: AtomicU64,
    webhooks: AtomicU64,
    last: Mutex<Option<String>>,
}

impl Inbox {
    /// Opens the mailbox; mails are kept as files in `dir`.
    pub async fn open(dir: &Path, parent: &Handles) -> Result<Self> {
        std::fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let seen = Arc::new(Seen {
            dir: dir.to_owned(),
            mails: AtomicU64::new(0),
            webhooks: AtomicU64::new(0),
            last: Mutex::default(),
        });
        let listener = Listener::tcp("127.0.0.1:0").await?;
        let webhook_port = listener.local_addr().tcp().context("a TCP port")?.port();
        let router = Router::new().route("/alerts", post(webhook)).with_state(seen.clone());
        Server::start(listener, router, parent);
        let mail = TcpListener::bind("127.0.0.1:0").await?;
        let smtp_port = mail.local_addr()?.port();
        let (shutdown, taken) = (parent.shutdown.clone(), seen.clone());
        parent.tasks.spawn("mailbox", async move {
            loop {
                let accepted = tokio::select! {
                    () = shutdown.begun() => return Ok(()),
                    accepted = mail.accept() => accepted,
                };
                // One after the other: there is one sender.
                if let Ok((connection, _)) = accepted {
                    let session = tokio::time::timeout(Duration::from_secs(10), take(connection, &taken));
                    let _ = session.await;
                }
            }
        });
        Ok(Self { seen, webhook_port, smtp_port })
    }

    /// Where webhooks are posted.
    pub fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}/alerts", self.webhook_port)
    }

    /// Where mail is taken, without encryption.
    pub fn smtp_port(&self) -> u16 {
        self.smtp_port
    }

    /// Mails that were taken.
    pub fn mails(&self) -> u64 {
        self.seen.mails.load(Ordering::SeqCst)
    }

    /// Webhooks that were taken.
    pub fn webhooks(&self) -> u64 {
        self.seen.webhooks.load(Ordering::SeqCst)
    }

    /// The last webhook as a line for people.
    pub fn last(&self) -> Option<String> {
        self.seen.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn webhook(State(seen): State<Arc<Seen>>, Json(body): Json<Value>) -> StatusCode {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = format!(
        "{} {}: {}",
        text("/status"),
        text("/groupLabels/alertname"),
        text("/alerts/0/annotations/summary")
    );
    *seen.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    seen.webhooks.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}

/// One session of SMTP (RFC 5321), as far as a sender of alerts needs it.
async fn take(connection: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let (read, mut write) = connection.into_split();
    let mut lines = BufReader::new(read.take(MAIL_BYTES_MAX));
    write.write_all(b"220 weir-demo\r\n").await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let command = String::from_utf8_lossy(&line).trim().to_uppercase();
        let answer: &[u8] = match command.split([' ', ':']).next() {
            Some("EHLO") => b"250-weir-demo\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            Some("HELO" | "MAIL" | "RCPT" | "NOOP" | "RSET") => b"250 OK\r\n",
            Some("DATA") => {
                write.write_all(b"354 go on\r\n").await?;
                let mail = mail(&mut lines).await?;
                let number = seen.mails.load(Ordering::SeqCst) + 1;
                tokio::fs::write(seen.dir.join(format!("{number:04}.eml")), mail).await?;
                seen.mails.fetch_add(1, Ordering::SeqCst);
                b"250 OK\r\n"
            }
            Some("QUIT") => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"502 unknown\r\n",
        };
        write.write_all(answer).await?;
    }
}

/// The lines up to the one with a single dot; a dot that was doubled is one.
async fn mail(lines: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mail_is_taken_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::new("test");
        let inbox = Inbox::open(&dir.path().join("mail"), &handles).await.unwrap();
        let mut connection = TcpStream::connect(("127.0.0.1", inbox.smtp_port())).await.unwrap();
        let said =
            b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        connection.write_all(said).await.unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).await.unwrap();
        assert!(answers.ends_with("250 OK\r\n221 bye\r\n"), "{answers}");
        let kept = std::fs::read_to_string(dir.path().join("mail/0001.eml")).unwrap();
        assert_eq!(kept, "Subject: x\r\n\r\n.dot\r\n");
        assert_eq!((inbox.mails(), inbox.webhooks()), (1, 0));
        handles.shutdown.begin();
    }
}
