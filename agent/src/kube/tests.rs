//! Following the pods of a stand-in for the API server.

pub(crate) mod server;

mod watch;
