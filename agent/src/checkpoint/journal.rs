//! The checkpoint's file: checked lines, appended and synced.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weir_runtime::failpoint;

use super::{Changes, Head, Restored, sync_directory};
use crate::StartError;

/// The version that this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// A journal below this is never worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// Written anew when it has grown to this many times its content.
const REWRITE_GROWTH: u64 = 4;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_when_new: u64,
    broken: bool,
}

/// What was read.
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) restored: Restored,
    /// Whole lines end here; what follows is torn.
    pub(super) good_bytes: u64,
}

impl Journal {
    /// Writes a new journal and puts it in the place of an old one.
    pub(super) fn create(
        path: PathBuf,
        head: &Head,
        changes: impl Iterator<Item = Changes>,
    ) -> io::Result<Self> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        let mut bytes = write_line(&mut file, head)?;
        for change in changes {
            bytes += write_line(&mut file, &change)?;
        }
        failpoint::reach("agent.checkpoint.create.sync.before")?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        failpoint::reach("agent.checkpoint.create.sync_directory.before")?;
        sync_directory(&path)?;
        Ok(Self { path, file, bytes, bytes_when_new: bytes, broken: false })
    }

    /// Opens a journal that was read, without its torn end.
    pub(super) fn open(path: PathBuf, good_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(&path)?;
        file.set_len(good_bytes)?;
        file.sync_all()?;
        // An earlier process may have died between putting it in its place and this.
        sync_directory(&path)?;
        Ok(Self { path, file, bytes: good_bytes, bytes_when_new: good_bytes, broken: false })
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
        for change in changes {
            self.bytes += write_line(&mut self.file, &change)?;
        }
        failpoint::reach("agent.checkpoint.append.sync.before")?;
        self.file.sync_data()?;
        drop(failpoint::reach("agent.checkpoint.append.sync.after"));
        self.broken = false;
        Ok(())
    }

    /// As on a full disk that also refuses new files.
    #[cfg(test)]
    pub(super) fn refuse_writes(&mut self) {
        self.file = OpenOptions::new().write(true).open("/dev/full").expect("always there");
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

fn write_line(file: &mut File, value: &impl Serialize) -> io::Result<u64> {
    let json = serde_json::to_string(value)?;
    let line = format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
    file.write_all(line.as_bytes())?;
    Ok(line.len() as u64)
}

/// Reads a journal; nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Read>, StartError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StartError::StateDirectory { path: path.to_owned(), source }),
    };
    let damaged = |position: usize, reason: &str| StartError::Damaged {
        path: path.to_owned(),
        position: position as u64,
        reason: reason.to_owned(),
    };
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().and_then(content).ok_or_else(|| damaged(0, "the first line is not whole"))?;
    check_version(path, first).map_err(|error| error.unwrap_or_else(|| damaged(0, "no version")))?;
    let head = parse::<Head>(first).ok_or_else(|| damaged(0, "the first line makes no sense"))?;

    let mut files = BTreeMap::new();
    let mut mark = None;
    let (mut position, mut good) = (first_bytes(&bytes), first_bytes(&bytes));
    for line in lines {
        match content(line) {
            Some(json) if good == position => {
                let changes = parse::<Changes>(json).ok_or_else(|| damaged(position, "no known content"))?;
                mark = changes.mark.or(mark);
                files.extend(changes.files.into_iter().map(|entry| (entry.key, entry)));
                changes.gone.iter().for_each(|key| drop(files.remove(key)));
                good += line.len();
            }
            Some(_) => return Err(damaged(good, "a line fails its checksum and others follow")),
            None => {}
        }
        position += line.len();
    }
    let restored = Restored { files: files.into_values().collect(), mark };
    Ok(Some(Read { head, restored, good_bytes: good as u64 }))
}

fn first_bytes(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&byte| byte == b'\n').next().map_or(0, <[u8]>::len)
}

/// The JSON of a line, if the line is whole and its checksum fits.
fn content(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let expected = format!("{:08x}", crc32c::crc32c(json));
    (line[8] == b' ' && sum == expected.as_bytes()).then_some(json)
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
