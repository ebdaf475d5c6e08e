//! Objects in a directory.
//!
//! Order of a put: the content goes into a file of its own under `.incoming`,
//! is synced, and gets its name by a hard link, which fails where a rename
//! would replace. Then every directory up to the root is synced: a name is
//! durable only when each directory above it is, and an earlier process may
//! have died between creating one and syncing it.
//!
//! | died after | a restart sees |
//! |---|---|
//! | content written | a leftover in `.incoming`, removed by a later open |
//! | name linked | a whole object, perhaps under a name that is lost with the power |
//! | directories synced | a whole, durable object |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use weir_proto::model::FileId;
use weir_runtime::{create_durably, failpoint};

use super::{ObjectEntry, Objects};
use crate::ObjectError;

/// Where content waits for its name. The dot keeps it out of every listing and
/// out of the alphabet of object paths.
const INCOMING: &str = ".incoming";

/// What waits longer than this was left by a process that died: writing a file
/// takes seconds.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// Objects under a root directory. Cloning shares.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: Arc<PathBuf>,
    engine: Arc<LocalFileSystem>,
}

impl LocalStore {
    /// Opens the store and creates its directory when there is none. Removes
    /// what a process that died left unfinished. Blocks for a few calls of the
    /// file system.
    pub fn open(root: &Path) -> Result<Self, ObjectError> {
        let failed = |reason: String| ObjectError::Open { root: root.to_owned(), reason };
        create_durably(&root.join(INCOMING)).map_err(|error| failed(error.to_string()))?;
        let root_path = root.canonicalize().map_err(|error| failed(error.to_string()))?;
        remove_leftovers(&root_path.join(INCOMING));
        let engine =
            LocalFileSystem::new_with_prefix(&root_path).map_err(|error| failed(error.to_string()))?;
        Ok(Self { root: Arc::new(root_path), engine: Arc::new(engine) })
    }

    /// The directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, ObjectError> {
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', '\0']);
        let below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if below && path.split('/').all(plain) {
            Ok(self.root.join(path))
        } else {
            Err(ObjectError::BadPath(path.to_owned()))
        }
    }

    /// [`Objects::put_new`], with the step that a full disk fails in handed in.
    fn put(&self, path: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), ObjectError> {
        let target = self.resolve(path)?;
        let incoming = Incoming(self.root.join(INCOMING).join(FileId::generate().to_string()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&incoming.0)
            .map_err(disk("create", &incoming.0))?;
        let reach = |place| failpoint::reach(place).map_err(io::Error::from);
        reach("storage.put.write.before")
            .and_then(|()| write(&mut file))
            .and_then(|()| reach("storage.put.write.after"))
            .map_err(disk("write", &incoming.0))?;
        reach("storage.put.sync.before")
            .and_then(|()| file.sync_all())
            .and_then(|()| reach("storage.put.sync.after"))
            .map_err(disk("sync", &incoming.0))?;
        let directory = target.parent().unwrap_or(&self.root);
        DirBuilder::new().recursive(true).create(directory).map_err(disk("create", directory))?;
        match fs::hard_link(&incoming.0, &target) {
            // On a network's file system an answer can get lost, and the second
            // attempt meets the first: then the content has two names already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if file.metadata().map_err(disk("name", &target))?.nlink() < 2 {
                    return Err(ObjectError::Exists(path.to_owned()));
                }
            }
            linked => linked.map_err(disk("name", &target))?,
        }
        let reach = |place| reach(place).map_err(disk("sync", directory));
        let synced = reach("storage.put.sync_directory.before").and_then(|()| self.sync_up(directory));
        synced.and_then(|()| reach("storage.put.sync_directory.after")).inspect_err(|_| {
            // Not known to be durable, so not there: the caller puts it again
            // under another name.
            let _ = fs::remove_file(&target);
        })
    }

    /// Syncs a directory and those above it, the root included.
    fn sync_up(&self, directory: &Path) -> Result<(), ObjectError> {
        for directory in directory.ancestors() {
            sync_directory(directory)?;
            if directory == self.root.as_path() {
                break;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), ObjectError> {
        let target = self.resolve(path)?;
        match fs::remove_file(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(ObjectError::Disk { step: "delete", path: target, source }),
            Ok(()) => sync_directory(target.parent().unwrap_or(&self.root)),
        }
    }

    fn entries(&self) -> Result<Vec<ObjectEntry>, ObjectError> {
        let mut entries = Vec::new();
        let mut pending = vec![self.root.as_ref().clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).map_err(disk("list", &directory))? {
                let entry = entry.map_err(disk("list", &directory))?;
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                let path = entry.path();
                // Deleted since it was listed: not there, then.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    pending.push(path);
                    continue;
                }
                let Some(name) = path.strip_prefix(self.root.as_path()).ok().and_then(Path::to_str) else {
                    continue;
                };
                let modified = metadata.modified().map_err(disk("list", &path))?;
                entries.push(ObjectEntry {
                    path: name.to_owned(),
                    bytes: metadata.len(),
                    modified_micros: micros(modified),
                });
            }
        }
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    fn content(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes, ObjectError> {
        let target = self.resolve(path)?;
        let mut file = match File::open(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ObjectError::Missing(path.to_owned()));
            }
            opened => opened.map_err(disk("open", &target))?,
        };
        let bytes = file.metadata().map_err(disk("read", &target))?.len();
        let range = range.unwrap_or(0..bytes);
        if range.end > bytes || range.start > range.end {
            return Err(ObjectError::BeyondEnd { path: path.to_owned(), bytes, end: range.end });
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut content = vec![0; length];
        file.seek(SeekFrom::Start(range.start)).map_err(disk("read", &target))?;
        file.read_exact(&mut content).map_err(disk("read", &target))?;
        Ok(content.into())
    }

    /// Runs disk work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let store = self.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(outcome) => outcome,
            Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
            Err(_) => Err(ObjectError::Ending),
        }
    }
}

#[async_trait]
impl Objects for LocalStore {
    async fn put_new(&self, path: &str, content: Bytes) -> Result<(), ObjectError> {
        let path = path.to_owned();
        self.blocking(move |store| store.put(&path, |file| file.write_all(&content))).await
    }

    async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        let path = path.to_owned();
        self.blocking(move |store| store.remove(&path)).await
    }

    async fn exists(&self, path: &str) -> Result<bool, ObjectError> {
        let target = self.resolve(path)?;
        self.blocking(move |_| target.try_exists().map_err(disk("find", &target))).await
    }

    async fn list(&self) -> Result<Vec<ObjectEntry>, ObjectError> {
        self.blocking(Self::entries).await
    }

    async fn read(&self, path: &str) -> Result<Bytes, ObjectError> {
        let path = path.to_owned();
        self.blocking(move |store| store.content(&path, None)).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let path = path.to_owned();
        self.blocking(move |store| store.content(&path, Some(range))).await
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.engine.clone()
    }
}

/// Content without a name yet. Dropping it removes it; an object that was
/// linked to it stays.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "unfinished object stays until the next start");
        }
    }
}

fn remove_leftovers(incoming: &Path) {
    let Ok(entries) = fs::read_dir(incoming) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
        if matches!(age, Ok(Ok(age)) if age > LEFTOVER_AGE) {
            let removed = fs::remove_file(entry.path()).is_ok();
            tracing::info!(path = %entry.path().display(), removed, "unfinished object of a process that died");
        }
    }
}

fn sync_directory(directory: &Path) -> Result<(), ObjectError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(disk("sync", directory))
}

fn disk(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ObjectError {
    move |source| ObjectError::Disk { step, path: path.to_owned(), source }
}

fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use object_store::ObjectStoreExt;
    use tempfile::TempDir;

    use super::*;

    const PATH: &str = "default/logs/2026-01-01/07/1.parquet";

    fn store() -> (TempDir, LocalStore) {
        let directory = TempDir::new().unwrap();
        let store = LocalStore::open(&directory.path().join("objects")).unwrap();
        (directory, store)
    }

    fn incoming(store: &LocalStore) -> usize {
        fs::read_dir(store.root().join(INCOMING)).unwrap().count()
    }

    async fn paths(store: &LocalStore) -> Vec<String> {
        store.list().await.unwrap().into_iter().map(|entry| entry.path).collect()
    }

    #[tokio::test]
    async fn an_object_is_put_once_and_read_back() {
        let (_directory, store) = store();
        assert!(!store.exists(PATH).await.unwrap());
        assert!(matches!(store.read(PATH).await, Err(ObjectError::Missing(_))));
        store.put_new(PATH, Bytes::from_static(b"content")).await.unwrap();
        let again = store.put_new(PATH, Bytes::from_static(b"other")).await;
        assert!(matches!(again, Err(ObjectError::Exists(_))), "{again:?}");

        assert_eq!(store.read(PATH).await.unwrap(), "content");
        assert_eq!(store.read_range(PATH, 1..4).await.unwrap(), "ont");
        assert_eq!(store.read_range(PATH, 7..7).await.unwrap(), "");
        let beyond = store.read_range(PATH, 1..u64::MAX).await;
        assert!(matches!(beyond, Err(ObjectError::BeyondEnd { bytes: 7, .. })), "{beyond:?}");
        let engine = store.object_store().get(&PATH.into()).await.unwrap().bytes().await.unwrap();
        assert_eq!(engine, "content", "the query engine finds it by the same path");
        assert_eq!(paths(&store).await, [PATH]);
        assert_eq!(store.list().await.unwrap()[0].bytes, 7);
        assert_eq!(incoming(&store), 0);

        store.delete(PATH).await.unwrap();
        store.delete(PATH).await.unwrap();
        assert_eq!(paths(&store).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn of_concurrent_puts_of_one_name_exactly_one_wins() {
        let (_directory, store) = store();
        let puts = (0..16u8).map(|number| store.put_new(PATH, vec![number; 1000].into()));
        let outcomes = join_all(puts).await;
        let winners: Vec<_> = (0..16u8).filter(|&number| outcomes[usize::from(number)].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(store.read(PATH).await.unwrap(), vec![winners[0]; 1000]);
        assert_eq!(incoming(&store), 0);
    }

    #[tokio::test]
    async fn a_full_disk_leaves_no_part_of_an_object() {
        let (_directory, store) = store();
        // ENOSPC, EDQUOT: after half of the content was written.
        for code in [28, 122] {
            let failed = store.put(PATH, |file| {
                file.write_all(b"half")?;
                Err(io::Error::from_raw_os_error(code))
            });
            let error = failed.unwrap_err();
            assert!(error.is_full() && error.is_retryable(), "{error:?}");
            assert!(!store.exists(PATH).await.unwrap());
            assert_eq!(incoming(&store), 0);
        }
        store.put_new(PATH, Bytes::from_static(b"whole")).await.unwrap();
        assert_eq!(store.read(PATH).await.unwrap(), "whole");
    }

    #[tokio::test]
    async fn an_obstructed_directory_is_an_error_to_retry() {
        let (_directory, store) = store();
        fs::write(store.root().join("default"), "a file where a directory belongs").unwrap();
        let error = store.put_new(PATH, Bytes::from_static(b"content")).await.unwrap_err();
        assert!(error.is_retryable() && !error.is_full(), "{error:?}");
        assert_eq!(incoming(&store), 0);
        fs::remove_file(store.root().join("default")).unwrap();
        store.put_new(PATH, Bytes::from_static(b"content")).await.unwrap();
    }

    #[tokio::test]
    async fn a_path_stays_inside_the_store() {
        let (_directory, store) = store();
        for bad in ["", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".incoming/a", "a/.b", "a\0b"] {
            let refused = store.put_new(bad, Bytes::new()).await;
            assert!(matches!(refused, Err(ObjectError::BadPath(_))), "{bad:?}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn leftovers_are_removed_once_they_are_old() {
        let (_directory, store) = store();
        let leftover = |name: &str, age: Duration| {
            let file = File::create(store.root().join(INCOMING).join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        leftover("old", 2 * LEFTOVER_AGE);
        leftover("young", Duration::ZERO);
        let store = LocalStore::open(store.root()).unwrap();
        assert_eq!(incoming(&store), 1, "a young one may be another process's work");
        assert_eq!(paths(&store).await, Vec::<String>::new());
    }
}
