//! Every size limit, with its reason. Relations between them are asserted at
//! compile time.

/// Longest line that travels whole. A longer one is cut at this many bytes,
/// marked as truncated and counted; the file is never abandoned.
///
/// 768 KiB leaves room for Kafka's default message limit of 1 MiB.
pub const LINE_BYTES_MAX: usize = 768 * 1024;

/// A batch is closed once its lines reach this size before compression. Larger
/// batches gain little in compression and cost latency and memory.
pub const BATCH_BYTES: usize = 512 * 1024;

/// A batch never decompresses to more than this: a reader allocates what the
/// header claims, so the claim is bounded first.
pub const BATCH_UNCOMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows in one batch: with very short lines, the row overhead and not the text
/// is what fills memory.
pub const BATCH_ROWS_MAX: usize = 16 * 1024;

/// Sources in one batch. Each costs its resource attributes.
pub const BATCH_SOURCES_MAX: usize = 4 * 1024;

/// Fields that one event may have; further ones stay in the raw line only.
pub const FIELDS_MAX: usize = 1000;

/// Bytes of one field name.
pub const FIELD_NAME_BYTES_MAX: usize = 256;

/// Nesting of a JSON line. A deeper one is kept as plain text.
pub const JSON_DEPTH_MAX: usize = 64;

/// Bytes of a tenant's name; it becomes part of object paths.
pub const TENANT_BYTES_MAX: usize = 64;

const _: () = assert!(LINE_BYTES_MAX + BATCH_BYTES < BATCH_UNCOMPRESSED_BYTES_MAX);
const _: () = assert!(FIELD_NAME_BYTES_MAX < LINE_BYTES_MAX);
