//! What was dropped of whom, in whole tens of seconds: what one log record
//! says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Rate, Subject};

/// How often losses are told.
pub(super) const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Pods and reasons that are told apart at a time. What is beyond is told
/// without a name.
const SUBJECTS_MAX: usize = 1_000;

/// Drops since they were last told.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    held: BTreeMap<(Arc<Subject>, &'static str), Tally>,
    since: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    lines: u64,
    bytes: u64,
    rate: Option<Rate>,
}

/// What was dropped of one pod for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Whose lines they were.
    pub(crate) subject: Arc<Subject>,
    /// A word of [`weir_proto::model::drop_reason`].
    pub(crate) reason: &'static str,
    /// How many lines.
    pub(crate) lines: u64,
    /// Their bytes in the file.
    pub(crate) bytes: u64,
    /// The pod's own limit, where one is set.
    pub(crate) rate: Option<Rate>,
    /// The time in which it was.
    pub(crate) within: Duration,
}

impl Losses {
    pub(super) fn count(
        &mut self,
        subject: &Arc<Subject>,
        reason: &'static str,
        rate: Option<Rate>,
        bytes: u64,
    ) {
        let key = (Arc::clone(subject), reason);
        let is_full = self.held.len() >= SUBJECTS_MAX && !self.held.contains_key(&key);
        let key = if is_full { (Arc::default(), reason) } else { key };
        let tally = self.held.entry(key).or_default();
        tally.lines += 1;
        tally.bytes += bytes;
        tally.rate = rate;
    }

    pub(super) fn take(&mut self, now: Duration) -> Vec<Loss> {
        if now < self.since + TELL_INTERVAL {
            return Vec::new();
        }
        let within = now - self.since;
        self.since = now;
        let losses = std::mem::take(&mut self.held).into_iter();
        let loss = |((subject, reason), Tally { lines, bytes, rate })| Loss {
            subject,
            reason,
            lines,
            bytes,
            rate,
            within,
        };
        losses.map(loss).collect()
    }

    pub(super) fn give_back(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            let tally = self.held.entry((loss.subject, loss.reason)).or_default();
            tally.lines += loss.lines;
            tally.bytes += loss.bytes;
            tally.rate = tally.rate.or(loss.rate);
        }
    }
}

impl Loss {
    /// One sentence for people.
    pub(crate) fn describe(&self) -> String {
        let why = match self.rate {
            Some(rate) => format!("over the limit of {}", rate.describe()),
            None => self.reason.replace('_', " "),
        };
        let Self { subject, lines, .. } = self;
        let (size, seconds) = (size(self.bytes), self.within.as_secs());
        format!("dropped {lines} lines ({size}) of {subject} in {seconds} s: {why}")
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
