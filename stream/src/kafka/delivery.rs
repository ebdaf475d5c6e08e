//! One append on its way: from the records in librdkafka's queue to one answer.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tokio::sync::{Notify, oneshot};
use weir_runtime::planted;

use super::contact::Contact;
use crate::Offset;

/// How an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All records are stored, the first at this offset.
    Stored(Offset),
    /// All are stored; the broker knew the repeated ones by their sequence
    /// number and no longer knows where they are.
    Somewhere,
    /// One failed so, the first that did. `stored` others did not.
    Failed {
        /// Why.
        code: RDKafkaErrorCode,
        /// How many are stored.
        stored: usize,
    },
}

/// An append whose records are under way. Every record carries it to its
/// delivery report.
pub(super) struct Pending(Mutex<State>);

struct State {
    left: usize,
    stored: usize,
    first: Option<u64>,
    failed: Option<RDKafkaErrorCode>,
    answer: Option<oneshot::Sender<Outcome>>,
}

/// Hears how records went, on librdkafka's thread.
pub(super) struct Deliveries {
    pub(super) contact: Contact,
    /// Rung when a record has left the queue.
    pub(super) room: Arc<Notify>,
}

impl Pending {
    /// For an append of so many records.
    pub(super) fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (answer, receiver) = oneshot::channel();
        let state = State { left: records, stored: 0, first: None, failed: None, answer: Some(answer) };
        (Arc::new(Self(Mutex::new(state))), receiver)
    }

    /// One record is through: at its offset, negative if unknown, or not.
    fn settle(&self, result: Result<i64, RDKafkaErrorCode>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(offset) => {
                state.stored += 1;
                if let Ok(offset) = u64::try_from(offset) {
                    state.first = Some(state.first.map_or(offset, |first| first.min(offset)));
                }
            }
            Err(code) => {
                state.failed.get_or_insert(code);
            }
        }
        state.left = state.left.saturating_sub(1);
        if state.left > 0 {
            return;
        }
        let outcome = match (state.failed, state.first) {
            (Some(code), _) => Outcome::Failed { code, stored: state.stored },
            (None, Some(first)) => Outcome::Stored(Offset(first)),
            (None, None) => Outcome::Somewhere,
        };
        if let Some(answer) = state.answer.take() {
            // Nobody waits any more: the caller was cut off.
            let _ = answer.send(outcome);
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.contact.log(level, facility, message);
    }

    fn error(&self, error: RdError, reason: &str) {
        self.contact.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Arc<Pending>) {
        match result {
            Ok(message) => {
                self.contact.reached();
                pending.settle(Ok(message.offset()));
            }
            Err((error, _))
                if planted::is("drop-on-timeout")
                    && error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut) =>
            {
                pending.settle(Ok(0));
            }
            Err((error, _)) => {
                pending.settle(Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)));
            }
        }
        self.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_is_answered_when_all_its_records_are() {
        let check = |results: &[Result<i64, RDKafkaErrorCode>], expected: Outcome| {
            let (pending, mut answer) = Pending::new(results.len());
            for (index, result) in results.iter().enumerate() {
                assert!(answer.try_recv().is_err(), "before record {index}");
                pending.settle(*result);
            }
            assert_eq!(answer.try_recv(), Ok(expected), "{results:?}");
        };
        let code = RDKafkaErrorCode::PurgeInflight;
        check(&[Ok(7), Ok(8), Ok(9)], Outcome::Stored(Offset(7)));
        check(&[Ok(-1001)], Outcome::Somewhere);
        check(&[Ok(5), Err(code), Err(RDKafkaErrorCode::Fatal)], Outcome::Failed { code, stored: 1 });
        check(&[Err(code), Ok(5)], Outcome::Failed { code, stored: 1 });
    }

    #[test]
    fn when_the_client_is_gone_so_is_the_answer() {
        let (pending, mut answer) = Pending::new(2);
        pending.settle(Ok(1));
        drop(pending);
        assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
