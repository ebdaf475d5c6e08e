//! A directory of its own for each test, and writing into its files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A directory that is removed when the test passes and kept, with its path
/// printed, when it fails.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// An empty directory, named after the test.
    pub(crate) fn new(test: &str) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("weir-{test}-")).tempdir().expect("a directory");
        let dir = dir.keep();
        fs::create_dir(dir.join("in")).expect("a directory for input");
        Self { dir }
    }

    /// The data directory of the node under test.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A path below the directory whose files are tailed.
    pub(crate) fn input(&self, name: &str) -> PathBuf {
        self.dir.join("in").join(name)
    }

    /// The glob that tails every `.log` of the input directory.
    pub(crate) fn tail(&self) -> String {
        format!("{}/*.log", self.dir.join("in").display())
    }

    /// A path for anything else.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("kept for inspection: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Appends bytes to a file, which is made when it is not there.
pub(crate) fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the file opens");
    file.write_all(bytes.as_ref()).expect("the file takes bytes");
}
