//! The event log on a local disk: one writing process, any number of readers
//! on the same host.
//!
//! ```text
//! <dir>/lock                          held by the writing process
//! <dir>/<topic>/<partition>/<base>.seg  records, from offset <base> on
//! <dir>/<topic>/<partition>/durable     how far readers may read
//! ```
//!
//! [`DiskLog`] appends; [`DiskReader`] reads, in the same process from memory
//! or in another one from the files. The bytes are described in
//! `docs/formats/log-segment-v1.md`.
//!
//! Died after step n of an append, what a restart sees:
//!
//! | after | sees | so |
//! |---|---|---|
//! | frames written, not synced | whole frames, a torn one, or nothing | whole ones are kept, the torn tail is cut |
//! | synced, watermark not published | all frames | kept; nobody was answered, the sender may repeat |
//! | watermark published, not answered | all frames | the same |
//! | next segment created, nothing in it | an empty last segment | it is used |
//! | segment trimmed, directory not synced | the segment, perhaps | it is trimmed again |

mod active;
mod config;
mod error;
mod fetch;
pub mod files;
mod frame;
mod log;
mod metrics;
mod place;
mod reader;
mod recover;
mod reserve;
mod retain;
mod scan;
mod segment;
mod state;
mod tail;
mod watermark;
mod writer;

#[cfg(test)]
mod tests;

pub use config::{DiskConfig, Fsync, Retention};
pub use error::OpenError;
pub use log::DiskLog;
pub use reader::DiskReader;
