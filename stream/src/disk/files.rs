//! What the log asks of a file system. The real one is [`SystemFiles`]; tests
//! bring one that fails, fills up, and loses power.

#[cfg(any(test, feature = "conformance"))]
pub mod simulated;
mod system;

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;

pub use system::SystemFiles;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// It is a directory's.
    pub is_dir: bool,
}

/// A file system.
pub trait Files: Debug + Send + Sync {
    /// Makes one directory; its parent exists.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, in no order. Names that are not UTF-8 are not
    /// ours and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open_for_write(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens a file for reading and writing, empty.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Gives a file another name, in the place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates and locks a file against other processes; none when it is held.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// Names the time since the machine was started: within it, a file reads
    /// as it was last written, synced or not. None when it cannot be told.
    fn boot(&self) -> Option<u128>;
}

/// An open file.
pub trait File: Debug + Send + Sync {
    /// Its length.
    fn size(&self) -> io::Result<u64>;
    /// Reads at most `buffer.len()` bytes; 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes a prefix of the parts and answers with its length.
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize>;
    /// Cuts or extends it.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes what was appended durable. Whether it is found by its name is the
    /// directory's part.
    fn sync_data(&self) -> io::Result<()>;
    /// The same for a file that was created or cut.
    fn sync_all(&self) -> io::Result<()>;
}

/// Held until dropped.
pub trait Lock: Debug + Send + Sync {}

/// Most parts that one write may carry; Linux refuses more than 1,024.
const PARTS_MAX: usize = 512;

/// Writes all parts, however many writes it takes.
///
/// # Errors
/// Some of it may have been written.
pub fn write_all(file: &dyn File, mut parts: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
    // Empty parts at the front would make a complete write look like none.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let count = parts.len().min(PARTS_MAX);
        match file.write_at(&parts[..count], at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; answers with the length.
///
/// # Errors
/// It cannot be read.
pub fn read_full(file: &dyn File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The content of a small file; none when there is no such file.
///
/// # Errors
/// It cannot be read.
pub fn read(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
    let length = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// A file that no other name means. What has the name is unlinked and not emptied:
/// on a file system whose names are not kept by a journal, a power cut in the middle
/// of a rename leaves a file with both names.
///
/// # Errors
/// It cannot be unlinked, or not be created.
pub fn create_anew(files: &dyn Files, path: &Path) -> io::Result<Box<dyn File>> {
    match files.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => files.create(path),
    }
}

/// Gives a small file a new content, durably: after a crash it has the old one or
/// the new one, and once this returns the new one. It is written to `<path>.new`
/// first, with the extension replaced.
///
/// # Errors
/// Which of the two it has after a crash is not known.
pub fn replace(files: &dyn Files, path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = create_anew(files, &new)?;
    write_all(&*file, &mut [IoSlice::new(content)], 0)?;
    file.sync_all()?;
    files.rename(&new, path)?;
    files.sync_dir(directory_of(path))
}

/// Where a file's name stands.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// True when the write failed for want of space and may succeed later.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
