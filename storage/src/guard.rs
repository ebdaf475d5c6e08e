//! Decoders of bytes from outside that answer some damage with a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoder; none when it panicked. Arrow's and Parquet's readers check
/// most of what they read and assert the rest, so that a flipped bit can be a
/// panic. Only for work that shares nothing: what it was building is dropped.
pub(crate) fn decode<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
