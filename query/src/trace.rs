//! Traces as Zipkin knows them: found by what their spans say, put together
//! from rows, merged where a span was reported in parts.
//!
//! Nothing here runs a query: [`find`] writes statements, [`assemble`] reads
//! rows. `docs/api.md` has the rules that a user can see.

pub(crate) mod assemble;
pub(crate) mod find;
pub(crate) mod id;
mod merge;
pub(crate) mod span;

pub(crate) use merge::merge;
