//! Directories that survive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Creates a directory with those above it, and makes the name of each that is
/// new durable: what is synced in a directory whose own name is not may be gone
/// after a power cut. An empty path is the current directory, as it is what
/// [`Path::parent`] says of a bare file name.
///
/// # Errors
/// As [`fs::create_dir_all`], and where a directory cannot be synced.
pub fn create_durably(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let path = std::path::absolute(path)?;
    let there = path.ancestors().position(Path::is_dir).unwrap_or(0);
    fs::create_dir_all(&path)?;
    for directory in path.ancestors().skip(1).take(there) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
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
