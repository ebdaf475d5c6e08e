//! Where a process can fail, how, and how often it comes by. The test below holds
//! the lists to the sources.

/// A place before or after a step.
pub(super) struct Place {
    pub(super) name: &'static str,
    /// How often it is passed between two faults, at least: so often that something
    /// is done for good meanwhile, or who ends there ends there for ever.
    pub(super) passes: u64,
    pub(super) actions: &'static [&'static str],
    pub(super) lure: Lure,
}

/// Without what nobody comes by.
pub(super) enum Lure {
    /// The load is enough.
    Load,
    /// Another failpoint.
    Failpoint(&'static str),
    /// An ingester that was away for longer than its leases last.
    Newcomer,
}

/// A step that cannot fail, before or after it.
const BETWEEN: &[&str] = &["exit", "panic", "stall:300ms"];

/// A step that can.
const STEP: &[&str] = &["exit", "panic", "error", "stall:300ms"];

/// An error there is a message that cannot be decoded, and a panic one over which Weir
/// has a fault: both are put away and told, so they are e2e `poison`'s.
const DECODE: &[&str] = &["exit", "stall:300ms"];

/// Without its copy a deleted file would be lost for good.
const KEEP: &[&str] = &["error", "stall:300ms"];

const fn between(name: &'static str, passes: u64) -> Place {
    Place { name, passes, actions: BETWEEN, lure: Lure::Load }
}

const fn step(name: &'static str, passes: u64) -> Place {
    Place { name, passes, actions: STEP, lure: Lure::Load }
}

const fn keep(name: &'static str) -> Place {
    Place { name, passes: 2, actions: KEEP, lure: Lure::Load }
}

/// The checkpoint is written anew when a line could not be made durable.
const fn create(name: &'static str) -> Place {
    Place {
        name,
        passes: 2,
        actions: STEP,
        lure: Lure::Failpoint("agent.checkpoint.append.sync.before=error%7"),
    }
}

/// Somebody has partitions that another shall have.
const fn handover(name: &'static str, actions: &'static [&'static str]) -> Place {
    Place { name, passes: 1, actions, lure: Lure::Newcomer }
}

/// Of an agent that appends to Kafka; `log` is its receivers' spool.
pub(super) const AGENT: &[Place] = &[
    step("agent.read.before", 400),
    step("agent.read.after", 400),
    between("agent.encode.before", 10),
    between("agent.encode.after", 10),
    step("agent.append.before", 60),
    step("agent.append.after", 60),
    between("agent.acknowledge.before", 10),
    between("agent.acknowledge.after", 10),
    step("agent.checkpoint.append.sync.before", 10),
    step("agent.checkpoint.append.sync.after", 10),
    create("agent.checkpoint.create.sync.before"),
    create("agent.checkpoint.create.sync.after"),
    create("agent.checkpoint.create.sync_directory.before"),
    create("agent.checkpoint.create.sync_directory.after"),
    step("agent.spool.encode.before", 60),
    step("agent.spool.encode.after", 60),
    step("agent.spool.append.before", 60),
    step("agent.spool.append.after", 60),
    between("agent.spool.acknowledge.before", 60),
    between("agent.spool.acknowledge.after", 60),
    step("agent.spool.trim.before", 3),
    step("agent.spool.trim.after", 3),
    step("log.write.before", 60),
    step("log.write.after", 60),
    step("log.sync.before", 60),
    step("log.sync.after", 60),
];

/// Of an ingester, over Kafka or a disk log, Postgres or SQLite.
pub(super) const INGEST: &[Place] = &[
    step("ingest.read.before", 60),
    step("ingest.read.after", 60),
    step("storage.encode.before", 5),
    step("storage.encode.after", 5),
    step("ingest.put.before", 5),
    step("ingest.put.after", 5),
    step("storage.put.write.before", 5),
    step("storage.put.write.after", 5),
    step("storage.put.sync.before", 5),
    step("storage.put.sync.after", 5),
    step("storage.put.sync_directory.before", 5),
    step("storage.put.sync_directory.after", 5),
    step("storage.begin.before", 5),
    step("storage.begin.after", 5),
    step("storage.commit.before", 5),
    step("storage.commit.after", 5),
    step("ingest.trim.before", 5),
    step("ingest.trim.after", 5),
    Place { name: "ingest.decode.before", passes: 60, actions: DECODE, lure: Lure::Load },
    Place { name: "ingest.decode.after", passes: 60, actions: DECODE, lure: Lure::Load },
];

/// Of an ingester that shares partitions with others.
pub(super) const REVOKE: &[Place] = &[
    handover("ingest.revoke.before", BETWEEN),
    handover("ingest.revoke.after", BETWEEN),
    handover("storage.release.before", STEP),
    handover("storage.release.after", STEP),
];

/// Of a spool and a disk log whose segments are small.
pub(super) const SEGMENTS: &[Place] = &[
    step("log.segment.sync.before", 4),
    step("log.segment.sync.after", 4),
    step("log.segment.sync_directory.before", 4),
    step("log.segment.sync_directory.after", 4),
    step("log.segment.unlink.before", 4),
    step("log.segment.unlink.after", 4),
    step("log.segment.unlink.sync_directory.before", 4),
    step("log.segment.unlink.sync_directory.after", 4),
];

/// Of an agent that kept copies of files that are gone.
pub(super) const KEPT: &[Place] = &[
    keep("agent.keep.sync.before"),
    keep("agent.keep.sync.after"),
    keep("agent.keep.sync_directory.before"),
    keep("agent.keep.sync_directory.after"),
    step("agent.keep.unlink.before", 2),
    step("agent.keep.unlink.after", 2),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut String) {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        for path in entries.collect::<Vec<PathBuf>>() {
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&fs::read_to_string(path).expect("text"));
            }
        }
    }

    #[test]
    fn every_place_is_listed_and_comes_before_and_after() {
        let mut text = String::new();
        for folder in ["agent", "ingest", "storage", "stream"] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("src");
            sources(&root, &mut text);
        }
        let calls = text.split("reach(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let passed: BTreeSet<_> = calls.collect();
        let lists = [AGENT, INGEST, REVOKE, SEGMENTS, KEPT];
        let listed = lists.iter().copied().flatten().map(|place| place.name);
        assert_eq!(passed, listed.collect());
        for name in &passed {
            let other = name.strip_suffix(".before").map(|step| format!("{step}.after"));
            let other = other.or_else(|| Some(name.strip_suffix(".after")?.to_owned() + ".before"));
            assert!(other.is_some_and(|other| passed.contains(other.as_str())), "{name}");
        }
    }
}
