//! What may be set, and what holds when nothing is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_runtime::{ByteSize, HumanDuration};

/// The limits of questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hard memory limit of the query process. Questions share 60 % of it; the
    /// rest is for live rows, file footers and answers on their way.
    pub memory: ByteSize,
    /// A question that takes longer, its answer's way to the client included,
    /// is ended.
    pub deadline: HumanDuration,
    /// Rows of a JSON answer; what is beyond is cut and the answer says so.
    /// The other formats stream and are not cut.
    pub max_rows: usize,
    /// An answer of any format that grows beyond this is broken off.
    pub max_answer_bytes: ByteSize,
    /// Questions that run at once.
    pub concurrency: usize,
    /// Questions that wait for their turn; one more is refused.
    pub waiting: usize,
    /// Bytes that all questions together may spill; 0 turns spilling off.
    pub spill: ByteSize,
    /// Whether Zipkin's API tells traces apart by all 128 bits of their ids, or
    /// only by the right 64, which are all that older tracers pass on.
    pub strict_trace_id: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(1024),
            deadline: HumanDuration(Duration::from_secs(30)),
            max_rows: 100_000,
            max_answer_bytes: ByteSize::mib(256),
            concurrency: 4,
            waiting: 16,
            spill: ByteSize::mib(4096),
            strict_trace_id: true,
        }
    }
}

/// The least that a worker needs before its first question.
const MEMORY_MIN: ByteSize = ByteSize::mib(128);

impl Config {
    /// Says which key has a value that cannot work, if one has.
    ///
    /// # Errors
    /// The key and the least that it may be.
    pub fn validate(&self) -> Result<(), String> {
        if self.memory < MEMORY_MIN {
            return Err(format!("query.memory is {}: it must be at least {MEMORY_MIN}", self.memory));
        }
        if self.concurrency == 0 || self.max_rows == 0 || self.deadline.0.is_zero() {
            return Err("query.concurrency, query.max_rows and query.deadline must not be 0".to_owned());
        }
        Ok(())
    }

    /// What sorts, joins and groups of all questions may hold together.
    pub(crate) fn pool_bytes(&self) -> usize {
        self.memory.as_usize() / 10 * 6
    }

    /// What the footers of files may take: an eighth, but never less than what
    /// makes repeated questions cheap.
    pub(crate) fn footer_cache_bytes(&self) -> usize {
        (self.memory.as_usize() / 8).max(1 << 20)
    }
}
