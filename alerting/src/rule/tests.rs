use std::fs;

use super::*;

fn load(yaml: &str) -> Result<RuleSet, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("shop.yaml");
    fs::write(&path, yaml).expect("written");
    RuleSet::load(&[format!("{}/*.yaml", dir.path().display())]).map_err(|error| error.to_string())
}

const SHOP: &str = "
groups:
  - name: shop
    rules:
      - alert: PaymentDeclined
        logs: 'severity>=error \"payment declined\"'
        by: [service_name]
        labels: { severity: page }
        annotations: { summary: '{{ labels.service_name }}: {{ sample.body }}' }
      - alert: CheckoutErrors
        sql: SELECT count(*) AS value FROM spans WHERE timestamp >= $start AND timestamp < $end
        window: 1m
        every: 10s
        threshold: '> 5'
        for: 20s
";

#[test]
fn a_file_of_rules() {
    let set = load(SHOP).expect("rules");
    let [declined, errors] = set.rules() else { panic!("two rules: {set:?}") };
    assert_eq!(declined.id(), "shop/PaymentDeclined");
    assert_eq!(declined.keep_firing_for, Duration::from_secs(300));
    assert_eq!(set.log_rules().count(), 1);
    let Condition::Sql(sql) = &errors.condition else { panic!("a statement: {errors:?}") };
    let expected = "SELECT count(*) AS value FROM spans WHERE timestamp >= to_timestamp_micros(40000000) \
                    AND timestamp < to_timestamp_micros(100000000)";
    assert_eq!(sql.statement_at(100_000_000), expected);
    assert_eq!((sql.every, errors.holds_for()), (Duration::from_secs(10), Duration::from_secs(20)));
    assert!(load("# nothing yet\n").expect("an empty file").is_empty());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let rule = |lines: &str| format!("groups:\n  - name: g\n    rules:\n      - alert: A\n{lines}");
    let check = |yaml: &str, expected: &str| {
        let said = load(yaml).expect_err(yaml);
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    };
    check("groups: 7\n", "shop.yaml: line 1");
    check(&rule("        log: x\n"), "unknown field `log`");
    check(&rule("        labels: {}\n"), "rule \"A\": write one of logs and sql");
    check(&rule("        logs: x\n        sql: SELECT 1\n"), "write one of logs and sql");
    check(&rule("        logs: x\n        for: 1m\n"), "for is for rules with sql");
    check(&rule("        logs: ' '\n"), "logs is empty");
    check(&rule("        sql: SELECT 1\n        window: 1m\n"), "no $start");
    check(&rule("        sql: SELECT $start\n"), "only one of");
    check(&rule("        sql: SELECT $start, $end\n"), "no window is set");
    check(&rule("        sql: SELECT 1\n        threshold: many\n"), "threshold is \"many\"");
    check(&rule("        sql: SELECT 1\n        every: 1ms\n"), "every must be at least 1s");
    check(&rule("        logs: x\n        annotations: { summary: '{{ a' }\n"), "annotations.summary");
    check(&rule("        logs: x\n        labels: { alertname: B }\n"), "alertname");
    check(&rule("        logs: x\n      - alert: A\n        logs: y\n"), "has it already");
    let missing = RuleSet::load(&["/nowhere/rules.yaml".to_owned()]).expect_err("no file");
    assert_eq!(missing.to_string(), "alerting.rules: there is no file /nowhere/rules.yaml");
    let pattern = RuleSet::load(&["/no*where/rules.yaml".to_owned()]).expect_err("no pattern");
    assert!(pattern.to_string().contains("only the last part"), "{pattern}");
}
