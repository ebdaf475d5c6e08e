//! What the kernel tells: sooner than the next scan, never instead of it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::io::unix::AsyncFd;

use crate::bell::Bell;
use crate::metric::Measured;

/// After the kernel has told something, what follows is left to gather for
/// this long: it merges equal events, and a file written line by line would
/// otherwise wake the agent for each.
const GATHER: Duration = Duration::from_millis(5);

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
    pub(crate) fn keep<'a>(
        &mut self,
        directories: impl Iterator<Item = &'a Path>,
        measured: &Measured,
    ) -> bool {
        let mut added = false;
        let wanted: HashSet<&Path> = directories.collect();
        let dropped: Vec<_> =
            self.watched.keys().filter(|path| !wanted.contains(path.as_path())).cloned().collect();
        for path in dropped {
            if let Some(descriptor) = self.watched.remove(&path) {
                lock(&self.directories).remove(&descriptor);
                // The kernel has removed it if the directory is gone.
                let _ = self.watches.remove(descriptor);
            }
        }
        for path in wanted {
            if self.watched.contains_key(path) {
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
                    measured.failed("watch");
                    if !std::mem::replace(&mut self.warned, true) {
                        tracing::warn!(path = %path.display(), %error, "cannot be watched, scanning finds its changes later");
                    }
                }
            }
        }
        added
    }
}

impl Ear {
    /// Rings the bell for what happens, until dropped.
    pub(crate) async fn listen(mut self, bell: &Bell) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let mut ready = self.inotify.readable_mut().await?;
            match ready.get_inner_mut().read_events(&mut buffer) {
                Ok(events) => {
                    let directories = lock(&self.directories);
                    for event in events {
                        tell(&directories, &event.wd, event.mask, event.name, bell);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    tokio::time::sleep(GATHER).await;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn tell(
    directories: &HashMap<WatchDescriptor, PathBuf>,
    descriptor: &WatchDescriptor,
    mask: EventMask,
    name: Option<&std::ffi::OsStr>,
    bell: &Bell,
) {
    let appears = EventMask::CREATE | EventMask::MOVED_TO | EventMask::MOVED_FROM | EventMask::DELETE;
    let lost = EventMask::Q_OVERFLOW | EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT;
    let path = directories.get(descriptor).zip(name).map(|(directory, name)| directory.join(name));
    match path {
        _ if mask.intersects(lost) => bell.rescan(),
        Some(_) if mask.intersects(appears) => bell.rescan(),
        Some(path) => bell.changed(path),
        None => {}
    }
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
