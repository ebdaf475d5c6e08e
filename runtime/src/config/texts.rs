//! The files of a configuration, as they were at one moment.
//!
//! A directory is read as Kubernetes mounts a ConfigMap: its files are links
//! into a directory whose name begins with a dot, and which is replaced as a
//! whole. So names with a dot are passed over, and what was read is read again
//! until it stays the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ConfigError, file};

/// A directory that changes while it is read is read again so often.
const ATTEMPTS_MAX: usize = 10;

/// What stands in the files of a configuration, in the order in which they
/// count: what a later one sets holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    place: PathBuf,
    files: Vec<(PathBuf, String)>,
}

impl Texts {
    /// Reads a file; of a directory every `*.yaml` and `*.yml`, by name.
    ///
    /// # Errors
    /// [`ConfigError::Read`], and [`ConfigError::Empty`] for a directory without
    /// such a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut before = Self::read_once(path);
        for _ in 0..ATTEMPTS_MAX {
            let now = Self::read_once(path);
            match (&before, &now) {
                (Ok(earlier), Ok(later)) if earlier == later => return now,
                (Err(_), Err(_)) => return now,
                _ => before = now,
            }
        }
        before
    }

    fn read_once(path: &Path) -> Result<Self, ConfigError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| ConfigError::Read { path, source }
        };
        let mut paths = vec![path.to_owned()];
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(failed(path))?;
            let entries: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
            paths = entries.map_err(failed(path))?;
            paths.retain(|path| is_ours(path));
            paths.sort();
            if paths.is_empty() {
                return Err(ConfigError::Empty { path: path.to_owned() });
            }
        }
        let text = |path: PathBuf| match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(source) => Err(ConfigError::Read { path, source }),
        };
        let files = paths.into_iter().map(text).collect::<Result<_, _>>()?;
        Ok(Self { place: path.to_owned(), files })
    }

    pub(super) fn parse<T>(&self) -> Result<T, ConfigError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        match &self.files[..] {
            [] => return Ok(T::default()),
            [(path, text)] => return file::parse(path, text),
            _ => {}
        }
        let mut tree = serde_json::to_value(T::default()).map_err(ConfigError::Shape)?;
        for (path, text) in &self.files {
            // As a value it is what its type made of it: the mistakes of each
            // file are told with their places in it.
            let config: T = file::parse(path, text)?;
            let read = serde_json::to_value(&config).map_err(ConfigError::Shape)?;
            lay_over(&mut tree, &file::written::<T>(path, text)?, &read);
        }
        serde_json::from_value(tree).map_err(|error| ConfigError::File {
            path: self.place.clone(),
            line: 1,
            column: 1,
            key: String::new(),
            reason: format!("the files do not fit together: {error}"),
        })
    }
}

fn is_ours(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    !is_hidden && is_yaml && path.is_file()
}

/// Sets in `tree` what was written, to what was read of it.
fn lay_over(tree: &mut Value, written: &Value, read: &Value) {
    let (Value::Object(tree), Value::Object(written), Value::Object(read)) = (&mut *tree, written, read)
    else {
        *tree = read.clone();
        return;
    };
    for (name, written) in written {
        let Some(read) = read.get(name) else { continue };
        match tree.get_mut(name) {
            Some(held) => lay_over(held, written, read),
            None => drop(tree.insert(name.clone(), read.clone())),
        }
    }
}
