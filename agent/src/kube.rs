//! What Kubernetes knows of the pods whose logs are read: names, owners,
//! labels, images, and what their annotations ask for.
//!
//! ```text
//! API server --list, watch--> follow -> Pods <--looks up-- reading thread
//!               pods of this node        |                  holds a new container's lines
//!               namespaces               +--bell: changed-> until its pod is known, or 5 s
//! ```
//!
//! Neither reading nor liveness depends on the API server: without it lines go
//! with what the path of their file says, and are marked.
//!
//! Two requests last for ever: one for the pods of this node, one for the
//! namespaces, of which only annotations of ours are kept. Nothing else is asked:
//! owners are told by the pod itself (`owner`).

mod annotation;
mod apply;
mod client;
mod config;
mod explain;
mod facts;
mod follow;
mod image;
mod object;
mod owner;
mod pods;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use weir_runtime::{Shutdown, TaskError, Tasks};

use crate::bell::Bell;
use crate::metric::Measured;
use crate::{Config, StartError};
use client::{Access, Client};
use follow::{Follower, Tempo, escaped};
use object::{Namespace, Pod};

pub use annotation::Annotation;
pub(crate) use apply::Applied;
pub use config::{KubernetesConfig, KubernetesMode};
pub(crate) use explain::{Configured, Wanted, explain};
pub(crate) use pods::Pods;

/// What is to be asked, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    access: Access,
    node: String,
    config: KubernetesConfig,
    tempo: Tempo,
}

impl Question {
    /// What the configuration says is to be asked; nothing, where there is no
    /// API server to ask.
    ///
    /// # Errors
    /// [`StartError::Kubernetes`].
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, StartError> {
        let kubernetes = &config.kubernetes;
        let Some(access) = kubernetes.access(config.own_cluster.as_deref())? else { return Ok(None) };
        let node = config.node.clone().filter(|node| !node.is_empty());
        let Some(node) = node else {
            let reason = "is not set, so the agent cannot ask the API server for the pods of its node: \
                          set it, in a pod by WEIR_AGENT_NODE from spec.nodeName";
            if kubernetes.mode == KubernetesMode::Auto && kubernetes.url.is_empty() {
                tracing::warn!("agent.node {reason}; lines have what the paths of their files say");
                return Ok(None);
            }
            return Err(StartError::Kubernetes { key: "agent.node".to_owned(), reason: reason.to_owned() });
        };
        Ok(Some(Self { access, node, config: kubernetes.clone(), tempo: Tempo::default() }))
    }

    /// Follows the node's pods until `ended` begins.
    pub(crate) fn follow(
        self,
        tasks: &Tasks,
        ended: &Shutdown,
        bell: &Arc<Bell>,
        measured: &Measured,
    ) -> Arc<Pods> {
        let Self { access, node, config, tempo } = self;
        let pods = Arc::new(Pods::new(config.rules(), config.grace.0, Arc::clone(bell), measured.clone()));
        let selector = format!("fieldSelector=spec.nodeName%3D{}&", escaped(&node));
        tracing::info!(server = access.authority, node, "asking the API server about the pods of this node");
        let client = Client::new(access);
        let following = Following { client, pods: Arc::clone(&pods), measured: measured.clone(), tempo };
        let (namespaces, stop) = (following.clone(), ended.clone());
        tasks.spawn("pods", async move { following.pods(&selector, &stop).await });
        let stop = ended.clone();
        tasks.spawn("namespaces", async move { namespaces.namespaces(&stop).await });
        pods
    }
}

/// What a following needs.
#[derive(Clone, Debug)]
struct Following {
    client: Client,
    pods: Arc<Pods>,
    measured: Measured,
    tempo: Tempo,
}

impl Following {
    async fn pods(&self, selector: &str, stop: &Shutdown) -> Result<(), TaskError> {
        let Self { client, pods, measured, tempo } = self;
        let keep: &Pods = pods;
        let follower = Follower::<Pod> { client, selector, keep, tempo: *tempo, measured };
        tokio::select! {
            () = follower.run() => {}
            () = stop.begun() => {}
        }
        Ok(())
    }

    async fn namespaces(&self, stop: &Shutdown) -> Result<(), TaskError> {
        let Self { client, pods, measured, tempo } = self;
        let keep: &Pods = pods;
        let follower = Follower::<Namespace> { client, selector: "", keep, tempo: *tempo, measured };
        tokio::select! {
            () = follower.run() => {}
            () = stop.begun() => {}
        }
        Ok(())
    }
}
