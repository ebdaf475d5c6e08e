//! What is known of every rule now, in memory and in the store, and the way
//! from a change to messages. Each rule has one task that changes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use weir_runtime::Clock;

use crate::error::StoreError;
use crate::evaluate::{Instances, Transition, resolved};
use crate::instance::Phase;
use crate::metric::AlertingMetrics;
use crate::outgoing::{About, Channel, Outgoing, message};
use crate::route::Router;
use crate::rule::{Condition, Rule};
use crate::store::{Change, Store};

/// What is known of every rule.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) metrics: AlertingMetrics,
    pub(crate) repeat_interval: Duration,
    external_url: String,
    router: Router,
    channels: Vec<Channel>,
    rules: Mutex<BTreeMap<String, Page>>,
    /// Told when the outbox has something new.
    told: watch::Sender<()>,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) instances: Instances,
    pub(crate) evaluated_micros: Option<i64>,
    pub(crate) error: Option<String>,
}

/// What an evaluation came to.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    /// All of the rule's instances.
    pub(crate) instances: Instances,
    /// What people are to be told.
    pub(crate) transitions: Vec<Transition>,
    /// How far the rule has come; none when that is not what it goes by.
    pub(crate) progress_micros: Option<i64>,
    /// Lines that it was told of.
    pub(crate) seen: Vec<String>,
}

impl Book {
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        metrics: AlertingMetrics,
        repeat_interval: Duration,
        external_url: String,
        router: Router,
        channels: Vec<Channel>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            metrics,
            repeat_interval,
            external_url,
            router,
            channels,
            rules: Mutex::default(),
            told: watch::Sender::new(()),
        })
    }

    /// Reads what was known before, and ends the alerts of rules that are no
    /// more.
    pub(crate) async fn open(&self, rules: &[Rule]) -> Result<(), StoreError> {
        for rule in rules {
            let instances = self.store.instances(&rule.id()).await?;
            self.pages().insert(rule.id(), Page { instances, ..Page::default() });
            self.count_firing(&rule.id());
        }
        for id in self.store.rules().await? {
            if rules.iter().any(|rule| rule.id() == id) {
                continue;
            }
            let now_micros = self.clock.now_micros();
            let known = self.store.instances(&id).await?;
            let firing = known.values().filter(|instance| instance.phase == Phase::Firing);
            let transitions: Vec<_> = firing.map(|instance| resolved(instance.clone(), now_micros)).collect();
            tracing::info!(rule = id, alerts = transitions.len(), "the rule is no more, its alerts end");
            let name = id.split_once('/').map_or(id.as_str(), |(_, name)| name);
            let about = About {
                rule: &id,
                alertname: name,
                query: "",
                is_search: false,
                external_url: &self.external_url,
            };
            let outgoing = self.outgoing(about, &transitions);
            let gone = known.keys().map(String::as_str).collect();
            let change = Change { gone, outgoing: &outgoing, ..Change::default() };
            self.store.apply(&id, &change, now_micros).await?;
        }
        Ok(())
    }

    /// The instances of a rule, to be evaluated.
    pub(crate) fn instances(&self, rule: &str) -> Instances {
        self.pages().get(rule).map(|page| page.instances.clone()).unwrap_or_default()
    }

    /// What is known of a rule, for people.
    pub(crate) fn page(&self, rule: &str) -> Page {
        self.pages().get(rule).cloned().unwrap_or_default()
    }

    /// Stores an evaluation and what is to be told of it, then shows it.
    ///
    /// # Errors
    /// Nothing was changed: evaluate again.
    pub(crate) async fn record(&self, rule: &Rule, evaluation: Evaluation) -> Result<(), StoreError> {
        let id = rule.id();
        let now_micros = self.clock.now_micros();
        let known = self.instances(&id);
        let about = About {
            rule: &id,
            alertname: &rule.name,
            query: rule.question(),
            is_search: matches!(rule.condition, Condition::Logs(_)),
            external_url: &self.external_url,
        };
        let outgoing = self.outgoing(about, &evaluation.transitions);
        let changed = evaluation.instances.iter();
        let change = Change {
            changed: changed
                .filter(|(key, instance)| known.get(*key) != Some(*instance))
                .map(|(key, instance)| (key.as_str(), instance))
                .collect(),
            gone: known
                .keys()
                .filter(|key| !evaluation.instances.contains_key(*key))
                .map(String::as_str)
                .collect(),
            progress_micros: evaluation.progress_micros,
            seen: &evaluation.seen,
            outgoing: &outgoing,
        };
        self.store.apply(&id, &change, now_micros).await?;
        for transition in &evaluation.transitions {
            let labels = &transition.instance.labels;
            tracing::info!(rule = id, ?labels, news = ?transition.news, "alert");
        }
        if let Some(page) = self.pages().get_mut(&id) {
            page.instances = evaluation.instances;
            page.evaluated_micros = Some(now_micros);
            page.error = None;
        }
        self.count_firing(&id);
        self.metrics.evaluations.get_or_create(&AlertingMetrics::rule(&id)).inc();
        if !outgoing.is_empty() {
            self.told.send_replace(());
        }
        Ok(())
    }

    /// The rule could not be evaluated. Its state stays as it was.
    pub(crate) fn failed(&self, rule: &str, error: &str) {
        self.metrics.failures.get_or_create(&AlertingMetrics::rule(rule)).inc();
        let mut pages = self.pages();
        let Some(page) = pages.get_mut(rule) else { return };
        if page.error.as_deref() != Some(error) {
            tracing::warn!(rule, error, "a rule cannot be evaluated, its alerts stay as they are");
            page.error = Some(error.to_owned());
        }
    }

    /// Told whenever the outbox has something new.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    fn outgoing(&self, about: About<'_>, transitions: &[Transition]) -> Vec<Outgoing> {
        let tells = |channel: &Channel| {
            let is_told = |one: &&Transition| {
                self.router.receivers(&one.instance.labels).contains(channel.receiver.as_str())
            };
            message(about, channel, &transitions.iter().filter(is_told).collect::<Vec<_>>())
        };
        self.channels.iter().filter_map(tells).collect()
    }

    fn count_firing(&self, rule: &str) {
        let instances = self.instances(rule);
        let firing = instances.values().filter(|instance| instance.phase == Phase::Firing).count();
        let gauge = self.metrics.firing.get_or_create(&AlertingMetrics::rule(rule)).clone();
        gauge.set(i64::try_from(firing).unwrap_or(i64::MAX));
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<String, Page>> {
        // Nothing panics while it holds the lock.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
