//! This process as one of several: it says that it is there, hears of the
//! others, and plans which partitions should be its own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_proto::model::FileId;
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};
use weir_storage::catalog::{Catalog, LogPartition, Member};

use crate::health::Health;
use crate::metrics::IngestMetrics;
use crate::plan;

/// The part of this process's health that speaks of the others.
const HEALTH: &str = "members";

/// Rounds after a catalog that was away in which who was known before still
/// counts: the others need a round to be heard again, and partitions that are
/// theirs must not be taken from them for that.
const GRACE_ROUNDS: u32 = 3;

/// Where the id of an ingester is kept.
const ID_FILE: &str = "ingest.id";

/// Who this process is among several ingesters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The name under which it leases. The same after a restart, so that what
    /// was its own is so at once; another's never.
    pub name: String,
    /// Where queries reach its live rows: `http://host:port` or `unix:/path`.
    pub address: String,
}

impl MemberIdentity {
    /// Named after this host, the directory in which the process keeps its state,
    /// and an id that is drawn once and kept there: containers may be alike in the
    /// first two.
    ///
    /// # Errors
    /// The id cannot be kept.
    pub fn of_directory(directory: &Path, address: impl Into<String>) -> io::Result<Self> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let id = kept_id(&directory.join(ID_FILE))?;
        let place = directory.canonicalize()?;
        Ok(Self { name: format!("{} {} {id}", host.trim(), place.display()), address: address.into() })
    }
}

/// The id in a file; drawn and written if there is none.
fn kept_id(path: &Path) -> io::Result<FileId> {
    let kept = fs::read_to_string(path).ok();
    if let Some(id) = kept.and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    let id = FileId::generate();
    // Should it be lost in a power cut, another is drawn, and what was leased
    // under this one is free when that has run out.
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, format!("{id}\n"))?;
    fs::rename(&unfinished, path)?;
    Ok(id)
}

/// The partitions that should be ours, as far as is known.
pub(crate) type Plan = Arc<BTreeSet<LogPartition>>;

/// Keeps the plan current.
pub(crate) struct Membership {
    pub(crate) identity: MemberIdentity,
    /// How long our word is good; it is renewed three times within.
    pub(crate) lasts: Duration,
    pub(crate) catalog: Arc<dyn Catalog>,
    /// Every partition of every topic.
    pub(crate) partitions: watch::Receiver<BTreeSet<LogPartition>>,
    pub(crate) plan: watch::Sender<Plan>,
    pub(crate) handles: Handles,
    pub(crate) health: Health,
    pub(crate) metrics: IngestMetrics,
}

impl Membership {
    /// Announces and plans until told to end.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        let shutdown = self.handles.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            () = self.rounds() => Ok(()),
        }
    }

    async fn rounds(&mut self) {
        let mut roll = Roll::default();
        loop {
            let now_micros = self.handles.clock.now_micros();
            let MemberIdentity { name, address } = &self.identity;
            match self.catalog.announce(name, address, now_micros, self.lasts).await {
                Ok(present) => {
                    self.health.fine(HEALTH);
                    if roll.call(present) {
                        tracing::info!(members = ?roll.members, "the ingesters that share the partitions");
                    }
                    self.metrics.members.set(i64::try_from(roll.members.len()).unwrap_or(i64::MAX));
                }
                // Nobody reaches it, so nobody takes anything: the plan stays.
                Err(error) => {
                    roll.missed();
                    let why = error_chain(&error);
                    if self.health.wrong(HEALTH, &why) {
                        tracing::error!(error = %why, "the catalog does not answer, the partitions stay as they are");
                    }
                }
            }
            self.make_plan(&roll);
            tokio::select! {
                () = tokio::time::sleep(self.lasts / 3) => {}
                Ok(()) = self.partitions.changed() => {}
            }
        }
    }

    fn make_plan(&mut self, roll: &Roll) {
        let partitions = self.partitions.borrow_and_update().clone();
        let members: BTreeSet<&str> = roll.members.iter().map(String::as_str).collect();
        let ours =
            |(partition, member): (LogPartition, &str)| (member == self.identity.name).then_some(partition);
        let plan: BTreeSet<LogPartition> =
            plan::assign(&members, &partitions).into_iter().filter_map(ours).collect();
        self.plan.send_if_modified(|held| {
            let is_other = **held != plan;
            if is_other {
                *held = Arc::new(plan);
            }
            is_other
        });
    }
}

/// Who is counted as present.
#[derive(Debug, Default)]
struct Roll {
    members: BTreeSet<String>,
    grace_rounds: u32,
}

impl Roll {
    /// The catalog says who is present. True when others are counted than
    /// before.
    fn call(&mut self, present: Vec<Member>) -> bool {
        let mut members: BTreeSet<String> = present.into_iter().map(|member| member.name).collect();
        if self.grace_rounds > 0 {
            self.grace_rounds -= 1;
            members.extend(self.members.iter().cloned());
        }
        let is_other = members != self.members;
        self.members = members;
        is_other
    }

    /// The catalog did not answer.
    fn missed(&mut self) {
        self.grace_rounds = GRACE_ROUNDS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(names: &[&str]) -> Vec<Member> {
        let member =
            |name: &&str| Member { name: (*name).to_owned(), address: String::new(), until_micros: 0 };
        names.iter().map(member).collect()
    }

    fn counted(roll: &Roll) -> Vec<&str> {
        roll.members.iter().map(String::as_str).collect()
    }

    #[test]
    fn who_is_gone_is_gone_at_once() {
        let mut roll = Roll::default();
        assert!(roll.call(present(&["a", "b"])));
        assert!(!roll.call(present(&["a", "b"])));
        assert!(roll.call(present(&["b"])));
        assert_eq!(counted(&roll), ["b"]);
    }

    #[test]
    fn a_catalog_that_was_away_makes_nobody_gone_at_once() {
        let mut roll = Roll::default();
        roll.call(present(&["a", "b"]));
        roll.missed();
        roll.missed();
        // Everybody's word has run out meanwhile: the first to come back is
        // alone for a moment.
        for _ in 0..GRACE_ROUNDS {
            assert!(!roll.call(present(&["b"])));
            assert_eq!(counted(&roll), ["a", "b"]);
        }
        assert!(roll.call(present(&["b", "c"])));
        assert_eq!(counted(&roll), ["b", "c"]);
    }

    #[test]
    fn a_name_outlives_the_process_and_tells_directories_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let name = |path: &Path| MemberIdentity::of_directory(path, "http://h:1").expect("a name").name;
        let before = name(directory.path());
        assert_eq!(name(directory.path()), before);
        assert_ne!(name(tempfile::tempdir().expect("a directory").path()), before);
        // The same host and path, as in another container: another ingester.
        fs::write(directory.path().join(ID_FILE), "").expect("emptied");
        assert_ne!(name(directory.path()), before);
        let missing = MemberIdentity::of_directory(&directory.path().join("none"), "http://h:1");
        assert!(missing.is_err());
    }
}
