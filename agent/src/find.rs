//! Which files there are: the globs, walked. A walk is the truth; what the
//! kernel tells in between only makes it sooner.

use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::StartError;
use crate::identity::Identity;
use crate::rotation::original;

/// A walk never goes deeper below a pattern's base.
const DEPTH_MAX: usize = 32;

/// Endings of compressed files. They are not read: a rotated file's lines were
/// read before it was compressed.
const COMPRESSED: [&str; 4] = ["gz", "bz2", "xz", "zst"];

/// The configured patterns.
#[derive(Debug)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
    /// Never read from here: the agent's own state.
    excluded: PathBuf,
}

#[derive(Debug)]
struct Pattern {
    /// The part without wildcards.
    base: PathBuf,
    /// None: a file, or a directory all of whose files are meant.
    glob: Option<GlobMatcher>,
    depth: usize,
}

/// A file that a pattern means.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// Where it is. Of a link, this is where it leads: the files in
    /// /var/log/containers are links to files whose paths say more, and whose
    /// renamed predecessors lie beside them.
    pub(crate) path: PathBuf,
    /// Which file it is.
    pub(crate) identity: Identity,
    /// Its size when it was found.
    pub(crate) size: u64,
    /// Its name is that of a rotated file, which was at this path before.
    pub(crate) rotated_from: Option<PathBuf>,
}

/// What a walk brought.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Every matching regular file once, in the order of the patterns.
    pub(crate) files: Vec<FoundFile>,
    /// The directories walked.
    pub(crate) directories: Vec<PathBuf>,
    /// What could not be looked at.
    pub(crate) errors: Vec<(PathBuf, io::Error)>,
    seen: HashSet<(u64, u64)>,
}

impl Patterns {
    /// Reads the patterns.
    pub(crate) fn new(tail: &[String], excluded: &Path) -> Result<Self, StartError> {
        let patterns = tail.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, excluded: excluded.to_owned() })
    }

    /// Walks the directories.
    pub(crate) fn walk(&self) -> Found {
        let mut found = Found::default();
        for pattern in &self.patterns {
            pattern.walk(&self.excluded, &mut found);
        }
        found
    }

    /// True when a file of that path would be read.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        !path.starts_with(&self.excluded)
            && !is_compressed(path)
            && self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, StartError> {
        let absolute = std::path::absolute(text)
            .map_err(|source| StartError::Pattern { pattern: text.to_owned(), source })?;
        let wild = |part: &Component<'_>| {
            part.as_os_str().to_string_lossy().contains(['*', '?', '[', ']', '{', '}'])
        };
        let base: PathBuf = absolute.components().take_while(|part| !wild(part)).collect();
        if base == absolute {
            return Ok(Self { base, glob: None, depth: 1 });
        }
        let glob = GlobBuilder::new(&absolute.to_string_lossy())
            .literal_separator(true)
            .build()
            .map_err(|source| StartError::Glob { pattern: text.to_owned(), source })?;
        let rest = absolute.components().skip(base.components().count());
        let any_depth = rest.clone().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            // Braces may hold a separator, which splits them here.
            part.contains("**") || part.contains(['{', '}'])
        });
        let depth = if any_depth { DEPTH_MAX } else { rest.count() };
        Ok(Self { base, glob: Some(glob.compile_matcher()), depth })
    }

    /// A rotated file belongs to the pattern of its original: who wrote it may
    /// have renamed it before anybody looked.
    fn matches(&self, path: &Path) -> bool {
        self.means(path) || self.original(path).is_some()
    }

    fn means(&self, path: &Path) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(path),
            None => path == self.base || path.parent() == Some(&self.base),
        }
    }

    fn original(&self, path: &Path) -> Option<PathBuf> {
        original(path).filter(|original| self.means(original))
    }

    fn walk(&self, excluded: &Path, found: &mut Found) {
        match fs::metadata(&self.base) {
            Ok(metadata) if metadata.is_dir() => {
                self.walk_directory(&self.base, self.depth, excluded, &mut Vec::new(), found);
            }
            Ok(metadata) => {
                if self.glob.is_none() {
                    found.add(self.base.clone(), self.base.is_symlink(), &metadata, None);
                }
                self.walk_parent(excluded, found);
            }
            // It may be created later: watched where it would appear.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.walk_parent(excluded, found),
            Err(error) => found.errors.push((self.base.clone(), error)),
        }
    }

    /// Looks for rotated files beside a single file.
    fn walk_parent(&self, excluded: &Path, found: &mut Found) {
        if let Some(parent) = self.base.parent().filter(|parent| parent.is_dir()) {
            self.walk_directory(parent, 1, excluded, &mut Vec::new(), found);
        }
    }

    /// `above` holds the directories on the way here, so that a link to one of
    /// them is not followed for ever.
    fn walk_directory(
        &self,
        directory: &Path,
        depth: usize,
        excluded: &Path,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        if directory.starts_with(excluded) {
            return;
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.errors.push((directory.to_owned(), error));
                return;
            }
        };
        found.directories.push(directory.to_owned());
        let mut entries: Vec<DirEntry> = entries.filter_map(Result::ok).collect();
        entries.sort_unstable_by_key(DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) => {
                    found.errors.push((path, error));
                    continue;
                }
            };
            let matches = self.matches(&path) && !is_compressed(&path);
            let may_descend = depth > 1 && (kind.is_dir() || kind.is_symlink());
            if !may_descend && !matches {
                continue;
            }
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                // Deleted meanwhile, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    found.errors.push((path, error));
                    continue;
                }
            };
            if metadata.is_file() && matches {
                let rotated_from = self.original(&path);
                found.add(path, kind.is_symlink(), &metadata, rotated_from);
            } else if metadata.is_dir() && may_descend {
                self.descend(&path, kind.is_symlink(), depth - 1, excluded, above, found);
            }
        }
    }

    fn descend(
        &self,
        path: &Path,
        linked: bool,
        depth: usize,
        excluded: &Path,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        if !linked {
            self.walk_directory(path, depth, excluded, above, found);
            return;
        }
        let Ok(real) = fs::canonicalize(path) else { return };
        let loops = path.starts_with(&real) || above.contains(&real);
        if !loops {
            above.push(real);
            self.walk_directory(path, depth, excluded, above, found);
            above.pop();
        }
    }
}

impl Found {
    /// Adds a regular file, unless it was found under another name.
    fn add(&mut self, path: PathBuf, linked: bool, metadata: &Metadata, rotated_from: Option<PathBuf>) {
        let identity = Identity::of(metadata);
        if metadata.is_file() && self.seen.insert((identity.device, identity.inode)) {
            let path = if linked { fs::canonicalize(&path).unwrap_or(path) } else { path };
            self.files.push(FoundFile { path, identity, size: metadata.len(), rotated_from });
        }
    }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| COMPRESSED.iter().any(|ending| extension == *ending))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, tail: &[&str]) -> Vec<String> {
        let tail: Vec<_> = tail.iter().map(|pattern| format!("{}/{pattern}", root.display())).collect();
        let found = Patterns::new(&tail, &root.join("state")).expect("valid").walk();
        let name = |file: &FoundFile| {
            file.path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned()
        };
        found.files.iter().map(name).collect()
    }

    #[test]
    fn patterns_find_files() {
        let root = tempfile::tempdir().expect("a directory");
        for file in ["a.log", "b.log", "c.txt", "d.log.gz", "pods/n_p_u/c/0.log", "pods/n_p_u/c/deep/1.log"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, "x").expect("a file");
        }
        fs::create_dir(root.path().join("state")).expect("a directory");
        fs::write(root.path().join("state/own.log"), "x").expect("a file");
        let check =
            |tail: &[&str], expected: &[&str]| assert_eq!(names(root.path(), tail), expected, "{tail:?}");
        check(&["*.log"], &["a.log", "b.log"]);
        check(&["a.log", "*.log"], &["a.log", "b.log"]);
        check(&["", "pods/*/*/*.log"], &["a.log", "b.log", "c.txt", "pods/n_p_u/c/0.log"]);
        check(&["**/*.log"], &["a.log", "b.log", "pods/n_p_u/c/0.log", "pods/n_p_u/c/deep/1.log"]);
        check(&["{a,c}.*"], &["a.log", "c.txt"]);
        check(&["missing/*.log", "missing.log"], &[]);
        check(&["state"], &[]);
    }

    #[test]
    fn links_are_followed_and_a_file_is_found_once() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("real")).expect("a directory");
        fs::write(root.path().join("real/x.log"), "x").expect("a file");
        fs::hard_link(root.path().join("real/x.log"), root.path().join("real/y.log")).expect("a link");
        symlink(root.path().join("real"), root.path().join("linked")).expect("a link");
        symlink(root.path(), root.path().join("real/loop")).expect("a link");
        symlink("nowhere", root.path().join("real/broken.log")).expect("a link");
        assert_eq!(names(root.path(), &["**/*.log"]).len(), 1);
        assert_eq!(names(root.path(), &["linked/*.log"]), ["linked/x.log"]);
    }

    #[test]
    fn what_cannot_be_looked_at_is_told_and_the_rest_is_found() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.log"), "x").expect("a file");
        let tail: Vec<_> = ["a.log/below/*.log", "*.log"]
            .iter()
            .map(|pattern| format!("{}/{pattern}", root.path().display()))
            .collect();
        let found = Patterns::new(&tail, Path::new("/nowhere")).expect("valid").walk();
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
    }

    #[test]
    fn an_invalid_glob_is_named() {
        let error = Patterns::new(&["/var/log/[a.log".into()], Path::new("/s")).expect_err("invalid");
        assert!(error.to_string().contains("/var/log/[a.log"), "{error}");
    }
}
