//! Kept copies: what is unread of files that are gone from where they were.
//!
//! `state_dir/kept/<key>` holds the unread rest of the file of that key in the
//! checkpoint, at the file's own offsets, below which there is a hole; and the
//! file's first bytes, by which it is known. It is written beside, synced, and
//! renamed: a copy that stands there is whole. It is removed when all of it is
//! acknowledged.
//!
//! | died | a restart sees |
//! |---|---|
//! | while a copy is written | a draft, which is removed |
//! | after the copy, before the checkpoint knows its file | a copy without a file, which is removed |
//! | after the copy | the copy, and reads on in it |
//! | while it is removed | an acknowledged file that is gone, or that and its copy |
//!
//! It holds bytes as they stood in the file, nothing redacted (`crate::redact`),
//! and can be read by the agent's user alone.
//!
//! Not here: which files are worth a copy, and what is said of those that get
//! none.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use weir_runtime::{create_durably, failpoint};

use crate::checkpoint::{FileKey, sync_directory};
use crate::frame::ReadAt;
use crate::identity::FINGERPRINT_BYTES;

/// What is copied at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// The kept copies, together no more than a limit.
#[derive(Debug)]
pub(crate) struct Keep {
    directory: PathBuf,
    limit: u64,
    /// The bytes that each takes.
    held: BTreeMap<FileKey, u64>,
}

/// A copy that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    key: FileKey,
    path: PathBuf,
    file: File,
    /// Below, all but the first bytes is left out.
    from: u64,
    end: u64,
    bytes: u64,
}

impl Keep {
    /// The copies in `directory`, which is created when it is needed.
    ///
    /// # Errors
    /// It cannot be read, or a draft cannot be removed.
    pub(crate) fn open(directory: PathBuf, limit: u64) -> io::Result<Self> {
        let mut held = BTreeMap::new();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { directory, limit, held });
            }
            Err(error) => return Err(error),
        };
        // Whoever created it may have been killed before its own sync.
        create_durably(&directory)?;
        for entry in entries {
            let entry = entry?;
            match entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                Some(key) => drop(held.insert(FileKey(key), entry.metadata()?.blocks() * 512)),
                None => fs::remove_file(entry.path())?,
            }
        }
        Ok(Self { directory, limit, held })
    }

    /// Sets what may be held. What is held already stays.
    pub(crate) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// The files of which there is a copy, oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = FileKey> {
        self.held.keys().copied()
    }

    /// Bytes of all copies.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.values().sum()
    }

    /// Bytes of a copy that would have room.
    pub(crate) fn room(&self) -> u64 {
        self.limit.saturating_sub(self.bytes())
    }

    /// True when a copy of that size could have room if there were no other.
    pub(crate) fn could_hold(&self, bytes: u64) -> bool {
        bytes <= self.limit
    }

    /// Opens a copy.
    pub(crate) fn read(&self, key: FileKey) -> io::Result<File> {
        File::open(self.path(key))
    }

    /// Begins a copy whose reader needs nothing below `from` but the file's
    /// first bytes.
    pub(crate) fn draft(&self, key: FileKey, from: u64) -> io::Result<Draft> {
        if !self.directory.exists() {
            create_durably(&self.directory)?;
        }
        let path = self.directory.join(format!("{}.new", key.0));
        // It holds the file's bytes as they are, whatever is redacted of them later.
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).read(true).write(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Draft { key, path, file, from, end: 0, bytes: 0 })
    }

    /// Makes a whole copy durable and opens it.
    pub(crate) fn finish(&mut self, draft: Draft) -> io::Result<File> {
        let Draft { key, path: drafted, file, end, bytes, .. } = draft;
        file.set_len(end)?;
        failpoint::reach("agent.keep.sync.before")?;
        file.sync_all()?;
        failpoint::reach("agent.keep.sync.after")?;
        let path = self.path(key);
        fs::rename(&drafted, &path)?;
        // Whatever fails from here on, it is there and takes room.
        self.held.insert(key, bytes);
        failpoint::reach("agent.keep.sync_directory.before")?;
        sync_directory(&path)?;
        failpoint::reach("agent.keep.sync_directory.after")?;
        File::open(path)
    }

    /// Removes a copy, if there is one.
    pub(crate) fn remove(&mut self, key: FileKey) -> io::Result<()> {
        if !self.held.contains_key(&key) {
            return Ok(());
        }
        failpoint::reach("agent.keep.unlink.before")?;
        match fs::remove_file(self.path(key)) {
            // An earlier try did it, and was told that it did not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        failpoint::reach("agent.keep.unlink.after")?;
        self.held.remove(&key);
        Ok(())
    }

    /// Where a copy is.
    pub(crate) fn path(&self, key: FileKey) -> PathBuf {
        self.directory.join(key.0.to_string())
    }
}

impl Draft {
    /// Adds the next bytes of the file. Answers with how many there are in the
    /// copy now.
    pub(crate) fn write(&mut self, block: &[u8]) -> io::Result<u64> {
        let end = self.end + block.len() as u64;
        self.write_within(block, 0, FINGERPRINT_BYTES as u64)?;
        self.write_within(block, self.from.max(FINGERPRINT_BYTES as u64), u64::MAX)?;
        self.end = end;
        Ok(self.bytes)
    }

    /// Copies what the reader needs of a file of `size` bytes.
    pub(crate) fn copy(&mut self, file: &File, size: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        while self.end < size {
            // What lies between the beginning and the rest is passed over.
            if self.end >= FINGERPRINT_BYTES as u64 && self.end < self.from {
                self.end = self.from.min(size);
                continue;
            }
            let stop = if self.end < FINGERPRINT_BYTES as u64 { FINGERPRINT_BYTES as u64 } else { size };
            let wanted = usize::try_from(stop.min(size) - self.end).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            match ReadAt::read_at(file, &mut block[..wanted], self.end)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => drop(self.write(&block[..read])?),
            }
        }
        Ok(())
    }

    /// Its bytes so far.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The file's length so far.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Throws it away. What is left of it otherwise the next start removes.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    fn write_within(&mut self, block: &[u8], from: u64, to: u64) -> io::Result<()> {
        let start = self.end.max(from);
        let stop = (self.end + block.len() as u64).min(to);
        if start < stop {
            let within = (start - self.end) as usize..(stop - self.end) as usize;
            self.file.write_all_at(&block[within], start)?;
            self.bytes += stop - start;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_whole_survives_and_drafts_do_not() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("kept");
        let mut keep = Keep::open(directory.clone(), 1 << 20).expect("opened");
        let mut draft = keep.draft(FileKey(7), 0).expect("begun");
        draft.write(b"whole\n").expect("written");
        keep.finish(draft).expect("finished");
        let mut draft = keep.draft(FileKey(8), 0).expect("begun");
        draft.write(b"torn").expect("written");
        drop(draft);
        let mut keep = Keep::open(directory.clone(), 1 << 20).expect("opened");
        assert_eq!(keep.keys().collect::<Vec<_>>(), [FileKey(7)]);
        assert!(!directory.join("8.new").exists());
        assert!(keep.bytes() > 0 && keep.room() < 1 << 20);
        keep.remove(FileKey(7)).expect("removed");
        keep.remove(FileKey(7)).expect("nothing to do");
        assert_eq!(keep.room(), 1 << 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Copied from a file or block by block, a copy has the rest, the
        /// beginning and the length, and nothing else.
        #[test]
        fn a_copy_has_what_its_reader_needs(length in 0usize..6000, from in 0u64..7000, block in 1usize..3000) {
            let place = tempfile::tempdir().expect("a directory");
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8 + 1).collect();
            let original = place.path().join("original");
            fs::write(&original, &content).expect("written");
            let mut keep = Keep::open(place.path().join("kept"), u64::MAX).expect("opened");
            let expected: Vec<u8> = (0u64..)
                .zip(&content)
                .map(|(at, byte)| if at < 1024 || at >= from { *byte } else { 0 })
                .collect();
            let mut copied = keep.draft(FileKey(1), from).expect("begun");
            copied.copy(&File::open(&original).expect("opened"), length as u64).expect("copied");
            keep.finish(copied).expect("finished");
            let mut written = keep.draft(FileKey(2), from).expect("begun");
            for block in content.chunks(block) {
                written.write(block).expect("written");
            }
            keep.finish(written).expect("finished");
            for key in ["1", "2"] {
                let found = fs::read(place.path().join("kept").join(key)).expect("read");
                prop_assert!(found == expected, "{} from {}: {} bytes", key, from, found.len());
            }
            prop_assert_eq!(keep.held[&FileKey(1)], keep.held[&FileKey(2)]);
        }
    }
}
