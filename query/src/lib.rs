//! Ask, within limits: SQL, search and traces over files and live rows.
//!
//! [`Engine`] answers a question: it pins the live rows, reads the catalog,
//! plans, and runs under a budget of memory, time and concurrency. Every
//! [`Answer`] says how complete it is. [`router`] is the same over HTTP.
//!
//! The process around it is somebody else's: it runs as a child under a hard
//! memory limit, so that no question can take the pipeline down.

mod admit;
mod api;
mod config;
mod dependencies;
mod engine;
mod error;
#[cfg(test)]
mod fixture;
mod gate;
mod literal;
mod predicate;
mod remote;
mod search;
mod telemetry;
mod trace;

pub use api::router;
pub use config::Config;
pub use dependencies::settle;
pub use engine::{Answer, Batches, Engine, SqlRequest};
pub use error::{Kind, QueryError};
pub use predicate::LogPredicate;
pub use remote::ClusterLive;
pub use search::SearchRequest;
pub use weir_storage::live::Completeness;
