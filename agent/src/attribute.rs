//! What a file's path says about where its lines come from, as OpenTelemetry
//! resource attributes.

use std::fs;
use std::path::Path;

use crate::frame::Stream;
use crate::parsers::Parsers;

/// The attributes that every source of an agent has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// `host.name`.
    pub(crate) host: Option<String>,
    /// `k8s.cluster.name`.
    pub(crate) cluster: Option<String>,
    /// `k8s.node.name`.
    pub(crate) node: Option<String>,
    /// How their lines are parsed.
    pub(crate) parsers: Parsers,
}

/// Whose log a file is, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodPlace {
    /// The pod's uid, as the kubelet has it.
    pub(crate) uid: String,
    /// The container's name.
    pub(crate) container: String,
    /// Which incarnation of the container it is.
    pub(crate) restarts: Option<u32>,
}

impl PodPlace {
    /// What the path says, if it has the layout of a pod's log.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let text = path.to_string_lossy();
        let Pod { uid, container, restarts, .. } = pod(&text)?;
        Some(Self { uid: uid.to_owned(), container: container.to_owned(), restarts: restarts.parse().ok() })
    }
}

/// What the layout `<namespace>_<pod>_<uid>/<container>/<n>.log` says. The
/// kubelet writes it under `/var/log/pods`; it is recognised anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pod<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    container: &'a str,
    /// How often the container was started again before.
    restarts: &'a str,
}

impl Origin {
    /// This host, in `cluster` and as `node` if these are configured. In a pod
    /// the host's own name is the pod's, so the node's goes before it.
    pub(crate) fn here(cluster: Option<String>, node: Option<String>) -> Self {
        let own = || fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
        let host = node.clone().or_else(own).filter(|name| !name.is_empty());
        Self { host, cluster, node, parsers: Parsers::default() }
    }

    /// The resource attributes of one stream of the file at `path`, sorted.
    ///
    /// `service.name` is the container's name for a pod, else the file's name
    /// without extension and without what rotation appends.
    pub(crate) fn resource(&self, path: &Path, stream: Stream) -> Vec<(String, String)> {
        let text = path.to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pod = pod(&text);
        let service = pod.map_or_else(|| service(&name), |pod| pod.container);
        let attributes = [
            ("host.name", self.host.as_deref()),
            ("k8s.cluster.name", self.cluster.as_deref()),
            ("k8s.container.name", pod.map(|pod| pod.container)),
            ("k8s.container.restart_count", pod.map(|pod| pod.restarts)),
            ("k8s.namespace.name", pod.map(|pod| pod.namespace)),
            ("k8s.node.name", self.node.as_deref()),
            ("k8s.pod.name", pod.map(|pod| pod.name)),
            ("k8s.pod.uid", pod.map(|pod| pod.uid)),
            ("log.file.name", Some(name.as_ref())),
            ("log.file.path", Some(text.as_ref())),
            ("log.iostream", stream.iostream()),
            ("service.name", Some(service)),
        ];
        let present = attributes.into_iter().filter_map(|(key, value)| Some((key, value?)));
        present.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// True when the path has the layout of a pod's log, whose lines are CRI's.
pub(crate) fn is_pod_log(path: &Path) -> bool {
    pod(&path.to_string_lossy()).is_some()
}

/// True when the path is that of a log of Docker's `json-file` driver,
/// `<id>/<id>-json.log`, rotated or not.
pub(crate) fn is_docker_log(path: &Path) -> bool {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let Some((file, id)) = name(path).zip(path.parent().and_then(name)) else { return false };
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id && file.strip_prefix(&id).is_some_and(|rest| rest.starts_with("-json.log"))
}

fn pod(path: &str) -> Option<Pod<'_>> {
    let mut parts = path.rsplit('/');
    let (file, container, pod) = (parts.next()?, parts.next()?, parts.next()?);
    let number = file.split('.').next()?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !file[number.len()..].starts_with(".log") {
        return None;
    }
    let mut fields = pod.split('_');
    let (namespace, name, uid) = (fields.next()?, fields.next()?, fields.next()?);
    let complete = [namespace, name, uid, container].iter().all(|field| !field.is_empty());
    (complete && fields.next().is_none()).then_some(Pod { namespace, name, uid, container, restarts: number })
}

/// `app.log`, `app.log.1`, `app.log-20240131`, `app-20240131.log`,
/// `app.2024-01-31.log` and `app` are all `app`.
fn service(name: &str) -> &str {
    let extended = [".log.", ".log-", ".log_"].iter().find_map(|mark| name.find(mark));
    let stem = match (extended, name.rsplit_once('.')) {
        (Some(at), _) => &name[..at],
        (None, Some((stem, extension))) if !is_date(extension) => stem,
        _ => name,
    };
    let undated = stem.char_indices().find(|&(at, separator)| {
        matches!(separator, '-' | '.' | '_') && is_date(&stem[at + separator.len_utf8()..])
    });
    let stem = undated.map_or(stem, |(at, _)| &stem[..at]);
    if stem.is_empty() { name } else { stem }
}

/// `20240131`, `2024-01-31`, `2024-01-31-17`: eight digits or more.
fn is_date(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let parts = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b'T'));
    digits >= 8 && parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names() {
        let check = |name: &str, expected: &str| assert_eq!(service(name), expected, "{name}");
        check("app.log", "app");
        check("app.log.1", "app");
        check("app.log-20240131", "app");
        check("app-20240131.log", "app");
        check("app.2024-01-31.log", "app");
        check("app.2024-01-31", "app");
        check("app", "app");
        check("web-1.log", "web-1");
        check("api.v2.log", "api.v2");
        check("out.txt", "out");
        check(".log", ".log");
        check("20240131.log", "20240131");
    }

    #[test]
    fn pods() {
        let check = |path: &str, expected: Option<(&str, &str, &str, &str)>| {
            let found = pod(path).map(|pod| (pod.namespace, pod.name, pod.uid, pod.container));
            assert_eq!(found, expected, "{path}");
        };
        let shop = Some(("shop", "cart-7d9", "1a2b", "cart"));
        check("/var/log/pods/shop_cart-7d9_1a2b/cart/0.log", shop);
        check("/tmp/demo/shop_cart-7d9_1a2b/cart/3.log.20240131-000000", shop);
        check("/var/log/pods/shop_cart-7d9_1a2b/cart/app.log", None);
        check("/var/log/pods/shop_cart-7d9/cart/0.log", None);
        check("/var/log/app.log", None);
        check("0.log", None);
    }

    #[test]
    fn docker_logs() {
        let id = "0123456789abcdef".repeat(4);
        let check = |path: String, expected| assert_eq!(is_docker_log(Path::new(&path)), expected, "{path}");
        check(format!("/var/lib/docker/containers/{id}/{id}-json.log"), true);
        check(format!("/data/{id}/{id}-json.log.2"), true);
        check(format!("/data/{id}/other-json.log"), false);
        check("/data/web/web-json.log".to_owned(), false);
        check(format!("{id}-json.log"), false);
    }

    #[test]
    fn a_resource_is_sorted_and_holds_what_is_known() {
        let origin = Origin::here(Some("east".into()), Some("node-1".into()));
        let resource = origin.resource(Path::new("/p/shop_cart_uid/cart/0.log"), Stream::Stderr);
        let keys: Vec<_> = resource.iter().map(|(key, _)| key.as_str()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let value =
            |key: &str| resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(value("service.name"), Some("cart"));
        assert_eq!(value("k8s.pod.name"), Some("cart"));
        assert_eq!(value("log.iostream"), Some("stderr"));
        assert_eq!(value("k8s.cluster.name"), Some("east"));
        assert_eq!((value("k8s.node.name"), value("host.name")), (Some("node-1"), Some("node-1")));
        let plain = Origin::default().resource(Path::new("/l/web.log"), Stream::File);
        assert_eq!(plain.len(), 3, "{plain:?}");
    }
}
