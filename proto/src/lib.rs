//! The event model of Weir, and how the world spells it.
//!
//! [`model`] is the vocabulary: identifiers, ranges, sources. [`schema`] is
//! what the tables look like as Arrow columns. [`wire`] is how events travel:
//! the messages of the event log, and the protocols that clients speak.
//! [`limit`] holds every size limit with its reason.
//!
//! This crate is pure: no IO, no async, no clock. `wire` and `schema` use
//! `model`, never the reverse.

pub mod limit;
pub mod model;
pub mod schema;
pub mod wire;

mod error;

pub use error::DecodeError;
