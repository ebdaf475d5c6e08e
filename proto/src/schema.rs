//! What the tables look like as Arrow columns.
//!
//! Portable types only, so that every engine can read the files: no unsigned
//! integer, no nanosecond timestamp, no fixed-size binary. Columns are added
//! at the end and never change meaning.

mod kind;
pub mod log;
pub mod matches;
pub mod metric;
pub mod span;
mod table;

pub use kind::{list_type, map_entry_fields, map_type, struct_list_type, timestamp_type};
pub use table::{Sort, Table};
