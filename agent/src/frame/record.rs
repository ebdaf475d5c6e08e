//! What the framer takes and gives.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use weir_proto::model::ByteRange;

/// How a file's lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A line is a record.
    Plain,
    /// Lines of a container runtime: time, stream, tag, text.
    Cri,
    /// Lines of Docker's `json-file` driver: an object with text, stream, time.
    Docker,
}

/// Which stream of a file a record belongs to; each is a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    /// The only one of a plain file.
    File,
    /// A container's standard output.
    Stdout,
    /// A container's standard error.
    Stderr,
}

impl Stream {
    /// Every stream, in the order of [`Self::index`].
    pub(crate) const ALL: [Self; 3] = [Self::File, Self::Stdout, Self::Stderr];

    /// Its place in a table of streams.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The value of `log.iostream`.
    pub(crate) const fn iostream(self) -> Option<&'static str> {
        match self {
            Self::File => None,
            Self::Stdout => Some("stdout"),
            Self::Stderr => Some("stderr"),
        }
    }
}

/// One framed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Which stream it belongs to.
    pub(crate) stream: Stream,
    /// The bytes it covers, framing and line ending included.
    pub(crate) range: ByteRange,
    /// Its text, at most the line limit.
    pub(crate) text: &'a [u8],
    /// The framing's own time.
    pub(crate) timestamp_nanos: Option<i64>,
    /// Bits of [`weir_proto::model::flags`].
    pub(crate) flags: i32,
    /// From the first byte of text over the limit to the record's end.
    pub(crate) dropped: Option<ByteRange>,
}

/// Takes records in order.
pub(crate) trait Sink {
    /// One more record.
    fn record(&mut self, frame: Frame<'_>);
}

/// Bytes that can be read anywhere. A read may bring less than asked for.
pub(crate) trait ReadAt {
    /// Reads at `position`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let rest = usize::try_from(position).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}
