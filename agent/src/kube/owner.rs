//! What made a pod, by the names of OpenTelemetry's semantic conventions.
//!
//! Only what the pod itself says is used, so that the agent need not be allowed
//! to read anything but pods: a ReplicaSet that a Deployment made is called
//! `DEPLOYMENT-HASH`, and its pods have the hash as a label; a Job that a CronJob
//! made is called `CRONJOB-MINUTES`, minutes since 1970.

use std::ops::RangeInclusive;

use super::object::Metadata;

/// The label of pods of a ReplicaSet that a Deployment made.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Minutes since 1970 in a Job's name: from 2015 to 2100. A date like
/// `20240131` is none.
const MINUTES: RangeInclusive<u64> = 23_667_840..=68_374_080;

/// The same in seconds, as they were before Kubernetes 1.21.
const SECONDS: RangeInclusive<u64> = 1_420_070_400..=1_640_995_200;

/// Attributes that name the owners, the farthest first.
pub(super) fn owners(pod: &Metadata) -> Vec<(&'static str, String)> {
    let controller = pod.owner_references.iter().find(|owner| owner.controller == Some(true));
    let Some(owner) = controller else { return Vec::new() };
    let own = |key| vec![(key, owner.name.clone())];
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = pod.labels.get(TEMPLATE_HASH);
            let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
            with_origin("k8s.deployment.name", deployment, own("k8s.replicaset.name"))
        }
        "Job" => with_origin("k8s.cronjob.name", cron_job(&owner.name), own("k8s.job.name")),
        "StatefulSet" => own("k8s.statefulset.name"),
        "DaemonSet" => own("k8s.daemonset.name"),
        "ReplicationController" => own("k8s.replicationcontroller.name"),
        _ => Vec::new(),
    }
}

fn with_origin(
    key: &'static str,
    origin: Option<&str>,
    own: Vec<(&'static str, String)>,
) -> Vec<(&'static str, String)> {
    let origin = origin.filter(|name| !name.is_empty()).map(|name| (key, name.to_owned()));
    origin.into_iter().chain(own).collect()
}

fn cron_job(job: &str) -> Option<&str> {
    let (name, time) = job.rsplit_once('-')?;
    let is_time = time.bytes().all(|byte| byte.is_ascii_digit())
        && time.parse().is_ok_and(|time| MINUTES.contains(&time) || SECONDS.contains(&time));
    is_time.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::object::Owner;

    #[test]
    fn owners_are_named_by_what_the_pod_says() {
        let check = |kind: &str, name: &str, hash: &str, expected: &[(&str, &str)]| {
            let owner = Owner { kind: kind.to_owned(), name: name.to_owned(), controller: Some(true) };
            let labels = [(TEMPLATE_HASH.to_owned(), hash.to_owned())].into();
            let pod = Metadata { owner_references: vec![owner], labels, ..Metadata::default() };
            let found = owners(&pod);
            let found: Vec<_> = found.iter().map(|(key, name)| (*key, name.as_str())).collect();
            assert_eq!(found, expected, "{kind} {name}");
        };
        let (deployment, replicaset) = ("k8s.deployment.name", "k8s.replicaset.name");
        check("ReplicaSet", "cart-7d9f", "7d9f", &[(deployment, "cart"), (replicaset, "cart-7d9f")]);
        check("ReplicaSet", "cart-own", "7d9f", &[(replicaset, "cart-own")]);
        check("ReplicaSet", "-7d9f", "7d9f", &[(replicaset, "-7d9f")]);
        let (cronjob, job) = ("k8s.cronjob.name", "k8s.job.name");
        check("Job", "report-28493760", "", &[(cronjob, "report"), (job, "report-28493760")]);
        check("Job", "report-1609459200", "", &[(cronjob, "report"), (job, "report-1609459200")]);
        check("Job", "migrate-20240131", "", &[(job, "migrate-20240131")]);
        check("Job", "migrate", "", &[(job, "migrate")]);
        check("StatefulSet", "db", "", &[("k8s.statefulset.name", "db")]);
        check("DaemonSet", "agent", "", &[("k8s.daemonset.name", "agent")]);
        check("Node", "node-1", "", &[]);
    }

    #[test]
    fn who_merely_references_a_pod_does_not_own_it() {
        let owner = Owner { kind: "DaemonSet".to_owned(), name: "x".to_owned(), controller: None };
        assert_eq!(owners(&Metadata { owner_references: vec![owner], ..Metadata::default() }), []);
    }
}
