//! What the tables look like as Arrow columns.
//!
//! Portable types only, so that every engine can read the files: no unsigned
//! integer, no nanosecond timestamp, no fixed-size binary. Columns are added
//! at the end and never change meaning.

pub mod log;
