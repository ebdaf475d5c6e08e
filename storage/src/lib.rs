//! Rows as columns, columns as files, files as tables.
//!
//! [`catalog`] knows which files exist, atomically with how far each partition
//! of the event log has been stored. [`live`] is the port to rows that are not
//! yet in a file.

pub mod catalog;
pub mod live;
