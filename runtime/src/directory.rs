//! Directories that survive a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Creates a directory with those above it, and makes the name of each durable: what
/// is synced in a directory whose own name is not may be gone after a power cut. Each
/// is synced also where it exists: whoever created it may have been killed before its
/// own sync. Blocks for some calls of the file system. An empty path is the current directory, as it is what
/// [`Path::parent`] says of a bare file name.
///
/// # Errors
/// As [`fs::create_dir_all`], and where a directory cannot be synced.
pub fn create_durably(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let path = std::path::absolute(path)?;
    let missing = path.ancestors().position(Path::is_dir).unwrap_or(0);
    fs::create_dir_all(&path)?;
    for (depth, directory) in path.ancestors().skip(1).enumerate() {
        match File::open(directory).and_then(|it| it.sync_all()) {
            Err(error) if depth >= missing && is_not_ours_to_sync(&error) => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// A directory that was prepared for us may lie in one that we may not read, or
/// on a file system where there is nothing to sync.
pub fn is_not_ours_to_sync(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem | Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_created_and_what_is_there_is_left() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("a/b/c");
        create_durably(&path).expect("created");
        fs::write(path.join("file"), "kept").expect("written");
        create_durably(&path).expect("there already");
        create_durably(Path::new("")).expect("the current directory is there");
        assert_eq!(fs::read_to_string(path.join("file")).expect("read"), "kept");
        assert!(create_durably(&path.join("file")).is_err(), "a file is no directory");
    }
}
