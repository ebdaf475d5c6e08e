//! What the operator says about sensitive text.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is replaced in what is tailed and pushed, before it reaches a disk or
/// the network. By default, nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactConfig {
    /// What is looked for everywhere: `email`, `card`, `iban`, `jwt`, `bearer`,
    /// `basic`, `cloud_key`, `private_key`, `password`, `ip`, or `default` for
    /// all of these but `ip`. Empty: nothing, unless `keys` or `patterns` say.
    pub rules: Vec<String>,
    /// What a pod may have looked for in addition, by its annotation
    /// `weir.dev/redact`: rules, or names of patterns. No pod can have less than
    /// `rules`.
    pub allow: Vec<String>,
    /// What is done with what is found.
    pub action: RedactAction,
    /// What is done instead with what some rules find, for example
    /// `{ card: drop, email: hash }`. Patterns are named like rules, and all
    /// `keys` are called `keys`.
    pub actions: BTreeMap<String, RedactAction>,
    /// Names of fields and attributes whose whole value is replaced, in JSON, in
    /// `name=value`, and in what is pushed: globs like `*_email` or `ssn`,
    /// whatever their capitals.
    pub keys: Vec<String>,
    /// More that is looked for: a list of `{ name: order, regex: 'ord-[0-9]{8}' }`.
    /// Of an expression with a group only the group is replaced. Those that
    /// `allow` names are looked for where a pod asks for it, others everywhere.
    pub patterns: Vec<RedactPattern>,
    /// The file with the secret that the action `hash` needs, 16 bytes or more.
    /// All agents need the same, for equal values to have equal hashes.
    pub secret_file: Option<PathBuf>,
}

/// What is done with what a rule finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedactAction {
    /// `[redacted:email]` is written instead.
    #[default]
    Mask,
    /// `[redacted:email:5f2b8c0d9e1a7346]` is written instead: equal values have
    /// equal hashes, which nobody can make without `secret_file`.
    Hash,
    /// The whole event is left out, and counted as `redacted` in `weir.gaps`.
    Drop,
}

/// An expression of the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactPattern {
    /// What it is called in `[redacted:NAME]`, in metrics and in annotations.
    pub name: String,
    /// What is looked for, in the syntax of Rust's `regex`. It costs every line a
    /// search of its own.
    pub regex: String,
}

impl Default for RedactConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            allow: vec!["default".to_owned(), "ip".to_owned()],
            action: RedactAction::Mask,
            actions: BTreeMap::new(),
            keys: Vec::new(),
            patterns: Vec::new(),
            secret_file: None,
        }
    }
}
