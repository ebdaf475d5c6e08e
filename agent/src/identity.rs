//! Which file a file is, whatever it is called.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use weir_runtime::planted;

use crate::frame::ReadAt;

/// How much of a file's beginning is compared.
pub(crate) const FINGERPRINT_BYTES: usize = 1024;

/// What tells one incarnation of a file from another. The inode number alone
/// does not: file systems give it to the next file at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Device number. It may change over a reboot.
    pub(crate) device: u64,
    /// Inode number.
    pub(crate) inode: u64,
    /// When the inode was created, microseconds since 1970, where the file
    /// system says it.
    pub(crate) birth: Option<i64>,
}

/// A checksum of a file's beginning, as much as was there: it grows with the
/// file up to 1 KiB, so that a short file has one too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    bytes: usize,
    crc32c: u32,
}

/// A checksum of the last bytes that were read of a file: with the
/// [`Fingerprint`] it tells a copy from another file that begins alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    end: u64,
    crc32c: u32,
}

/// Endings kept of a file beside the last one.
const ENDINGS_MAX: usize = 8;

/// The ending of what was read of a file, and some of before, dense towards
/// the end: a copy that was made while more was read holds one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endings {
    last: Option<Ending>,
    earlier: Vec<Ending>,
}

/// A file whose beginning is compared after each read, before anybody sees
/// what was read: it may have been cut off and written anew in between.
pub(crate) struct Guarded<'a, F> {
    /// What is read.
    pub(crate) file: &'a F,
    /// How it begins.
    pub(crate) fingerprint: Fingerprint,
}

/// The file has another beginning than before.
#[derive(Debug, Error)]
#[error("the file has another beginning than before")]
struct Another;

impl Identity {
    /// As the file system tells.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let since = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth: since.and_then(|since| i64::try_from(since.as_micros()).ok()),
        }
    }

    /// True unless the two are certainly different files. The same inode and
    /// birth on another device number is the same file after a reboot.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        let births_differ = self.birth.zip(other.birth).is_some_and(|(a, b)| a != b);
        let same_birth = self.birth.is_some() && self.birth == other.birth;
        self.inode == other.inode && !births_differ && (self.device == other.device || same_birth)
    }
}

impl Fingerprint {
    /// True while it says less of a file than it could, of which so much was
    /// seen.
    pub(crate) fn may_grow(&self, seen: u64) -> bool {
        self.bytes < FINGERPRINT_BYTES && (self.bytes as u64) < seen
    }

    /// True when nothing of the file was seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// True when it is of more bytes than that.
    pub(crate) fn is_longer_than(&self, length: u64) -> bool {
        self.bytes as u64 > length
    }

    /// Compares the file's beginning; `None` if it differs, else the
    /// fingerprint grown to what is there now.
    pub(crate) fn verify(&self, file: &impl ReadAt) -> io::Result<Option<Self>> {
        let mut head = [0; FINGERPRINT_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let is_other = filled < self.bytes || crc32c::crc32c(&head[..self.bytes]) != self.crc32c;
        if is_other && !planted::is("seek-without-size-check") {
            return Ok(None);
        }
        Ok(Some(Self { bytes: filled, crc32c: crc32c::crc32c(&head[..filled]) }))
    }
}

impl Ending {
    /// Where the bytes begin that it is of.
    pub(crate) fn start(&self) -> u64 {
        self.end.saturating_sub(FINGERPRINT_BYTES as u64)
    }

    /// Of the bytes before `end`; none when the file does not hold them.
    pub(crate) fn of(file: &impl ReadAt, end: u64) -> io::Result<Option<Self>> {
        let bytes = end.min(FINGERPRINT_BYTES as u64) as usize;
        let mut last = [0; FINGERPRINT_BYTES];
        let mut filled = 0;
        while filled < bytes {
            match file.read_at(&mut last[filled..bytes], end - (bytes - filled) as u64)? {
                0 => return Ok(None),
                read => filled += read,
            }
        }
        Ok((end > 0).then(|| Self { end, crc32c: crc32c::crc32c(&last[..bytes]) }))
    }

    /// True when the file holds the same bytes at the same place.
    pub(crate) fn stands_in(&self, file: &impl ReadAt) -> io::Result<bool> {
        Ok(Self::of(file, self.end)? == Some(*self))
    }
}

impl Endings {
    /// As a checkpoint has them.
    pub(crate) fn restore(last: Option<Ending>, earlier: Vec<Ending>) -> Self {
        Self { last, earlier }
    }

    /// More was read.
    pub(crate) fn note(&mut self, ending: Ending) {
        if let Some(before) = self.last.replace(ending) {
            if self.earlier.len() >= ENDINGS_MAX {
                let mut nth = 0;
                self.earlier.retain(|_| {
                    nth += 1;
                    nth % 2 == 1
                });
            }
            self.earlier.push(before);
        }
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<Ending> {
        self.last
    }

    /// Those before, in their order.
    pub(crate) fn earlier(&self) -> &[Ending] {
        &self.earlier
    }

    /// The last one that a file of `length` bytes can hold.
    pub(crate) fn within(&self, length: u64) -> Option<Ending> {
        self.earlier.iter().copied().chain(self.last).rev().find(|ending| ending.end <= length)
    }
}

impl<F: ReadAt> ReadAt for Guarded<'_, F> {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let read = self.file.read_at(buffer, position)?;
        let same = read == 0 || self.fingerprint.is_empty() || self.fingerprint.verify(self.file)?.is_some();
        if same { Ok(read) } else { Err(io::Error::other(Another)) }
    }
}

/// True when a [`Guarded`] read was refused.
pub(crate) fn is_another(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<Another>().is_some())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_fingerprint_grows_with_its_file_and_notices_another() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let empty = Fingerprint::default().verify(&file).expect("read").expect("anything may follow nothing");
        assert_eq!(empty.bytes, 0);
        file.write_all(b"hello\n").expect("write");
        let short = empty.verify(&file).expect("read").expect("grown");
        assert_eq!(short.bytes, 6);
        file.write_all(&[b'x'; 2000]).expect("write");
        let long = short.verify(&file).expect("read").expect("grown");
        assert_eq!(long.bytes, FINGERPRINT_BYTES);
        assert_eq!(long.verify(&file).expect("read"), Some(long));
        let mut other = tempfile::tempfile().expect("a temporary file");
        other.write_all(b"hullo\n").expect("write");
        assert_eq!(short.verify(&other).expect("read"), None);
        other.set_len(3).expect("truncate");
        assert_eq!(short.verify(&other).expect("read"), None, "shorter than what was seen");
    }

    #[test]
    fn an_ending_tells_files_apart_that_begin_alike() {
        let file = |lines: &str| {
            let mut file = tempfile::tempfile().expect("a temporary file");
            file.write_all("header\n".repeat(500).as_bytes()).expect("write");
            file.write_all(lines.as_bytes()).expect("write");
            file
        };
        let (read, copy, other) = (file("one\n"), file("one\ntwo\n"), file("two\none\n"));
        let ending = Ending::of(&read, 3504).expect("read").expect("it is that long");
        assert!(ending.stands_in(&copy).expect("read"));
        assert!(!ending.stands_in(&other).expect("read"));
        assert_eq!(Ending::of(&read, 3505).expect("read"), None, "longer than the file");
        assert_eq!(Ending::of(&read, 0).expect("read"), None);
    }

    #[test]
    fn a_copy_is_known_by_an_ending_that_it_can_hold() {
        let mut endings = Endings::default();
        assert_eq!(endings.within(u64::MAX), None);
        for end in 1..=1000 {
            endings.note(Ending { end: end * 10, crc32c: 0 });
        }
        assert!(endings.earlier().len() <= ENDINGS_MAX);
        assert_eq!(endings.within(u64::MAX), endings.last());
        for length in [10, 500, 5_000, 9_900, 9_999] {
            let held = endings.within(length).expect("the first is always there");
            assert!(held.end <= length, "{held:?} of {length}");
        }
        assert_eq!(endings.within(9), None);
        assert!(endings.within(9_999).expect("one").end > 9_000, "dense towards the end");
        let (last, earlier) = (endings.last(), endings.earlier().to_vec());
        assert_eq!(Endings::restore(last, earlier), endings);
    }

    #[test]
    fn what_is_read_of_another_file_is_not_seen() {
        let content: &[u8] = b"one\ntwo\n";
        let fingerprint = Fingerprint::default().verify(&content).expect("read").expect("grown");
        let mut buffer = [0; 100];
        let mut read = |file: &[u8]| Guarded { file: &file, fingerprint }.read_at(&mut buffer, 4);
        assert_eq!(read(content).expect("the same"), 4);
        assert_eq!(read(b"one\ntwo\nthree\n").expect("grown"), 10);
        assert!(is_another(&read(b"three\nfour\n").expect_err("another")));
        assert_eq!(read(b"thr").expect("nothing to see"), 0);
    }

    #[test]
    fn identities() {
        let id = |device, inode, birth| Identity { device, inode, birth };
        let check = |a: Identity, b: Identity, same| assert_eq!(a.may_equal(&b), same, "{a:?} {b:?}");
        check(id(1, 2, Some(3)), id(1, 2, Some(3)), true);
        check(id(1, 2, Some(3)), id(1, 2, Some(4)), false);
        check(id(1, 2, None), id(1, 2, Some(4)), true);
        check(id(1, 2, None), id(9, 2, None), false);
        check(id(1, 2, Some(3)), id(9, 2, Some(3)), true);
        check(id(1, 2, Some(3)), id(1, 5, Some(3)), false);
    }
}
