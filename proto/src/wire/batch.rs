//! The batch of tailed lines, version 1: `docs/formats/batch-v1.md`.
//!
//! The payload, before compression, is two Arrow IPC streams back to back: the
//! sources, then the lines. Each stream ends itself, so no length stands
//! between them, and any Arrow library reads both.
//!
//! Hot path: an agent appends lines at memory speed into one flat buffer and
//! compresses it once; a reader decompresses once and borrows every line from
//! that buffer. Sketch: 250 B lines, 512 KiB batches, 2,000 lines each; the row
//! overhead is 36 B a line before compression and compresses to about 2.

mod decode;
mod encode;
mod layout;

#[cfg(test)]
mod tests;

pub use decode::{Line, LineBatch};
pub use encode::{EncodedBatch, LineBatchBuilder, NewLine};
