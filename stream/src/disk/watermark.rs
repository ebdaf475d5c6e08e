//! How far another process may read: the file `durable` of a partition.
//!
//! The writer overwrites it in place after every sync of the segment, and does
//! not sync it. So within one boot of the machine it is exact, and after a
//! power cut it may be old, damaged or missing, but never ahead. The boot in it
//! tells the two apart: what another boot wrote is only a lower bound, and
//! nobody may conclude from it that something is *not* there.

use std::io::{self, ErrorKind, IoSlice};
use std::path::PathBuf;

use bytes::Buf;

use super::files::{File, Files, read_full, write_all};
use super::place::Place;
use super::segment::Seed;

/// The file's length.
pub(super) const WATERMARK_BYTES: usize = 36;

const MAGIC: &[u8; 8] = b"weirdur\x01";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    /// Everything below is durable.
    pub(super) end: u64,
    /// The boot in which it was written; 0 when unknown.
    pub(super) boot: u128,
}

impl Watermark {
    /// As bytes. The checksum begins with the partition, so that a file copied
    /// from another one is not believed.
    pub(super) fn to_bytes(self, place: &Place) -> [u8; WATERMARK_BYTES] {
        let mut out = [0; WATERMARK_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.end.to_le_bytes());
        out[16..32].copy_from_slice(&self.boot.to_le_bytes());
        let checksum = crc32c::crc32c_append(Seed::new(&place.partition, 0).0, &out[..32]);
        out[32..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// From bytes; none when they are damaged.
    pub(super) fn from_bytes(bytes: &[u8], place: &Place) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        if bytes.len() != WATERMARK_BYTES {
            return None;
        }
        let says = Self { end: rest.get_u64_le(), boot: rest.get_u128_le() };
        (says.to_bytes(place) == bytes).then_some(says)
    }

    /// Reads the partition's file; none when it is missing or damaged, also
    /// when it is being overwritten at this moment.
    pub(super) fn read(files: &dyn Files, place: &Place) -> io::Result<Option<Self>> {
        let file = match files.open(&place.watermark()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = [0; WATERMARK_BYTES];
        let length = read_full(&*file, &mut bytes, 0)?;
        Ok(Self::from_bytes(&bytes[..length], place))
    }

    /// True when the file was written since the machine was started: it says
    /// exactly what the writer last published.
    pub(super) fn is_exact(self, files: &dyn Files) -> bool {
        files.boot() == Some(self.boot)
    }
}

/// The writer's hand on the file.
#[derive(Debug)]
pub(super) struct Publisher {
    place: Place,
    file: Box<dyn File>,
    boot: u128,
}

impl Publisher {
    /// Opens or creates the file.
    pub(super) fn open(files: &dyn Files, place: &Place) -> io::Result<Self> {
        let path: PathBuf = place.watermark();
        let file = match files.open_for_write(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => files.create(&path)?,
            other => other?,
        };
        Ok(Self { place: place.clone(), file, boot: files.boot().unwrap_or(0) })
    }

    /// Overwrites it. One write of few bytes: a reader sees the old, the new, or
    /// a mixture that fails the checksum.
    pub(super) fn publish(&self, end: u64) -> io::Result<()> {
        let bytes = Watermark { end, boot: self.boot }.to_bytes(&self.place);
        write_all(&*self.file, &mut [IoSlice::new(&bytes)], 0)
    }

    /// Makes it durable once, at opening: its blocks exist from then on, and a
    /// later overwrite does not need space.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Partition, Topic};

    fn place(index: u32) -> Place {
        Place::new(Path::new("/log"), &Partition::new(Topic::new("t").unwrap(), index))
    }

    #[test]
    fn only_its_own_undamaged_bytes_are_believed() {
        let says = Watermark { end: 77, boot: 5 };
        let bytes = says.to_bytes(&place(0));
        assert_eq!(Watermark::from_bytes(&bytes, &place(0)), Some(says));
        assert_eq!(Watermark::from_bytes(&bytes, &place(1)), None);
        for at in 0..WATERMARK_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert_eq!(Watermark::from_bytes(&flipped, &place(0)), None, "byte {at}");
            assert_eq!(Watermark::from_bytes(&bytes[..at], &place(0)), None, "cut at {at}");
        }
    }
}
