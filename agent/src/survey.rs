//! What an agent would find, without reading it: for people who look for a
//! mistake.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::find::Patterns;
use crate::root::is_refusal;
use crate::{Config, StartError};

/// Files that are tried to be opened. More would only take longer.
const OPENED_MAX: usize = 20_000;

/// What the patterns mean now.
#[derive(Debug, Default)]
pub struct Survey {
    /// Regular files that would be read.
    pub files: usize,
    /// Directories that would be watched.
    pub directories: usize,
    /// Patterns that mean nothing now.
    pub empty: Vec<String>,
    /// Links that lead out of `agent.roots`, which are not followed.
    pub refused: Vec<PathBuf>,
    /// Files and directories that cannot be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Walks the patterns and tries to open what they find. Blocks.
///
/// # Errors
/// A pattern that cannot be understood.
pub fn survey(config: &Config, state_dir: &Path) -> Result<Survey, StartError> {
    let excluded = config.own_data.as_deref().unwrap_or(state_dir);
    let mut survey = Survey::default();
    for pattern in &config.tail {
        let alone = Patterns::new(std::slice::from_ref(pattern), &config.roots, excluded)?.walk();
        if alone.files.is_empty() && alone.archives.is_empty() {
            survey.empty.push(pattern.clone());
        }
    }
    let mut patterns = Patterns::new(&config.tail, &config.roots, excluded)?;
    let found = patterns.walk();
    survey.files = found.files.len();
    // Several patterns may begin in the same one.
    survey.directories = found.directories.iter().collect::<HashSet<_>>().len();
    let tried = found.files.iter().take(OPENED_MAX);
    let failed = tried.filter_map(|file| Some((file.path.clone(), patterns.open(&file.path).err()?)));
    for (path, error) in found.errors.into_iter().chain(failed) {
        match error.kind() {
            _ if is_refusal(&error) => survey.refused.push(path),
            // Deleted meanwhile.
            io::ErrorKind::NotFound => {}
            _ => survey.unreadable.push((path, error)),
        }
    }
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_found_and_what_is_not_is_told() {
        let root = tempfile::tempdir().expect("a directory");
        let path = |name: &str| root.path().join(name);
        for name in ["logs", "logs/deep", "secret"] {
            fs::create_dir(path(name)).expect("a directory");
        }
        for name in ["logs/a.log", "logs/deep/b.log", "secret/c.log"] {
            fs::write(path(name), "x").expect("a file");
        }
        symlink(path("secret/c.log"), path("logs/c.log")).expect("a link");
        let pattern = |text: &str| format!("{}/logs/{text}", root.path().display());
        let config = Config {
            tail: vec![pattern("**/*.log"), pattern("*.none")],
            roots: Vec::new(),
            ..Config::default()
        };
        let survey = survey(&config, &path("state")).expect("understood");
        assert_eq!((survey.files, survey.directories), (2, 2));
        assert_eq!(survey.empty, [pattern("*.none")]);
        assert_eq!(survey.refused, [path("logs/c.log")]);
        assert!(survey.unreadable.is_empty(), "{survey:?}");
    }
}
