//! The topics: how many partitions they have, and whether they are fit to use.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigEntry, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};

use super::contact::Contact;
use super::inspect::TopicSeen;
use super::producer::{Producing, blocking};
use super::{KafkaConfig, KafkaError, settings};
use crate::Topic;

/// How long brokers may take to say what they have.
pub(super) const METADATA_WAIT: Duration = Duration::from_secs(5);

/// How long brokers may take to create a topic.
const CREATE_WAIT: Duration = Duration::from_secs(20);

/// How a topic is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub topic: Topic,
    /// It has at least so many partitions.
    pub partitions: u32,
}

/// Partition counts as they were last seen; they only grow. Cloning shares.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<Mutex<HashMap<Topic, u32>>>);

impl Counts {
    pub(super) fn get(&self, topic: &Topic) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied()
    }

    /// Asks the brokers; none when there is no such topic. Blocks.
    pub(super) fn look_up<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: &Topic,
        wait: Duration,
    ) -> Result<Option<u32>, RdError> {
        let count = count(client, topic, wait)?;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match count {
            Some(count) => counts.insert(topic.clone(), count),
            None => counts.remove(topic),
        };
        Ok(count)
    }

    /// It is not as it was.
    pub(super) fn forget(&self, topic: &Topic) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }
}

fn count<C: ClientContext>(
    client: &Client<C>,
    topic: &Topic,
    wait: Duration,
) -> Result<Option<u32>, RdError> {
    let metadata = client.fetch_metadata(Some(topic.as_str()), wait)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else {
        return Ok(None);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => Err(RdError::MetadataFetch(code)),
    }
}

/// The code is that of a topic or partition that is not there.
pub(super) fn is_missing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
    )
}

/// Creates topics that are missing and checks those that are there.
pub(super) struct Steward<'a> {
    config: &'a KafkaConfig,
    producing: &'a Arc<Producing>,
    contact: &'a Contact,
    admin: AdminClient<Contact>,
}

impl<'a> Steward<'a> {
    pub(super) async fn new(
        config: &'a KafkaConfig,
        producing: &'a Arc<Producing>,
        contact: &'a Contact,
    ) -> Result<Self, KafkaError> {
        let (client, context) = (settings::common(config)?, contact.clone());
        let refused = |reason| KafkaError::Client { reason };
        let admin = blocking(move || AdminClient::from_config_and_context(&client, context)).await;
        let admin = admin.map_err(refused)?.map_err(|error| refused(error.to_string()))?;
        Ok(Self { config, producing, contact, admin })
    }

    pub(super) async fn ensure(&self, spec: &TopicSpec) -> Result<(), KafkaError> {
        // The first request by a client that is listened to: it says why no
        // broker lets us in.
        let count = match self.count(&spec.topic).await? {
            Some(count) => count,
            None if self.config.create_topics => self.create(spec, &self.new_settings()).await?,
            None => {
                return Err(KafkaError::NoTopic {
                    topic: spec.topic.clone(),
                    partitions: spec.partitions,
                    message_bytes: self.config.message_bytes.0,
                });
            }
        };
        if count < spec.partitions {
            let (topic, asked) = (&spec.topic, spec.partitions);
            return Err(KafkaError::Unfit {
                topic: topic.clone(),
                what: format!("has {count} partitions and {asked} are asked for"),
                advice: format!(
                    "add them with `kafka-topics --alter --topic {topic} --partitions {asked}`, or ask for {count}"
                ),
            });
        }
        match self.settings(&spec.topic).await {
            Some(settings) => {
                check(spec, self.config, &|name| settings.get(name).and_then(|entry| entry.value.clone()))
            }
            None => Ok(()),
        }
    }

    async fn count(&self, topic: &Topic) -> Result<Option<u32>, KafkaError> {
        self.producing.look_up(topic).await.map_err(|reason| self.unreachable(reason))
    }

    /// How a topic is; nothing is changed.
    pub(super) async fn see(&self, spec: &TopicSpec) -> Result<TopicSeen, KafkaError> {
        let Some(partitions) = self.count(&spec.topic).await? else { return Ok(TopicSeen::default()) };
        let copies = self.producing.copies(&spec.topic).await.map_err(|reason| self.unreachable(reason))?;
        let value = |entry: &ConfigEntry| Some((entry.name.clone(), entry.value.clone()?));
        let settings = self.settings(&spec.topic).await;
        let settings: Option<BTreeMap<_, _>> =
            settings.map(|settings| settings.entries.iter().filter_map(value).collect());
        let unfit = settings.as_ref().and_then(|held| {
            check(spec, self.config, &|name| held.get(name).cloned()).err().map(|error| error.to_string())
        });
        let (replicas, in_sync) = copies;
        Ok(TopicSeen { partitions: Some(partitions), replicas, in_sync, settings, unfit })
    }

    pub(super) async fn create(
        &self,
        spec: &TopicSpec,
        settings: &[(&'static str, String)],
    ) -> Result<u32, KafkaError> {
        let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
        let replication = match self.config.replication_factor {
            0 => -1,
            factor => i32::from(factor),
        };
        let mut new = NewTopic::new(spec.topic.as_str(), partitions, TopicReplication::Fixed(replication));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let refused = |reason: String| KafkaError::Create { topic: spec.topic.clone(), reason };
        let created = self.admin.create_topics([&new], &options()).await;
        let created = created.map_err(|error| self.unreachable(self.contact.reason(&error)))?;
        match created.into_iter().next() {
            Some(Ok(_)) => tracing::info!(topic = %spec.topic, partitions, "topic created"),
            // Another process was as quick.
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
            Some(Err((_, code))) => return Err(refused(code.to_string())),
            None => return Err(refused("the brokers did not say why".to_owned())),
        }
        // One broker has created it; another may not know yet.
        let deadline = tokio::time::Instant::now() + CREATE_WAIT;
        while tokio::time::Instant::now() < deadline {
            if let Some(count) = self.count(&spec.topic).await? {
                return Ok(count);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(refused("it was created and did not appear".to_owned()))
    }

    pub(super) async fn delete(&self, topics: &[Topic]) -> Result<(), KafkaError> {
        let names: Vec<_> = topics.iter().map(Topic::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        let deleted = self.admin.delete_topics(&names, &options()).await;
        let deleted = deleted.map_err(|error| self.unreachable(self.contact.reason(&error)))?;
        for (topic, result) in topics.iter().zip(deleted) {
            self.producing.forget(topic);
            match result {
                Ok(_) => tracing::info!(%topic, "topic deleted"),
                Err((_, code)) if is_missing(code) => {}
                Err((_, code)) => {
                    return Err(KafkaError::Delete { topic: topic.clone(), reason: code.to_string() });
                }
            }
        }
        Ok(())
    }

    fn new_settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("max.message.bytes", self.config.message_bytes.0.to_string()),
            ("message.timestamp.type", "CreateTime".to_owned()),
            // A node whose clock is ahead has something to say, too.
            ("message.timestamp.after.max.ms", i64::MAX.to_string()),
        ];
        if let Some(retention) = retention_millis(self.config) {
            settings.push(("retention.ms", retention.to_string()));
        }
        if self.config.replication_factor >= 3 {
            settings.push(("min.insync.replicas", "2".to_owned()));
        }
        settings
    }

    /// The topic's settings; none when we may not see them.
    async fn settings(&self, topic: &Topic) -> Option<ConfigResource> {
        let specifier = ResourceSpecifier::Topic(topic.as_str());
        let options = AdminOptions::new().request_timeout(Some(METADATA_WAIT));
        let reason = match self.admin.describe_configs([&specifier], &options).await {
            Ok(described) => match described.into_iter().next() {
                Some(Ok(resource)) => return Some(resource),
                Some(Err(code)) => code.to_string(),
                None => return None,
            },
            // The brokers were within reach a moment ago: they do not answer this.
            Err(error) => error.to_string(),
        };
        tracing::warn!(%topic, reason, "the topic's settings cannot be read and are not checked");
        None
    }

    fn unreachable(&self, reason: String) -> KafkaError {
        KafkaError::Unreachable { brokers: self.contact.brokers().to_owned(), reason }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CREATE_WAIT)).operation_timeout(Some(CREATE_WAIT))
}

/// How long records are kept at least; none: as the brokers do by default.
fn retention_millis(config: &KafkaConfig) -> Option<i64> {
    let retention = config.retention.0;
    (!retention.is_zero()).then(|| i64::try_from(retention.as_millis()).unwrap_or(i64::MAX))
}

/// Whether a topic with these settings serves.
fn check(
    spec: &TopicSpec,
    config: &KafkaConfig,
    setting: &dyn Fn(&str) -> Option<String>,
) -> Result<(), KafkaError> {
    let topic = &spec.topic;
    let alter = |change: &str| {
        format!(
            "use `kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {change}`"
        )
    };
    let unfit = |what: String, advice: String| Err(KafkaError::Unfit { topic: topic.clone(), what, advice });
    let number = |name: &str| setting(name).and_then(|value| value.parse::<i64>().ok());

    let policy = setting("cleanup.policy").unwrap_or_default();
    if policy.contains("compact") {
        return unfit(
            format!("has cleanup.policy={policy}, which deletes records that were not read"),
            alter("cleanup.policy=delete"),
        );
    }
    let wanted = i64::try_from(config.message_bytes.0).unwrap_or(i64::MAX);
    if let Some(bytes) = number("max.message.bytes")
        && bytes < wanted
    {
        return unfit(
            format!("takes messages of {bytes} bytes and {wanted} are needed"),
            format!("{}, or set message_bytes", alter(&format!("max.message.bytes={wanted}"))),
        );
    }
    if let (Some(kept), Some(asked)) = (number("retention.ms"), retention_millis(config))
        && (0..asked).contains(&kept)
    {
        return unfit(
            format!("keeps records for {kept} ms and {asked} are asked for"),
            format!("{}, or set retention", alter(&format!("retention.ms={asked}"))),
        );
    }
    if setting("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
        tracing::warn!(%topic, "message.timestamp.type is LogAppendTime: records lose the time they were made");
    }
    if number("retention.bytes").is_some_and(|bytes| bytes >= 0) {
        tracing::warn!(%topic, "retention.bytes is set: a burst deletes records before their time, perhaps unread");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weir_runtime::HumanDuration;

    use super::*;

    #[test]
    fn a_topic_that_does_not_serve_is_told_with_what_to_do() {
        let spec = TopicSpec { topic: Topic::new("weir.logs").unwrap(), partitions: 1 };
        let config =
            KafkaConfig { retention: HumanDuration(Duration::from_secs(60)), ..KafkaConfig::default() };
        let check = |settings: &[(&str, &str)], expected: &str| {
            let setting = |name: &str| {
                settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            let told = match super::check(&spec, &config, &setting) {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            assert!(
                told.contains(expected) && told.is_empty() == expected.is_empty(),
                "{settings:?}: {told}"
            );
        };
        check(&[], "");
        check(&[("retention.ms", "60000"), ("max.message.bytes", "104857600")], "");
        check(&[("retention.ms", "-1"), ("cleanup.policy", "delete")], "");
        check(&[("retention.ms", "59999")], "--add-config retention.ms=60000");
        check(&[("max.message.bytes", "1048588")], "takes messages of 1048588 bytes and 34603008 are needed");
        check(&[("cleanup.policy", "compact,delete")], "--add-config cleanup.policy=delete");
    }
}
