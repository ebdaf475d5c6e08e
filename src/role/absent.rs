//! Stands where a build has no such role: it cannot be started and says so.

use anyhow::{Result, bail};
use axum::Router;
use weir_runtime::admin::Check;
use weir_runtime::{Handles, Shutdown};

use crate::config::Config;
use crate::node::Deadline;

/// A role that this build does not have. It never exists.
#[derive(Debug)]
pub enum Absent {}

impl Absent {
    /// Refuses.
    pub async fn start<T>(_: &Config, _: T, _: Handles) -> Result<Self> {
        bail!("this build does not have the role: use one with all features")
    }

    /// Never called.
    pub fn check(&self) -> Check {
        match *self {}
    }

    /// Never called.
    pub fn router(&self) -> Router {
        match *self {}
    }

    /// Never called.
    pub fn shutdown(&self) -> Shutdown {
        match *self {}
    }

    /// Never called.
    pub fn reconfigure(&self, _: &Config) -> Result<()> {
        match *self {}
    }

    /// Nothing of what is not there.
    pub fn is_live(_: &str) -> bool {
        false
    }

    /// Never called.
    pub async fn stop(self, _: Deadline) -> Option<String> {
        match self {}
    }
}

#[cfg(not(feature = "agent"))]
pub mod agent {
    //! No agent in this build.
    pub use super::Absent as Agent;
}

#[cfg(not(feature = "alerting"))]
pub mod alerting {
    //! No alerting in this build.
    pub use super::Absent as Alerting;
}

#[cfg(not(feature = "ingest"))]
pub mod ingest {
    //! No ingester in this build.
    pub use super::Absent as Ingest;
}

#[cfg(not(feature = "query"))]
pub mod query {
    //! No query service in this build.
    pub use super::Absent as Query;
}

#[cfg(not(any(feature = "agent", feature = "ingest")))]
pub mod log {
    //! No event log in this build.

    use anyhow::Result;
    use weir_runtime::Handles;

    use crate::config::Config;

    /// Nothing to open.
    #[derive(Debug)]
    pub struct Log;

    impl Log {
        /// A node that only queries needs no event log.
        pub async fn open(
            _: &Config,
            _writes: bool,
            _reads: bool,
            _: &Handles,
            _: impl FnMut(String),
        ) -> Result<Self> {
            Ok(Self)
        }
    }
}
