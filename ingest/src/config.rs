//! What an operator may choose.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_runtime::{ByteSize, HumanDuration};

/// Configuration of the ingester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Live rows are written to files once they take this much memory. Reading
    /// the event log pauses at one and a half times this, until files are
    /// written.
    pub flush_bytes: ByteSize,
    /// Live rows are written to files when the oldest of them has waited this
    /// long.
    pub flush_interval: HumanDuration,
    /// How long a partition stays with an ingester that is no longer heard of.
    pub lease: HumanDuration,
    /// A producer that says nothing for this long, while the event log could be
    /// read, no longer holds back what answers call complete. They go on naming
    /// it.
    pub lane_retires_after: HumanDuration,
    /// How often what the catalog knows beside its files is kept among the
    /// objects, for `weir rebuild-catalog`. One ingester of all does it.
    pub state_interval: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flush_bytes: ByteSize::mib(128),
            flush_interval: HumanDuration(Duration::from_secs(30)),
            lease: HumanDuration(Duration::from_secs(10)),
            lane_retires_after: HumanDuration(Duration::from_secs(600)),
            state_interval: HumanDuration(Duration::from_secs(3600)),
        }
    }
}

/// The least that makes sense; smaller values would turn into busy loops.
const FLUSH_BYTES_MIN: ByteSize = ByteSize::mib(1);
const FLUSH_INTERVAL_MIN: Duration = Duration::from_millis(10);
const LEASE_MIN: Duration = Duration::from_secs(1);
const LANE_RETIRES_AFTER_MIN: Duration = Duration::from_secs(1);
const STATE_INTERVAL_MIN: Duration = Duration::from_secs(1);

impl Config {
    /// Says which key has a value that cannot work, if one has.
    ///
    /// # Errors
    /// The key and the least that it may be.
    pub fn validate(&self) -> Result<(), String> {
        let check = |is_fine: bool, key: &str, least: &dyn std::fmt::Display| {
            if is_fine { Ok(()) } else { Err(format!("ingest.{key} must be at least {least}")) }
        };
        check(self.flush_bytes >= FLUSH_BYTES_MIN, "flush_bytes", &FLUSH_BYTES_MIN)?;
        let interval = HumanDuration(FLUSH_INTERVAL_MIN);
        check(self.flush_interval >= interval, "flush_interval", &interval)?;
        check(self.lease >= HumanDuration(LEASE_MIN), "lease", &HumanDuration(LEASE_MIN))?;
        let retires_after = HumanDuration(LANE_RETIRES_AFTER_MIN);
        check(self.lane_retires_after >= retires_after, "lane_retires_after", &retires_after)?;
        let interval = HumanDuration(STATE_INTERVAL_MIN);
        check(self.state_interval >= interval, "state_interval", &interval)
    }

    /// Live rows at which reading pauses.
    pub(crate) fn pause_bytes(&self) -> usize {
        let flush = self.flush_bytes.as_usize();
        flush.saturating_add(flush / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_have_defaults_and_unknown_keys_are_refused() {
        let config: Config = serde_json::from_str(r#"{"flush_interval":"1s"}"#).expect("valid");
        let expected = Config { flush_interval: HumanDuration(Duration::from_secs(1)), ..Config::default() };
        assert_eq!(config, expected);
        assert!(serde_json::from_str::<Config>(r#"{"flush_byte":"1MiB"}"#).is_err());
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config { lease: HumanDuration(Duration::from_millis(5)), ..Config::default() };
        assert_eq!(config.validate(), Err("ingest.lease must be at least 1s".to_owned()));
        let config = Config { flush_bytes: ByteSize(0), ..Config::default() };
        assert_eq!(config.validate(), Err("ingest.flush_bytes must be at least 1MiB".to_owned()));
    }
}
