//! Following the pods of a stand-in for the API server.

use std::sync::Arc;

use serde_json::Value;

use super::follow::Keep;
use super::object::{Namespace, Pod};
use super::{KubernetesConfig, Pods};

pub(crate) mod server;

mod secure;
mod watch;

/// What is known without asking anybody: the pods given.
pub(crate) fn pods(told: &[Value]) -> Arc<Pods> {
    let config = KubernetesConfig::default();
    let pods = Arc::new(Pods::new(config.rules(), config.grace.0, Arc::default(), Default::default()));
    Keep::<Namespace>::replace(&*pods, Vec::new());
    for pod in told {
        tell(&pods, pod);
    }
    pods
}

/// A pod is new, or changed.
pub(crate) fn tell(pods: &Pods, pod: &Value) {
    Keep::<Pod>::put(pods, serde_json::from_value(pod.clone()).expect("a pod"));
}
