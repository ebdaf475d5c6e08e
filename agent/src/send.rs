//! The sending side: batches to the event log, in order.
//!
//! While one append waits to be durable, what the reader closes meanwhile
//! gathers, and goes together in the next: one sync for all of it. There is
//! only ever one append under way, so the order in the partition is the lane's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use weir_runtime::Clock;
use weir_runtime::failpoint::{self, Injected};
use weir_stream::{Append, AppendError, Offset, Partition, Record};

use crate::bell::Bell;
use crate::lane::Closed;
use crate::metric::Measured;

/// Bytes of one append.
pub(crate) const APPEND_BYTES: usize = 2 << 20;

/// The first wait before an append is repeated, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// An append that is not answered within this time is told as trouble. It is
/// waited for all the same.
const SILENCE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(10) };

/// Sends the batches of the tailed files' lane.
pub(crate) struct Sender {
    pub(crate) delivery: Delivery,
    pub(crate) batches: UnboundedReceiver<Closed>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) clock: Clock,
}

/// Appends to one partition until it succeeds.
pub(crate) struct Delivery {
    pub(crate) log: Arc<dyn Append>,
    pub(crate) partition: Partition,
    pub(crate) measured: Measured,
    pub(crate) trouble: Trouble,
}

/// Why appends fail at present, if they do. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

/// A log that takes nothing before it is opened anew: the process ends, and
/// whoever watches it starts another.
#[derive(Debug, Error)]
#[error("the event log refuses batches until it is opened anew, the lane cannot go on")]
pub(crate) struct Refused(#[source] AppendError);

impl Sender {
    /// Sends until the reader ends.
    pub(crate) async fn run(mut self) -> Result<(), Refused> {
        while let Some(first) = self.batches.recv().await {
            let mut bytes = first.settles.bytes;
            let mut records = vec![self.record(first)];
            while bytes < APPEND_BYTES
                && let Ok(next) = self.batches.try_recv()
            {
                bytes += next.settles.bytes;
                records.push(self.record(next));
            }
            self.delivery.append(&records).await?;
            drop(failpoint::reach("agent.acknowledge.before"));
            self.bell.acknowledged(records.len());
            drop(failpoint::reach("agent.acknowledge.after"));
        }
        Ok(())
    }

    fn record(&self, closed: Closed) -> Record {
        let timestamp_micros = self.clock.now_micros();
        Record { headers: closed.batch.headers, timestamp_micros, payload: closed.batch.payload }
    }
}

impl Delivery {
    /// Repeats the append until it succeeds. After an unknown outcome the
    /// records may be there twice; who reads them counts by range.
    pub(crate) async fn append(&self, records: &[Record]) -> Result<(), Refused> {
        let mut wait = BACKOFF.0;
        loop {
            let error = match self.answered(records).await {
                Ok(_) => {
                    if self.trouble.set(None) {
                        tracing::info!(partition = %self.partition, "the event log takes batches again");
                    }
                    return Ok(());
                }
                Err(error @ AppendError::Poisoned { .. }) => return Err(Refused(error)),
                Err(error) => error,
            };
            // Ending would not help: the next process met the same batch. The lane
            // waits, and says why, until an operator has raised the limit.
            let advice = match error {
                AppendError::TooLarge { .. } => {
                    "; raise the topic's max.message.bytes, and log.kafka.message_bytes if it is that"
                }
                _ => "",
            };
            self.measured.failed("append");
            self.measured.retries.inc();
            if !self.trouble.set(Some(format!("the event log takes no batches: {error}{advice}"))) {
                tracing::warn!(partition = %self.partition, %error, "the event log takes no batches, trying again{advice}");
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }
}

impl Delivery {
    /// Appends once, and says so when no answer comes.
    async fn answered(&self, records: &[Record]) -> Result<Offset, AppendError> {
        let reason = |failed: Injected| failed.to_string();
        failpoint::reach("agent.append.before")
            .map_err(|failed| AppendError::Unavailable { reason: reason(failed) })?;
        let mut append = self.log.append(&self.partition, records.to_vec());
        let answer = match tokio::time::timeout(SILENCE, &mut append).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = "the event log does not answer: it may be away, or overloaded";
                if !self.trouble.set(Some(text.to_owned())) {
                    tracing::warn!(partition = %self.partition, "{text}; waiting for it");
                }
                append.await
            }
        };
        failpoint::reach("agent.append.after").map_err(|failed| AppendError::Unanswered {
            partition: self.partition.clone(),
            reason: reason(failed),
        })?;
        answer
    }
}

impl Trouble {
    /// The trouble, as text.
    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what it is now. True when there was trouble before.
    pub(crate) fn set(&self, text: Option<String>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, text).is_some()
    }
}
