//! What is on the simulated disk, what is only in memory, and what a power cut
//! leaves of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Dropped, Fault, Unsynced};

/// What a disk writes whole. Small, so that small records are torn.
const SECTOR_BYTES: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<PathBuf, Node>,
    pub(super) durable_names: BTreeMap<PathBuf, Node>,
    pub(super) locks: BTreeSet<PathBuf>,
    pub(super) boot: u128,
    /// What fails next, or is let pass once.
    pub(super) faults: VecDeque<(Fault, bool)>,
    pub(super) fired: BTreeMap<Fault, u64>,
    /// Operations that change something, so far.
    pub(super) steps: u64,
    /// Power goes before this one.
    pub(super) cut_at: Option<u64>,
    pub(super) is_dead: bool,
    pub(super) capacity: Option<u64>,
    pub(super) holds_syncs: bool,
    pub(super) syncs: u64,
    pub(super) read_bytes: u64,
    pub(super) dropped: Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) content: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) dirty: Vec<(usize, usize)>,
    pub(super) is_cut: bool,
}

// ===== impl World =====

impl World {
    pub(super) fn alive(&self) -> io::Result<()> {
        if self.is_dead { Err(failure("the power is out")) } else { Ok(()) }
    }

    pub(super) fn step(&mut self) -> io::Result<()> {
        self.is_dead |= self.cut_at == Some(self.steps);
        self.alive()?;
        self.steps += 1;
        Ok(())
    }

    /// Fails if it is this fault's turn.
    pub(super) fn fail(&mut self, fault: Fault) -> io::Result<()> {
        let Some((_, fails)) = self.faults.pop_front_if(|(next, _)| *next == fault) else { return Ok(()) };
        if !fails {
            return Ok(());
        }
        *self.fired.entry(fault).or_default() += 1;
        match fault {
            Fault::NoSpace | Fault::SyncNoSpace => Err(ErrorKind::StorageFull.into()),
            _ => Err(failure("a fault")),
        }
    }

    pub(super) fn used(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(inode) => self.inodes[*inode].content.len() as u64,
            Node::Dir => 0,
        };
        self.names.values().map(bytes).sum()
    }

    pub(super) fn dir(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn cut_names(&mut self, choice: &mut Choice) {
        let all: BTreeSet<_> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        let mut left = BTreeMap::new();
        for path in all {
            let (now, durable) = (self.names.get(&path), self.durable_names.get(&path));
            let kept = if now == durable || !choice.keeps() { durable } else { now };
            choice.dropped_names += u64::from(kept != now);
            let has_parent = path.parent().is_none_or(|parent| left.contains_key(parent));
            if let (Some(node), true) = (kept, has_parent) {
                left.insert(path, *node);
            }
        }
        self.names = left.clone();
        self.durable_names = left;
    }
}

// ===== impl Inode =====

impl Inode {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.content, at, bytes);
        self.dirty.push((at, at + bytes.len()));
    }

    pub(super) fn set_size(&mut self, size: usize) {
        self.is_cut |= size < self.content.len();
        self.content.resize(size, 0);
        for range in &mut self.dirty {
            *range = (range.0.min(size), range.1.min(size));
        }
    }

    /// What the kernel holds as dirty gets durable. What a failed sync has made
    /// it forget stays lost, as zeros.
    pub(super) fn sync(&mut self) {
        self.durable.resize(self.content.len(), 0);
        for (from, to) in self.dirty.drain(..) {
            self.durable[from..to].copy_from_slice(&self.content[from..to]);
        }
        self.is_cut = false;
    }

    pub(super) fn cut(&mut self, choice: &mut Choice) {
        if self.is_cut && choice.keeps() {
            self.durable.truncate(self.content.len());
        }
        for (from, to) in std::mem::take(&mut self.dirty) {
            let mut kept = 0;
            for piece in choice.pieces(from..to) {
                kept += piece.len();
                put(&mut self.durable, piece.start, &self.content[piece]);
            }
            choice.dropped_bytes += (to - from - kept) as u64;
            // The length may be durable without the content.
            if choice.is_random() && choice.keeps() && self.durable.len() < to {
                self.durable.resize(to, 0);
            }
        }
        self.is_cut = false;
        self.content = self.durable.clone();
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(super) fn failure(what: &'static str) -> io::Error {
    io::Error::other(what)
}

/// Decides over what was not synced.
pub(super) struct Choice {
    unsynced: Unsynced,
    pub(super) dropped_bytes: u64,
    pub(super) dropped_names: u64,
}

impl Choice {
    pub(super) fn new(unsynced: Unsynced) -> Self {
        Self { unsynced, dropped_bytes: 0, dropped_names: 0 }
    }

    pub(super) fn is_random(&self) -> bool {
        matches!(self.unsynced, Unsynced::Random(_))
    }

    pub(super) fn keeps(&mut self) -> bool {
        self.length(1) == 1
    }

    /// What of a write is kept: a part of its front, or any of its sectors.
    fn pieces(&mut self, range: Range<usize>) -> Vec<Range<usize>> {
        if !self.is_random() || self.length(3) > 0 {
            let end = range.start + self.length(range.len());
            return std::iter::once(range.start..end).filter(|piece| !piece.is_empty()).collect();
        }
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(range.end);
            if self.keeps() {
                pieces.push(at..end);
            }
            at = end;
        }
        pieces
    }

    /// How much of so many bytes is kept.
    pub(super) fn length(&mut self, bytes: usize) -> usize {
        let Unsynced::Random(seed) = &mut self.unsynced else {
            return if matches!(self.unsynced, Unsynced::Kept) { bytes } else { 0 };
        };
        // A linear congruential generator, high bits.
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = usize::try_from(*seed >> 33).expect("31 bits");
        match random % 4 {
            0 => 0,
            1 => bytes,
            _ => (random / 4) % (bytes + 1),
        }
    }
}
