//! The checkpoint's file: checked lines, appended and synced.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_runtime::failpoint;
use weir_stream::disk::files::{self, File, Files, directory_of, write_all};

use super::{Changes, Head, Restored};
use crate::StartError;

/// The version that this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// A journal below this is never worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// Written anew when it has grown to this many times its content.
const REWRITE_GROWTH: u64 = 4;

/// Between a line's checksum and its content: it begins a write, and everything
/// before it was synced by then.
const BEGINS: u8 = b' ';

/// It belongs to the write of the line before it. A power cut may leave it without
/// that one.
const GOES_ON: u8 = b'+';

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    files: Arc<dyn Files>,
    path: PathBuf,
    file: Box<dyn File>,
    bytes: u64,
    bytes_when_new: u64,
    broken: bool,
}

/// What was read.
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) restored: Restored,
    /// Its whole lines; what follows them is torn.
    pub(super) good: Vec<u8>,
}

impl Journal {
    /// Writes a new journal and puts it in the place of an old one.
    pub(super) fn create(
        files: Arc<dyn Files>,
        path: PathBuf,
        head: &Head,
        changes: impl Iterator<Item = Changes>,
    ) -> io::Result<Self> {
        let new = path.with_extension("new");
        let file = files::create_anew(&*files, &new)?;
        let mut bytes = write_line(&*file, 0, BEGINS, head)?;
        bytes += write_lines(&*file, bytes, changes)?;
        failpoint::reach("agent.checkpoint.create.sync.before")?;
        file.sync_all()?;
        failpoint::reach("agent.checkpoint.create.sync.after")?;
        files.rename(&new, &path)?;
        failpoint::reach("agent.checkpoint.create.sync_directory.before")?;
        files.sync_dir(directory_of(&path))?;
        failpoint::reach("agent.checkpoint.create.sync_directory.after")?;
        Ok(Self { files, path, file, bytes, bytes_when_new: bytes, broken: false })
    }

    /// Opens a journal that was read, without its torn end.
    ///
    /// What was read is written over itself. An earlier process whose sync failed
    /// has left its lines in the system's cache, marked as written, and a sync
    /// alone would not write them. In place, so that a full disk is no reason not
    /// to start.
    pub(super) fn open(files: Arc<dyn Files>, path: PathBuf, good: &[u8]) -> io::Result<Self> {
        let bytes = good.len() as u64;
        let file = files.open_for_write(&path)?;
        file.set_size(bytes)?;
        write_all(&*file, &mut [IoSlice::new(good)], 0)?;
        file.sync_all()?;
        // An earlier process may have died between putting it in its place and this.
        files.sync_dir(directory_of(&path))?;
        Ok(Self { files, path, file, bytes, bytes_when_new: bytes, broken: false })
    }

    pub(super) fn files(&self) -> Arc<dyn Files> {
        Arc::clone(&self.files)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines. They are durable when this returns.
    pub(super) fn append(&mut self, changes: impl Iterator<Item = Changes>) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.broken = true;
        self.bytes += write_lines(&*self.file, self.bytes, changes)?;
        failpoint::reach("agent.checkpoint.append.sync.before")?;
        self.file.sync_data()?;
        failpoint::reach("agent.checkpoint.append.sync.after")?;
        self.broken = false;
        Ok(())
    }

    /// As on a full disk that also refuses new files.
    #[cfg(test)]
    pub(super) fn refuse_writes(&mut self) {
        self.file = self.files.open_for_write(Path::new("/dev/full")).expect("always there");
        self.path = Path::new("/dev/full").join(self.path.strip_prefix("/").expect("absolute"));
    }

    #[cfg(test)]
    pub(super) fn accept_writes(&mut self) {
        self.path = Path::new("/").join(self.path.strip_prefix("/dev/full").expect("refused before"));
    }

    pub(super) fn wants_rewrite(&self) -> bool {
        let grown = self.bytes > (self.bytes_when_new * REWRITE_GROWTH).max(REWRITE_BYTES_MIN);
        self.broken || grown
    }
}

/// Lines that are synced together.
fn write_lines(file: &dyn File, mut at: u64, values: impl Iterator<Item = Changes>) -> io::Result<u64> {
    let from = at;
    for value in values {
        let mark = if at == from { BEGINS } else { GOES_ON };
        at += write_line(file, at, mark, &value)?;
    }
    Ok(at - from)
}

fn write_line(file: &dyn File, at: u64, mark: u8, value: &impl Serialize) -> io::Result<u64> {
    let json = serde_json::to_string(value)?;
    let line = format!("{:08x}{}{json}\n", crc32c::crc32c(json.as_bytes()), char::from(mark));
    write_all(file, &mut [IoSlice::new(line.as_bytes())], at)?;
    Ok(line.len() as u64)
}

/// Reads a journal; nothing if there is none.
pub(super) fn read(files: &dyn Files, path: &Path) -> Result<Option<Read>, StartError> {
    let refused = |source| StartError::StateDirectory { path: path.to_owned(), source };
    let Some(mut bytes) = files::read(files, path).map_err(refused)? else { return Ok(None) };
    let damaged = |position: usize, reason: &str| StartError::Damaged {
        path: path.to_owned(),
        position: position as u64,
        reason: reason.to_owned(),
    };
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().and_then(content).map(|(_, json)| json);
    let first = first.ok_or_else(|| damaged(0, "the first line is not whole"))?;
    check_version(path, first).map_err(|error| error.unwrap_or_else(|| damaged(0, "no version")))?;
    let head = parse::<Head>(first).ok_or_else(|| damaged(0, "the first line makes no sense"))?;

    let mut files = BTreeMap::new();
    let mut mark = None;
    let (mut position, mut good) = (first_bytes(&bytes), first_bytes(&bytes));
    for line in lines {
        match content(line) {
            Some((_, json)) if good == position => {
                let changes = parse::<Changes>(json).ok_or_else(|| damaged(position, "no known content"))?;
                mark = changes.mark.or(mark);
                files.extend(changes.files.into_iter().map(|entry| (entry.key, entry)));
                changes.gone.iter().for_each(|key| drop(files.remove(key)));
                good += line.len();
            }
            Some((BEGINS, _)) => return Err(damaged(good, "a line fails its checksum and others follow")),
            Some(_) | None => {}
        }
        position += line.len();
    }
    let restored = Restored { files: files.into_values().collect(), mark };
    bytes.truncate(good);
    Ok(Some(Read { head, restored, good: bytes }))
}

fn first_bytes(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&byte| byte == b'\n').next().map_or(0, <[u8]>::len)
}

/// The mark and the JSON of a line, if the line is whole and its checksum fits.
fn content(line: &[u8]) -> Option<(u8, &[u8])> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let expected = format!("{:08x}", crc32c::crc32c(json));
    let mark = line[8];
    (matches!(mark, BEGINS | GOES_ON) && sum == expected.as_bytes()).then_some((mark, json))
}

fn parse<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// Only the version is read first: a newer build may have changed the rest.
fn check_version(path: &Path, json: &[u8]) -> Result<(), Option<StartError>> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = parse(json).ok_or(None)?;
    if version > VERSION {
        return Err(Some(StartError::Newer { path: path.to_owned(), version, known: VERSION }));
    }
    Ok(())
}
