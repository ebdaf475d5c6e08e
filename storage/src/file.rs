//! Rows as a Parquet file, and back.
//!
//! A flush sorts its live rows ([`sort()`]), parts them into files
//! ([`split_by_hour`]) and writes each ([`write()`], [`write_batches`]). What the
//! file says about itself beyond Parquet stands in its [`Footer`]; the page is
//! `docs/formats/file-footer-v1.md`. All of it is work for a CPU: call it
//! where blocking is allowed.

mod column;
mod footer;
mod order;
mod read;
mod split;
#[cfg(test)]
mod tests;
mod write;

pub use footer::{FlushPart, Footer, LogSpan, PartitionRanges};
pub use order::{sort, sort_by_time};
pub use read::{FileFacts, read, read_facts, read_footer};
pub use split::{HOUR_BYTES_MIN, split_by_hour};
pub use write::{WriteOptions, WrittenFile, write, write_batches};
