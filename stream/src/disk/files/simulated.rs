//! A file system in memory that fails on demand and loses power.
//!
//! It keeps what was written apart from what was synced, for names as for
//! content. A power cut leaves what was synced, and of the rest nothing, all,
//! or what a seed chooses: any subset of writes, torn anywhere, or any subset of
//! the sectors of a write.
//!
//! For tests only, behind the feature `conformance`; what a test does wrong
//! panics.

pub mod lives;
mod world;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Entry, File, Files, Lock, directory_of};
use world::{Choice, Inode, Node, World, failure};

/// The file system. Cloning shares it.
#[derive(Clone, Debug)]
pub struct SimulatedFiles(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// Notified when syncs are let go.
    gate: Condvar,
}

/// What the next operation of its kind does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each says which operation fails")]
pub enum Fault {
    /// Writes some bytes, then succeeds as a short write.
    ShortWrite,
    /// Writes some bytes of what follows, then fails.
    TornWrite,
    WriteError,
    /// The disk is full at this write.
    NoSpace,
    /// The content is not written, and no later sync will write it.
    SyncError,
    /// The same, for want of space.
    SyncNoSpace,
    ReadError,
    SyncDirError,
    CreateError,
    CutError,
    RemoveError,
}

/// What a power cut does to what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Unsynced {
    /// Nothing of it is left.
    Lost,
    /// All of it is.
    Kept,
    /// What this seed chooses.
    Random(u64),
}

/// What power cuts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Bytes that were written and not synced.
    pub bytes: u64,
    /// Names that were given or taken away without a sync of their directory.
    pub names: u64,
}

impl Default for SimulatedFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedFiles {
    /// A file system with a root.
    pub fn new() -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Dir)]);
        let world = World { names: names.clone(), durable_names: names, boot: 1, ..World::default() };
        Self::of(world)
    }

    fn of(world: World) -> Self {
        Self(Arc::new(Shared { world: Mutex::new(world), gate: Condvar::new() }))
    }

    /// An independent copy, unlocked.
    pub fn copy(&self) -> Self {
        let mut world = self.world().clone();
        world.locks.clear();
        Self::of(world)
    }

    /// The power goes, and comes back.
    pub fn cut_power(&self, unsynced: Unsynced) {
        let mut world = self.world();
        let mut choice = Choice::new(unsynced);
        world.cut_names(&mut choice);
        for inode in &mut world.inodes {
            inode.cut(&mut choice);
        }
        world.boot += 1;
        world.locks.clear();
        world.cut_at = None;
        world.is_dead = false;
        world.faults.clear();
        world.dropped.bytes += choice.dropped_bytes;
        world.dropped.names += choice.dropped_names;
    }

    /// What all power cuts so far took.
    pub fn dropped(&self) -> Dropped {
        self.world().dropped
    }

    /// The process was killed and its files stay as they were, in the same boot.
    pub fn kill(&self) {
        let mut world = self.world();
        world.locks.clear();
        world.cut_at = None;
        world.is_dead = false;
    }

    /// Lets the power go before the `step`th change from now.
    pub fn cut_power_at(&self, step: u64) {
        let mut world = self.world();
        world.cut_at = Some(world.steps + step);
    }

    /// True once the power went.
    pub fn is_dead(&self) -> bool {
        self.world().is_dead
    }

    /// Operations that changed something, so far.
    pub fn steps(&self) -> u64 {
        self.world().steps
    }

    /// The next operation of its kind fails. Faults come in the order in which they were asked for.
    pub fn fail_next(&self, fault: Fault) {
        self.world().faults.push_back((fault, true));
    }

    /// The next operation of its kind succeeds: those asked for after it are for
    /// later ones.
    pub fn pass_next(&self, fault: Fault) {
        self.world().faults.push_back((fault, false));
    }

    /// Takes back what was asked for.
    pub fn forget_faults(&self) {
        self.world().faults.clear();
    }

    /// How often each fault came true.
    pub fn fired(&self) -> BTreeMap<Fault, u64> {
        self.world().fired.clone()
    }

    /// Leaves room for so many more bytes; none: as many as one likes.
    pub fn leave_space(&self, bytes: Option<u64>) {
        let mut world = self.world();
        world.capacity = bytes.map(|bytes| world.used() + bytes);
    }

    /// Content syncs wait until they are let go.
    pub fn hold_syncs(&self, hold: bool) {
        self.world().holds_syncs = hold;
        self.0.gate.notify_all();
    }

    /// Content syncs that succeeded.
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// Bytes that were read.
    pub fn read_bytes(&self) -> u64 {
        self.world().read_bytes
    }

    /// What a file reads as.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        Some(world.inodes[world.file(path).ok()?].content.clone())
    }

    /// Changes a file as a bad disk would: durably.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let inode = world.file(path).expect("a file to damage");
        change(&mut world.inodes[inode].content);
        world.inodes[inode].durable = world.inodes[inode].content.clone();
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &Path, content: Vec<u8>) {
        self.create(path).expect("created");
        self.damage(path, |bytes| *bytes = content);
        self.sync_dir(directory_of(path)).expect("synced");
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().expect("no test panicked")
    }
}

impl Files for SimulatedFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.dir(directory_of(dir))?;
        if world.names.contains_key(dir) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        world.names.insert(dir.to_owned(), Node::Dir);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let world = self.world();
        world.alive()?;
        world.dir(dir)?;
        let inside = world.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, node): (&PathBuf, &Node)| Entry {
            name: path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned(),
            is_dir: *node == Node::Dir,
        };
        Ok(inside.map(entry).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let world = self.world();
        world.alive()?;
        Ok(self.handle(world.file(path)?, &world))
    }

    fn open_for_write(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut world = self.world();
        world.step()?;
        world.fail(Fault::CreateError)?;
        world.dir(directory_of(path))?;
        let inode = match world.file(path) {
            Ok(inode) => {
                world.inodes[inode].set_size(0);
                inode
            }
            Err(_) => {
                world.inodes.push(Inode::default());
                let inode = world.inodes.len() - 1;
                world.names.insert(path.to_owned(), Node::File(inode));
                inode
            }
        };
        Ok(self.handle(inode, &world))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.dir(directory_of(to))?;
        let inode = world.file(from)?;
        world.names.remove(from);
        world.names.insert(to.to_owned(), Node::File(inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.fail(Fault::RemoveError)?;
        world.file(path)?;
        world.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.fail(Fault::SyncDirError)?;
        world.dir(dir)?;
        let inside = |path: &Path| path.parent() == Some(dir);
        world.durable_names.retain(|path, _| !inside(path));
        let now: Vec<_> =
            world.names.iter().filter(|(path, _)| inside(path)).map(|(p, n)| (p.clone(), *n)).collect();
        world.durable_names.extend(now);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut world = self.world();
        world.alive()?;
        if !world.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Held { files: self.clone(), path: path.to_owned(), boot: world.boot })))
    }

    fn boot(&self) -> Option<u128> {
        Some(self.world().boot)
    }
}

impl SimulatedFiles {
    fn handle(&self, inode: usize, world: &World) -> Box<dyn File> {
        Box::new(Handle { files: self.clone(), inode, boot: world.boot })
    }
}

#[derive(Debug)]
struct Handle {
    files: SimulatedFiles,
    inode: usize,
    boot: u128,
}

impl Handle {
    /// The world, if this handle is of its present boot.
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.files.world();
        world.alive()?;
        if world.boot == self.boot { Ok(world) } else { Err(failure("opened before the power cut")) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world()?;
        while world.holds_syncs {
            world = self.files.0.gate.wait(world).expect("no test panicked");
        }
        world.step()?;
        if let Err(error) = world.fail(Fault::SyncError).and_then(|()| world.fail(Fault::SyncNoSpace)) {
            world.inodes[self.inode].dirty.clear();
            return Err(error);
        }
        world.syncs += 1;
        world.inodes[self.inode].sync();
        Ok(())
    }
}

impl File for Handle {
    fn size(&self) -> io::Result<u64> {
        Ok(self.world()?.inodes[self.inode].content.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut world = self.world()?;
        world.fail(Fault::ReadError)?;
        let content = &world.inodes[self.inode].content;
        let rest = content.get(index(at)..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        world.read_bytes += length as u64;
        Ok(length)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        let mut world = self.world()?;
        world.step()?;
        world.fail(Fault::WriteError)?;
        world.fail(Fault::NoSpace)?;
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let at = index(at);
        if world.fail(Fault::ShortWrite).is_err() {
            bytes.truncate(bytes.len().div_ceil(2));
        }
        if let Err(error) = world.fail(Fault::TornWrite) {
            world.inodes[self.inode].write(at, &bytes[..bytes.len() / 2]);
            return Err(error);
        }
        let grows = (at + bytes.len()).saturating_sub(world.inodes[self.inode].content.len());
        let space = world.capacity.map_or(usize::MAX, |most| index(most.saturating_sub(world.used())));
        if grows > space {
            bytes.truncate(bytes.len() - (grows - space).min(bytes.len()));
            *world.fired.entry(Fault::NoSpace).or_default() += 1;
            if bytes.is_empty() {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        world.inodes[self.inode].write(at, &bytes);
        Ok(bytes.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut world = self.world()?;
        world.step()?;
        world.fail(Fault::CutError)?;
        world.inodes[self.inode].set_size(index(size));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("it fits into memory")
}

#[derive(Debug)]
struct Held {
    files: SimulatedFiles,
    path: PathBuf,
    boot: u128,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut world = self.files.world();
        if world.boot == self.boot {
            world.locks.remove(&self.path);
        }
    }
}
