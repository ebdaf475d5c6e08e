//! Which files there are: the globs, walked. A walk is the truth; what the
//! kernel tells in between only makes it sooner.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use globset::{GlobBuilder, GlobMatcher};

use crate::StartError;
use crate::identity::Identity;
use crate::root::Roots;
use crate::rotation::{family, original, uncompressed};

/// A walk never goes deeper below a pattern's base.
const DEPTH_MAX: usize = 32;

/// Endings of compressed files. They are not read as they are.
const COMPRESSED: [&str; 4] = ["gz", "bz2", "xz", "zst"];

/// The configured patterns.
#[derive(Debug)]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
    /// Never read from here: the agent's own state.
    excluded: PathBuf,
    /// Where links may lead.
    roots: Roots,
}

#[derive(Debug)]
struct Pattern {
    /// The part without wildcards.
    base: PathBuf,
    /// None: a file, or a directory all of whose files are meant.
    glob: Option<GlobMatcher>,
    depth: usize,
}

/// Where a walk goes.
#[derive(Clone, Copy)]
struct Ground<'a> {
    roots: &'a Roots,
    excluded: &'a Path,
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
    /// When it was written to, nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Its name is that of a rotated file, which was at this path before.
    pub(crate) rotated_from: Option<PathBuf>,
}

/// What a walk brought.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Every matching regular file once, in the order of the patterns.
    pub(crate) files: Vec<FoundFile>,
    /// Every regular `.gz` that such a file may have become. They say what
    /// their generations have in common as where they are rotated from.
    pub(crate) archives: Vec<FoundFile>,
    /// The directories walked.
    pub(crate) directories: Vec<PathBuf>,
    /// What could not be looked at.
    pub(crate) errors: Vec<(PathBuf, io::Error)>,
    /// A directory changed while it was listed: what is renamed meanwhile may be
    /// missed under either name, so what was not found may be there.
    pub(crate) is_unsteady: bool,
    seen: HashSet<(u64, u64)>,
}

/// So often the directories are walked for one scan.
const WALKS_MAX: u32 = 3;

/// File systems take the time from a clock that stands still for so long.
pub(crate) const COARSE: Duration = Duration::from_millis(10);

impl Patterns {
    /// Reads the patterns. Links are followed below `roots`, and below the
    /// directory that a pattern begins with.
    pub(crate) fn new(tail: &[String], roots: &[PathBuf], excluded: &Path) -> Result<Self, StartError> {
        let patterns: Vec<_> = tail.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?;
        let begins = patterns.iter().map(|pattern| pattern.begin().to_owned());
        let roots = Roots::new(begins.chain(roots.iter().cloned()));
        Ok(Self { patterns, excluded: excluded.to_owned(), roots })
    }

    /// Walks the directories: again, where one has just changed or does so
    /// meanwhile, but not for ever.
    pub(crate) fn walk(&mut self) -> Found {
        self.roots.refresh();
        for _ in 1..WALKS_MAX {
            let found = self.walk_once();
            if !found.is_unsteady {
                return found;
            }
            thread::sleep(COARSE);
        }
        self.walk_once()
    }

    fn walk_once(&self) -> Found {
        let mut found = Found::default();
        for pattern in &self.patterns {
            pattern.walk(Ground { roots: &self.roots, excluded: &self.excluded }, &mut found);
        }
        found
    }

    /// Opens a file that was found.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        self.roots.open(path)
    }

    /// What stands at `path`, if it is a live file that a pattern means: not a
    /// link, and no rotated name.
    pub(crate) fn find(&self, path: &Path) -> Option<FoundFile> {
        let is_live = self.patterns.iter().any(|pattern| pattern.means(path))
            && !path.starts_with(&self.excluded)
            && !is_compressed(path)
            && self.patterns.iter().all(|pattern| pattern.original(path).is_none());
        let metadata = fs::symlink_metadata(path).ok().filter(|metadata| is_live && metadata.is_file())?;
        Some(FoundFile::new(path.to_owned(), &metadata, None))
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

    /// True for a `.gz` of a file that is meant.
    fn compresses(&self, path: &Path) -> bool {
        let plain = uncompressed(path);
        plain != path && (self.matches(&plain) || self.means(path))
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

    /// The directory that it begins with.
    fn begin(&self) -> &Path {
        let parent = self.base.parent().filter(|_| self.glob.is_none() && !self.base.is_dir());
        parent.unwrap_or(&self.base)
    }

    fn walk(&self, ground: Ground<'_>, found: &mut Found) {
        match fs::metadata(&self.base) {
            Ok(metadata) if metadata.is_dir() => {
                self.walk_directory(&self.base, self.depth, ground, &mut Vec::new(), found);
            }
            // Found there with the files that rotation puts beside it. Or it
            // may be created later: watched where it would appear.
            Ok(_) => self.walk_parent(ground, found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.walk_parent(ground, found),
            Err(error) => found.errors.push((self.base.clone(), error)),
        }
    }

    /// Looks for rotated files beside a single file.
    fn walk_parent(&self, ground: Ground<'_>, found: &mut Found) {
        if let Some(parent) = self.base.parent().filter(|parent| parent.is_dir()) {
            self.walk_directory(parent, 1, ground, &mut Vec::new(), found);
        }
    }

    /// `above` holds the directories on the way here, so that a link to one of
    /// them is not followed for ever.
    fn walk_directory(
        &self,
        directory: &Path,
        depth: usize,
        ground: Ground<'_>,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        if directory.starts_with(ground.excluded) {
            return;
        }
        let before = last_change(directory);
        let began = SystemTime::now();
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
            let matches = if is_compressed(&path) { self.compresses(&path) } else { self.matches(&path) };
            let may_descend = depth > 1 && (kind.is_dir() || kind.is_symlink());
            if !may_descend && !matches {
                continue;
            }
            match look(&path, kind.is_symlink(), ground) {
                Ok((real, metadata)) if metadata.is_file() && matches => {
                    let rotated_from = self.original(&path);
                    found.add(real, &metadata, rotated_from);
                }
                Ok((real, metadata)) if metadata.is_dir() && may_descend => {
                    let real = kind.is_symlink().then_some(real);
                    self.descend(&path, real, depth - 1, ground, above, found);
                }
                Ok(_) => {}
                // Deleted meanwhile, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.errors.push((path, error)),
            }
        }
        // A time far ahead is none of now: the clock was set back, or somebody set it.
        let is_old =
            |at: &SystemTime| began.duration_since(*at).unwrap_or_else(|ahead| ahead.duration()) > COARSE;
        found.is_unsteady |= !before.as_ref().is_some_and(is_old) || last_change(directory) != before;
    }

    fn descend(
        &self,
        path: &Path,
        linked_to: Option<PathBuf>,
        depth: usize,
        ground: Ground<'_>,
        above: &mut Vec<PathBuf>,
        found: &mut Found,
    ) {
        let Some(real) = linked_to else {
            self.walk_directory(path, depth, ground, above, found);
            return;
        };
        let loops = path.starts_with(&real) || above.contains(&real);
        if !loops {
            above.push(real);
            self.walk_directory(path, depth, ground, above, found);
            above.pop();
        }
    }
}

impl Found {
    /// Adds a regular file, unless it was found under another name.
    fn add(&mut self, path: PathBuf, metadata: &Metadata, rotated_from: Option<PathBuf>) {
        let identity = Identity::of(metadata);
        if !self.seen.insert((identity.device, identity.inode)) {
            return;
        }
        if is_compressed(&path) {
            let family = family(&path);
            self.archives.push(FoundFile::new(path, metadata, Some(family)));
        } else {
            self.files.push(FoundFile::new(path, metadata, rotated_from));
        }
    }
}

impl FoundFile {
    fn new(path: PathBuf, metadata: &Metadata, rotated_from: Option<PathBuf>) -> Self {
        Self {
            path,
            identity: Identity::of(metadata),
            size: metadata.len(),
            modified: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            rotated_from,
        }
    }
}

/// When a name in the directory came, went or changed.
fn last_change(directory: &Path) -> Option<SystemTime> {
    fs::metadata(directory).and_then(|metadata| metadata.modified()).ok()
}

/// What stands at `path`; of a link, what it leads to, if that may be read.
fn look(path: &Path, linked: bool, ground: Ground<'_>) -> io::Result<(PathBuf, Metadata)> {
    let real = if linked { ground.roots.follow(path)? } else { path.to_owned() };
    if linked && real.starts_with(ground.excluded) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let metadata = fs::symlink_metadata(&real)?;
    Ok((real, metadata))
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
        let found = Patterns::new(&tail, &[], &root.join("state")).expect("valid").walk();
        let name = |file: &FoundFile| {
            file.path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned()
        };
        found.files.iter().map(name).collect()
    }

    /// The clock was set back, or somebody set the time: it would be unsteady for years.
    #[test]
    fn a_directory_whose_time_is_ahead_is_steady() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.log"), "x").expect("a file");
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        File::open(root.path()).and_then(|it| it.set_modified(ahead)).expect("set");
        let tail = [format!("{}/*.log", root.path().display())];
        let found = Patterns::new(&tail, &[], &root.path().join("state")).expect("valid").walk();
        assert_eq!((found.files.len(), found.is_unsteady), (1, false));
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
    fn a_link_that_leads_elsewhere_is_refused_and_told() {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["logs", "pods/c", "secret", "state"] {
            fs::create_dir_all(root.path().join(directory)).expect("a directory");
        }
        for file in ["pods/c/0.log", "secret/shadow", "state/own.log", "logs/a.log"] {
            fs::write(root.path().join(file), "x").expect("a file");
        }
        let link = |to: &str, name: &str| {
            symlink(root.path().join(to), root.path().join("logs").join(name)).expect("a link");
        };
        link("pods/c/0.log", "c.log");
        link("secret/shadow", "shadow.log");
        link("secret", "dir");
        link("state/own.log", "own.log");
        link("logs/a.log", "b.log");
        let walk = |pattern: &str, roots: &[PathBuf]| {
            let tail = [format!("{}/{pattern}", root.path().display())];
            let mut patterns = Patterns::new(&tail, roots, &root.path().join("state")).expect("valid");
            let found = patterns.walk();
            assert!(
                found.errors.iter().all(|(_, error)| crate::root::is_refusal(error)),
                "{:?}",
                found.errors
            );
            let name = |path: &Path| path.strip_prefix(root.path()).expect("below").display().to_string();
            let files: Vec<_> = found.files.iter().map(|file| name(&file.path)).collect();
            (files, found.errors.iter().map(|(path, _)| name(path)).collect::<Vec<_>>())
        };
        let refused = ["logs/shadow.log"].map(str::to_owned).to_vec();
        let (files, told) = walk("logs/*.log", &[root.path().join("pods")]);
        assert_eq!(files, ["logs/a.log", "pods/c/0.log"]);
        assert!(told.contains(&refused[0]), "{told:?}");
        let (files, told) = walk("logs/*.log", &[]);
        assert_eq!(files, ["logs/a.log"]);
        assert!(told.contains(&"logs/c.log".to_owned()), "{told:?}");
        let (_, told) = walk("logs/**/*", &[root.path().join("pods")]);
        assert!(told.contains(&"logs/dir".to_owned()), "{told:?}");
        // A single file may be a link, too.
        assert_eq!(walk("logs/shadow.log", &[]), (vec![], refused));
        assert_eq!(walk("logs/b.log", &[]).0, ["logs/a.log"]);
    }

    #[test]
    fn what_cannot_be_looked_at_is_told_and_the_rest_is_found() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.log"), "x").expect("a file");
        let tail: Vec<_> = ["a.log/below/*.log", "*.log"]
            .iter()
            .map(|pattern| format!("{}/{pattern}", root.path().display()))
            .collect();
        let found = Patterns::new(&tail, &[], Path::new("/nowhere")).expect("valid").walk();
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
    }

    #[test]
    fn an_invalid_glob_is_named() {
        let error = Patterns::new(&["/var/log/[a.log".into()], &[], Path::new("/s")).expect_err("invalid");
        assert!(error.to_string().contains("/var/log/[a.log"), "{error}");
    }
}
