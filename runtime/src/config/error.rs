//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A mistake in a configuration, with its place and what would be right.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there, or not text.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory without files.
    #[error("the configuration directory {} has no *.yaml: give it one, or name a file", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {}{reason}", path.display(), prefixed(key))]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// The key at that place; empty where there is none.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A variable that sets nothing.
    #[error("the environment variable {name} sets no key{}", suggested(suggestion.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The most similar variable that exists.
        suggestion: Option<String>,
    },
    /// A variable that could set two keys: a mistake in the tree.
    #[error("the environment variable {name} could set {first} and {second}: set the key in the file")]
    AmbiguousVariable {
        /// The variable.
        name: String,
        /// A key.
        first: String,
        /// Another.
        second: String,
    },
    /// A variable whose value does not fit its key.
    #[error("the environment variable {name}, which sets {key}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The tree has no form as text: a mistake in the tree, not in a file.
    #[error("the configuration cannot be written as JSON")]
    Shape(#[source] serde_json::Error),
}

fn prefixed(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

pub(super) fn suggested(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(", did you mean {name}?"))
}
