//! What applies to the containers of a pod, and where each of it comes from:
//! what `weir agent explain` shows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use globset::GlobMatcher;
use serde_json::{Value, json};

use super::annotation::{Annotation, level};
use super::apply::{Refused, Resolved, Setting, Why};
use super::pods::{Known, Pods};
use crate::Config;
use crate::attribute::PodPlace;
use crate::join::Multiline;
use crate::limit::{LimitsConfig, Subject, configured};
use crate::status::{FileStatus, ReaderStatus};

/// What is configured, where no annotation says otherwise. It may change while
/// the agent runs. Cloning shares.
#[derive(Clone, Debug)]
pub(crate) struct Configured(Arc<Mutex<Base>>);

#[derive(Clone, Debug)]
struct Base {
    multiline: Multiline,
    limits: LimitsConfig,
}

/// Which pods.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) namespace: Option<String>,
    pub(crate) pod: GlobMatcher,
}

impl Configured {
    pub(crate) fn of(config: &Config) -> Self {
        Self(Arc::new(Mutex::new(Base::of(config))))
    }

    /// The configuration says otherwise now.
    pub(crate) fn change(&self, config: &Config) {
        *self.lock() = Base::of(config);
    }

    fn lock(&self) -> MutexGuard<'_, Base> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Base {
    fn of(config: &Config) -> Self {
        Self { multiline: config.multiline, limits: config.limits.clone() }
    }
}

/// Explains the pods that are wanted: those that the API server told of, and
/// those that only have files.
pub(crate) fn explain(
    pods: Option<&Pods>,
    configured: &Configured,
    reader: &ReaderStatus,
    wanted: &Wanted,
) -> Value {
    let configured = &configured.lock().clone();
    let fits = |namespace: &str, pod: &str| {
        wanted.namespace.as_deref().is_none_or(|name| name == namespace) && wanted.pod.is_match(pod)
    };
    let mut told = Vec::new();
    let mut seen = BTreeSet::new();
    for known in pods.map(Pods::all).unwrap_or_default() {
        let facts = &known.facts;
        if !fits(&facts.namespace, &facts.name) {
            continue;
        }
        let uid = facts.path_uid.as_ref().unwrap_or(&facts.uid);
        let files = reader.files.iter().filter(|file| place(file).is_some_and(|place| place.uid == *uid));
        let files: Vec<_> = files.collect();
        let named = facts.containers.iter().map(|container| container.name.clone());
        let read = files.iter().filter_map(|file| Some(place(file)?.container));
        let containers: BTreeSet<_> = named.chain(read).collect();
        let containers = containers.iter().map(|name| {
            let of_it = files.iter().filter(|file| place(file).is_some_and(|place| place.container == *name));
            container(name, Some(&known), pods, configured, of_it.copied().collect())
        });
        told.push(json!({
            "namespace": facts.namespace,
            "pod": facts.name,
            "uid": facts.uid,
            "node": facts.node,
            "known": true,
            "deleted": known.is_gone,
            "owners": facts.owners.iter().map(|(key, name)| (*key, name)).collect::<std::collections::BTreeMap<_, _>>(),
            "containers": containers.collect::<Vec<_>>(),
        }));
        seen.insert(uid.clone());
    }
    told.extend(unknown(reader, configured, &seen, fits));
    let kubernetes = pods.map(Pods::standing).map(|standing| {
        json!({ "pods": standing.pods, "listed": standing.is_listed, "troubles": standing.troubles })
    });
    json!({ "kubernetes": kubernetes, "pods": told })
}

/// Pods of which only files are there.
fn unknown(
    reader: &ReaderStatus,
    configured: &Base,
    seen: &BTreeSet<String>,
    fits: impl Fn(&str, &str) -> bool,
) -> Vec<Value> {
    let mut pods: Vec<(String, String, String)> = Vec::new();
    for file in &reader.files {
        let (Some(place), Some(namespace), Some(pod)) =
            (place(file), &file.subject.namespace, &file.subject.pod)
        else {
            continue;
        };
        if !seen.contains(&place.uid) && fits(namespace, pod) {
            pods.push((namespace.clone(), pod.clone(), place.uid));
        }
    }
    pods.sort();
    pods.dedup();
    let told = pods.into_iter().map(|(namespace, pod, uid)| {
        let of_pod = reader.files.iter().filter_map(|file| Some((place(file)?, file)));
        let of_pod: Vec<_> = of_pod.filter(|(place, _)| place.uid == uid).collect();
        let names: BTreeSet<_> = of_pod.iter().map(|(place, _)| place.container.clone()).collect();
        let containers = names.iter().map(|name| {
            let files = of_pod.iter().filter(|(place, _)| place.container == *name).map(|(_, file)| *file);
            container(name, None, None, configured, files.collect())
        });
        json!({
            "namespace": namespace,
            "pod": pod,
            "uid": uid,
            "known": false,
            "containers": containers.collect::<Vec<_>>(),
        })
    });
    told.collect()
}

fn container(
    name: &str,
    known: Option<&Known>,
    pods: Option<&Pods>,
    configured: &Base,
    files: Vec<&FileStatus>,
) -> Value {
    let restarts = files.iter().filter_map(|file| place(file)?.restarts).max();
    let resolved = match known.zip(pods) {
        Some((known, pods)) => pods.resolve(known, name, restarts),
        None => Resolved { service_from: "the file's path".to_owned(), ..Resolved::default() },
    };
    let subject = Subject {
        namespace: known.map(|known| known.facts.namespace.clone()),
        pod: known.map(|known| known.facts.name.clone()),
        container: Some(name.to_owned()),
        service: None,
    };
    let service = resolved.applied.attributes.get("service.name").map_or(name, String::as_str);
    let settings: Vec<_> = Annotation::words()
        .flat_map(|annotation| setting(annotation, &resolved, service, configured, &subject))
        .collect();
    json!({
        "container": name,
        "settings": settings,
        "refused": resolved.refused.iter().map(refused).collect::<Vec<_>>(),
        "attributes": resolved.applied.attributes,
        "files": files.into_iter().map(file).collect::<Vec<_>>(),
    })
}

/// What holds of one thing that can be asked for: mostly one value, two where
/// the configuration's holds beside what is asked for.
fn setting(
    annotation: Annotation,
    resolved: &Resolved,
    service: &str,
    config: &Base,
    subject: &Subject,
) -> Vec<Value> {
    let word = annotation.word();
    let asked = resolved.settings.iter().find(|setting| setting.annotation == annotation);
    let mut told: Vec<_> = asked.map(|asked| from_annotation(word, asked)).into_iter().collect();
    let set = |value: String, is_default: bool| json!({ "setting": word, "value": value, "from": if is_default { "default" } else { "configuration" } });
    let (rate, sample) = configured(&config.limits, subject);
    match annotation {
        Annotation::RateLimit if rate.is_some() => {
            told.extend(rate.map(|rate| set(format!("{} for the pod", rate.describe()), false)));
        }
        Annotation::Sample if sample.is_some() => {
            told.extend(sample.map(|share| set(share.get().to_string(), false)));
        }
        Annotation::Service if asked.is_none() => {
            told.push(json!({ "setting": word, "value": service, "from": resolved.service_from }));
        }
        _ if asked.is_some() => {}
        Annotation::Exclude => told.push(set("false".to_owned(), true)),
        Annotation::Parser => told.push(set("auto".to_owned(), true)),
        Annotation::Multiline => {
            let mode = if config.multiline == Multiline::None { "none" } else { "auto" };
            told.push(set(mode.to_owned(), config.multiline == Multiline::Auto));
        }
        Annotation::MinLevel => told.push(set(level(0).to_owned(), true)),
        Annotation::Sample => told.push(set("1".to_owned(), true)),
        Annotation::RateLimit => told.push(set("none".to_owned(), true)),
        Annotation::Redact | Annotation::Service | Annotation::Resource => {}
    }
    told
}

fn from_annotation(word: &str, asked: &Setting) -> Value {
    let on = if asked.from.is_namespace { "namespace" } else { "pod" };
    json!({
        "setting": word,
        "value": asked.value,
        "from": format!("{on} annotation {}", asked.from.key),
    })
}

fn refused(refused: &Refused) -> Value {
    let (is_allowed, why) = match &refused.why {
        Why::NotAllowed => (false, "agent.kubernetes.annotations does not allow it"),
        Why::Invalid(why) => (true, why.as_str()),
    };
    json!({
        "on": if refused.is_namespace { "namespace" } else { "pod" },
        "annotation": refused.key,
        "value": refused.value,
        "allowed": is_allowed,
        "why": why,
    })
}

fn file(file: &FileStatus) -> Value {
    json!({
        "path": file.path,
        "metadata": file.metadata,
        "excluded": file.is_excluded,
        "size": file.size,
        "read": file.read,
        "lines": file.counts.lines,
        "drops": file.counts.drops,
    })
}

fn place(file: &FileStatus) -> Option<PodPlace> {
    PodPlace::of(std::path::Path::new(&file.path))
}
