//! What is asked of librdkafka, each setting with its reason.
//!
//! Several of its defaults lose data: it drops what is not sent within five
//! minutes, sends without sequence numbers, begins at the end of a partition
//! whose offset is gone, and counts what it handed out as processed. None of
//! them is left to chance here.

use std::fs::File;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use weir_runtime::{ByteSize, planted};

use super::config::is_set;
use super::{KafkaConfig, KafkaError, KafkaTls, SaslMechanism};

/// A setting: its name, its value, and why.
pub type Setting = (&'static str, &'static str, &'static str);

/// Of every client.
pub const COMMON: &[Setting] = &[
    (
        "allow.auto.create.topics",
        "false",
        "a topic is made with the right settings or not at all; a typo is an error",
    ),
    ("socket.keepalive.enable", "true", "a connection that a firewall forgot is noticed"),
    ("socket.nagle.disable", "true", "a small request is sent at once, not when the next one comes"),
    (
        "socket.timeout.ms",
        "15000",
        "a broker that stands still is given up; the default of 60 s holds everything for a minute",
    ),
    ("reconnect.backoff.ms", "100", "the first try after a lost connection"),
    ("reconnect.backoff.max.ms", "2000", "a broker that is back is found within 2 s; the default is 10 s"),
    ("log.connection.close", "false", "brokers close idle connections; that is nothing to tell"),
];

/// Of the producer.
pub const PRODUCER: &[Setting] = &[
    (
        "enable.idempotence",
        "true",
        "what is repeated after a lost answer is stored once and in order; the default is false",
    ),
    ("acks", "all", "acknowledged is what every replica in sync has"),
    (
        "message.timeout.ms",
        "0",
        "never drop; the default drops what the broker does not take within 5 minutes",
    ),
    (
        "linger.ms",
        "5",
        "records are batches already; without a pause librdkafka's thread turns round and round, which costs a fifth of the agent's CPU",
    ),
    ("compression.type", "none", "payloads are compressed already"),
    ("queue.buffering.max.messages", "0", "bounded by bytes, not by count"),
    ("retry.backoff.ms", "100", "the first try after an error"),
    ("retry.backoff.max.ms", "1000", "and the slowest"),
];

/// Of the consumer.
pub const CONSUMER: &[Setting] = &[
    (
        "enable.auto.commit",
        "false",
        "how far was read stands in the catalog, in the transaction that makes rows visible",
    ),
    ("enable.auto.offset.store", "false", "handed out is not processed; the default counts it so"),
    (
        "auto.offset.reset",
        "error",
        "an offset that is gone is a loss to be counted; the default jumps to the end in silence",
    ),
    (
        "check.crcs",
        "true",
        "a bit that flipped on the way or on the broker's disk is found; the default is false",
    ),
    ("isolation.level", "read_committed", "records of foreign transactions that were aborted are not events"),
    ("enable.partition.eof", "false", "the end is waited at"),
    ("fetch.min.bytes", "1", "a single record is answered at once"),
    (
        "fetch.wait.max.ms",
        "100",
        "the longest wait of a request at the end, and so for a partition to be taken up beside the others",
    ),
    (
        "fetch.queue.backoff.ms",
        "5",
        "a full queue is looked at again at once; the default of 1 s stops a reader that catches up",
    ),
    ("fetch.error.backoff.ms", "200", "after an error of one partition"),
    (
        "queued.min.messages",
        "10000",
        "what is read ahead is bounded by bytes; by count only so that errors do not pile up while nobody reads",
    ),
];

/// Settings that depend on the configuration, for every client.
pub(super) fn common(config: &KafkaConfig) -> Result<ClientConfig, KafkaError> {
    let mut client = ClientConfig::new();
    // Its words go through `tracing`, which filters.
    client.set_log_level(RDKafkaLogLevel::Info);
    set_all(&mut client, COMMON);
    client.set("bootstrap.servers", &config.brokers);
    client.set("client.id", &config.client_id);
    client.set("message.max.bytes", config.message_bytes.0.to_string());
    let sasl = config.sasl.mechanism != SaslMechanism::None;
    let protocol = match (config.tls.enabled, sasl) {
        (false, false) => "PLAINTEXT",
        (false, true) => "SASL_PLAINTEXT",
        (true, false) => "SSL",
        (true, true) => "SASL_SSL",
    };
    client.set("security.protocol", protocol);
    if config.tls.enabled {
        set_tls(&mut client, &config.tls)?;
    }
    if sasl {
        client.set("sasl.mechanism", config.sasl.mechanism.name());
        client.set("sasl.username", &config.sasl.username);
        client.set("sasl.password", config.sasl.password()?);
    }
    Ok(client)
}

/// Of the producer.
pub(super) fn producer(config: &KafkaConfig) -> Result<ClientConfig, KafkaError> {
    let mut client = common(config)?;
    set_all(&mut client, PRODUCER);
    client.set("queue.buffering.max.kbytes", kib(config.send_bytes));
    // The broker's limit holds for a batch: one that two records of an allowed
    // size overflow would be refused for both.
    client.set("batch.size", config.message_bytes.0.min(1_000_000).to_string());
    if planted::is("drop-on-timeout") {
        client.set("message.timeout.ms", "1000");
    }
    Ok(client)
}

/// Of the consumer.
pub(super) fn consumer(config: &KafkaConfig) -> Result<ClientConfig, KafkaError> {
    let mut client = common(config)?;
    set_all(&mut client, CONSUMER);
    client.set("group.id", &config.group);
    // For each partition: each has a queue of its own.
    client.set("queued.max.messages.kbytes", kib(config.fetch_bytes));
    client.set("fetch.message.max.bytes", config.fetch_bytes.0.to_string());
    if planted::is("auto-offset-store") {
        client.set("enable.auto.commit", "true").set("enable.auto.offset.store", "true");
        client.set("auto.commit.interval.ms", "250");
    }
    Ok(client)
}

fn set_all(client: &mut ClientConfig, settings: &[Setting]) {
    for (name, value, _) in settings {
        client.set(*name, *value);
    }
}

fn set_tls(client: &mut ClientConfig, tls: &KafkaTls) -> Result<(), KafkaError> {
    // OpenSSL is built in and does not know the host's directories.
    client.set("ssl.ca.location", "probe");
    let files = [
        ("tls.ca", "ssl.ca.location", &tls.ca),
        ("tls.certificate", "ssl.certificate.location", &tls.certificate),
        ("tls.key", "ssl.key.location", &tls.key),
    ];
    for (key, setting, path) in files {
        if is_set(path) {
            // Librdkafka would not say which file is missing.
            File::open(path).map_err(|source| KafkaError::File { key, path: path.clone(), source })?;
            client.set(setting, path.to_string_lossy());
        }
    }
    if !tls.key_password.is_empty() {
        client.set("ssl.key.password", &tls.key_password);
    }
    let check = if tls.any_hostname { "none" } else { "https" };
    client.set("ssl.endpoint.identification.algorithm", check);
    Ok(())
}

fn kib(bytes: ByteSize) -> String {
    bytes.0.div_ceil(1024).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_page_has_every_setting() {
        let page = include_str!("../../../docs/kafka.md");
        for (name, value, why) in [COMMON, PRODUCER, CONSUMER].concat() {
            let row = format!("| `{name}` | `{value}` | {why} |");
            assert!(page.contains(&row), "docs/kafka.md lacks: {row}");
        }
    }
}
