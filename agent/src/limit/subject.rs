//! Who writes a file.

use std::fmt;

/// A pod's container, or a service where no pod writes the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Subject {
    /// `k8s.namespace.name`.
    pub(crate) namespace: Option<String>,
    /// `k8s.pod.name`.
    pub(crate) pod: Option<String>,
    /// `k8s.container.name`.
    pub(crate) container: Option<String>,
    /// `service.name`.
    pub(crate) service: Option<String>,
}

impl Subject {
    /// Whom a source's resource names.
    pub(crate) fn of(resource: &[(String, String)]) -> Self {
        let value = |key: &str| resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        Self {
            namespace: value("k8s.namespace.name"),
            pod: value("k8s.pod.name"),
            container: value("k8s.container.name"),
            service: value("service.name"),
        }
    }

    /// Whose limit it shares: the containers of a pod are one.
    pub(crate) fn limited(&self) -> Self {
        let service = if self.pod.is_none() { self.service.clone() } else { None };
        Self { namespace: self.namespace.clone(), pod: self.pod.clone(), container: None, service }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, &self.pod, &self.service) {
            (Some(namespace), Some(pod), _) => write!(f, "pod {namespace}/{pod}"),
            (None, Some(pod), _) => write!(f, "pod {pod}"),
            (_, None, Some(service)) => write!(f, "service {service}"),
            (_, None, None) => f.write_str("others"),
        }
    }
}
