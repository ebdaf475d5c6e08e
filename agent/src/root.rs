//! Where files may lie. A pattern may find a link that somebody planted to
//! make the agent, which may read everything, send what is not theirs: a link
//! is followed only below the roots. And it is opened without following any,
//! so that one put in the way between the look and the opening leads nowhere.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat, openat2};
use rustix::io::Errno;
use thiserror::Error;

/// The directories below which files are read.
#[derive(Debug)]
pub(crate) struct Roots {
    configured: Vec<PathBuf>,
    /// Those that exist: the real path and the directory.
    present: Vec<(PathBuf, OwnedFd)>,
}

/// A path leads out of the roots.
#[derive(Debug, Error)]
#[error("{} lies outside of agent.roots; add its directory there to have it read", .0.display())]
struct Outside(PathBuf);

impl Roots {
    /// Of these directories, whether they exist yet or not.
    pub(crate) fn new(configured: impl Iterator<Item = PathBuf>) -> Self {
        let mut roots = Self { configured: configured.collect(), present: Vec::new() };
        roots.refresh();
        roots
    }

    /// Looks where the roots are now.
    pub(crate) fn refresh(&mut self) {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let present = self.configured.iter().filter_map(|path| {
            let real = fs::canonicalize(path).ok()?;
            let opened = open(&real, directory, Mode::empty()).ok()?;
            Some((real, opened))
        });
        self.present = present.collect();
    }

    /// Follows a link to the real path that it leads to.
    ///
    /// # Errors
    /// It leads nowhere, or outside: see [`is_refusal`].
    pub(crate) fn follow(&self, link: &Path) -> io::Result<PathBuf> {
        let real = fs::canonicalize(link)?;
        self.beneath(&real)?;
        Ok(real)
    }

    /// Opens a regular file for reading; never waits for one that is none.
    ///
    /// # Errors
    /// It is no regular file, or outside, or a link came in the way meanwhile:
    /// for the last two see [`is_refusal`].
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        let real = fs::canonicalize(path)?;
        let (root, rest) = self.beneath(&real)?;
        let file = File::from(open_beneath(root, rest)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
        }
        Ok(file)
    }

    fn beneath<'a>(&self, real: &'a Path) -> io::Result<(&OwnedFd, &'a Path)> {
        let inside =
            self.present.iter().find_map(|(root, opened)| Some((opened, real.strip_prefix(root).ok()?)));
        let outside = || io::Error::new(io::ErrorKind::PermissionDenied, Outside(real.to_owned()));
        inside.ok_or_else(outside)
    }
}

/// True when a path was not opened because of where it leads.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    let outside = error.get_ref().is_some_and(|inner| inner.downcast_ref::<Outside>().is_some());
    let met_link =
        [Errno::LOOP, Errno::XDEV].iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()));
    outside || met_link
}

/// Opens a real path: a link in it was put there since it was resolved.
fn open_beneath(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path, for_reading(), Mode::empty(), resolve) {
        // Not in kernels before 5.6, nor under some filters of system calls.
        Err(Errno::NOSYS | Errno::PERM) => open_stepwise(root, path),
        opened => Ok(opened?),
    }
}

/// The same, a component at a time.
fn open_stepwise(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut above = None::<OwnedFd>;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Err(Errno::XDEV.into()) };
        let last = components.peek().is_none();
        let flags = if last { for_reading() } else { directory };
        let opened = openat(above.as_ref().unwrap_or(root), name, flags, Mode::empty());
        match opened {
            Ok(opened) if last => return Ok(opened),
            Ok(opened) => above = Some(opened),
            // What a link is to one who asks for a directory.
            Err(Errno::NOTDIR) => return Err(Errno::LOOP.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::ISDIR.into())
}

/// Without waiting: a FIFO has no writer, a device may never be ready.
fn for_reading() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn place() -> (tempfile::TempDir, Roots) {
        let place = tempfile::tempdir().expect("a directory");
        for name in ["logs/app", "secret"] {
            fs::create_dir_all(place.path().join(name)).expect("a directory");
        }
        fs::write(place.path().join("logs/app/a.log"), "open").expect("a file");
        fs::write(place.path().join("secret/a.log"), "secret").expect("a file");
        let roots = Roots::new([place.path().join("logs"), place.path().join("later")].into_iter());
        (place, roots)
    }

    fn text(mut file: impl Read) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        text
    }

    #[test]
    fn only_what_lies_below_a_root_is_opened() {
        let (place, mut roots) = place();
        let path = |name: &str| place.path().join(name);
        symlink(path("logs/app/a.log"), path("logs/good.log")).expect("a link");
        symlink(path("secret/a.log"), path("logs/bad.log")).expect("a link");
        symlink(path("secret"), path("logs/dir")).expect("a link");
        symlink("/proc/self/mem", path("logs/magic.log")).expect("a link");
        assert_eq!(text(roots.open(&path("logs/app/a.log")).expect("inside")), "open");
        assert_eq!(text(roots.open(&path("logs/good.log")).expect("leads inside")), "open");
        for refused in ["logs/bad.log", "logs/dir/a.log", "logs/magic.log", "secret/a.log"] {
            let error = roots.open(&path(refused)).expect_err(refused);
            assert!(is_refusal(&error), "{refused}: {error}");
        }
        let error = roots.open(&path("logs/none.log")).expect_err("not there");
        assert!(error.kind() == io::ErrorKind::NotFound && !is_refusal(&error), "{error}");
        // A root that appears later is one from the next look on.
        fs::create_dir(path("later")).expect("a directory");
        fs::write(path("later/b.log"), "late").expect("a file");
        assert!(roots.open(&path("later/b.log")).is_err());
        roots.refresh();
        assert_eq!(text(roots.open(&path("later/b.log")).expect("inside")), "late");
    }

    #[test]
    fn what_is_no_file_is_never_waited_for() {
        let (place, roots) = place();
        let fifo = place.path().join("logs/fifo.log");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
        assert_eq!(roots.open(&fifo).expect_err("no file").kind(), io::ErrorKind::InvalidInput);
        assert!(roots.open(&place.path().join("logs/app")).is_err(), "a directory");
        let socket = place.path().join("logs/socket.log");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        assert!(roots.open(&socket).is_err());
    }

    /// Between the look and the opening, somebody swaps the file, or the
    /// directory that it lies in, for a link.
    #[test]
    fn a_link_swapped_in_is_not_followed() {
        type Opens = fn(&OwnedFd, &Path) -> io::Result<OwnedFd>;
        for (swapped, opens) in [
            ("app", open_beneath as Opens),
            ("app/a.log", open_beneath),
            ("app", open_stepwise),
            ("app/a.log", open_stepwise),
        ] {
            let (place, roots) = place();
            let logs = place.path().join("logs");
            let (real, aside) = (logs.join(swapped), logs.join("aside"));
            let target = place.path().join(swapped.replace("app", "secret"));
            let ended = AtomicBool::new(false);
            let mut seen = [0, 0];
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        fs::rename(&real, &aside).expect("moved");
                        symlink(&target, &real).expect("a link");
                        fs::remove_file(&real).expect("removed");
                        fs::rename(&aside, &real).expect("moved back");
                    }
                });
                for _ in 0..200_000 {
                    match opens(&roots.present[0].1, Path::new("app/a.log")) {
                        Ok(opened) => {
                            assert_eq!(text(File::from(opened)), "open");
                            seen[0] += 1;
                        }
                        Err(error) => seen[1] += usize::from(is_refusal(&error)),
                    }
                    if seen[0] > 50 && seen[1] > 50 {
                        break;
                    }
                }
                ended.store(true, Ordering::Relaxed);
            });
            assert!(seen[0] > 0 && seen[1] > 0, "{swapped}: the swap was not met: {seen:?}");
        }
    }
}
