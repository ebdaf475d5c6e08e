//! What is kept of a pod: what its lines are marked with, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::image::Image;
use super::object::{CONFIG_HASH, Container, ContainerStatus, Pod};
use super::owner::owners;

/// Labels that the rules of `service.*` look at.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(super) const NAME: &str = "app.kubernetes.io/name";
pub(super) const VERSION: &str = "app.kubernetes.io/version";

/// By which a container tells OpenTelemetry's SDK what its service is called.
const SERVICE_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// The most containers that are told apart.
const CONTAINERS_MAX: usize = 256;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) namespace: String,
    pub(super) name: String,
    /// As the API server has it.
    pub(super) uid: String,
    /// As the kubelet has it, where that differs: in the paths of its logs.
    pub(super) path_uid: Option<String>,
    pub(super) node: String,
    /// Attributes that name what made it, the farthest first.
    pub(super) owners: Vec<(&'static str, String)>,
    /// The labels that are configured, and those that the rules look at.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) containers: Vec<ContainerFacts>,
}

/// One of its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContainerFacts {
    pub(super) name: String,
    pub(super) image_name: String,
    pub(super) image_tag: Option<String>,
    pub(super) version: Option<String>,
    /// What it tells OpenTelemetry's SDK.
    pub(super) service: Option<String>,
    /// Which incarnation of it runs or ran last: how often it was started again, and
    /// its id.
    pub(super) running: Option<(u32, String)>,
}

impl Facts {
    /// What is kept of `pod`; of its labels those that are wanted.
    pub(super) fn of(pod: Pod, labels: &BTreeSet<String>) -> Self {
        let owners = owners(&pod.metadata);
        let Pod { metadata, spec, status } = pod;
        let statuses: BTreeMap<String, ContainerStatus> =
            [status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses]
                .into_iter()
                .flatten()
                .map(|status| (status.name.clone(), status))
                .collect();
        let containers = [spec.containers, spec.init_containers, spec.ephemeral_containers];
        let containers = containers.into_iter().flatten().take(CONTAINERS_MAX);
        let mut annotations = metadata.annotations.0;
        let path_uid = annotations.remove(CONFIG_HASH);
        let is_wanted = |key: &str| [INSTANCE, NAME, VERSION].contains(&key) || labels.contains(key);
        Self {
            owners,
            path_uid: path_uid.filter(|uid| *uid != metadata.uid),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            node: spec.node_name,
            labels: metadata.labels.into_iter().filter(|(key, _)| is_wanted(key)).collect(),
            annotations,
            containers: containers
                .map(|container| {
                    let status = statuses.get(&container.name);
                    ContainerFacts::of(container, status)
                })
                .collect(),
        }
    }
}

impl Facts {
    /// A container of it.
    pub(super) fn container(&self, name: &str) -> Option<&ContainerFacts> {
        self.containers.iter().find(|container| container.name == name)
    }
}

impl ContainerFacts {
    fn of(container: Container, status: Option<&ContainerStatus>) -> Self {
        let image = Image::parse(&container.image);
        let service = container.env.into_iter().find(|variable| variable.name == SERVICE_VARIABLE);
        // `$(OTHER)` is filled in by the kubelet: what with is not known here.
        let service = service.and_then(|variable| variable.value).filter(|value| !value.contains("$("));
        let running = status.filter(|status| !status.container_id.is_empty()).map(|status| {
            let id = status.container_id.split_once("://").map_or("", |(_, id)| id);
            (status.restart_count, id.to_owned())
        });
        Self {
            image_name: image.name.to_owned(),
            image_tag: image.tag.map(str::to_owned),
            version: image.version(),
            service: service.filter(|name| !name.is_empty()),
            running: running.filter(|(_, id)| !id.is_empty()),
            name: container.name,
        }
    }
}
