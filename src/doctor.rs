//! What keeps Weir from working on this host, and what to do about it.
//!
//! Each check gathers facts and then judges them; the judging is pure, so that
//! it can be tested with the facts of hosts that are not at hand.

mod clock;
mod data;
mod files;
mod finding;
mod kafka;
mod limits;
mod port;
mod running;

#[cfg(test)]
use finding::Outcome;
pub(crate) use finding::{Finding, Report};

use crate::config::Config;

/// What may be done to find out more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// Create a topic, write to it and delete it.
    pub(crate) probe: bool,
}

/// Looks at everything.
pub(crate) async fn examine(config: &Config, allowed: Allowed) -> Report {
    let user = rustix::process::geteuid().as_raw();
    let version = format!("weir {}, asked by user {user}", env!("CARGO_PKG_VERSION"));
    let mut findings = vec![Finding::ok("version", version)];
    let blocking = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            let (survey, mut findings) = files::look(&config);
            let directories = survey.as_ref().map_or(0, |survey| survey.directories);
            let files = survey.as_ref().map_or(0, |survey| survey.files);
            findings.extend(limits::look(directories, files));
            findings.extend(data::look(&config.data));
            findings
        })
    };
    match blocking.await {
        Ok(found) => findings.extend(found),
        Err(error) => {
            findings.push(Finding::fail("this host", format!("cannot be looked at: {error}"), "report this"));
        }
    }
    let running = running::look(config).await;
    findings.extend(port::look(config, &running));
    findings.extend(running.findings());
    findings.extend(kafka::look(config).await);
    findings.extend(clock::look(config, allowed).await);
    Report { findings }
}
