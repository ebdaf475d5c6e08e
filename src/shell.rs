//! Lines from a shell: what `weir ship` reads and what `weir run` shows, on
//! their way to an agent.
//!
//! ```text
//! bytes -> stream (lines, messages) -> outbox -> sender -> POST /api/v1/lines
//! ```
//!
//! A message stays in the outbox until the agent has answered that it is on its
//! disk, and is sent again until then. It covers the same bytes of the same
//! source each time, so it is stored once.
//!
//! When the outbox is full, `ship` stops reading: the pipe is the buffer. `run`
//! must never hold up its command: it drops lines, counts them, and says so.

mod outbox;
mod sender;
mod signals;
mod stream;
mod tee;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

pub(crate) use outbox::Outbox;
pub(crate) use sender::{Sender, Target};
pub(crate) use signals::{Heard, die_of};
pub(crate) use stream::{Full, Stream};
pub(crate) use tee::Tee;

/// How often streams are looked at for what does not grow any more.
const TICK: Duration = Duration::from_millis(50);

/// Ticks the streams and sends what they make, until the outbox is closed and
/// empty, or for `wait` after it was closed.
///
/// # Errors
/// Why not everything was taken.
pub(crate) async fn deliver(streams: &[Arc<Stream>], sender: Sender, wait: Duration) -> Result<(), String> {
    let outbox = sender.outbox();
    let trouble = sender.trouble();
    let ticking = async {
        loop {
            tokio::time::sleep(TICK).await;
            streams.iter().for_each(|stream| stream.tick());
        }
    };
    let over = async {
        outbox.closed().await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = outbox.hurried() => {}
        }
    };
    let sent = tokio::select! {
        sent = sender.run() => sent,
        () = ticking => Ok(()),
        () = over => Err(trouble.text().unwrap_or_else(|| format!("not all was taken within {wait:?}"))),
    };
    sent.inspect_err(|_| outbox.give_up())
}

/// What is known of where lines come from.
///
/// # Errors
/// An attribute that is not `KEY=VALUE`.
pub(crate) fn resource(service: &str, attributes: &[String]) -> Result<Vec<(String, String)>> {
    let mut resource = vec![("service.name".to_owned(), service.to_owned())];
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if !host.trim().is_empty() {
        resource.push(("host.name".to_owned(), host.trim().to_owned()));
    }
    for attribute in attributes {
        let Some((key, value)) = attribute.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            bail!(
                "--attribute {attribute:?} is no attribute: write KEY=VALUE, for example deployment.environment.name=test"
            );
        };
        resource.retain(|(held, _)| held != key);
        resource.push((key.to_owned(), value.to_owned()));
    }
    Ok(resource)
}

/// Says something on standard error. Whoever does not listen is not waited for.
pub(crate) fn say(command: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "weir {command}: {text}");
}

/// `1 line`, `7 lines`.
pub(crate) fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
