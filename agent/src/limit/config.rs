//! What the operator declares, and what it means for a pod.

use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};
use weir_runtime::{ByteSize, HumanDuration};

use super::{Rate, Subject};
use crate::{Share, StartError};

/// How much of what is tailed may be sent. By default, all of it. What is more
/// is dropped, and counted in `weir.gaps` with the reason `rate_limited` or
/// `sampled`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// For each pod, all of its containers together; for each service, where a
    /// file is no pod's.
    pub pod: Option<RateLimit>,
    /// For each Kubernetes namespace, on this node.
    pub namespace: Option<RateLimit>,
    /// The share of lines that is kept, from 0 to 1; which ones is decided by
    /// their place in the file. Nothing keeps all.
    pub sample: Option<Share>,
    /// What holds instead for some namespaces. The first that fits counts.
    pub overrides: Vec<LimitOverride>,
}

/// A limit on what passes in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Lines in a second.
    pub lines_per_second: Option<u64>,
    /// Bytes in a second, as they stand in the file.
    pub bytes_per_second: Option<ByteSize>,
    /// How many seconds' worth may come at once after a time of quiet. A line
    /// that is larger than that many bytes never passes.
    pub burst: HumanDuration,
}

/// What holds for the namespaces that a glob names, instead of what stands
/// beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOverride {
    /// The namespaces, for example `batch-*`.
    pub namespaces: String,
    /// For each of their pods; nothing is no limit.
    pub pod: Option<RateLimit>,
    /// For each of them; nothing is no limit.
    pub namespace: Option<RateLimit>,
    /// The share of lines that is kept; nothing keeps all.
    pub sample: Option<Share>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { lines_per_second: None, bytes_per_second: None, burst: HumanDuration(Duration::from_secs(5)) }
    }
}

/// What the configuration means.
#[derive(Debug, Default)]
pub(super) struct Policies {
    base: Policy,
    overrides: Vec<(GlobMatcher, Policy)>,
}

/// What holds for a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) pod: Option<Rate>,
    pub(super) namespace: Option<Rate>,
    pub(super) sample: Option<Share>,
}

impl LimitsConfig {
    /// Says what of it makes no sense, if anything does.
    ///
    /// # Errors
    /// [`StartError::Limits`].
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        Policies::new(self).map(drop)
    }
}

impl Policies {
    pub(super) fn new(config: &LimitsConfig) -> Result<Self, StartError> {
        let base = policy("agent.limits", config.pod, config.namespace, config.sample)?;
        let mut overrides = Vec::with_capacity(config.overrides.len());
        for (place, held) in config.overrides.iter().enumerate() {
            let key = format!("agent.limits.overrides[{place}]");
            let glob = Glob::new(&held.namespaces).map_err(|error| StartError::Limits {
                key: format!("{key}.namespaces"),
                reason: format!("{:?} is no glob: {error}", held.namespaces),
            })?;
            let policy = policy(&key, held.pod, held.namespace, held.sample)?;
            overrides.push((glob.compile_matcher(), policy));
        }
        Ok(Self { base, overrides })
    }

    pub(super) fn of(&self, subject: &Subject) -> Policy {
        let Some(namespace) = &subject.namespace else { return self.base };
        let fits = self.overrides.iter().find(|(glob, _)| glob.is_match(namespace));
        fits.map_or(self.base, |(_, policy)| *policy)
    }
}

/// The rate and the share that are configured for a pod.
pub(crate) fn configured(limits: &LimitsConfig, subject: &Subject) -> (Option<Rate>, Option<Share>) {
    let policy = Policies::new(limits).map(|policies| policies.of(subject)).unwrap_or_default();
    (policy.pod, policy.sample)
}

fn policy(
    key: &str,
    pod: Option<RateLimit>,
    namespace: Option<RateLimit>,
    sample: Option<Share>,
) -> Result<Policy, StartError> {
    let rate = |name: &str, limit: Option<RateLimit>| match limit {
        None => Ok(None),
        Some(limit) => Rate::new(&limit)
            .map(Some)
            .map_err(|reason| StartError::Limits { key: format!("{key}.{name}"), reason: reason.to_owned() }),
    };
    Ok(Policy { pod: rate("pod", pod)?, namespace: rate("namespace", namespace)?, sample })
}
