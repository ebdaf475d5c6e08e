//! How events travel: the batch on the event log, and the layout that turns a
//! stored row back into its line.

pub mod batch;
mod codec;
mod header;
pub mod layout;

pub use codec::Codec;
pub use header::{BatchHeader, header_name};
