//! This host's clock: whether somebody keeps it right, and how it stands to a
//! broker's.
//!
//! Kafka's protocol has no time but in what was written: only a topic whose
//! records get the broker's time tells it. So that is asked for with `--probe`.

use std::path::Path;
use std::time::Duration;

use weir_proto::model::SourceId;
use weir_runtime::Handles;
use weir_stream::Topic;
use weir_stream::kafka::{ClockSeen, KafkaLog};

use super::{Allowed, Finding};
use crate::config::Config;

/// Beyond it, times of different hosts can no longer be put in order by people.
const SKEW_WARN: Duration = Duration::from_secs(1);

/// Beyond it, rules and retention go by wrong times.
const SKEW_FAIL: Duration = Duration::from_secs(60);

/// What says that a daemon has set the clock: systemd-timesyncd's mark, and the
/// sockets and files that chrony and ntpd have while they run.
const KEEPERS: [(&str, &str); 4] = [
    ("/run/systemd/timesync/synchronized", "systemd-timesyncd has set it"),
    ("/run/chrony/chronyd.pid", "chronyd runs"),
    ("/run/chronyd.pid", "chronyd runs"),
    ("/run/ntpd.pid", "ntpd runs"),
];

pub(super) async fn look(config: &Config, allowed: Allowed) -> Vec<Finding> {
    let keeper = KEEPERS.iter().find(|(path, _)| Path::new(path).exists()).map(|(_, words)| *words);
    vec![kept(keeper), broker(config, allowed).await]
}

fn kept(keeper: Option<&str>) -> Finding {
    const CHECK: &str = "clock";
    match keeper {
        Some(words) => Finding::ok(CHECK, words),
        None => Finding::skip(
            CHECK,
            "whether it is kept right cannot be seen from here",
            "run chrony or systemd-timesyncd; in a container it is the host's clock",
        ),
    }
}

async fn broker(config: &Config, allowed: Allowed) -> Finding {
    const CHECK: &str = "clock of kafka";
    if config.log.kafka.brokers.is_empty() {
        return Finding::skip(CHECK, "not used", "");
    }
    if !allowed.probe {
        let found = "not checked: brokers tell their time only to who writes";
        let advice = "--probe creates a topic, writes a record, and deletes the topic";
        return Finding::skip(CHECK, found, advice);
    }
    match see(config).await {
        Ok(seen) => judge(seen),
        Err(why) => Finding::warn(
            CHECK,
            format!("not checked: {why}"),
            "allow this user to create and delete topics, or leave out --probe",
        ),
    }
}

async fn see(config: &Config) -> Result<ClockSeen, String> {
    let handles = Handles::new("doctor");
    let name = format!("{}.doctor-{}", config.log.topic_prefix, SourceId::generate());
    let topic = Topic::new(&name).map_err(|error| error.to_string())?;
    let log = KafkaLog::open(config.log.kafka.clone(), &handles).map_err(|error| error.to_string())?;
    let seen = log.see_clock(&topic).await;
    handles.shutdown.begin();
    seen
}

fn judge(ClockSeen { ahead_micros, uncertainty_micros }: ClockSeen) -> Finding {
    const CHECK: &str = "clock of kafka";
    let off = Duration::from_micros(ahead_micros.unsigned_abs());
    let side = if ahead_micros < 0 { "ahead of" } else { "behind" };
    let found = format!(
        "this host is {} ms {side} the broker's, give or take {} ms",
        off.as_millis(),
        uncertainty_micros / 1000
    );
    let sure = off.saturating_sub(Duration::from_micros(uncertainty_micros.unsigned_abs()));
    let advice = "look which of the two is wrong, and run chrony or systemd-timesyncd there";
    match sure {
        sure if sure >= SKEW_FAIL => Finding::fail(CHECK, found, advice),
        sure if sure >= SKEW_WARN => Finding::warn(CHECK, found, advice),
        _ => Finding::ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_clock_is_wrong_only_by_what_is_sure() {
        let check = |ahead_micros, uncertainty_micros, outcome, words: &str| {
            let finding = judge(ClockSeen { ahead_micros, uncertainty_micros });
            assert_eq!(finding.outcome, outcome, "{finding:?}");
            assert!(finding.found.contains(words), "{finding:?}");
        };
        check(-3_000, 2_000, Outcome::Ok, "3 ms ahead of");
        check(1_500_000, 2_000, Outcome::Warn, "1500 ms behind");
        check(1_500_000, 900_000, Outcome::Ok, "give or take 900 ms");
        check(-120_000_000, 2_000, Outcome::Fail, "120000 ms ahead of");
        assert_eq!((kept(None).outcome, kept(Some("chronyd runs")).outcome), (Outcome::Skip, Outcome::Ok));
    }
}
