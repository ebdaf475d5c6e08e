//! What must survive: who the receivers' lanes are, and how far each spool was
//! sent on.
//!
//! A file of JSON beside the spools, written anew for every change: beside the
//! old one, synced, renamed over it. A position that lags only means that
//! records are sent again, and dropped by their numbers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use weir_proto::model::{AgentId, Signal, SourceId};
use weir_stream::disk::files::{self, Files, directory_of};
use weir_stream::{Partition, Subscribe};

use super::spool_topic;
use crate::StartError;
use crate::checkpoint::choose;

/// The version that this build writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The lanes of the receivers, and their durable state.
#[derive(Debug)]
pub(super) struct Lanes {
    files: Arc<dyn Files>,
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    version: u32,
    /// Whose lanes these are. Not the tailing agent's: a lane has one mark.
    agent: AgentId,
    lanes: BTreeMap<Signal, Lane>,
}

/// One signal's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// The partition of its topic.
    pub(super) partition: u32,
    /// The spool, as a source.
    pub(super) source: SourceId,
    /// The spool's records below this are in the event log.
    pub(super) forwarded: u64,
}

impl Lanes {
    /// Reads the file. Without one the lanes are drawn, and are durable when
    /// this returns.
    pub(super) fn open(
        files: Arc<dyn Files>,
        path: &Path,
        partitions: &[(Signal, u32)],
    ) -> Result<Self, StartError> {
        let refused = |source| StartError::StateDirectory { path: path.to_owned(), source };
        let held = match files::read(&*files, path).map_err(refused)? {
            Some(bytes) => {
                // Whoever put it there may have died before it was durable, and
                // what is sent from now on names it.
                files.sync_dir(directory_of(path)).map_err(refused)?;
                read(path, &bytes)?
            }
            None => Held { version: VERSION, agent: AgentId::generate(), lanes: BTreeMap::new() },
        };
        let lanes = Self { files, path: path.to_owned(), held: Mutex::new(held) };
        let has_new = {
            let mut held = lanes.lock();
            let (agent, before) = (held.agent, held.lanes.len());
            for &(signal, count) in partitions {
                held.lanes.entry(signal).or_insert_with(|| Lane {
                    partition: choose(agent, count),
                    source: SourceId::generate(),
                    forwarded: 0,
                });
            }
            held.lanes.len() > before
        };
        if has_new {
            lanes.save().map_err(refused)?;
        }
        Ok(lanes)
    }

    /// A spool that ends before what was sent of it is another one: its numbers
    /// begin again, so it is a new source.
    pub(super) async fn check(&mut self, spools: &impl Subscribe) -> Result<(), StartError> {
        let mut is_new = false;
        for signal in Signal::ALL {
            let spool = Partition::new(spool_topic(signal), 0);
            let end = spools.watermarks(&spool).await.map_err(StartError::SpoolRead)?.end;
            let mut held = self.lock();
            let lane = held.lanes.get_mut(&signal).expect("every signal has a lane");
            if end.0 < lane.forwarded {
                tracing::warn!(%signal, "the spool was deleted, a new one begins");
                (lane.source, lane.forwarded) = (SourceId::generate(), 0);
                is_new = true;
            }
        }
        if is_new {
            let path = self.path.clone();
            self.save().map_err(|source| StartError::StateDirectory { path, source })?;
        }
        Ok(())
    }

    /// Whose lanes these are.
    pub(super) fn agent(&self) -> AgentId {
        self.lock().agent
    }

    /// One of them.
    pub(super) fn lane(&self, signal: Signal) -> Lane {
        self.lock().lanes[&signal]
    }

    /// Makes durable how far a spool was sent on.
    pub(super) fn forwarded(&self, signal: Signal, below: u64) -> io::Result<()> {
        if let Some(lane) = self.lock().lanes.get_mut(&signal) {
            lane.forwarded = below;
        }
        self.save()
    }

    /// One write at a time: the lock is held until it is durable.
    fn save(&self) -> io::Result<()> {
        let held = self.lock();
        files::replace(&*self.files, &self.path, &serde_json::to_vec(&*held)?)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path, bytes: &[u8]) -> Result<Held, StartError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |error: serde_json::Error| StartError::DamagedLanes {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    // Only the version is read first: a newer build may have changed the rest.
    let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(StartError::Newer { path: path.to_owned(), version, known: VERSION });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use weir_stream::disk::files::SystemFiles;
    use weir_stream::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};

    use super::*;

    fn open(path: &Path) -> Result<Lanes, StartError> {
        Lanes::open(Arc::new(SystemFiles), path, &Signal::ALL.map(|signal| (signal, 4)))
    }

    #[test]
    fn lanes_are_drawn_once_and_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lanes.json");
        let first = open(&path).expect("drawn");
        first.forwarded(Signal::Spans, 7).expect("written");
        let second = open(&path).expect("read");
        assert_eq!(first.agent(), second.agent());
        for signal in Signal::ALL {
            assert_eq!(first.lane(signal), second.lane(signal));
            assert!(first.lane(signal).partition < 4);
        }
        assert_eq!(second.lane(Signal::Spans).forwarded, 7);
    }

    #[test]
    fn lanes_are_durable_before_anything_names_them() {
        let files = SimulatedFiles::new();
        files.create_dir(Path::new("/state")).expect("created");
        files.sync_dir(Path::new("/")).expect("synced");
        let path = Path::new("/state/lanes.json");
        let open = || Lanes::open(Arc::new(files.clone()), path, &[(Signal::Spans, 4)]);
        // The process that drew them ended before they were.
        files.fail_next(Fault::SyncDirError);
        open().expect_err("not durable");
        let lane = open().expect("read").lane(Signal::Spans);
        files.cut_power(Unsynced::Lost);
        assert_eq!(open().expect("read").lane(Signal::Spans), lane);
    }

    #[test]
    fn a_file_of_a_newer_build_or_a_damaged_one_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lanes.json");
        fs::write(&path, r#"{"version":2}"#).expect("written");
        assert!(matches!(open(&path), Err(StartError::Newer { version: 2, .. })));
        fs::write(&path, r#"{"version":1}"#).expect("written");
        assert!(matches!(open(&path), Err(StartError::DamagedLanes { .. })));
        assert_eq!(fs::read(&path).expect("there"), br#"{"version":1}"#);
    }
}
