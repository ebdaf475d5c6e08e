//! How events travel: the batch on the event log.

pub mod batch;
mod codec;
mod header;

pub use codec::Codec;
pub use header::{BatchHeader, header_name};
