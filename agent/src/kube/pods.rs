//! What is known of the node's pods and their namespaces at present. Filled by
//! two watches, read by the reading thread.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::apply::{Applied, Refused, Resolved, Rules, Why};
use super::facts::Facts;
use super::follow::{FollowError, Keep, told};
use super::object::{Namespace, Pod};
use crate::attribute::PodPlace;
use crate::bell::Bell;
use crate::metric::Measured;

/// The most pods that are known at a time; a node has a few hundred.
const PODS_MAX: usize = 10_000;

/// The most namespaces whose annotations are kept; those without any of ours do not count.
const NAMESPACES_MAX: usize = 10_000;

/// The most annotations that are warned of.
const MISTAKES_MAX: usize = 1_000;

/// The node's pods.
#[derive(Debug)]
pub(crate) struct Pods {
    state: Mutex<State>,
    /// Something is in `changed`.
    has_news: AtomicBool,
    rules: Rules,
    /// How long a deleted pod is known.
    grace: Duration,
    bell: Arc<Bell>,
    measured: Measured,
}

#[derive(Debug, Default)]
struct State {
    /// By the uid that stands in the paths of their logs.
    pods: HashMap<String, Held>,
    /// Those with annotations of ours.
    namespaces: HashMap<String, Arc<BTreeMap<String, String>>>,
    /// Uids of pods of which something changed.
    changed: HashSet<String>,
    /// Annotations that were warned of: namespace, name, value.
    mistakes: HashSet<(String, String, String)>,
    pods_listed: bool,
    /// They are known, or will not be for a while.
    namespaces_settled: bool,
    pods_trouble: Option<String>,
    namespaces_trouble: Option<String>,
}

#[derive(Debug)]
struct Held {
    facts: Arc<Facts>,
    /// Since when it is no more.
    gone: Option<Instant>,
}

/// A pod, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) facts: Arc<Facts>,
    /// Its namespace's annotations.
    pub(super) defaults: Arc<BTreeMap<String, String>>,
    /// It was deleted.
    pub(super) is_gone: bool,
}

/// How the following stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Pods that are known, those that were deleted of late too.
    pub(crate) pods: usize,
    /// The pods were listed.
    pub(crate) is_listed: bool,
    /// What keeps the agent from following them, or their namespaces.
    pub(crate) troubles: Vec<String>,
}

impl Pods {
    pub(super) fn new(rules: Rules, grace: Duration, bell: Arc<Bell>, measured: Measured) -> Self {
        let (state, has_news) = (Mutex::default(), AtomicBool::new(false));
        Self { state, has_news, rules, grace, bell, measured }
    }

    /// What applies to a container of a known pod, with reasons.
    pub(super) fn resolve(&self, known: &Known, container: &str, restarts: Option<u32>) -> Resolved {
        self.rules.apply(known, container, restarts)
    }

    /// What applies to a container, once its pod and its namespace are known.
    pub(crate) fn applied(&self, place: &PodPlace) -> Option<Arc<Applied>> {
        let known = self.get(&place.uid)?;
        Some(Arc::new(self.rules.apply(&known, &place.container, place.restarts).applied))
    }

    /// The pod of that uid, once it and its namespace are known.
    pub(super) fn get(&self, uid: &str) -> Option<Known> {
        let state = self.lock();
        if !state.namespaces_settled {
            return None;
        }
        state.known(uid)
    }

    /// Every pod, sorted by namespace and name.
    pub(super) fn all(&self) -> Vec<Known> {
        let state = self.lock();
        let mut all: Vec<_> = state.pods.keys().filter_map(|uid| state.known(uid)).collect();
        all.sort_by(|a, b| (&a.facts.namespace, &a.facts.name).cmp(&(&b.facts.namespace, &b.facts.name)));
        all
    }

    /// Uids of pods of which something changed since this was last asked.
    pub(crate) fn take_changed(&self) -> HashSet<String> {
        if !self.has_news.swap(false, Ordering::Acquire) {
            return HashSet::new();
        }
        std::mem::take(&mut self.lock().changed)
    }

    /// How the following stands.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.lock();
        let troubles = [&state.pods_trouble, &state.namespaces_trouble];
        Standing {
            pods: state.pods.len(),
            is_listed: state.pods_listed,
            troubles: troubles.into_iter().flatten().cloned().collect(),
        }
    }

    /// Changes what is known, forgets what is past its time, and tells the
    /// reading thread if there is something to tell.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.tell_mistakes(&mut state);
        let now = Instant::now();
        state.pods.retain(|_, held| held.gone.is_none_or(|since| now < since + self.grace));
        self.measured.kubernetes_pods.set(i64::try_from(state.pods.len()).unwrap_or(i64::MAX));
        let has_news = !state.changed.is_empty();
        drop(state);
        if has_news {
            self.has_news.store(true, Ordering::Release);
            self.bell.wake();
        }
    }

    /// Warns of annotations that make no sense, of each once.
    fn tell_mistakes(&self, state: &mut State) {
        let concerned = state.changed.iter().filter_map(|uid| state.known(uid)).collect::<Vec<_>>();
        for known in concerned {
            let Facts { namespace, name, .. } = &*known.facts;
            for mistake in self.rules.mistakes(&known) {
                let Refused { key, value, why: Why::Invalid(why), .. } = &mistake else { continue };
                let is_full = state.mistakes.len() >= MISTAKES_MAX;
                // Copies of a pod make the same mistake.
                if is_full || !state.mistakes.insert((namespace.clone(), key.clone(), value.clone())) {
                    continue;
                }
                self.measured.failed("annotation");
                let on = if mistake.is_namespace { "namespace" } else { "pod" };
                tracing::warn!(
                    namespace,
                    pod = name,
                    on,
                    annotation = key,
                    value,
                    "the annotation makes no sense, it is passed over: {why}"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known(&self, uid: &str) -> Option<Known> {
        let held = self.pods.get(uid)?;
        let defaults = self.namespaces.get(&held.facts.namespace).cloned().unwrap_or_default();
        Some(Known { facts: Arc::clone(&held.facts), defaults, is_gone: held.gone.is_some() })
    }

    fn put(&mut self, facts: Facts) {
        let uid = uid_in_paths(&facts);
        if let Some(held) = self.pods.get_mut(&uid) {
            held.gone = None;
            if *held.facts == facts {
                return;
            }
        } else if self.pods.len() >= PODS_MAX {
            return;
        }
        self.changed.insert(uid.clone());
        self.pods.insert(uid, Held { facts: Arc::new(facts), gone: None });
    }

    /// The defaults of a namespace are others now.
    fn namespace_changed(&mut self, name: &str) {
        let concerned = self.pods.iter().filter(|(_, held)| held.facts.namespace == name);
        let concerned: Vec<_> = concerned.map(|(uid, _)| uid.clone()).collect();
        self.changed.extend(concerned);
    }

    fn settle_namespaces(&mut self) {
        if !std::mem::replace(&mut self.namespaces_settled, true) {
            let all: Vec<_> = self.pods.keys().cloned().collect();
            self.changed.extend(all);
        }
    }

    fn put_namespace(&mut self, namespace: Namespace) {
        let (name, annotations) = (namespace.metadata.name, namespace.metadata.annotations.0);
        let known = self.namespaces.get(&name);
        if known.map_or(annotations.is_empty(), |known| **known == annotations) {
            return;
        }
        if annotations.is_empty() {
            self.namespaces.remove(&name);
        } else if known.is_some() || self.namespaces.len() < NAMESPACES_MAX {
            self.namespaces.insert(name.clone(), Arc::new(annotations));
        }
        self.namespace_changed(&name);
    }
}

/// Of a static pod, the kubelet's own.
fn uid_in_paths(facts: &Facts) -> String {
    facts.path_uid.as_ref().unwrap_or(&facts.uid).clone()
}

impl Keep<Pod> for Pods {
    fn replace(&self, all: Vec<Pod>) {
        let all: Vec<_> = all.into_iter().map(|pod| Facts::of(pod, &self.rules.labels)).collect();
        self.change(|state| {
            let there: HashSet<_> = all.iter().map(uid_in_paths).collect();
            let now = Instant::now();
            for (uid, held) in &mut state.pods {
                if !there.contains(uid) {
                    held.gone.get_or_insert(now);
                }
            }
            for facts in all {
                state.put(facts);
            }
            state.pods_listed = true;
        });
    }

    fn put(&self, pod: Pod) {
        let facts = Facts::of(pod, &self.rules.labels);
        self.change(|state| state.put(facts));
    }

    fn remove(&self, pod: Pod) {
        let facts = Facts::of(pod, &self.rules.labels);
        self.change(|state| {
            let uid = uid_in_paths(&facts);
            // It may have come and gone between two looks: its lines remain.
            state.put(facts);
            if let Some(held) = state.pods.get_mut(&uid) {
                held.gone = Some(Instant::now());
            }
        });
    }

    fn trouble(&self, trouble: Option<&FollowError>) {
        self.change(|state| note(&mut state.pods_trouble, "pods", trouble));
    }
}

impl Keep<Namespace> for Pods {
    fn replace(&self, all: Vec<Namespace>) {
        self.change(|state| {
            let there: HashSet<_> = all.iter().map(|namespace| namespace.metadata.name.clone()).collect();
            let gone = state.namespaces.keys().filter(|name| !there.contains(*name));
            for name in gone.cloned().collect::<Vec<_>>() {
                state.namespaces.remove(&name);
                state.namespace_changed(&name);
            }
            for namespace in all {
                state.put_namespace(namespace);
            }
            state.settle_namespaces();
        });
    }

    fn put(&self, namespace: Namespace) {
        self.change(|state| state.put_namespace(namespace));
    }

    fn remove(&self, mut namespace: Namespace) {
        namespace.metadata.annotations.0.clear();
        self.change(|state| state.put_namespace(namespace));
    }

    fn trouble(&self, trouble: Option<&FollowError>) {
        self.change(|state| {
            note(&mut state.namespaces_trouble, "namespaces", trouble);
            // Nobody shall wait for what is not to be had.
            if trouble.is_some_and(FollowError::is_refusal) {
                state.settle_namespaces();
            }
        });
    }
}

/// Says once that something is wrong, and once that it is well again.
fn note(held: &mut Option<String>, what: &str, trouble: Option<&FollowError>) {
    let trouble = trouble.map(|error| format!("{what}: {}", told(error)));
    match (&held, &trouble) {
        (None, Some(trouble)) => {
            tracing::warn!(%trouble, "the API server cannot be followed, trying again");
        }
        (Some(_), None) => tracing::info!(what, "the API server is followed again"),
        _ => {}
    }
    *held = trouble;
}
