//! What applies to a container: the nearest annotation that is allowed and
//! makes sense, and what its lines are marked with.
//!
//! ```text
//! weir.dev/parser.CONTAINER   on the pod
//! weir.dev/parser             on the pod
//! weir.dev/parser.CONTAINER   on the namespace
//! weir.dev/parser             on the namespace
//! what is configured
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::annotation::{Annotation, PREFIX, RESOURCE_PREFIX, Wish};
use super::facts::{ContainerFacts, Facts, INSTANCE, NAME, VERSION};
use super::pods::Known;
use crate::join::Multiline;
use crate::limit::Asked;

/// The most attributes that a pod's annotations may add.
const ATTRIBUTES_MAX: usize = 32;

/// Attributes that say where a line comes from: no annotation may.
const OWN: [&str; 4] = ["k8s.", "host.", "log.", "container."];

/// What applies to one incarnation of one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Applied {
    /// Attributes beside those that the path says, and instead of them.
    pub(crate) attributes: BTreeMap<String, String>,
    /// It is not read.
    pub(crate) exclude: bool,
    /// Nothing: as the reader finds.
    pub(crate) parser: Option<&'static str>,
    /// Nothing: as configured.
    pub(crate) multiline: Option<Multiline>,
    /// The lowest severity number that becomes a row.
    pub(crate) min_severity: Option<i16>,
    /// What of it is too much.
    pub(crate) asked: Asked,
    /// Names of redaction rules, beside those that are configured.
    pub(crate) redact: Vec<String>,
}

/// The same, with reasons.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    pub(super) applied: Applied,
    /// The annotations that are in force.
    pub(super) settings: Vec<Setting>,
    /// Where `service.name` comes from.
    pub(super) service_from: String,
    /// Annotations that are not.
    pub(super) refused: Vec<Refused>,
}

/// An annotation that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) annotation: Annotation,
    pub(super) value: String,
    pub(super) from: Place,
}

/// Where an annotation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_namespace: bool,
    /// All of its name.
    pub(super) key: String,
}

/// An annotation that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refused {
    pub(super) is_namespace: bool,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// The operator does not allow it.
    NotAllowed,
    /// It makes no sense; what would.
    Invalid(String),
}

/// What the operator says of annotations and labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) allowed: BTreeSet<Annotation>,
    /// Labels that become attributes.
    pub(super) labels: BTreeSet<String>,
}

impl Rules {
    /// What applies to a container of a pod. `restarts` says which incarnation
    /// of the container it is.
    pub(super) fn apply(&self, known: &Known, container: &str, restarts: Option<u32>) -> Resolved {
        let facts = &known.facts;
        let mut resolved = Resolved::default();
        let held = facts.container(container);
        let mut attributes = BTreeMap::new();
        let mut rest = Vec::new();
        for annotation in Annotation::words() {
            let Some((wish, from)) = self.nearest(annotation, known, container, &mut resolved.refused) else {
                continue;
            };
            let value = wish.describe();
            rest.push(wish);
            resolved.settings.push(Setting { annotation, value, from });
        }
        self.add_wished_attributes(known, &mut attributes, &mut resolved.refused);
        add_facts(facts, held, restarts, &mut attributes);
        for key in &self.labels {
            if let Some(value) = facts.labels.get(key) {
                attributes.insert(format!("k8s.pod.label.{key}"), value.clone());
            }
        }
        let applied = &mut resolved.applied;
        let mut service = None;
        for wish in rest {
            match wish {
                Wish::Exclude(is) => applied.exclude = is,
                Wish::Service(name) => service = Some(name),
                Wish::Parser(name) => applied.parser = Some(name),
                Wish::Multiline(mode) => applied.multiline = Some(mode),
                Wish::MinLevel(number) => applied.min_severity = Some(number),
                Wish::Sample(share) => applied.asked.sample = Some(share),
                Wish::RateLimit(rate) => applied.asked.limit = Some(rate),
                Wish::Redact(rules) => applied.redact = rules,
            }
        }
        let limited = resolved.settings.iter().find(|setting| setting.annotation == Annotation::RateLimit);
        applied.asked.is_own = limited.is_some_and(|setting| setting.from.is_of(container));
        resolved.service_from = name_service(service, facts, held, container, &mut attributes);
        applied.attributes = attributes;
        resolved
    }

    /// Every annotation of a pod that makes no sense, of whichever container.
    pub(super) fn mistakes(&self, known: &Known) -> BTreeSet<Refused> {
        let mut mistakes = BTreeSet::new();
        let containers = known.facts.containers.iter().map(|container| container.name.as_str());
        for container in containers.chain([""]) {
            let refused = self.apply(known, container, None).refused;
            mistakes.extend(refused.into_iter().filter(|refused| matches!(refused.why, Why::Invalid(_))));
        }
        let pod = known.facts.annotations.iter().map(|pair| (pair, false));
        for ((key, value), is_namespace) in pod.chain(known.defaults.iter().map(|pair| (pair, true))) {
            let Some(rest) = key.strip_prefix(PREFIX) else { continue };
            let (word, container) =
                rest.split_once('.').map_or((rest, None), |(word, name)| (word, Some(name)));
            let why = if !Annotation::words().any(|annotation| annotation.word() == word) {
                let words: Vec<_> = Annotation::words().map(Annotation::word).collect();
                format!("there is no such annotation: the words behind {PREFIX} are {}", words.join(", "))
            } else if !is_namespace && container.is_some_and(|name| known.facts.container(name).is_none()) {
                "the pod has no such container: write the name of one behind the point".to_owned()
            } else {
                continue;
            };
            let (key, value) = (key.clone(), value.clone());
            mistakes.insert(Refused { is_namespace, key, value, why: Why::Invalid(why) });
        }
        mistakes
    }

    fn nearest(
        &self,
        annotation: Annotation,
        known: &Known,
        container: &str,
        refused: &mut Vec<Refused>,
    ) -> Option<(Wish, Place)> {
        let plain = format!("{PREFIX}{}", annotation.word());
        let own = format!("{plain}.{container}");
        for (annotations, is_namespace) in [(&known.facts.annotations, false), (&*known.defaults, true)] {
            for key in [&own, &plain] {
                let Some(value) = annotations.get(key) else { continue };
                let why = if self.allowed.contains(&annotation) {
                    match annotation.read(value) {
                        Ok(wish) => return Some((wish, Place { is_namespace, key: key.clone() })),
                        Err(why) => Why::Invalid(why),
                    }
                } else {
                    Why::NotAllowed
                };
                refused.push(Refused { is_namespace, key: key.clone(), value: value.clone(), why });
            }
        }
        None
    }

    /// `resource.opentelemetry.io/...`.
    fn add_wished_attributes(
        &self,
        known: &Known,
        attributes: &mut BTreeMap<String, String>,
        refused: &mut Vec<Refused>,
    ) {
        let named = known.facts.annotations.iter();
        for (key, value) in named.filter(|(key, _)| key.starts_with(RESOURCE_PREFIX)) {
            let name = key.trim_start_matches(RESOURCE_PREFIX);
            let why = if !self.allowed.contains(&Annotation::Resource) {
                Why::NotAllowed
            } else if OWN.iter().any(|own| name.starts_with(own)) {
                Why::Invalid("the agent itself says where a line comes from: use another name".to_owned())
            } else if attributes.len() >= ATTRIBUTES_MAX {
                Why::Invalid(format!("there are {ATTRIBUTES_MAX} of them already: write fewer"))
            } else {
                match Annotation::Resource.read(value) {
                    Ok(_) => {
                        attributes.insert(name.to_owned(), value.trim().to_owned());
                        continue;
                    }
                    Err(why) => Why::Invalid(why),
                }
            };
            refused.push(Refused { is_namespace: false, key: key.clone(), value: value.clone(), why });
        }
    }
}

impl Place {
    fn is_of(&self, container: &str) -> bool {
        self.key.strip_suffix(container).is_some_and(|rest| rest.ends_with('.'))
    }
}

/// What the pod is, by OpenTelemetry's names.
fn add_facts(
    facts: &Facts,
    container: Option<&ContainerFacts>,
    restarts: Option<u32>,
    attributes: &mut BTreeMap<String, String>,
) {
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            attributes.insert(key.to_owned(), value.to_owned());
        }
    };
    add("k8s.namespace.name", &facts.namespace);
    add("k8s.pod.name", &facts.name);
    add("k8s.pod.uid", &facts.uid);
    add("k8s.node.name", &facts.node);
    for (key, name) in &facts.owners {
        add(key, name);
    }
    let Some(container) = container else { return };
    add("container.image.name", &container.image_name);
    add("container.image.tag", container.image_tag.as_deref().unwrap_or_default());
    // The id is that of the incarnation that runs: a file of an earlier one is another's.
    if let Some((running, id)) = &container.running
        && Some(*running) == restarts
    {
        add("container.id", id);
    }
}

/// `service.*`, by the order of OpenTelemetry's page on attributes in
/// Kubernetes, before which stand `weir.dev/service` and behind whose
/// annotation stands what the container tells its SDK. Answers with where the
/// name comes from.
fn name_service(
    wished: Option<String>,
    facts: &Facts,
    container: Option<&ContainerFacts>,
    container_name: &str,
    attributes: &mut BTreeMap<String, String>,
) -> String {
    let label = |key: &str| facts.labels.get(key).filter(|value| !value.is_empty()).cloned();
    let found = wished
        .map(|name| (name, "annotation weir.dev/service".to_owned()))
        .or_else(|| {
            let name = attributes.get("service.name")?.clone();
            Some((name, format!("annotation {RESOURCE_PREFIX}service.name")))
        })
        .or_else(|| {
            let name = container?.service.clone()?;
            Some((name, "the container's OTEL_SERVICE_NAME".to_owned()))
        })
        .or_else(|| [INSTANCE, NAME].into_iter().find_map(|key| Some((label(key)?, format!("label {key}")))))
        .or_else(|| {
            let (key, name) = facts.owners.first()?;
            Some((name.clone(), (*key).to_owned()))
        })
        .or_else(|| (!facts.name.is_empty()).then(|| (facts.name.clone(), "k8s.pod.name".to_owned())))
        .unwrap_or_else(|| (container_name.to_owned(), "k8s.container.name".to_owned()));
    attributes.insert("service.name".to_owned(), found.0);
    if !attributes.contains_key("service.namespace") && !facts.namespace.is_empty() {
        attributes.insert("service.namespace".to_owned(), facts.namespace.clone());
    }
    let version = label(VERSION).or_else(|| container?.version.clone());
    if let Some(version) = version
        && !attributes.contains_key("service.version")
    {
        attributes.insert("service.version".to_owned(), version);
    }
    found.1
}

#[cfg(test)]
mod tests;
