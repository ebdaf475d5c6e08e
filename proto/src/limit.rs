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

/// A pushed record numbers its rows with this many bits: record `n` covers
/// `[n << 20, (n + 1) << 20)` of its source, so a record's place in the log and
/// a row's place in it make one number, and 2^43 records fit.
pub const ROWS_PER_RECORD_BITS: u32 = 20;

/// Rows that one pushed record may hold.
pub const ROWS_PER_RECORD_MAX: usize = 1 << ROWS_PER_RECORD_BITS;

/// Bytes of one pushed event: names, values, its events and links together.
/// What is beyond is left out and marked, like the end of a long line.
pub const EVENT_BYTES_MAX: usize = LINE_BYTES_MAX;

/// Bytes of one resource's attributes. They are repeated in every row, so one
/// row with its resource stays below Kafka's default message limit of 1 MiB.
pub const RESOURCE_BYTES_MAX: usize = 128 * 1024;

/// Bytes of one instrumentation scope, repeated in every row, too.
pub const SCOPE_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a pushed service's name and of other texts that have a column of
/// their own beside the attribute that holds them whole.
pub const SHORT_TEXT_BYTES_MAX: usize = 1024;

/// Bytes that one pushed request may become as columns. A resource is repeated
/// in every row, so a small request can become large; what is beyond is
/// rejected, and the client told.
pub const DECODED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Buckets of one histogram point. OpenTelemetry's default is 160; cutting some
/// off would make the point wrong, so a larger one is rejected.
pub const BUCKETS_MAX: usize = 4 * 1024;

/// Exemplars of one metric point.
pub const EXEMPLARS_MAX: usize = 1000;

const _: () = assert!(LINE_BYTES_MAX + BATCH_BYTES < BATCH_UNCOMPRESSED_BYTES_MAX);
const _: () = assert!(EVENT_BYTES_MAX + RESOURCE_BYTES_MAX + SCOPE_BYTES_MAX < 1024 * 1024);
const _: () = assert!(FIELD_NAME_BYTES_MAX < LINE_BYTES_MAX);
