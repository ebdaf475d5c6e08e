//! How large a record may be, with the reasons.

/// Largest payload. A batch is closed at 512 KiB and only a larger event
/// travels alone; 32 MiB bounds what a reader must be ready to hold for one
/// record.
pub const PAYLOAD_BYTES_MAX: usize = 32 << 20;

/// Largest header block. Headers say what a payload is; they carry no content.
pub const HEADERS_BYTES_MAX: usize = 64 << 10;

/// What a header costs of [`HEADERS_BYTES_MAX`] beside its name and value: the
/// two lengths that are stored with it.
pub const HEADER_BYTES_EXTRA: usize = 6;

const _: () =
    assert!(PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX < u32::MAX as usize, "lengths are stored in 32 bits");
const _: () = assert!(HEADERS_BYTES_MAX <= u16::MAX as usize + 1, "a name's length is stored in 16 bits");
