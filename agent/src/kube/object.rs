//! What is decoded of the API server's objects: the few fields that are
//! needed. The rest is passed over, and nothing is kept of it.
//!
//! Source of the format: the Kubernetes API reference, `core/v1`. Fields that
//! are absent, and lists that are `null`, are empty.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Annotations with other beginnings are passed over: one of them alone may
/// hold 256 KiB.
const PREFIXES: [&str; 2] = ["weir.dev/", "resource.opentelemetry.io/"];

/// On the API server's copy of a static pod: what the kubelet calls its uid,
/// in the paths of its logs.
pub(super) const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// The longest value that is kept.
const VALUE_BYTES_MAX: usize = 1024;

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: PageMetadata,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMetadata {
    pub(super) resource_version: String,
    /// Where the next page begins; empty on the last.
    pub(super) r#continue: String,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// What every object has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Bare {
    pub(super) metadata: Version,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) resource_version: String,
}

/// An object that can be listed and watched.
pub(super) trait Object: DeserializeOwned + Send {
    /// For people.
    const KIND: &'static str;
    /// The path of the list.
    const PATH: &'static str;
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub(super) spec: PodSpec,
    #[serde(deserialize_with = "or_default")]
    pub(super) status: PodStatus,
}

/// A namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Namespace {
    pub(super) metadata: Metadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) annotations: Annotations,
    #[serde(deserialize_with = "or_default")]
    pub(super) owner_references: Vec<Owner>,
}

/// The annotations that may mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Annotations(pub(super) BTreeMap<String, String>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(super) init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ephemeral_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) env: Vec<Variable>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Absent where it comes from elsewhere.
    pub(super) value: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    #[serde(deserialize_with = "or_default")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
    pub(super) restart_count: u32,
}

impl Object for Pod {
    const KIND: &'static str = "pods";
    const PATH: &'static str = "/api/v1/pods";
}

impl Object for Namespace {
    const KIND: &'static str = "namespaces";
    const PATH: &'static str = "/api/v1/namespaces";
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wanted;
        impl<'de> Visitor<'de> for Wanted {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Annotations, M::Error> {
                let mut held = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let is_wanted =
                        PREFIXES.iter().any(|prefix| key.starts_with(prefix)) || key == CONFIG_HASH;
                    if !is_wanted {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let mut value = map.next_value::<String>()?;
                    if value.len() > VALUE_BYTES_MAX {
                        value.truncate(value.floor_char_boundary(VALUE_BYTES_MAX));
                    }
                    held.insert(key, value);
                }
                Ok(Annotations(held))
            }
        }
        deserializer.deserialize_map(Wanted)
    }
}

/// `null` is as good as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_kept() {
        let text = r#"{"kind":"Pod","metadata":{"name":"cart-1","uid":"u","managedFields":[{"x":{}}],"labels":null,
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"huge\":1}","weir.dev/service":"cart",
            "resource.opentelemetry.io/team":"shop","other":"x"},"ownerReferences":null},
            "spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","valueFrom":{"fieldRef":{}}}],"ports":[1]}],
            "initContainers":null},"status":null}"#;
        let pod: Pod = serde_json::from_str(text).expect("a pod");
        let keys: Vec<_> = pod.metadata.annotations.0.keys().map(String::as_str).collect();
        assert_eq!(keys, ["resource.opentelemetry.io/team", "weir.dev/service"]);
        assert!(pod.metadata.labels.is_empty() && pod.status.container_statuses.is_empty());
        assert_eq!(pod.spec.containers[0].env[0].value, None);
    }

    #[test]
    fn a_value_is_cut_at_a_letter() {
        let text = format!(r#"{{"weir.dev/service":"x{}"}}"#, "ü".repeat(2000));
        let held: Annotations = serde_json::from_str(&text).expect("annotations");
        assert_eq!(held.0["weir.dev/service"].len(), 1023);
    }
}
