//! Whether the brokers are within reach, as librdkafka tells; and its own
//! words, on their way to `tracing`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};

use super::metrics::KafkaMetrics;

/// What is known of the brokers. Cloning shares.
#[derive(Clone)]
pub(super) struct Contact {
    brokers: Arc<str>,
    state: Arc<Mutex<State>>,
    metrics: KafkaMetrics,
}

#[derive(Default)]
struct State {
    /// The last trouble with a connection, whichever.
    trouble: Option<String>,
    /// No broker could be reached, and nothing came since.
    is_away: bool,
}

impl Contact {
    pub(super) fn new(brokers: &str, metrics: KafkaMetrics) -> Self {
        Self { brokers: brokers.into(), state: Arc::default(), metrics }
    }

    /// Where the brokers are.
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A broker answered.
    pub(super) fn reached(&self) {
        let mut state = self.state();
        if std::mem::take(&mut *state).is_away {
            tracing::info!(brokers = self.brokers(), "Kafka is within reach again");
        }
    }

    /// No broker answers.
    pub(super) fn lost(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_away, true) {
            self.metrics.away.inc();
            let why = state.trouble.as_deref().unwrap_or("no answer");
            tracing::warn!(brokers = self.brokers(), why, "Kafka is out of reach, trying again");
        }
    }

    /// No broker was reached when it was last tried.
    pub(super) fn is_away(&self) -> bool {
        self.state().is_away
    }

    /// Why a request failed: the connection's trouble where it has one, it says
    /// more than that nothing came.
    pub(super) fn reason(&self, error: &RdError) -> String {
        let code = error.rdkafka_error_code();
        let trouble = self.state().trouble.clone();
        match (is_silence(code), trouble) {
            (true, Some(trouble)) => format!("{}: {trouble}", self.brokers()),
            (true, None) => {
                format!(
                    "{}: no answer; is it a Kafka, and does it speak TLS or not as configured?",
                    self.brokers()
                )
            }
            (false, _) => code.map_or_else(|| error.to_string(), |code| code.to_string()),
        }
    }

    fn trouble(&self, code: RDKafkaErrorCode, reason: &str) {
        match code {
            RDKafkaErrorCode::AllBrokersDown => self.lost(),
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::Authentication => {
                self.state().trouble = Some(without_thread(reason).to_owned());
            }
            // Of one partition or topic: whoever asked for it is told.
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code says that nothing came, and not what a broker said.
pub(super) fn is_silence(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(
        code,
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NetworkException
                | RDKafkaErrorCode::BrokerNotAvailable
        )
    )
}

/// `[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: Connect ...`
/// begins with where in librdkafka it happened.
fn without_thread(reason: &str) -> &str {
    match reason.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, rest)) => rest,
        None => reason,
    }
}

impl ClientContext for Contact {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = without_thread(message);
        // Its errors are of connections, which it mends; what is lasting is told
        // by whoever cannot go on.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::info!(target: "librdkafka", facility, message);
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, message);
            }
        }
    }

    fn error(&self, error: RdError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.trouble(code, reason);
        }
    }
}

impl ConsumerContext for Contact {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_without_librdkafkas_threads() {
        let check = |reason, expected| assert_eq!(without_thread(reason), expected);
        check(
            "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: refused",
            "127.0.0.1:1/bootstrap: refused",
        );
        check("1/1 brokers are down", "1/1 brokers are down");
        check("[thrd:odd", "[thrd:odd");
    }
}
