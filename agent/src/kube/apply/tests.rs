//! Which annotation counts, and what a service is called.

use std::sync::Arc;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn rules() -> Rules {
    Rules { allowed: Annotation::ALL.into(), labels: ["team".to_owned()].into() }
}

fn container(name: &str) -> ContainerFacts {
    ContainerFacts {
        name: name.to_owned(),
        image_name: "shop/cart".to_owned(),
        image_tag: Some("v7".to_owned()),
        version: Some("v7".to_owned()),
        running: Some((2, "c0ffee".to_owned())),
        ..ContainerFacts::default()
    }
}

fn facts(annotations: &[(&str, &str)]) -> Facts {
    Facts {
        namespace: "shop".to_owned(),
        name: "cart-7d9f-x".to_owned(),
        uid: "uid".to_owned(),
        node: "node-1".to_owned(),
        annotations: pairs(annotations),
        containers: vec![container("main"), container("proxy")],
        ..Facts::default()
    }
}

fn known(facts: Facts, defaults: &[(&str, &str)]) -> Known {
    Known { facts: Arc::new(facts), defaults: Arc::new(pairs(defaults)), is_gone: false }
}

#[test]
fn the_nearest_that_makes_sense_counts() {
    let parser = |pod: &[(&str, &str)], namespace: &[(&str, &str)], container: &str| {
        let resolved = rules().apply(&known(facts(pod), namespace), container, None);
        (resolved.applied.parser, resolved.refused.len())
    };
    let (own, plain) = ("weir.dev/parser.main", "weir.dev/parser");
    assert_eq!(parser(&[], &[], "main"), (None, 0));
    assert_eq!(parser(&[], &[(plain, "json")], "main"), (Some("json"), 0));
    assert_eq!(parser(&[], &[(plain, "json"), (own, "logfmt")], "main"), (Some("logfmt"), 0));
    assert_eq!(parser(&[(plain, "plain")], &[(own, "logfmt")], "main"), (Some("plain"), 0));
    assert_eq!(parser(&[(plain, "plain"), (own, "json")], &[], "main"), (Some("json"), 0));
    assert_eq!(parser(&[(plain, "plain"), (own, "json")], &[], "proxy"), (Some("plain"), 0));
    assert_eq!(parser(&[(own, "xml"), (plain, "plain")], &[], "main"), (Some("plain"), 1));
    assert_eq!(parser(&[(plain, "xml")], &[(plain, "json")], "main"), (Some("json"), 1));
}

#[test]
fn what_the_operator_does_not_allow_is_not_in_force() {
    let rules = Rules { allowed: [Annotation::Parser].into(), ..Rules::default() };
    let asks = [
        ("weir.dev/parser", "json"),
        ("weir.dev/exclude", "true"),
        ("resource.opentelemetry.io/service.name", "other"),
        ("weir.dev/sample", "senseless"),
    ];
    let known = known(facts(&asks), &[("weir.dev/rate-limit", "1/s")]);
    let resolved = rules.apply(&known, "main", None);
    assert_eq!((resolved.applied.parser, resolved.applied.exclude), (Some("json"), false));
    assert_eq!(resolved.applied.asked, Asked::default());
    assert_eq!(resolved.applied.attributes["service.name"], "cart-7d9f-x");
    assert_eq!(resolved.refused.len(), 4);
    assert!(resolved.refused.iter().all(|refused| refused.why == Why::NotAllowed), "{:?}", resolved.refused);
    assert!(rules.mistakes(&known).is_empty(), "what is not allowed is no mistake");
}

#[test]
fn mistakes_are_found_once_each() {
    let asks = [
        ("weir.dev/sample", "25"),
        ("weir.dev/paser", "json"),
        ("weir.dev/exclude.sidecar", "true"),
        ("weir.dev/exclude.proxy", "true"),
        ("resource.opentelemetry.io/k8s.pod.name", "another"),
    ];
    let known = known(facts(&asks), &[("weir.dev/min-level", "9"), ("weir.dev/exclude.sidecar", "true")]);
    let mistakes = rules().mistakes(&known);
    let keys: Vec<_> = mistakes.iter().map(|mistake| (mistake.is_namespace, mistake.key.as_str())).collect();
    let expected = [
        (false, "resource.opentelemetry.io/k8s.pod.name"),
        (false, "weir.dev/exclude.sidecar"),
        (false, "weir.dev/paser"),
        (false, "weir.dev/sample"),
        (true, "weir.dev/min-level"),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn the_service_is_named_by_the_first_rule_that_finds_something() {
    let mut facts = Facts::default();
    let check = |facts: &Facts, container: &str, expected: &str, from: &str| {
        let resolved = rules().apply(&known(facts.clone(), &[]), container, None);
        assert_eq!(resolved.applied.attributes["service.name"], expected, "{facts:?}");
        assert!(resolved.service_from.contains(from), "{} has no {from}", resolved.service_from);
    };
    check(&facts, "main", "main", "k8s.container.name");
    facts.name = "cart-x".to_owned();
    check(&facts, "main", "cart-x", "k8s.pod.name");
    facts.owners =
        vec![("k8s.deployment.name", "deploy".to_owned()), ("k8s.replicaset.name", "rs".to_owned())];
    check(&facts, "main", "deploy", "k8s.deployment.name");
    facts.labels.insert(NAME.to_owned(), "label".to_owned());
    check(&facts, "main", "label", NAME);
    facts.labels.insert(INSTANCE.to_owned(), "instance".to_owned());
    check(&facts, "main", "instance", INSTANCE);
    facts.containers =
        vec![ContainerFacts { service: Some("sdk".to_owned()), ..container("main") }, container("proxy")];
    check(&facts, "main", "sdk", "OTEL_SERVICE_NAME");
    check(&facts, "proxy", "instance", INSTANCE);
    facts.annotations.insert("resource.opentelemetry.io/service.name".to_owned(), "otel".to_owned());
    check(&facts, "main", "otel", "resource.opentelemetry.io");
    facts.annotations.insert("weir.dev/service".to_owned(), "ours".to_owned());
    check(&facts, "main", "ours", "weir.dev/service");
}

#[test]
fn attributes_are_opentelemetrys() {
    let asks = [("resource.opentelemetry.io/tier", "gold")];
    let mut facts = facts(&asks);
    facts.labels = pairs(&[("team", "basket")]);
    facts.owners = vec![("k8s.statefulset.name", "db".to_owned())];
    let attributes =
        |restarts| rules().apply(&known(facts.clone(), &[]), "main", restarts).applied.attributes;
    let expected = [
        ("container.id", "c0ffee"),
        ("container.image.name", "shop/cart"),
        ("container.image.tag", "v7"),
        ("k8s.namespace.name", "shop"),
        ("k8s.node.name", "node-1"),
        ("k8s.pod.label.team", "basket"),
        ("k8s.pod.name", "cart-7d9f-x"),
        ("k8s.pod.uid", "uid"),
        ("k8s.statefulset.name", "db"),
        ("service.name", "db"),
        ("service.namespace", "shop"),
        ("service.version", "v7"),
        ("tier", "gold"),
    ];
    assert_eq!(attributes(Some(2)), pairs(&expected));
    assert!(!attributes(Some(1)).contains_key("container.id"), "that of another incarnation is not known");
}

#[test]
fn a_limit_of_a_container_is_its_own() {
    let is_own = |asks: &[(&str, &str)], container: &str| {
        rules().apply(&known(facts(asks), &[]), container, None).applied.asked.is_own
    };
    assert!(!is_own(&[("weir.dev/rate-limit", "5/s")], "main"));
    assert!(is_own(&[("weir.dev/rate-limit.main", "5/s")], "main"));
    assert!(!is_own(&[("weir.dev/rate-limit.main", "5/s"), ("weir.dev/rate-limit", "9/s")], "proxy"));
}
