//! Who the brokers are, and who we are: TLS, SASL, and what is said when they
//! do not fit.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::harness::{append_each, blocking, config, open, own, read_all, soon, topic};
use crate::kafka::server::{KafkaOptions, KafkaServer, Secured};
use crate::kafka::{KafkaConfig, KafkaError, KafkaSasl, KafkaTls, SaslMechanism, TopicSpec};
use crate::{Append, AppendError, Offset, Partition, ReadError, ReadLimit, Subscribe};

/// A certificate authority with two certificates by it, one for `localhost`.
struct Papers(TempDir);

impl Papers {
    fn make() -> Self {
        let dir = TempDir::new().unwrap();
        let run = |command: &str| {
            let output = Command::new("openssl").args(command.split(' ')).current_dir(dir.path()).output();
            let output = output.expect("this test makes certificates: apt-get install openssl");
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        };
        std::fs::write(dir.path().join("san"), "subjectAltName=DNS:localhost\n").unwrap();
        run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=weir-test-ca -days 2");
        run("req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other-ca -days 2");
        for (name, subject) in [("broker", "/CN=localhost"), ("client", "/CN=weir")] {
            run(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"));
            run(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile san"
            ));
        }
        run("pkcs8 -topk8 -in client.key -out client-locked.key -passout pass:unlock");
        let papers = Self(dir);
        let key = papers.read("broker.key");
        std::fs::write(papers.path("broker.store"), key + &papers.read("broker.pem")).unwrap();
        papers
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The listener's settings.
    fn properties(&self) -> Vec<String> {
        let line = |name: &str, value: &Path| format!("listener.name.secured.ssl.{name}={}", value.display());
        vec![
            line("keystore.type", Path::new("PEM")),
            line("keystore.location", &self.path("broker.store")),
            line("truststore.type", Path::new("PEM")),
            line("truststore.location", &self.path("ca.pem")),
        ]
    }
}

/// One round: topic, append, read.
async fn works(config: KafkaConfig) {
    let (log, topic) = (open(config), topic());
    let ensured =
        soon("ensuring", log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions: 1 }])).await;
    ensured.unwrap();
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..3).await;
    assert_eq!(read_all(&log, &partition, 0).await.len(), 3);
}

/// Nothing works, and each error says why.
async fn is_refused(config: KafkaConfig, why: &str) {
    let (log, topic) = (open(config), topic());
    let partition = Partition::new(topic.clone(), 0);
    let ensured = soon("ensuring", log.ensure_topics(&[TopicSpec { topic, partitions: 1 }])).await;
    let error = ensured.unwrap_err();
    assert!(matches!(error, KafkaError::Unreachable { .. }) && error.to_string().contains(why), "{error}");
    let append = soon("append", log.append(&partition, Vec::new())).await.unwrap_err();
    assert!(
        matches!(append, AppendError::Unavailable { .. }) && append.to_string().contains(why),
        "{append}"
    );
    let limit = ReadLimit { bytes: 1, wait: std::time::Duration::from_secs(1) };
    let read = soon("read", log.read(&partition, Offset(0), limit)).await.unwrap_err();
    assert!(matches!(read, ReadError::Unavailable { .. }) && read.to_string().contains(why), "{read}");
}

fn sasl(mechanism: SaslMechanism, password: &str) -> KafkaSasl {
    let (username, password) = ("weir".to_owned(), password.to_owned());
    KafkaSasl { mechanism, username, password, ..KafkaSasl::default() }
}

async fn secured(secured: Secured) -> (Arc<KafkaServer>, String) {
    let server = own(KafkaOptions { secured: Some(secured), ..KafkaOptions::default() }).await;
    let brokers = server.secured_brokers();
    (server, brokers)
}

#[tokio::test]
async fn signing_in_over_tls() {
    let papers = blocking(Papers::make).await;
    let (_server, brokers) = secured(Secured {
        protocol: "SASL_SSL",
        users: vec![("weir".to_owned(), "right".to_owned())],
        properties: papers.properties(),
    })
    .await;
    let tls = KafkaTls { enabled: true, ca: papers.path("ca.pem"), ..KafkaTls::default() };
    let with = |sasl, tls| KafkaConfig { sasl, tls, ..config(&brokers) };
    let all = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
    for mechanism in all {
        works(with(sasl(mechanism, "right"), tls.clone())).await;
        is_refused(with(sasl(mechanism, "wrong"), tls.clone()), "Authentication failed").await;
    }
    let (password_file, plain) = (papers.path("password"), SaslMechanism::Plain);
    std::fs::write(&password_file, "right\n").unwrap();
    works(with(KafkaSasl { password_file, ..sasl(plain, "") }, tls.clone())).await;

    // Signed by somebody whom we do not trust; for another host; not spoken.
    let other = KafkaTls { ca: papers.path("other.pem"), ..tls.clone() };
    is_refused(with(sasl(plain, "right"), other), "certificate verify failed").await;
    let elsewhere = |tls| KafkaConfig {
        brokers: brokers.replace("localhost", "127.0.0.1"),
        ..with(sasl(plain, "right"), tls)
    };
    is_refused(elsewhere(tls.clone()), "certificate verify failed").await;
    works(elsewhere(KafkaTls { any_hostname: true, ..tls })).await;
    is_refused(with(sasl(plain, "right"), KafkaTls::default()), "does it speak TLS").await;
}

#[tokio::test]
async fn a_certificate_of_our_own() {
    let papers = blocking(Papers::make).await;
    let mut properties = papers.properties();
    properties.push("listener.name.secured.ssl.client.auth=required".to_owned());
    let (_server, brokers) = secured(Secured { protocol: "SSL", users: Vec::new(), properties }).await;
    let tls = KafkaTls { enabled: true, ca: papers.path("ca.pem"), ..KafkaTls::default() };
    let with = |tls| KafkaConfig { tls, ..config(&brokers) };
    let own =
        KafkaTls { certificate: papers.path("client.pem"), key: papers.path("client.key"), ..tls.clone() };
    works(with(own.clone())).await;
    let key = papers.path("client-locked.key");
    works(with(KafkaTls { key, key_password: "unlock".to_owned(), ..own.clone() })).await;
    is_refused(with(tls), "bad certificate").await;

    let log = open(with(KafkaTls { key: papers.path("missing.key"), ..own }));
    let ensured = log.ensure_topics(&[TopicSpec { topic: topic(), partitions: 1 }]).await;
    let error = ensured.unwrap_err();
    assert!(
        matches!(error, KafkaError::File { key: "tls.key", .. }) && error.to_string().contains("missing.key"),
        "{error}"
    );
}

#[tokio::test]
async fn scram_without_tls() {
    let (_server, brokers) = secured(Secured {
        protocol: "SASL_PLAINTEXT",
        users: vec![("weir".to_owned(), "right".to_owned())],
        properties: Vec::new(),
    })
    .await;
    let scram = SaslMechanism::ScramSha512;
    works(KafkaConfig { sasl: sasl(scram, "right"), ..config(&brokers) }).await;
}
