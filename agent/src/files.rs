//! The files that the agent knows, by key, by inode and by path.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::checkpoint::FileKey;
use crate::identity::Identity;
use crate::tail::Tail;

/// Every known file.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Boxed: the map's nodes are half empty where keys only grow.
    tails: BTreeMap<FileKey, Box<Tail>>,
    by_inode: HashMap<u64, Vec<FileKey>>,
    by_path: HashMap<PathBuf, FileKey>,
    next: u64,
}

impl Files {
    /// A key never used before.
    pub(crate) fn next_key(&mut self) -> FileKey {
        self.next += 1;
        FileKey(self.next)
    }

    /// Adds a file.
    pub(crate) fn insert(&mut self, tail: Tail) {
        self.next = self.next.max(tail.key.0);
        self.by_inode.entry(tail.identity.inode).or_default().push(tail.key);
        self.by_path.insert(tail.last_path.clone(), tail.key);
        self.tails.insert(tail.key, Box::new(tail));
    }

    /// Forgets a file.
    pub(crate) fn remove(&mut self, key: FileKey) -> Option<Tail> {
        let tail = self.tails.remove(&key)?;
        if let Some(keys) = self.by_inode.get_mut(&tail.identity.inode) {
            keys.retain(|held| *held != key);
            if keys.is_empty() {
                self.by_inode.remove(&tail.identity.inode);
            }
        }
        if self.by_path.get(&tail.last_path) == Some(&key) {
            self.by_path.remove(&tail.last_path);
        }
        Some(*tail)
    }

    /// Says where a file is now. True when it was elsewhere before.
    pub(crate) fn locate(&mut self, key: FileKey, path: &Path) -> bool {
        let Some(tail) = self.tails.get_mut(&key) else { return false };
        let moved = tail.last_path != path;
        if moved {
            if self.by_path.get(&tail.last_path) == Some(&key) {
                self.by_path.remove(&tail.last_path);
            }
            tail.last_path = path.to_owned();
        }
        if self.by_path.get(path) != Some(&key) {
            self.by_path.insert(path.to_owned(), key);
        }
        moved
    }

    /// The file of that identity that is still going on, where it always was.
    pub(crate) fn by_identity(&self, identity: &Identity) -> Option<FileKey> {
        let keys = self.by_inode.get(&identity.inode)?;
        let fits = |key: &&FileKey| {
            let reads = |tail: &Tail| !tail.ended && !tail.kept && !tail.archive;
            self.tails.get(key).is_some_and(|tail| reads(tail) && tail.identity.may_equal(identity))
        };
        keys.iter().find(fits).copied()
    }

    /// Everything that was ever read of the file of that identity and is still
    /// known, in the order in which it was found.
    pub(crate) fn incarnations(&self, identity: &Identity) -> Vec<FileKey> {
        let keys = self.by_inode.get(&identity.inode).map(Vec::as_slice).unwrap_or_default();
        let fits = |key: &&FileKey| self.tails.get(key).is_some_and(|tail| tail.identity.may_equal(identity));
        let mut keys: Vec<_> = keys.iter().filter(fits).copied().collect();
        keys.sort_unstable();
        keys
    }

    /// The compressed file of that identity.
    pub(crate) fn archive_by_identity(&self, identity: &Identity) -> Option<FileKey> {
        let keys = self.by_inode.get(&identity.inode)?;
        let fits = |key: &&FileKey| {
            self.tails.get(key).is_some_and(|tail| tail.archive && tail.identity.may_equal(identity))
        };
        keys.iter().find(fits).copied()
    }

    /// The file last seen at that path.
    pub(crate) fn by_path(&self, path: &Path) -> Option<FileKey> {
        self.by_path.get(path).copied()
    }

    /// A known file.
    pub(crate) fn get(&self, key: FileKey) -> Option<&Tail> {
        self.tails.get(&key).map(Box::as_ref)
    }

    /// A known file, to change. Its identity's inode must stay.
    pub(crate) fn get_mut(&mut self, key: FileKey) -> Option<&mut Tail> {
        self.tails.get_mut(&key).map(Box::as_mut)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.tails.len()
    }

    /// Every file, in the order in which they were found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tail> {
        self.tails.values().map(Box::as_ref)
    }

    /// Every file, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tail> {
        self.tails.values_mut().map(Box::as_mut)
    }
}
