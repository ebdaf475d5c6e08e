//! Whether and how the API server is asked, and what pods may ask for.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use serde::{Deserialize, Serialize};
use weir_runtime::HumanDuration;

use super::annotation::Annotation;
use super::apply::Rules;
use super::client::Access;
use crate::StartError;

/// Where a pod's credentials lie.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the agent asks the API server of Kubernetes about the pods of its
/// node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Whether the API server is asked. Without it a line has what its file's
    /// path says: namespace, pod, container.
    pub mode: KubernetesMode,
    /// The API server. Empty: that of the cluster in which the agent runs as a
    /// pod. `http://127.0.0.1:8001` is what `kubectl proxy` serves.
    pub url: String,
    /// The token to ask with, read again for each request. It is sent over
    /// HTTPS, and to this host.
    pub token_file: PathBuf,
    /// The certificates by which the API server is known, as PEM.
    pub ca_file: PathBuf,
    /// How long the first lines of a container wait for what the API server
    /// says of its pod. Then they go without, with a mark.
    pub wait: HumanDuration,
    /// How long what is known of a deleted pod is kept, for its last lines.
    pub grace: HumanDuration,
    /// Labels of pods that become attributes, each as `k8s.pod.label.NAME`.
    pub labels: Vec<String>,
    /// What annotations of pods and namespaces may ask for, of `exclude`,
    /// `service`, `parser`, `multiline`, `min-level`, `sample`, `rate-limit`, `redact` and
    /// `resource`. None of them lets more pass than is configured here.
    pub annotations: Vec<Annotation>,
}

/// When the API server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesMode {
    /// Where the agent runs as a pod, or `url` is set.
    #[default]
    Auto,
    /// Always: it is an error if there is none.
    Always,
    /// Never.
    Never,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        let service_account = |name: &str| PathBuf::from(SERVICE_ACCOUNT).join(name);
        Self {
            mode: KubernetesMode::Auto,
            url: String::new(),
            token_file: service_account("token"),
            ca_file: service_account("ca.crt"),
            wait: HumanDuration(Duration::from_secs(5)),
            grace: HumanDuration(Duration::from_secs(60)),
            labels: Vec::new(),
            annotations: Annotation::ALL.into(),
        }
    }
}

impl KubernetesConfig {
    /// Where to ask, if at all. `own` is the API server of the cluster in which
    /// this process is a pod.
    ///
    /// # Errors
    /// [`StartError::Kubernetes`]: what is set makes no sense.
    pub(crate) fn access(&self, own: Option<&str>) -> Result<Option<Access>, StartError> {
        let configured = Some(self.url.as_str()).filter(|url| !url.is_empty());
        let url = match (self.mode, configured.or(own)) {
            (KubernetesMode::Never, _) | (KubernetesMode::Auto, None) => return Ok(None),
            (_, Some(url)) => url,
            (KubernetesMode::Always, None) => {
                let reason = "is always, but this is no pod and agent.kubernetes.url is not set: \
                              set it, or write auto";
                return Err(refused("mode", reason));
            }
        };
        let bad = |why: &str| {
            let reason = format!("{url:?} {why}: write https://HOST:PORT, or http://HOST:PORT");
            refused("url", &reason)
        };
        let uri: Uri = url.parse().map_err(|_| bad("is no URL"))?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("is neither HTTPS nor HTTP")),
        };
        let host = uri.host().ok_or_else(|| bad("names no host"))?;
        Ok(Some(Access {
            is_secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
            port: uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
        }))
    }

    /// What is done about labels and annotations.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            allowed: self.annotations.iter().copied().collect(),
            labels: self.labels.iter().cloned().collect(),
        }
    }

    /// Says what of it makes no sense, if anything does.
    ///
    /// # Errors
    /// [`StartError::Kubernetes`].
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        // Whether this is a pod is known only where the agent runs.
        self.access(Some("https://kubernetes.default.svc")).map(drop)
    }
}

fn refused(key: &str, reason: &str) -> StartError {
    StartError::Kubernetes { key: format!("agent.kubernetes.{key}"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(mode: KubernetesMode, url: &str, own: Option<&str>) -> Result<Option<String>, String> {
        let config = KubernetesConfig { mode, url: url.to_owned(), ..KubernetesConfig::default() };
        let access = config.access(own).map_err(|error| error.to_string())?;
        Ok(access.map(|access| {
            let scheme = if access.is_secure { "https" } else { "http" };
            format!("{scheme} {} {} {}", access.host, access.port, access.prefix)
        }))
    }

    #[test]
    fn who_is_asked() {
        use KubernetesMode::{Always, Auto, Never};
        let check = |mode, url: &str, own: Option<&str>, expected: Option<&str>| {
            assert_eq!(
                asks(mode, url, own).expect("sensible").as_deref(),
                expected,
                "{mode:?} {url} {own:?}"
            );
        };
        check(Auto, "", None, None);
        check(Auto, "", Some("https://10.96.0.1:443"), Some("https 10.96.0.1 443 "));
        check(Auto, "", Some("https://[fd00::1]:6443"), Some("https fd00::1 6443 "));
        check(Auto, "http://127.0.0.1:8001", Some("https://10.96.0.1:443"), Some("http 127.0.0.1 8001 "));
        check(Always, "https://rancher/k8s/c-1/", None, Some("https rancher 443 /k8s/c-1"));
        check(Never, "http://127.0.0.1:8001", Some("https://10.96.0.1:443"), None);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |mode, url: &str, key: &str| {
            let told = asks(mode, url, None).expect_err(url);
            assert!(told.starts_with(key), "{told}");
        };
        check(KubernetesMode::Always, "", "agent.kubernetes.mode");
        check(KubernetesMode::Auto, "127.0.0.1:8001", "agent.kubernetes.url");
        check(KubernetesMode::Auto, "ftp://host", "agent.kubernetes.url");
        check(KubernetesMode::Auto, "https://", "agent.kubernetes.url");
    }
}
