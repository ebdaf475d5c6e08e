//! What is more than a pod or a namespace may send, and what is sampled out.
//!
//! The last of four resorts: batches in flight are bounded, beyond them reading
//! stops and the file is the buffer, what rotates away is saved; only what the
//! operator declared to be too much is dropped, newest first, and counted.
//!
//! ```text
//! record -> Limiter::judge -> lane (a row)
//!                |
//!                +-> lane (one drop per source, reason and batch) + Losses (one log record per pod and 10 s)
//! ```
//!
//! # Exactly once
//!
//! A limit depends on time, so a replay may decide otherwise than the process
//! that died. Three cases, by what an ingester has of the record's batch:
//!
//! - It has it. The record is covered, whether it was a row or dropped then: if
//!   it comes again as a row it is a duplicate, and if it comes again as a drop
//!   the drop begins in what is covered and is not counted again. The first
//!   decision stands.
//! - It does not have it. The first decision was told to nobody; the second
//!   stands.
//! - It has the batch that held the beginning of a run of drops, and the replay
//!   made one run of it and of what follows. It would be passed over as a
//!   whole, and its end would be lost without a word.
//!
//! So that the third cannot be, [`Gate`] keeps a *reach* for each source in the
//! checkpoint: no record that ends beyond it was ever sent. It is raised, and
//! durable, before a record beyond it is sent, by [`REACH_BYTES`] at once, so
//! that it costs one sync for as many bytes. Without limits none is kept; a
//! process that has limits and finds none takes all that stands in the file for
//! sent. After a restart nothing below the
//! reach is dropped: there a record is a row, which is either new or a
//! duplicate. What is above was never sent, so no run lies across the end of
//! what is covered, and every count is exact.
//!
//! Sampling decides by the record's place alone, and redaction (`crate::redact`)
//! by its text, so a replay decides alike; their runs need the reach all the
//! same. Below it, what redaction would drop is masked.

mod config;
mod gcra;
mod loss;
mod sample;
mod subject;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_proto::model::{SourceId, drop_reason};

use crate::checkpoint::StreamEntry;
use crate::frame::{Frame, Stream};
use crate::tail::Moment;
use crate::{Share, StartError};

pub(crate) use config::configured;
pub use config::{LimitOverride, LimitsConfig, RateLimit};
pub(crate) use gcra::{Cost, Meter, Rate, written_at};
pub(crate) use loss::{Loss, Losses};
pub(crate) use sample::keeps;
pub(crate) use subject::Subject;

/// By how much a reach is raised at once: what may pass unlimited after a
/// restart, for each source.
const REACH_BYTES: u64 = 1 << 20;

/// Meters that nothing passed for a while are forgotten this often; they are
/// full then, as new ones are.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Decides about records, pod by pod and namespace by namespace.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    policies: config::Policies,
    /// By what pods and containers ask for themselves.
    asked: HashMap<Arc<Subject>, Meter>,
    pods: HashMap<Arc<Subject>, Meter>,
    namespaces: HashMap<Arc<str>, Meter>,
    losses: Losses,
    next_sweep: Duration,
}

/// What a source asks for itself, by its pod's annotations. It may only be less
/// than what the configuration lets pass: that holds all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Beside the limits of the pod and of the namespace.
    pub(crate) limit: Option<Rate>,
    /// That limit is the container's own, and not its pod's.
    pub(crate) is_own: bool,
    /// The share of lines that is kept.
    pub(crate) sample: Option<Share>,
}

/// What holds for one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// Who writes it; nothing before its first record.
    subject: Option<Arc<Subject>>,
    /// Whose limit that is.
    limited: Arc<Subject>,
    namespace: Option<Arc<str>>,
    /// Whose limit is asked for.
    asked_by: Arc<Subject>,
    asked_rate: Option<Rate>,
    pod_rate: Option<Rate>,
    namespace_rate: Option<Rate>,
    sample: Option<Share>,
    /// For each stream: no record that ends beyond it was sent.
    reach: [u64; 3],
    /// The reach that an earlier process left: nothing below is dropped.
    spared: [u64; 3],
    /// Streams that an earlier process sent without noting a reach.
    unbounded: [bool; 3],
    /// Records may be dropped for what is in them.
    by_content: bool,
}

/// What was decided of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Why it is dropped, if it is.
    pub(crate) refused: Option<&'static str>,
    /// The gate must be durable before anything more is sent.
    pub(crate) is_undurable: bool,
    /// It may be left out for what is in it: nobody was sent it before.
    pub(crate) is_droppable: bool,
}

impl Limiter {
    /// A limiter for what is configured.
    ///
    /// # Errors
    /// [`StartError::Limits`].
    pub(crate) fn new(config: &LimitsConfig) -> Result<Self, StartError> {
        Ok(Self { policies: config::Policies::new(config)?, ..Self::default() })
    }

    /// Decides by what another was told. What the meters hold stays.
    pub(crate) fn adopt(&mut self, told: Self) {
        self.policies = told.policies;
    }

    /// Says what holds for a file that `subject` writes.
    pub(crate) fn admit(&self, gate: &mut Gate, subject: Arc<Subject>, asked: Asked) {
        let policy = self.policies.of(&subject);
        gate.pod_rate = policy.pod;
        gate.namespace_rate = policy.namespace;
        let samples = [asked.sample, policy.sample].into_iter().flatten();
        // Which lines a share keeps, a larger share keeps as well.
        gate.sample = samples.min_by(|a, b| a.get().total_cmp(&b.get())).filter(|share| !share.is_all());
        gate.namespace = subject.namespace.as_deref().map(Arc::from);
        gate.limited = Arc::new(subject.limited());
        gate.asked_rate = asked.limit;
        gate.asked_by = if asked.is_own { Arc::clone(&subject) } else { Arc::clone(&gate.limited) };
        gate.subject = Some(subject);
    }

    /// Decides about a record of the file behind `gate`.
    pub(crate) fn judge(
        &mut self,
        gate: &mut Gate,
        source: SourceId,
        frame: &Frame<'_>,
        now: Moment,
    ) -> Judgement {
        if gate.is_open() {
            let is_undurable = gate.forget(frame.stream);
            return Judgement { refused: None, is_undurable, is_droppable: false };
        }
        let is_undurable = gate.raise(frame.stream, frame.range.end);
        let is_spared = frame.range.start < gate.spared[frame.stream.index()];
        let refused = if is_spared { None } else { self.refuses(gate, source, frame, now) };
        if let Some(reason) = refused {
            let rate =
                (reason == drop_reason::RATE_LIMITED).then_some(gate.asked_rate.or(gate.pod_rate)).flatten();
            self.losses.count(&gate.limited, reason, rate, frame.range.len());
        }
        Judgement { refused, is_undurable, is_droppable: gate.by_content && !is_spared }
    }

    /// Counts a record that was dropped for another reason than its limits.
    pub(crate) fn dropped(&mut self, gate: &Gate, reason: &'static str, bytes: u64) {
        self.losses.count(&gate.limited, reason, None, bytes);
    }

    /// What was dropped since this was last asked, once in a while.
    pub(crate) fn take_losses(&mut self, now: Moment) -> Vec<Loss> {
        self.sweep(now.steady);
        self.losses.take(now.steady)
    }

    /// Nobody took the losses: they are told with the next.
    pub(crate) fn give_back(&mut self, losses: Vec<Loss>) {
        self.losses.give_back(losses);
    }

    fn refuses(
        &mut self,
        gate: &Gate,
        source: SourceId,
        frame: &Frame<'_>,
        now: Moment,
    ) -> Option<&'static str> {
        if gate.sample.is_some_and(|share| !keeps(source, frame.range.start, share)) {
            return Some(drop_reason::SAMPLED);
        }
        let at = written_at(frame.timestamp_nanos, now);
        let cost = Cost { lines: 1, bytes: frame.range.len() };
        let asked = gate.asked_rate;
        let asked = asked.map(|rate| (rate, self.asked.entry(Arc::clone(&gate.asked_by)).or_default()));
        let namespace = gate.namespace_rate.zip(gate.namespace.as_ref());
        let pod = gate.pod_rate.map(|rate| (rate, self.pods.entry(Arc::clone(&gate.limited)).or_default()));
        let namespace =
            namespace.map(|(rate, name)| (rate, self.namespaces.entry(Arc::clone(name)).or_default()));
        let mut meters = [asked, pod, namespace];
        // Charged only where all have room: one limit must not use up another.
        let has_room = meters.iter_mut().flatten().all(|(rate, meter)| meter.has_room(rate, cost, at));
        if !has_room {
            return Some(drop_reason::RATE_LIMITED);
        }
        for (rate, meter) in meters.into_iter().flatten() {
            meter.charge(&rate, cost);
        }
        None
    }

    fn sweep(&mut self, now: Duration) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        self.asked.retain(|_, meter| !meter.is_full(now));
        self.pods.retain(|_, meter| !meter.is_full(now));
        self.namespaces.retain(|_, meter| !meter.is_full(now));
    }
}

impl Gate {
    /// A gate as the checkpoint has it.
    pub(crate) fn restore(streams: &[StreamEntry]) -> Self {
        let mut gate = Self::default();
        for held in streams {
            gate.spared[held.stream.index()] = held.reach;
            gate.reach[held.stream.index()] = held.reach;
            gate.unbounded[held.stream.index()] = held.reach == 0;
        }
        gate
    }

    /// The file was opened and has `size` bytes. An earlier process that had no
    /// limits may have sent all of them.
    pub(crate) fn opened(&mut self, size: u64) {
        for stream in Stream::ALL.map(Stream::index) {
            if std::mem::take(&mut self.unbounded[stream]) {
                self.spared[stream] = size;
                // So it is for whoever comes after this process.
                self.reach[stream] = self.reach[stream].max(size);
            }
        }
    }

    /// What holds for the file is asked anew with its next record.
    pub(crate) fn reopen(&mut self) {
        self.subject = None;
    }

    /// Who writes the file, once a record was read.
    pub(crate) fn subject(&self) -> Option<&Arc<Subject>> {
        self.subject.as_ref()
    }

    /// What the checkpoint keeps for a stream; 0: nothing is known.
    pub(crate) fn reach(&self, stream: Stream) -> u64 {
        self.reach[stream.index()]
    }

    /// Records of the file may be dropped for what is in them, or not.
    pub(crate) fn drop_by_content(&mut self, may: bool) {
        self.by_content = may;
    }

    /// Nothing is ever dropped.
    fn is_open(&self) -> bool {
        let rates = [self.asked_rate, self.pod_rate, self.namespace_rate];
        !self.by_content && rates.iter().all(Option::is_none) && self.sample.is_none()
    }

    /// Nothing is limited any more, so no reach is kept. True when that is to be
    /// made durable first.
    fn forget(&mut self, stream: Stream) -> bool {
        std::mem::take(&mut self.reach[stream.index()]) > 0
    }

    /// Takes note that a record that ends at `end` may be sent. True when that
    /// is to be made durable first.
    fn raise(&mut self, stream: Stream, end: u64) -> bool {
        let reach = &mut self.reach[stream.index()];
        if end <= *reach {
            return false;
        }
        *reach = end.saturating_add(REACH_BYTES);
        true
    }
}
