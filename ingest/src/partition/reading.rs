//! Reading a partition that is ours: messages are read ahead while those before
//! are decoded and parsed, and once a second it is looked whether the log has
//! more.

use std::time::Duration;

use tokio::time::Instant;
use weir_proto::DecodeError;
use weir_proto::model::{ByteRange, drop_reason};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{TaskError, failpoint, planted};
use weir_storage::catalog::Progress;
use weir_stream::{Offset, ReadError, ReadLimit, StoredRecord};

use super::anchor::Anchored;
use super::{BACKOFF, Ended, Reader};
use crate::accept::{Accepted, Halt, Intake, Unsupported};
use crate::backoff::Backoff;
use crate::live::Term;

/// Payload bytes of one read. Messages are about 100 KB, so a read is a few of
/// them: tens of milliseconds of work.
const READ_BYTES: usize = 512 << 10;

/// How long a read waits for something new.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How often a message of a newer version is looked at again.
const UPGRADE_WAIT: Duration = Duration::from_secs(5);

/// How often the log's end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// So many reads that wait in vain for an offset below what was the log's end
/// say that nothing lies there: a transaction's end, or what was compacted away.
const VAIN_READS: u32 = 3;

/// Looks where the log ends, and notices when reading has come that far.
#[derive(Default)]
struct Lookout {
    looked: Option<Instant>,
    goal: Option<Goal>,
}

/// Where the log ended at a time.
struct Goal {
    at_micros: i64,
    end: Offset,
    vain_reads: u32,
}

impl Reader {
    /// Reads and accepts, message after message.
    pub(super) async fn read_on(
        &self,
        term: &Term,
        mut intake: Intake,
        progress: &Progress,
    ) -> Result<Ended, TaskError> {
        let mut from = Offset(progress.next_offset.unwrap_or(0));
        let mut anchored = Anchored::at(progress.anchor);
        if let Some(replaced) = self.is_replaced(&mut anchored).await {
            return Ok(replaced);
        }
        // At first without waiting: an empty partition is read at once.
        let mut read = self.read(from, Duration::ZERO).await;
        // What is stored already may go, also where an earlier process kept it: by a
        // setting, or because it died. Not before it is certain that this is the log
        // that it was stored from.
        if read.is_ok()
            && let Err(error) = self.shared.log.trim(&self.partition, from).await
        {
            tracing::warn!(partition = %self.partition, error = error_chain(&error), "the event log keeps what is stored");
        }
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut lookout = Lookout::default();
        loop {
            let messages = match read {
                Ok(messages) => messages,
                Err(error) => match self.gap(&error) {
                    Some(accepted) => {
                        from = Offset(accepted.next);
                        self.shared.live.append(term, vec![accepted]);
                        Vec::new()
                    }
                    None if matches!(error, ReadError::AboveEnd { .. }) => {
                        return Ok(self.replaced(&error_chain(&error)));
                    }
                    None => {
                        self.wrong(&error_chain(&error), tracing::Level::ERROR);
                        backoff.wait().await;
                        // What is there afterwards may be another log.
                        if let Some(replaced) = self.is_replaced(&mut anchored).await {
                            return Ok(replaced);
                        }
                        read = self.read(from, READ_WAIT).await;
                        continue;
                    }
                },
            };
            backoff.reset();
            let is_vain = messages.is_empty();
            anchored.heard();
            if let Some(last) = messages.last() {
                from = last.offset.next();
                if anchored.is_due() {
                    if let Some(replaced) = self.is_replaced(&mut anchored).await {
                        return Ok(replaced);
                    }
                    // Read before that look, so of the same log.
                    self.shared.live.set_anchor(term, anchored.move_to(last));
                }
            }
            let accept = async {
                let accepted = self.accept(term, intake, messages).await?;
                if accepted.1.is_ok() {
                    lookout.look(self, term, from, is_vain).await;
                }
                Ok::<_, TaskError>(accepted)
            };
            let (accepted, ahead) = futures::join!(accept, self.read_ahead(from));
            let outcome;
            (intake, outcome) = accepted?;
            match outcome {
                Ok(()) => {
                    self.fine();
                    read = ahead;
                }
                Err(unsupported) => {
                    self.shared.live.halted(term);
                    self.wrong(&error_chain(&unsupported), tracing::Level::ERROR);
                    tokio::time::sleep(UPGRADE_WAIT).await;
                    from = Offset(unsupported.offset);
                    read = self.read(from, READ_WAIT).await;
                }
            }
        }
    }

    /// Decodes and parses on a thread that may be held, then shows the rows.
    async fn accept(
        &self,
        term: &Term,
        mut intake: Intake,
        mut messages: Vec<StoredRecord>,
    ) -> Result<(Intake, Result<(), Unsupported>), TaskError> {
        loop {
            if messages.is_empty() {
                return Ok((intake, Ok(())));
            }
            let permit = self.shared.cores.clone().acquire_owned().await?;
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let (accepted, halt) = intake.accept_all(&messages);
                (intake, messages, accepted, halt)
            });
            let (back, mut all, accepted, halt) = work.await?;
            intake = back;
            let mut rest = all.split_off(accepted.len());
            self.shared.live.append(term, accepted);
            match halt {
                None => return Ok((intake, Ok(()))),
                Some(Halt::Unsupported(unsupported)) => return Ok((intake, Err(unsupported))),
                Some(Halt::Undecodable(error)) => {
                    let message = rest.remove(0);
                    messages = rest;
                    if planted::is("skip-dead-letter") {
                        continue;
                    }
                    self.put_away(term, &message, &error).await;
                    let now_micros = self.shared.handles.clock.now_micros();
                    let lost = Accepted::undecodable(&self.partition, &message, now_micros);
                    self.shared.live.append(term, vec![lost]);
                }
            }
        }
    }

    /// Puts a message among the dead letters. While they are out of reach the
    /// partition waits; what can never be kept is named and given up.
    async fn put_away(&self, term: &Term, message: &StoredRecord, error: &DecodeError) {
        let (partition, offset) = (&self.partition, message.offset.0);
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        self.shared.metrics.undecodable.inc();
        self.shared.metrics.lost(drop_reason::UNDECODABLE, None);
        loop {
            let now_micros = self.shared.handles.clock.now_micros();
            match self.shared.letters.keep(partition, message, &error_chain(error), now_micros).await {
                Ok(place) => {
                    self.shared.metrics.dead_letters.inc();
                    tracing::error!(%partition, offset, %error, place, "undecodable message kept");
                    return;
                }
                Err(failure) if failure.is_retryable() => {
                    self.shared.metrics.dead_letter_failures.inc();
                    self.shared.live.halted(term);
                    let why = format!("undecodable message at offset {offset}: {}", error_chain(&failure));
                    self.wrong(&why, tracing::Level::ERROR);
                    backoff.wait().await;
                }
                Err(failure) => {
                    self.shared.metrics.dead_letter_failures.inc();
                    let failure = error_chain(&failure);
                    tracing::error!(%partition, offset, %error, failure,
                        "undecodable message, and it could not be kept");
                    return;
                }
            }
        }
    }

    async fn read_ahead(&self, from: Offset) -> Result<Vec<StoredRecord>, ReadError> {
        self.shared.live.room(self.shared.pause_bytes).await;
        self.read(from, READ_WAIT).await
    }

    async fn read(&self, from: Offset, wait: Duration) -> Result<Vec<StoredRecord>, ReadError> {
        failpoint::reach("ingest.read.before")?;
        let read = self.shared.log.read(&self.partition, from, ReadLimit { bytes: READ_BYTES, wait }).await?;
        failpoint::reach("ingest.read.after")?;
        Ok(read)
    }

    /// Offsets that the log no longer has, as a loss to record; none when the
    /// error is of another kind. Offsets that it never gave a message are not
    /// among them: reading just goes on behind them.
    fn gap(&self, error: &ReadError) -> Option<Accepted> {
        let (offsets, reason) = match error {
            ReadError::BelowStart { from, start, .. } => {
                (ByteRange::new(from.0, start.0), drop_reason::LOG_GAP)
            }
            ReadError::Corrupt { from, next, .. } => {
                (ByteRange::new(from.0, next.0), drop_reason::LOG_CORRUPT)
            }
            _ => return None,
        };
        self.shared.metrics.lost(reason, None);
        tracing::error!(partition = %self.partition, error = error_chain(error), "messages lost, going on behind them");
        let now_micros = self.shared.handles.clock.now_micros();
        Some(Accepted::lost(&self.partition, offsets, reason, now_micros))
    }
}

impl Lookout {
    /// All below `from` is taken in; the last read was in vain or not. A log that
    /// does not say where it ends says nothing, and neither do we.
    async fn look(&mut self, reader: &Reader, term: &Term, from: Offset, is_vain: bool) {
        if let Some(goal) = &mut self.goal {
            goal.vain_reads += u32::from(is_vain);
        }
        self.reach(reader, term, from);
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL);
        if self.goal.is_some() || !is_due {
            return;
        }
        self.looked = Some(Instant::now());
        let at_micros = reader.shared.handles.clock.now_micros();
        match reader.shared.log.watermarks(&reader.partition).await {
            Ok(marks) => self.goal = Some(Goal { at_micros, end: marks.end, vain_reads: 0 }),
            Err(error) => {
                tracing::debug!(partition = %reader.partition, error = error_chain(&error), "log's end unknown");
            }
        }
        self.reach(reader, term, from);
    }

    fn reach(&mut self, reader: &Reader, term: &Term, from: Offset) {
        let is_there = |goal: &mut Goal| from >= goal.end || goal.vain_reads >= VAIN_READS;
        if let Some(goal) = self.goal.take_if(is_there) {
            reader.shared.live.caught_up(term, goal.at_micros);
        }
    }
}
