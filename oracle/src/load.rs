//! Issuers of events: one thread for each, one module for each input. Each writes
//! into the ledger what it issued and what was answered, and decides nothing else.

mod cri;
mod docker;
mod files;
mod grpc;
mod message;
mod metrics;
mod otlp;
mod ship;
mod traces;
mod zipkin;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::http::{Answer, NoAnswer};
use crate::ledger::{Fate, Feed, Ledger};
use crate::worker::{Stop, Worker};

pub(crate) use otlp::push_logs;

/// How often an issuer issues.
const TICK: Duration = Duration::from_millis(25);

/// Longer than a healthy agent takes for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a client waits that was refused, or found nobody.
const AWAY: Duration = Duration::from_millis(150);

/// What is issued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Plain files, lines of all formats, rotated by renaming.
    pub(crate) files: u32,
    /// Lines a second in each plain file.
    pub(crate) file_rate: u64,
    /// Containers' files: two streams, split lines, stack traces that come late.
    pub(crate) containers: u32,
    /// Docker's files: a JSON object for each line, split lines.
    pub(crate) docker: u32,
    /// Clients that push log records as OTLP over HTTP.
    pub(crate) otlp: u32,
    /// Clients that push log records as OTLP over gRPC.
    pub(crate) grpc: u32,
    /// Clients that push spans as OTLP over HTTP.
    pub(crate) traces: u32,
    /// Clients that push points of metrics as OTLP over HTTP.
    pub(crate) metrics: u32,
    /// Clients that push Zipkin spans.
    pub(crate) zipkin: u32,
    /// Shells that pipe lines through `weir ship`, one after the other.
    pub(crate) ships: u32,
    /// The chance that a file is rotated after a tick.
    pub(crate) rotation: f64,
    /// How long each input waits between what it issues. The rate of files is for
    /// that of the default.
    pub(crate) tick: Duration,
}

impl Default for Plan {
    /// Some 2,500 events a second, over every input.
    fn default() -> Self {
        Self {
            files: 3,
            file_rate: 400,
            containers: 1,
            docker: 1,
            otlp: 2,
            grpc: 1,
            traces: 1,
            metrics: 1,
            zipkin: 1,
            ships: 1,
            rotation: 0.01,
            tick: TICK,
        }
    }
}

/// What issuers need to know.
#[derive(Clone, Debug)]
struct Place {
    seed: u64,
    input: PathBuf,
    agent: SocketAddr,
    binary: PathBuf,
    rotations: Arc<AtomicU64>,
    halves: Halves,
    tick: Duration,
}

/// Stack traces whose first half is written, and whose rest is still to come: for
/// whoever wants to strike just then. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Halves(Arc<AtomicU64>);

impl Halves {
    /// True while there is one.
    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The issuers of a run.
pub(crate) struct Load {
    workers: Vec<Worker>,
    rotations: Arc<AtomicU64>,
}

impl Load {
    /// Starts them all.
    ///
    /// # Errors
    /// A file cannot be made, or a client.
    pub(crate) fn start(
        plan: Plan,
        seed: u64,
        ledger: &Ledger,
        input: &Path,
        agent: SocketAddr,
        binary: &Path,
        halves: &Halves,
    ) -> Result<Self> {
        let rotations = Arc::new(AtomicU64::new(0));
        let (input, binary, halves) = (input.to_owned(), binary.to_owned(), halves.clone());
        let place =
            Place { seed, input, agent, binary, rotations: rotations.clone(), halves, tick: plan.tick };
        let mut workers = Vec::new();
        for n in 0..plan.files {
            workers.push(files::start(&place, ledger, n, plan)?);
        }
        for n in 0..plan.containers {
            workers.push(cri::start(&place, ledger, n, plan)?);
        }
        for n in 0..plan.docker {
            workers.push(docker::start(&place, ledger, n, plan)?);
        }
        for n in 0..plan.grpc {
            workers.push(grpc::start(&place, ledger, n)?);
        }
        workers.extend((0..plan.otlp).map(|n| otlp::start(&place, ledger, n)));
        workers.extend((0..plan.traces).map(|n| traces::start(&place, ledger, n)));
        workers.extend((0..plan.metrics).map(|n| metrics::start(&place, ledger, n)));
        workers.extend((0..plan.zipkin).map(|n| zipkin::start(&place, ledger, n)));
        workers.extend((0..plan.ships).map(|n| ship::start(&place, ledger, n)));
        Ok(Self { workers, rotations })
    }

    /// How often a file was renamed so far.
    pub(crate) fn rotations(&self) -> u64 {
        self.rotations.load(Ordering::SeqCst)
    }

    /// Ends them all, and waits for the answers that are still to come.
    pub(crate) fn finish(self) {
        self.workers.iter().for_each(Worker::tell);
        self.workers.into_iter().for_each(Worker::finish);
    }
}

impl Place {
    /// Random numbers of a feed's own.
    fn random(&self, feed: &str) -> SmallRng {
        let mixed = feed.bytes().fold(self.seed, |mixed, byte| mixed.rotate_left(8) ^ u64::from(byte));
        SmallRng::seed_from_u64(mixed)
    }
}

/// A file that is appended to, and now and then renamed.
struct Rotating {
    path: PathBuf,
    file: File,
    rotations: Arc<AtomicU64>,
}

impl Rotating {
    fn open(place: &Place, service: &str) -> std::io::Result<Self> {
        let path = place.input.join(format!("{service}.log"));
        Ok(Self { file: append(&path)?, path, rotations: place.rotations.clone() })
    }

    /// Has written all of it when it returns.
    fn write(&mut self, text: &str) {
        // The input is the oracle's own disk: without it, nothing means anything.
        self.file.write_all(text.as_bytes()).expect("the oracle's own files take bytes");
    }

    fn rotate(&mut self) {
        let turn = self.rotations.fetch_add(1, Ordering::SeqCst);
        std::fs::rename(&self.path, self.path.with_extension(format!("log.{turn}"))).expect("it is renamed");
        self.file = append(&self.path).expect("the oracle's own files can be made");
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Pushes so many events of a feed again and again, until told, and says in the books
/// what became of them. `push` answers for each lot.
fn push_on(feed: &Feed, count: u64, tick: Duration, stop: &Stop, mut push: impl FnMut(Range<u64>) -> Fate) {
    while !stop.wait(tick) {
        let numbers = feed.issue(count);
        let fate = push(numbers.clone());
        feed.settle(numbers, fate);
        if fate != Fate::Owed {
            stop.wait(AWAY);
        }
    }
}

/// What an answer says of what was pushed. Nothing is ever pushed again: neither
/// OTLP nor Zipkin has a number by which a repeat could be told.
fn fate_of(answer: &Result<Answer, NoAnswer>) -> Fate {
    match answer {
        Ok(answer) if answer.is_success() => Fate::Owed,
        // The one answer that does not say whether it is stored.
        Ok(answer) if answer.status == 504 => Fate::Unanswered,
        Ok(_) | Err(NoAnswer::Unsent(_)) => Fate::Refused,
        Err(NoAnswer::Unknown(_)) => Fate::Unanswered,
    }
}
