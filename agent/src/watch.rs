//! What the kernel tells: sooner than the next scan, never instead of it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::bell::Bell;
use crate::metric::Measured;

/// After the kernel has told something, what follows is left to gather for
/// this long: it merges equal events, and a file written line by line would
/// otherwise wake the agent for each.
const GATHER: Duration = Duration::from_millis(5);

/// The same where files were written to and nothing else: the first word of a
/// quiet file is heard at once, and one that is written to all the time costs a
/// quarter of the CPU less than with 5 ms. What comes and goes meanwhile may be
/// missed, which is why it is no longer.
const GATHER_WRITES: Duration = Duration::from_millis(40);

type Directories = Arc<Mutex<HashMap<WatchDescriptor, PathBuf>>>;

/// The directories being watched.
pub(crate) struct Watch {
    watches: Watches,
    directories: Directories,
    watched: HashMap<PathBuf, WatchDescriptor>,
    /// A failure was told of.
    warned: bool,
}

/// Hears what happens in them.
pub(crate) struct Ear {
    inotify: AsyncFd<Inotify>,
    directories: Directories,
}

/// Begins to watch. Call it inside the runtime.
pub(crate) fn watch() -> io::Result<(Watch, Ear)> {
    let inotify = Inotify::init()?;
    let directories = Directories::default();
    let watch = Watch {
        watches: inotify.watches(),
        directories: Arc::clone(&directories),
        watched: HashMap::new(),
        warned: false,
    };
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe for callers; the instance owns its descriptor until it is dropped, \
                  and that is all which is asked for"
    )]
    let inotify = AsyncFd::new(inotify)?;
    Ok((watch, Ear { inotify, directories }))
}

impl Watch {
    /// Watches these directories and no others. Where the kernel refuses, the
    /// scans alone find what is new. True when some were not watched before:
    /// what happened in them since they were walked was not heard.
    pub(crate) fn keep(&mut self, directories: &HashSet<&Path>, measured: &Measured) -> bool {
        self.drop_others(directories);
        let (mut added, mut unwatched, mut refused) = (false, 0, None);
        for &path in directories {
            if self.watched.contains_key(path) {
                continue;
            }
            if refused.as_ref().is_some_and(is_exhaustion) {
                // The kernel would refuse this one as well.
                unwatched += 1;
                continue;
            }
            match self.watches.add(path, mask()) {
                Ok(descriptor) => {
                    lock(&self.directories).insert(descriptor.clone(), path.to_owned());
                    self.watched.insert(path.to_owned(), descriptor);
                    added = true;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    unwatched += 1;
                    refused = Some(error);
                }
            }
        }
        self.say(unwatched, refused.as_ref(), measured);
        added
    }

    /// Forgets what is not wanted, and what the kernel has forgotten.
    fn drop_others(&mut self, wanted: &HashSet<&Path>) {
        let mut directories = lock(&self.directories);
        let watches = &mut self.watches;
        self.watched.retain(|path, descriptor| {
            let is_wanted = wanted.contains(path.as_path());
            let is_watched = directories.contains_key(descriptor);
            if !is_wanted || !is_watched {
                directories.remove(descriptor);
                // The kernel has removed it if the directory is gone.
                let _ = watches.remove(descriptor.clone());
            }
            is_wanted && is_watched
        });
    }

    fn say(&mut self, unwatched: u64, refused: Option<&io::Error>, measured: &Measured) {
        measured.unwatched_directories.set(i64::try_from(unwatched).unwrap_or(i64::MAX));
        let Some(error) = refused else {
            if std::mem::take(&mut self.warned) {
                tracing::info!("every directory is watched again");
            }
            return;
        };
        measured.failed("watch");
        if !std::mem::replace(&mut self.warned, true) {
            let hint = if is_exhaustion(error) {
                "the kernel has no watches left; raise the sysctl fs.inotify.max_user_watches"
            } else {
                "they may not be read"
            };
            tracing::warn!(
                unwatched, %error, hint,
                "directories cannot be watched: they are looked at every scan_interval instead, \
                 so their lines come later and a file that lives shorter is not seen"
            );
        }
    }
}

impl Ear {
    /// Rings the bell for what happens, until dropped.
    pub(crate) async fn listen(mut self, bell: &Bell) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let mut gather = GATHER_WRITES;
        loop {
            let mut ready = self.inotify.readable_mut().await?;
            match ready.get_inner_mut().read_events(&mut buffer) {
                Ok(events) => {
                    let mut directories = lock(&self.directories);
                    for event in events {
                        if !EventMask::MODIFY.contains(event.mask) {
                            gather = GATHER;
                        }
                        tell(&mut directories, &event.wd, event.mask, event.name, bell);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    tokio::time::sleep(std::mem::replace(&mut gather, GATHER_WRITES)).await;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn tell(
    directories: &mut HashMap<WatchDescriptor, PathBuf>,
    descriptor: &WatchDescriptor,
    mask: EventMask,
    name: Option<&std::ffi::OsStr>,
    bell: &Bell,
) {
    if mask.contains(EventMask::Q_OVERFLOW) {
        bell.overflow();
        return;
    }
    let appears = EventMask::CREATE | EventMask::MOVED_TO;
    let leaves = EventMask::MOVED_FROM | EventMask::DELETE;
    // What is at the path from now on, if anything, is another directory.
    let lost = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT | EventMask::IGNORED;
    if mask.intersects(lost) {
        if directories.remove(descriptor).is_some() {
            bell.rescan();
        }
        return;
    }
    match directories.get(descriptor).zip(name).map(|(directory, name)| directory.join(name)) {
        Some(_) if mask.intersects(leaves) || mask.contains(EventMask::ISDIR) => bell.rescan(),
        Some(path) if mask.intersects(appears) => bell.appeared(path),
        Some(path) => bell.changed(path),
        None => {}
    }
}

/// True when the kernel watches no more for this user.
fn is_exhaustion(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::NOMEM].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn mask() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::DELETE
        | WatchMask::MODIFY
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
}

fn lock(directories: &Directories) -> std::sync::MutexGuard<'_, HashMap<WatchDescriptor, PathBuf>> {
    directories.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}
