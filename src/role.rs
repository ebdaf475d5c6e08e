//! Builds one role each from its configuration and the process's handles. A
//! build without a role has a stand-in for it in `absent`.

#[cfg(not(all(feature = "agent", feature = "ingest", feature = "query")))]
mod absent;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(not(feature = "agent"))]
pub use absent::agent;

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
