//! The reader on real files, with a clock and an event log of its own.

mod change;
mod copies;
mod crash;
mod gone;
mod hold;
mod limit;
mod pods;
mod redact;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use weir_proto::model::{Counted, RangeSet, Source, SourceId, flags};
use weir_proto::wire::batch::{EncodedBatch, LineBatch};
use weir_runtime::{ByteSize, Metrics};

use super::*;
use crate::identity::Identity;
use crate::join::Multiline;
use crate::kube::Pods;
use crate::limit::LimitsConfig;
use crate::redact::RedactConfig;

/// A directory of files, an agent that reads them, and a log.
struct Bed {
    root: tempfile::TempDir,
    tail: Vec<String>,
    keep_bytes: ByteSize,
    /// How many files may be open.
    descriptors: usize,
    now: Moment,
    reader: Option<Reader>,
    measured: Measured,
    /// Handed on, not yet appended.
    pending: VecDeque<EncodedBatch>,
    /// Appended, not yet acknowledged.
    appended: usize,
    log: Vec<EncodedBatch>,
    limits: LimitsConfig,
    multiline: Multiline,
    redact: RedactConfig,
    losses: Option<mpsc::Receiver<Vec<Loss>>>,
    /// Who is asked about pods.
    pods: Option<Arc<Pods>>,
}

impl Bed {
    /// Starts an agent on patterns below `logs`.
    fn new(tail: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("logs")).expect("a directory");
        let tail = tail.iter().map(|pattern| format!("{}/logs/{pattern}", root.path().display())).collect();
        let now = Moment { wall: 2_000_000_000_000_000, steady: Duration::ZERO };
        let mut bed = Self {
            root,
            tail,
            keep_bytes: Config::default().keep_bytes,
            descriptors: usize::MAX,
            now,
            reader: None,
            measured: Measured::new(&Metrics::new()),
            pending: VecDeque::new(),
            appended: 0,
            log: Vec::new(),
            limits: LimitsConfig::default(),
            multiline: Multiline::Auto,
            redact: RedactConfig::default(),
            losses: None,
            pods: None,
        };
        bed.start();
        bed
    }

    fn start(&mut self) {
        let config = self.config();
        let state = self.state();
        let patterns = Patterns::new(&config.tail, &config.roots, &state).expect("valid patterns");
        let lock = Checkpoint::lock(&state).expect("nobody else holds it");
        let (checkpoint, restored) = Checkpoint::open(&state, lock, 1).expect("a checkpoint");
        let origin = Origin::default();
        let measured = self.measured.clone();
        let limiter = Limiter::new(&self.limits).expect("valid limits");
        let redaction = Redaction::counted(&self.redact, |rule| self.measured.redacted(rule));
        let redaction = Arc::new(redaction.expect("a valid redaction"));
        let (told, losses) = mpsc::channel(1);
        self.losses = Some(losses);
        let reader = Reader::new(config, patterns, origin, measured, checkpoint, restored, None);
        let reader = reader.expect("the kept copies").holding(self.descriptors);
        let reader = reader.limited(limiter, told).redacting(redaction);
        self.reader = Some(match &self.pods {
            Some(pods) => reader.knowing(Arc::clone(pods), Duration::from_secs(5), self.now.steady),
            None => reader,
        });
    }

    fn config(&self) -> Config {
        Config {
            tail: self.tail.clone(),
            roots: vec![self.root.path().join("logs")],
            keep_bytes: self.keep_bytes,
            multiline: self.multiline,
            limits: self.limits.clone(),
            ..Config::default()
        }
    }

    /// The agent dies; of what it had handed on, only the first arrived.
    fn crash(&mut self, arrived: usize) {
        self.reader = None;
        self.append(arrived);
        self.pending.clear();
        self.appended = 0;
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("logs").join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all(text.as_ref()).expect("written");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    /// Compresses a file as gzip does: another file, and the first is gone.
    fn compress(&self, name: &str) {
        let content = fs::read(self.path(name)).expect("a file");
        self.compressed(&format!("{name}.gz"), &content);
        fs::remove_file(self.path(name)).expect("removed");
    }

    fn compressed(&self, name: &str, content: &[u8]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).expect("compressed");
        self.write(name, encoder.finish().expect("compressed"));
    }

    /// The agent is told to end, and ends before anything more is acknowledged.
    fn stop(&mut self) {
        let now = self.now;
        self.reader().end(now);
        self.crash(0);
    }

    fn reader(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("started")
    }

    /// One turn after `millis`.
    fn turn(&mut self, millis: u64, rescan: bool) -> Duration {
        self.now.steady += Duration::from_millis(millis);
        self.now.wall += i64::try_from(millis).expect("small") * 1000;
        let now = self.now;
        let turn = self.reader().turn(now, &Heard { rescan, ..Heard::default() });
        self.pending.extend(turn.batches.into_iter().map(|closed| closed.batch));
        turn.wait
    }

    /// Turns until the agent knows the file: one that is renamed before that
    /// is nobody's.
    fn find(&mut self, name: &str) {
        let Ok(metadata) = fs::metadata(self.path(name)) else { return };
        let identity = Identity::of(&metadata);
        while self.reader().files.by_identity(&identity).is_none() {
            self.turn(100, true);
        }
    }

    fn append(&mut self, batches: usize) {
        let batches = batches.min(self.pending.len());
        self.log.extend(self.pending.drain(..batches));
        self.appended += batches;
    }

    fn acknowledge(&mut self, batches: usize) {
        for _ in 0..batches.min(self.appended) {
            self.appended -= 1;
            self.reader().acknowledged();
        }
    }

    /// Everything handed on arrives and is acknowledged.
    fn deliver(&mut self) {
        self.append(usize::MAX);
        self.acknowledge(usize::MAX);
    }

    /// Turns and delivers for some seconds: all that was written is sent.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.turn(500, true);
            self.deliver();
        }
    }

    fn rows(&self) -> Ingested {
        Ingested::from(&self.log)
    }

    /// The texts of a file's rows, in order.
    fn texts(&self, name: &str) -> Vec<String> {
        let path = self.path(name).to_string_lossy().into_owned();
        self.rows().of(|source| resource(source, "log.file.path") == Some(path.as_str()))
    }

    fn last_mark(&self) -> Option<i64> {
        let batch = self.log.last().expect("a batch was sent");
        LineBatch::decode(&batch.headers, &batch.payload).expect("decodes").header.mark_micros
    }
}

fn resource<'a>(source: &'a Source, key: &str) -> Option<&'a str> {
    source.resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// What an ingester makes of the log: the model of exactly once.
#[derive(Default)]
struct Ingested {
    rows: BTreeMap<SourceId, Vec<Row>>,
    sources: BTreeMap<SourceId, Source>,
    /// The sources in the order in which they came.
    order: Vec<SourceId>,
    covered: BTreeMap<SourceId, RangeSet>,
    counted: BTreeMap<SourceId, Counted>,
    duplicates: usize,
}

struct Row {
    start: u64,
    text: Vec<u8>,
    flags: i32,
}

impl Ingested {
    fn from(log: &[EncodedBatch]) -> Self {
        let mut all = Self::default();
        for batch in log {
            all.take(&LineBatch::decode(&batch.headers, &batch.payload).expect("a batch decodes"));
        }
        all
    }

    fn take(&mut self, batch: &LineBatch) {
        for line in batch.lines() {
            let source = batch.sources[line.source].id;
            let covered = self.covered.entry(source).or_default();
            if covered.contains(line.range.start) {
                assert!(line.range.end <= covered.end(), "a row straddles what is covered");
                self.duplicates += 1;
                continue;
            }
            let inside = covered
                .ranges()
                .iter()
                .any(|range| range.start < line.range.end && line.range.start < range.end);
            assert!(!inside, "a row straddles what is covered");
            let row = Row { start: line.range.start, text: line.text.to_vec(), flags: line.flags };
            self.rows.entry(source).or_default().push(row);
        }
        for (index, source) in batch.sources.iter().enumerate() {
            let rows = batch.lines().filter(|line| line.source == index).count() as u64;
            let counted = source.counted.expect("an agent counts");
            let after = self.counted.insert(source.id, counted.after(source, rows));
            // A process counts from where it took the source up.
            let is_first = counted == Counted::from(source.covered.start);
            assert!(is_first || after == Some(counted), "{counted:?} behind {after:?}");
            let covered = self.covered.entry(source.id).or_default();
            assert_eq!(covered.hole_before(source.covered), None, "{:?} of {covered:?}", source.covered);
            covered.insert(source.covered);
            if self.sources.insert(source.id, source.clone()).is_none() {
                self.order.push(source.id);
            }
        }
    }

    /// The texts of the sources asked for, with cut records put together again.
    fn of(&self, wanted: impl Fn(&Source) -> bool) -> Vec<String> {
        let mut texts = Vec::new();
        for id in self.order.iter().filter(|id| wanted(&self.sources[*id])) {
            let Some(rows) = self.rows.get(id) else { continue };
            let mut whole: Vec<Vec<u8>> = Vec::new();
            let mut end = 0;
            for row in rows {
                assert!(row.start >= end, "rows of a source come in order");
                end = row.start;
                if row.flags & flags::CONTINUATION == 0 {
                    whole.push(row.text.clone());
                } else {
                    whole.last_mut().expect("something to continue").extend_from_slice(&row.text);
                }
            }
            texts.extend(whole.into_iter().map(|text| String::from_utf8(text).expect("text")));
        }
        texts
    }

    fn all(&self) -> Vec<String> {
        self.of(|_| true)
    }

    fn flagged(&self, bit: i32) -> usize {
        self.rows.values().flatten().filter(|row| row.flags & bit != 0).count()
    }

    fn drops(log: &[EncodedBatch]) -> Vec<weir_proto::model::Drop> {
        let decode =
            |batch: &EncodedBatch| LineBatch::decode(&batch.headers, &batch.payload).expect("decodes");
        log.iter().flat_map(|batch| decode(batch).sources).flat_map(|source| source.drops).collect()
    }
}

/// The checkpoint's bytes.
fn checkpoint_bytes(state: &Path) -> Vec<u8> {
    fs::read(state.join("checkpoint")).expect("a checkpoint")
}
