//! Rows as columns, columns as files, files as tables.
//!
//! [`catalog`] knows which files exist, atomically with how far each partition
//! of the event log has been stored. [`file`](mod@file) turns rows into a Parquet file and
//! back. [`object`] keeps files durably under names that are never reused.
//! [`live`] is the port to rows that are not yet in a file. [`check`] holds the
//! objects against the catalog, [`rebuild`] makes a catalog from them, with what
//! [`state`] has kept there.

#![allow(clippy::duplicate_mod, reason = "the catalog's statements are one text, compiled for each database")]

pub mod catalog;
pub mod check;
pub mod file;
pub mod live;
pub mod object;
pub mod predicate;
pub mod rebuild;
pub mod state;

mod error;
mod guard;
#[cfg(test)]
mod sample;

pub use error::{FileError, ObjectError, WireError};
