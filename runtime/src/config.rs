//! Reads a configuration tree: defaults, then a YAML file, then environment
//! variables. Not for flags, and not for what the values mean together: both
//! are the root's.
//!
//! A tree is a struct of structs with `#[serde(default, deny_unknown_fields)]`.
//! Its keys are what it serializes to; each has a variable, for example
//! `WEIR_QUERY_MEMORY` for `query.memory`.

mod environment;
mod error;
mod file;
mod key;
mod texts;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use key::{Key, keys};
pub use texts::Texts;

/// Variables under the prefix that are no keys: read by the telemetry and by
/// the command line before there is a configuration.
pub const RESERVED: [&str; 3] = ["LOG", "CONFIG", "URL"];

/// Reads a tree from a file, or from all files of a directory. Every mistake is
/// an error that names its place: a typo must not run for weeks as a default.
pub fn load<T: Serialize + DeserializeOwned + Default>(
    path: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    prefix: &str,
) -> Result<T, ConfigError> {
    let texts = path.map(Texts::read).transpose()?.unwrap_or_default();
    load_texts(&texts, variables, prefix)
}

/// The same from what was read before.
pub fn load_texts<T: Serialize + DeserializeOwned + Default>(
    texts: &Texts,
    variables: impl Iterator<Item = (String, String)>,
    prefix: &str,
) -> Result<T, ConfigError> {
    environment::apply(texts.parse()?, variables, prefix)
}

#[cfg(test)]
mod tests;
