//! Builds one role each from its configuration and the process's handles. A
//! build without a role has a stand-in for it in `absent`.

#[cfg(not(all(feature = "agent", feature = "ingest", feature = "query", feature = "alerting")))]
mod absent;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(not(feature = "agent"))]
pub use absent::agent;

#[cfg(feature = "alerting")]
pub mod alerting;
#[cfg(not(feature = "alerting"))]
pub use absent::alerting;

#[cfg(feature = "ingest")]
pub mod ingest;
#[cfg(not(feature = "ingest"))]
pub use absent::ingest;

#[cfg(any(feature = "agent", feature = "ingest"))]
pub mod log;
#[cfg(not(any(feature = "agent", feature = "ingest")))]
pub use absent::log;

#[cfg(feature = "query")]
pub mod query;
#[cfg(not(feature = "query"))]
pub use absent::query;

pub mod rules;

#[cfg(any(feature = "ingest", feature = "query"))]
pub mod stores;

#[cfg(feature = "query")]
pub mod worker;

/// Waits a while for what another role on this host makes at its start; tells
/// whether it is there.
#[cfg(any(feature = "agent", feature = "ingest", feature = "query"))]
async fn appears(path: &std::path::Path) -> bool {
    use std::time::Duration;
    const PATIENCE: Duration = Duration::from_secs(10);
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.is_ok()
}

#[cfg(feature = "query")]
/// Writes a file that nobody else may read: the configuration holds passwords.
pub(crate) fn write_private(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)
}
