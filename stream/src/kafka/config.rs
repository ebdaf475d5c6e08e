//! What an operator may choose about the event log on Kafka.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_runtime::{ByteSize, HumanDuration};

use super::KafkaError;
use crate::limit::{HEADERS_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// Configuration of the event log on Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Where to find the cluster: `HOST:PORT`, several parted by commas. One
    /// that answers is enough to learn the others.
    pub brokers: String,
    /// What the brokers' logs and quotas call us.
    pub client_id: String,
    /// Encryption, and who the brokers are.
    pub tls: KafkaTls,
    /// Who we are.
    pub sasl: KafkaSasl,
    /// Create topics that are missing; otherwise they are an error.
    pub create_topics: bool,
    /// Copies of each partition of a new topic; 0 leaves it to the brokers. Use
    /// 3 in production: then two must have a record before it is acknowledged.
    pub replication_factor: u16,
    /// How long topics keep records at least: longer than ingesters may ever be
    /// away, for what is deleted unread is lost. 0s leaves it to the brokers,
    /// whose default is 7 days.
    pub retention: HumanDuration,
    /// The largest message. Topics are created so and checked for it.
    pub message_bytes: ByteSize,
    /// Records waiting to be acknowledged, over all partitions. When full,
    /// appends wait.
    pub send_bytes: ByteSize,
    /// Records read ahead, for each partition.
    pub fetch_bytes: ByteSize,
    /// The group under which is told, for lag tools, how far rows are stored;
    /// nothing depends on it.
    pub group: String,
}

/// Encryption of the connections.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaTls {
    /// Speak TLS.
    pub enabled: bool,
    /// PEM file of the authorities that sign the brokers' certificates; empty:
    /// those of the host.
    pub ca: PathBuf,
    /// PEM file of our own certificate, where brokers ask for one.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    /// Password of the key.
    pub key_password: String,
    /// Accept a certificate that is for another host.
    pub any_hostname: bool,
}

/// Signing in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSasl {
    /// How; empty: not at all.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password; better in a file.
    pub password: String,
    /// File that holds the password and nothing else.
    pub password_file: PathBuf,
}

/// A way to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// Without.
    #[default]
    #[serde(rename = "")]
    None,
    /// The password itself is sent: only with TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password is sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of the password is sent.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Room for the batch around a record of the largest size.
const BATCH_BYTES_EXTRA: u64 = 64 << 10;

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            client_id: "weir".to_owned(),
            tls: KafkaTls::default(),
            sasl: KafkaSasl::default(),
            create_topics: true,
            replication_factor: 0,
            retention: HumanDuration(Duration::ZERO),
            message_bytes: ByteSize::mib(33),
            send_bytes: ByteSize::mib(64),
            fetch_bytes: ByteSize::mib(1),
            group: "weir-ingest".to_owned(),
        }
    }
}

const _: () = assert!(
    (PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX) as u64 + BATCH_BYTES_EXTRA <= 33 << 20,
    "what the event log allows fits into a message of the default size"
);

impl KafkaConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// A setting that cannot work, by its name.
    pub fn validate(&self) -> Result<(), KafkaError> {
        let wrong = |key, reason: &str| Err(KafkaError::Setting { key, reason: reason.to_owned() });
        if self.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return wrong("brokers", "is empty: name at least one HOST:PORT");
        }
        if !(16 << 10..=1 << 30).contains(&self.message_bytes.0) {
            return wrong("message_bytes", "is out of range: use 16KiB to 1GiB");
        }
        if self.send_bytes < self.message_bytes {
            return wrong("send_bytes", "is less than message_bytes: one message must fit");
        }
        if self.fetch_bytes.0 < 64 << 10 {
            return wrong("fetch_bytes", "is too small: use at least 64KiB");
        }
        if self.group.is_empty() {
            return wrong("group", "is empty: name the group that lag tools are to see");
        }
        let tls = &self.tls;
        if !tls.enabled && *tls != KafkaTls::default() {
            return wrong("tls.enabled", "is false, and other keys of tls are set");
        }
        if is_set(&tls.certificate) != is_set(&tls.key) {
            return wrong("tls.key", "and tls.certificate go together: set both or none");
        }
        let sasl = &self.sasl;
        if sasl.mechanism == SaslMechanism::None && *sasl != KafkaSasl::default() {
            return wrong("sasl.mechanism", "is empty: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
        }
        if sasl.mechanism != SaslMechanism::None && sasl.username.is_empty() {
            return wrong("sasl.username", "is empty");
        }
        if sasl.mechanism != SaslMechanism::None && sasl.password.is_empty() != is_set(&sasl.password_file) {
            return wrong("sasl.password_file", "or sasl.password: set one of them");
        }
        Ok(())
    }
}

impl KafkaSasl {
    /// The password, from where it is kept.
    pub(super) fn password(&self) -> Result<String, KafkaError> {
        if !is_set(&self.password_file) {
            return Ok(self.password.clone());
        }
        match std::fs::read_to_string(&self.password_file) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(source) => {
                Err(KafkaError::File { key: "sasl.password_file", path: self.password_file.clone(), source })
            }
        }
    }
}

impl SaslMechanism {
    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// An empty path stands for none.
pub(super) fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

// What is secret stays out of logs.

impl fmt::Debug for KafkaTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { enabled, ca, certificate, key, key_password: _, any_hostname } = self;
        let mut out = f.debug_struct("KafkaTls");
        out.field("enabled", enabled).field("ca", ca).field("certificate", certificate);
        out.field("key", key).field("any_hostname", any_hostname).finish_non_exhaustive()
    }
}

impl fmt::Debug for KafkaSasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, username, password: _, password_file } = self;
        let mut out = f.debug_struct("KafkaSasl");
        out.field("mechanism", mechanism).field("username", username);
        out.field("password_file", password_file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_work_is_named() {
        let check = |json: &str, key: &str| {
            let config: KafkaConfig = serde_json::from_str(json).unwrap();
            match config.validate() {
                Err(KafkaError::Setting { key: named, .. }) => assert_eq!(named, key, "{json}"),
                Ok(()) => assert_eq!("", key, "{json}"),
                Err(other) => panic!("{json}: {other}"),
            }
        };
        check(r#"{"brokers":"a:1"}"#, "");
        check(r#"{"brokers":" , "}"#, "brokers");
        check(r#"{"brokers":"a:1","message_bytes":"1KiB"}"#, "message_bytes");
        check(r#"{"brokers":"a:1","send_bytes":"1MiB"}"#, "send_bytes");
        check(r#"{"brokers":"a:1","fetch_bytes":"1KiB"}"#, "fetch_bytes");
        check(r#"{"brokers":"a:1","group":""}"#, "group");
        check(r#"{"brokers":"a:1","tls":{"ca":"/ca.pem"}}"#, "tls.enabled");
        check(r#"{"brokers":"a:1","tls":{"enabled":true,"key":"/k.pem"}}"#, "tls.key");
        check(r#"{"brokers":"a:1","sasl":{"username":"u","password":"p"}}"#, "sasl.mechanism");
        check(r#"{"brokers":"a:1","sasl":{"mechanism":"PLAIN","password":"p"}}"#, "sasl.username");
        check(r#"{"brokers":"a:1","sasl":{"mechanism":"PLAIN","username":"u"}}"#, "sasl.password_file");
        let both = r#"{"brokers":"a:1","sasl":{"mechanism":"SCRAM-SHA-512","username":"u","password":"p","password_file":"/f"}}"#;
        check(both, "sasl.password_file");
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = KafkaConfig::default();
        config.sasl.password = "hunter2".to_owned();
        config.tls.key_password = "hunter3".to_owned();
        let text = format!("{config:?}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
