//! Kafka: who answers, and whether the topics serve.

use std::collections::BTreeMap;

use weir_runtime::Handles;
use weir_stream::kafka::{BootstrapSeen, KafkaConfig, KafkaError, KafkaLog, TopicSeen, TopicSpec, bootstrap};

use super::Finding;
use crate::config::Config;
use crate::role::log::Topics;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let kafka = &config.log.kafka;
    if kafka.brokers.is_empty() {
        let found = "not used: the event log is on this disk";
        return vec![Finding::skip("kafka", found, "")];
    }
    match see(config).await {
        Ok((brokers, topics)) => {
            let mut findings = judge_brokers(kafka, &brokers);
            findings.extend(topics.iter().map(|(spec, seen)| judge_topic(kafka, spec, seen)));
            findings
        }
        Err(error) => vec![Finding::fail("kafka", error.to_string(), "mend log.kafka")],
    }
}

type Topic = (TopicSpec, Result<TopicSeen, KafkaError>);

async fn see(config: &Config) -> anyhow::Result<(Vec<BootstrapSeen>, Vec<Topic>)> {
    let kafka = &config.log.kafka;
    let topics = Topics::of_prefix(&config.log.topic_prefix)?;
    let brokers = bootstrap(kafka, &topics.logs).await?;
    let mut seen = Vec::new();
    // Without a broker each topic would only say so again, after a while.
    if brokers.iter().any(|broker| broker.trouble.is_none()) {
        let handles = Handles::new("doctor");
        let log = KafkaLog::open(kafka.clone(), &handles)?;
        for topic in topics.all() {
            let spec = TopicSpec { topic, partitions: config.log.partitions };
            let topic = log.see_topic(&spec).await;
            seen.push((spec, topic));
        }
        handles.shutdown.begin();
    }
    Ok((brokers, seen))
}

fn judge_brokers(kafka: &KafkaConfig, brokers: &[BootstrapSeen]) -> Vec<Finding> {
    const CHECK: &str = "kafka broker";
    let any_answers = brokers.iter().any(|broker| broker.trouble.is_none());
    let how = match (kafka.tls.enabled, kafka.sasl.mechanism.name()) {
        (false, "") => "without TLS, without signing in".to_owned(),
        (true, "") => "with TLS, without signing in".to_owned(),
        (tls, mechanism) => format!("{} TLS, {mechanism}", if tls { "with" } else { "without" }),
    };
    let finding = |broker: &BootstrapSeen| match &broker.trouble {
        None => Finding::ok(
            CHECK,
            format!("{} answers within {} ms ({how})", broker.address, broker.took.as_millis()),
        ),
        Some(trouble) => {
            let found = format!("{} does not answer ({how}): {trouble}", broker.address);
            let advice = "look whether it runs, whether its name and port are reachable from here, \
                          and whether log.kafka.tls and log.kafka.sasl are as it wants them";
            // One that answers is enough to learn the others.
            if any_answers {
                Finding::warn(CHECK, found, advice)
            } else {
                Finding::fail(CHECK, found, advice)
            }
        }
    };
    brokers.iter().map(finding).collect()
}

fn judge_topic(kafka: &KafkaConfig, spec: &TopicSpec, seen: &Result<TopicSeen, KafkaError>) -> Finding {
    const CHECK: &str = "kafka topic";
    let (topic, asked) = (&spec.topic, spec.partitions);
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            return Finding::fail(CHECK, format!("{topic} cannot be looked at: {error}"), "see kafka broker");
        }
    };
    let Some(partitions) = seen.partitions else {
        return absent(kafka, spec);
    };
    let (replicas, in_sync) = (seen.replicas, seen.in_sync);
    let Some(settings) = &seen.settings else {
        let found =
            format!("{topic}: {partitions} partitions, {replicas} copies; its settings cannot be seen");
        return Finding::warn(CHECK, found, "allow DescribeConfigs on the topic, to have them checked");
    };
    let found = format!("{topic}: {}", described(partitions, replicas, in_sync, settings));
    let needed = number(settings, "min.insync.replicas").unwrap_or(1);
    if let Some(unfit) = &seen.unfit {
        return Finding::fail(CHECK, found, unfit.clone());
    }
    if partitions < asked {
        let advice =
            format!("kafka-topics --alter --topic {topic} --partitions {asked}, or set log.partitions");
        return Finding::fail(CHECK, found, advice);
    }
    if i64::try_from(in_sync).is_ok_and(|in_sync| in_sync < needed) {
        let advice = "bring the missing brokers back: until then Kafka takes nothing for some partitions";
        return Finding::fail(CHECK, found, advice);
    }
    if in_sync < replicas {
        return Finding::warn(CHECK, found, "look for a broker that is down or behind");
    }
    if number(settings, "retention.bytes").is_some_and(|bytes| bytes >= 0) {
        let advice = format!(
            "kafka-configs --alter --entity-type topics --entity-name {topic} --add-config retention.bytes=-1: \
             a burst deletes records before their time, perhaps unread"
        );
        return Finding::warn(CHECK, found, advice);
    }
    if replicas >= 2 && needed < 2 {
        let advice = format!(
            "kafka-configs --alter --entity-type topics --entity-name {topic} --add-config min.insync.replicas=2: \
             else one broker's loss may lose what was acknowledged"
        );
        return Finding::warn(CHECK, found, advice);
    }
    if replicas < 2 {
        return Finding::warn(
            CHECK,
            found,
            "nothing on a host for trying; else have three copies (log.kafka.replication_factor: 3): one broker's \
             disk is all that holds these records",
        );
    }
    Finding::ok(CHECK, found)
}

fn absent(kafka: &KafkaConfig, spec: &TopicSpec) -> Finding {
    const CHECK: &str = "kafka topic";
    let (topic, partitions) = (&spec.topic, spec.partitions);
    let found = format!("{topic} does not exist");
    if kafka.create_topics {
        return Finding::ok(CHECK, format!("{found} and is created at the first start"));
    }
    let bytes = kafka.message_bytes.0;
    Finding::fail(
        CHECK,
        found,
        format!(
            "kafka-topics --create --topic {topic} --partitions {partitions} --config max.message.bytes={bytes}"
        ),
    )
}

fn described(
    partitions: u32,
    replicas: usize,
    in_sync: usize,
    settings: &BTreeMap<String, String>,
) -> String {
    let mut text = format!("{partitions} partitions, {replicas} copies, {in_sync} in sync");
    for name in ["min.insync.replicas", "retention.ms", "max.message.bytes"] {
        if let Some(value) = settings.get(name) {
            text.push_str(&format!(", {name}={value}"));
        }
    }
    text
}

fn number(settings: &BTreeMap<String, String>, name: &str) -> Option<i64> {
    settings.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_stream::Topic;

    use super::super::Outcome;
    use super::*;

    fn seen(replicas: usize, in_sync: usize, settings: &[(&str, &str)]) -> TopicSeen {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        TopicSeen { partitions: Some(12), replicas, in_sync, settings: Some(settings), unfit: None }
    }

    #[test]
    fn a_topic_that_loses_or_refuses_is_told() {
        use Outcome::{Fail, Ok as Good, Warn};
        let spec = |partitions| TopicSpec { topic: Topic::new("weir.logs").unwrap(), partitions };
        let kafka = KafkaConfig::default();
        let check = |partitions, seen: TopicSeen, outcome, word: &str| {
            let finding = judge_topic(&kafka, &spec(partitions), &Ok(seen));
            assert_eq!(finding.outcome, outcome, "{finding:?}");
            assert!(format!("{} {}", finding.found, finding.advice).contains(word), "{finding:?}");
        };
        let two = [("min.insync.replicas", "2"), ("retention.ms", "604800000")];
        check(12, seen(3, 3, &two), Good, "12 partitions, 3 copies, 3 in sync, min.insync.replicas=2");
        check(12, seen(3, 2, &two), Warn, "down or behind");
        check(12, seen(3, 1, &two), Fail, "takes nothing");
        check(24, seen(3, 3, &two), Fail, "--partitions 24");
        check(12, seen(3, 3, &[]), Warn, "min.insync.replicas=2");
        check(12, seen(1, 1, &[]), Warn, "three copies");
        check(
            12,
            seen(3, 3, &[("min.insync.replicas", "2"), ("retention.bytes", "5")]),
            Warn,
            "retention.bytes=-1",
        );
        check(12, TopicSeen { unfit: Some("use more".to_owned()), ..seen(3, 3, &two) }, Fail, "use more");
        check(12, TopicSeen { settings: None, ..seen(3, 3, &two) }, Warn, "DescribeConfigs");
        check(12, TopicSeen::default(), Good, "created at the first start");
        let kafka = KafkaConfig { create_topics: false, ..kafka };
        let finding = judge_topic(&kafka, &spec(3), &Ok(TopicSeen::default()));
        assert_eq!(finding.outcome, Fail);
        assert!(finding.advice.contains("--create --topic weir.logs --partitions 3"), "{finding:?}");
    }

    #[test]
    fn one_broker_that_answers_is_enough() {
        let broker = |trouble: Option<&str>| BootstrapSeen {
            address: "kafka:9092".to_owned(),
            trouble: trouble.map(str::to_owned),
            took: Duration::from_millis(3),
        };
        let outcomes = |brokers: &[BootstrapSeen]| -> Vec<_> {
            judge_brokers(&KafkaConfig::default(), brokers).iter().map(|finding| finding.outcome).collect()
        };
        assert_eq!(outcomes(&[broker(None), broker(Some("refused"))]), [Outcome::Ok, Outcome::Warn]);
        assert_eq!(outcomes(&[broker(Some("refused"))]), [Outcome::Fail]);
    }
}
