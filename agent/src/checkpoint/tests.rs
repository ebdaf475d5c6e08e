mod power;

use std::fs;
use std::iter::once;

use proptest::prelude::*;

use super::*;
use crate::frame::CutKind;
use crate::join::Multiline;

fn entry(key: u64, acknowledged: u64) -> Entry {
    Entry {
        key: FileKey(key),
        path: format!("/logs/{key}.log"),
        last_path: format!("/logs/{key}.log.1"),
        identity: Identity { device: 1, inode: key, birth: Some(5) },
        fingerprint: Fingerprint::default(),
        format: Some(Format::Plain),
        streams: vec![StreamEntry {
            stream: Stream::File,
            id: SourceId::from_u128(u128::from(key)),
            first: 0,
            acknowledged,
            reach: 0,
        }],
        cuts: vec![Cut { end: acknowledged, stream: Stream::File, kind: CutKind::Line, resolved: None }],
        multiline: Modes::one(Multiline::Auto),
        gone: None,
        ending: None,
        endings: Vec::new(),
        size: acknowledged,
        archive: false,
        dismissed: false,
        excluded: false,
        passed: Passed::default(),
    }
}

fn write(files: Vec<Entry>, gone: Vec<u64>, mark: Option<i64>) -> Changes {
    Changes { files, gone: gone.into_iter().map(FileKey).collect(), mark }
}

fn open(directory: &Path) -> Result<(Checkpoint, Restored), StartError> {
    Checkpoint::open(directory, Checkpoint::lock(directory)?, 4)
}

fn bytes(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("checkpoint")).expect("a checkpoint")
}

#[test]
fn what_was_written_is_restored_and_the_agent_stays_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut checkpoint, restored) = open(directory.path()).expect("a new checkpoint");
    assert_eq!(restored, Restored::default());
    let head = checkpoint.head();
    assert!(head.partition < 4);
    checkpoint.append(once(write(vec![entry(1, 10), entry(2, 20)], vec![], Some(7)))).expect("written");
    checkpoint.append(once(write(vec![entry(1, 11)], vec![2], None))).expect("written");
    drop(checkpoint);
    let (mut checkpoint, restored) = open(directory.path()).expect("reopened");
    assert_eq!(checkpoint.head(), head);
    assert_eq!(restored, Restored { files: vec![entry(1, 11)], mark: Some(7) });
    checkpoint.rewrite([write(vec![entry(3, 1)], vec![], Some(9))].into_iter()).expect("written anew");
    checkpoint.append(once(write(vec![entry(4, 1)], vec![], None))).expect("written");
    drop(checkpoint);
    let (checkpoint, restored) = open(directory.path()).expect("reopened");
    assert_eq!(checkpoint.head(), head);
    assert_eq!(restored, Restored { files: vec![entry(3, 1), entry(4, 1)], mark: Some(9) });
}

#[test]
fn a_second_opener_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let held = open(directory.path()).expect("a new checkpoint");
    assert!(matches!(open(directory.path()), Err(StartError::InUse { .. })));
    drop(held);
    open(directory.path()).expect("free again");
}

#[test]
fn a_journal_that_outgrew_its_content_asks_to_be_written_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut checkpoint, _) = open(directory.path()).expect("a new checkpoint");
    let many = write((0..1000).map(|key| entry(key, 1)).collect(), vec![], None);
    assert!(!checkpoint.wants_rewrite());
    for _ in 0..8 {
        checkpoint.append(once(many.clone())).expect("written");
    }
    assert!(checkpoint.wants_rewrite());
    checkpoint.rewrite([many].into_iter()).expect("written anew");
    assert!(!checkpoint.wants_rewrite());
}

#[test]
fn a_torn_end_is_dropped_wherever_it_was_torn() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut checkpoint, _) = open(directory.path()).expect("a new checkpoint");
    checkpoint.append(once(write(vec![entry(1, 10)], vec![], None))).expect("written");
    let before = bytes(directory.path()).len();
    checkpoint.append(once(write(vec![entry(1, 11)], vec![], None))).expect("written");
    drop(checkpoint);
    let whole = bytes(directory.path());
    for end in before..whole.len() {
        fs::write(directory.path().join("checkpoint"), &whole[..end]).expect("torn");
        let (mut checkpoint, restored) = open(directory.path()).expect("a torn end is no damage");
        assert_eq!(restored.files, [entry(1, 10)], "torn at {end}");
        checkpoint.append(once(write(vec![entry(1, 12)], vec![], None))).expect("written");
        drop(checkpoint);
        let (_, restored) = open(directory.path()).expect("whole again");
        assert_eq!(restored.files, [entry(1, 12)], "torn at {end}");
    }
}

#[test]
fn a_newer_version_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let json = r#"{"version":2,"something":"else"}"#;
    let line = format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
    fs::write(directory.path().join("checkpoint"), line).expect("written");
    let error = open(directory.path()).expect_err("newer");
    assert!(matches!(error, StartError::Newer { version: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    fs::write(&path, "x").expect("a file");
    assert!(matches!(open(&path), Err(StartError::StateDirectory { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_changed_byte_is_noticed_or_only_costs_the_last_line(at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut checkpoint, _) = open(directory.path()).expect("a new checkpoint");
        checkpoint.append(once(write(vec![entry(1, 10)], vec![], None))).expect("written");
        checkpoint.append(once(write(vec![entry(1, 11)], vec![], None))).expect("written");
        let last = bytes(directory.path()).len();
        checkpoint.append(once(write(vec![entry(1, 12)], vec![], None))).expect("written");
        drop(checkpoint);
        let mut damaged = bytes(directory.path());
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        fs::write(directory.path().join("checkpoint"), &damaged).expect("written");
        match open(directory.path()) {
            Ok((_, restored)) => {
                // Without the newline between them, two lines are one torn one.
                let lost = if at == last - 1 { 10 } else { 11 };
                prop_assert!(at >= last - 1, "byte {} changed unnoticed", at);
                prop_assert_eq!(restored.files, vec![entry(1, lost)]);
            }
            Err(StartError::Damaged { .. }) => prop_assert!(at < last, "byte {} of the last line", at),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
