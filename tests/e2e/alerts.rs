//! Rules tell people: by mail and webhook, once, of all that they found.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Hook, MailServer, Node, Role, Scratch, append, eventually};

/// What a log line can do to whoever shows it.
const HOSTILE: &str = "<script>window.__pwned=1</script><img src=x onerror=alert(1)> \u{1b}[31mred\u{1b}[0m \
                       \r\nBcc: evil@example.com {{7*7}} \u{202e}txt";

/// A configuration with these rules, told to these.
fn configure(scratch: &Scratch, rules: &str, hook: &Hook, mail: Option<&MailServer>) -> PathBuf {
    let rules_file = scratch.path("rules.yaml");
    fs::write(&rules_file, format!("groups:\n  - name: shop\n    rules:\n{rules}")).expect("written");
    let mut config = json!({"alerting": {
        "rules": [rules_file],
        "external_url": "http://weir.example",
        "route": {"receiver": "ops"},
        "receivers": [{"name": "ops", "webhook_configs": [{"url": hook.url()}]}],
    }});
    if let Some(mail) = mail {
        config["alerting"]["smtp"] = json!({
            "host": "localhost", "port": mail.port(), "from": "Weir <weir@example.com>",
            "username": "weir", "password": "secret", "ca_file": scratch.path("ca.pem"),
        });
        config["alerting"]["receivers"][0]["email_configs"] = json!([{"to": "ops@example.com"}]);
    }
    let file = scratch.path("weir.yaml");
    fs::write(&file, config.to_string()).expect("written");
    file
}

fn start(scratch: &Scratch, config: &PathBuf) -> Node {
    Node::start_with(scratch, Role::All, |command| {
        command.arg("--config").arg(config);
    })
}

const DECLINED: &str = r#"
      - alert: PaymentDeclined
        logs: 'severity>=error "payment declined"'
        by: [service]
        keep_firing_for: 4s
        labels: { severity: page }
        annotations: { summary: '{{ labels.service }}: {{ sample.body }}' }
"#;

/// A JSON line of a service.
fn line(level: &str, service: &str, message: &str) -> String {
    json!({"level": level, "service": service, "msg": message, "trace_id": "0af7651916cd43dd8448eb211c80319c"})
        .to_string()
        + "\n"
}

/// The requests that a hook took, as `status alert service`.
fn told(hook: &Hook) -> Vec<String> {
    let taken = hook.taken().into_iter().filter(|one| one["status"] == 200);
    let alerts = taken.flat_map(|one| one["body"]["alerts"].as_array().cloned().unwrap_or_default());
    alerts
        .map(|alert| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let labels = &alert["labels"];
            format!("{} {} {}", text(&alert["status"]), text(&labels["alertname"]), text(&labels["service"]))
                .trim()
                .to_owned()
        })
        .collect()
}

fn wait_until_told(hook: &Hook, expected: &[&str]) {
    eventually("people are told", || match told(hook) {
        told if told == expected => Ok(()),
        told => Err(format!("{told:?}")),
    });
}

#[test]
fn a_line_is_told_by_mail_and_webhook_and_can_do_no_harm() {
    let scratch = Scratch::new("alerts-line");
    let (hook, mail) = (Hook::start(&[]), MailServer::start(&scratch.path(""), 1));
    let config = configure(&scratch, DECLINED, &hook, Some(&mail));
    let node = start(&scratch, &config);
    append(&scratch.input("app.log"), line("info", "payment", "payment declined, says a test of the logger"));
    append(&scratch.input("app.log"), line("error", "cart", "something else"));
    node.wait_for_rows(2);
    let message = format!("payment declined {HOSTILE} {}", "x".repeat(700_000));
    append(&scratch.input("app.log"), line("error", "payment", &message));
    let written = Instant::now();
    wait_until_told(&hook, &["firing PaymentDeclined payment"]);
    println!("told after {:?}", written.elapsed());

    let taken = hook.taken();
    let body = &taken[0]["body"];
    assert_eq!(
        (&body["version"], &body["status"], &body["receiver"]),
        (&json!("4"), &json!("firing"), &json!("ops"))
    );
    assert_eq!(
        body["commonLabels"],
        json!({"alertname": "PaymentDeclined", "service": "payment", "severity": "page"})
    );
    let alert = &body["alerts"][0];
    assert_eq!(alert["weir"]["trace_url"], "http://weir.example/trace/0af7651916cd43dd8448eb211c80319c");
    let summary = alert["annotations"]["summary"].as_str().expect("a summary");
    assert!(
        summary.contains("{{7*7}}") && !summary.contains("[31m") && !summary.contains('\u{1b}'),
        "{summary}"
    );
    assert!(!summary.contains('\u{202e}') && summary.len() < 4_000, "{}", summary.len());

    // The mail server was busy at first: the same mail came again.
    let mails = eventually("a mail comes", || match mail.mails() {
        mails if mails.len() >= 2 => Ok(mails),
        mails => Err(format!("{mails:?}")),
    });
    let (refused, mail_taken) = (&mails[0], &mails[1]);
    let headers = &mail_taken["headers"];
    assert_eq!(refused["refused"], headers["message-id"]);
    assert_eq!((&mail_taken["encrypted"], &mail_taken["user"]), (&json!(true), &json!("weir")));
    assert_eq!(mail_taken["rcpt_tos"], json!(["ops@example.com"]));
    assert_eq!(mail_taken["content_type"], "multipart/alternative");
    assert!(headers.get("bcc").is_none(), "{headers}");
    let subject = headers["subject"].as_str().expect("a subject");
    assert!(subject.starts_with("[FIRING:1] PaymentDeclined: payment: payment declined"), "{subject}");
    assert!(!subject.contains(['\n', '\r', '\u{1b}']), "{subject:?}");
    let part = |kind: &str| mail_taken["parts"][kind].as_str().expect(kind).to_owned();
    let (text, html) = (part("text/plain"), part("text/html"));
    assert!(text.contains("<script>window.__pwned=1</script>") && text.contains("{{7*7}}"), "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 10_000, "{text}");
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script") && !html.contains("<img"), "{html}");

    // A terminal is not obeyed either, by what no parser has looked at.
    let table = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["sql", "--url", &node.url(), "SELECT CAST(line AS VARCHAR) || chr(27) || '[31m' AS line FROM log_lines WHERE body LIKE 'something%'"])
        .output()
        .expect("it runs");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("\\u{1b}[31m") && !table.contains('\u{1b}'), "{table}");

    wait_until_told(&hook, &["firing PaymentDeclined payment", "resolved PaymentDeclined payment"]);
    let resolved = eventually("the end is mailed", || match mail.mails() {
        mails if mails.len() >= 3 => Ok(mails[2].clone()),
        mails => Err(format!("{} mails", mails.len())),
    });
    assert!(resolved["headers"]["subject"].as_str().is_some_and(|subject| subject.starts_with("[RESOLVED]")));
    assert_eq!(resolved["headers"]["references"], headers["references"], "one thread");
    let matches = node.rows("SELECT rule, service_name, log_timestamp < timestamp FROM weir.matches");
    assert_eq!(matches.len(), 1, "{matches:?}");
    assert_eq!(matches[0][0], "shop/PaymentDeclined");
}

#[test]
fn kills_neither_repeat_nor_forget_an_alert() {
    let scratch = Scratch::new("alerts-kill");
    let hook = Hook::start(&[]);
    let rules = DECLINED.replace("4s", "20s");
    let config = configure(&scratch, &rules, &hook, None);
    let node = start(&scratch, &config);
    append(&scratch.input("app.log"), line("error", "payment", "payment declined 1"));
    wait_until_told(&hook, &["firing PaymentDeclined payment"]);
    // The line is not in a file yet: after the kill it is read again from the
    // log, and found again.
    node.kill();
    let node = start(&scratch, &config);
    let value = |node: &Node| {
        let response = node.get("/api/v1/alerts").map_err(|error| error.to_string())?;
        let answer = response.json().map_err(|error| error.to_string())?;
        let alert = &answer["data"]["alerts"][0];
        Ok::<_, String>((alert["state"].clone(), alert["value"].clone()))
    };
    eventually("the alert is known", || match value(&node)? {
        (state, value) if state == "firing" && value == "1" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    append(&scratch.input("app.log"), line("error", "payment", "payment declined 2"));
    eventually("the next line adds to it", || match value(&node)? {
        (_, value) if value == "2" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // While nobody is there, another service fails, and then nothing more.
    node.kill();
    append(&scratch.input("app.log"), line("error", "cart", "payment declined 3"));
    let node = start(&scratch, &config);
    let expected =
        ["firing PaymentDeclined payment", "firing PaymentDeclined cart", "resolved PaymentDeclined"];
    eventually("all is told once", || {
        let told = told(&hook);
        let ended = told.iter().filter(|one| one.starts_with("resolved")).count();
        if told.len() > 4 || told.iter().take(2).ne(expected[..2].iter()) {
            return Err(format!("{told:?}"));
        }
        if ended == 2 { Ok(()) } else { Err(format!("{told:?}")) }
    });
    assert_eq!(told(&hook).len(), 4);
    assert_eq!(node.number("SELECT count(*) FROM weir.matches"), 3);
}

#[test]
fn a_statement_fires_when_it_is_true_for_long_enough_and_its_window_is_complete() {
    let scratch = Scratch::new("alerts-sql");
    let hook = Hook::start(&[]);
    let rules = r#"
      - alert: Errors
        sql: >
          SELECT attributes['service'] AS service, count(*) AS value FROM logs
          WHERE severity_number >= 17 AND timestamp >= $start AND timestamp < $end GROUP BY 1
        window: 4s
        every: 1s
        lateness: 1s
        threshold: '>= 3'
        for: 2s
        annotations: { summary: '{{ value }} errors of {{ labels.service }}' }
      - alert: Broken
        sql: SELECT no_such_column FROM logs
        every: 1s
"#;
    let config = configure(&scratch, rules, &hook, None);
    let node = start(&scratch, &config);
    let (mut written, started) = (0, Instant::now());
    let summary = eventually("it fires", || {
        if written < 400 {
            append(&scratch.input("app.log"), line("error", "payment", "refused"));
            append(&scratch.input("app.log"), line("info", "cart", "fine"));
            written += 1;
        }
        match told(&hook).as_slice() {
            [one] if one == "firing Errors payment" => {
                Ok(hook.taken()[0]["body"]["alerts"][0]["annotations"]["summary"].clone())
            }
            told => Err(format!("{told:?}")),
        }
    });
    println!("{summary} after {:?}", started.elapsed());
    assert!(summary.as_str().is_some_and(|text| text.ends_with("errors of payment")), "{summary}");
    wait_until_told(&hook, &["firing Errors payment", "resolved Errors payment"]);
    let rules = node.get("/api/v1/rules").expect("an answer").json().expect("JSON");
    let [errors, broken] = rules["data"]["groups"][0]["rules"].as_array().expect("rules").as_slice() else {
        panic!("two rules: {rules:#}")
    };
    assert_eq!(
        (&errors["health"], &errors["state"], &errors["duration"]),
        (&json!("ok"), &json!("inactive"), &json!(2.0))
    );
    assert_eq!(broken["health"], "err", "{broken:#}");
    assert!(broken["lastError"].as_str().is_some_and(|why| why.contains("no_such_column")), "{broken:#}");
}

#[test]
fn what_is_not_taken_is_tried_again_and_what_is_refused_is_kept() {
    let scratch = Scratch::new("alerts-retry");
    let hook = Hook::start(&[503, 429, 500]);
    let config = configure(&scratch, DECLINED, &hook, None);
    let node = start(&scratch, &config);
    append(&scratch.input("app.log"), line("error", "payment", "payment declined"));
    eventually("it is taken at last", || match hook.taken() {
        taken if taken.iter().any(|one| one["status"] == 200) => Ok(()),
        taken => Err(format!("{} attempts", taken.len())),
    });
    let taken = hook.taken();
    let ids: Vec<_> = taken.iter().take(4).map(|one| &one["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.as_str().is_some_and(|id| id.len() == 26)), "{ids:?}");
    assert_eq!(taken[0]["body"], taken[3]["body"]);
    // A process that is killed before it has noted an answer tells again.
    eventually("it is noted", || {
        let answer = node.get("/api/v1/notifications").map_err(|error| error.to_string())?;
        let answer = answer.json().map_err(|error| error.to_string())?;
        let all = answer["notifications"].as_array().cloned().unwrap_or_default();
        let is_noted = !all.is_empty() && all.iter().all(|one| one["state"] == "delivered");
        is_noted.then_some(()).ok_or(answer.to_string())
    });

    // The rule that is no more ends its alert, then the other is told of.
    let gone = Hook::start(&[200, 410]);
    let config = configure(&scratch, &DECLINED.replace("PaymentDeclined", "Other"), &gone, None);
    drop(node);
    let node = start(&scratch, &config);
    append(&scratch.input("app.log"), line("error", "cart", "payment declined"));
    let dead = eventually("it is given up", || {
        let answer = node.get("/api/v1/notifications").map_err(|error| error.to_string())?;
        let answer = answer.json().map_err(|error| error.to_string())?;
        let all = answer["notifications"].as_array().cloned().unwrap_or_default();
        all.iter().find(|one| one["state"] == "dead").cloned().ok_or(answer.to_string())
    });
    assert_eq!(
        (&dead["alertname"], &dead["receiver"], &dead["integration"]),
        (&json!("Other"), &json!("ops"), &json!("webhook"))
    );
    assert!(dead["last_error"].as_str().is_some_and(|why| why.starts_with("410 Gone")), "{dead:#}");
}

#[test]
fn alerting_runs_as_a_process_of_its_own() {
    let scratch = Scratch::new("alerts-roles");
    let hook = Hook::start(&[]);
    let config = configure(&scratch, DECLINED, &hook, None);
    let start = |role, more: &[(&str, String)]| {
        Node::start_with(&scratch, role, |command| {
            command.arg("--config").arg(&config);
            for (name, value) in more {
                command.env(name, value);
            }
        })
    };
    let _agent = start(Role::Agent, &[]);
    let _ingest = start(Role::Ingest, &[]);
    let query = start(Role::Query, &[]);
    let unknown = query.get("/api/v1/alerts").expect("an answer");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("alerting.url"), "{}", unknown.text());
    let alerting = start(Role::Alerting, &[("WEIR_ALERTING_QUERY_URL", query.url())]);
    append(&scratch.input("app.log"), line("error", "payment", "payment declined"));
    wait_until_told(&hook, &["firing PaymentDeclined payment"]);
    drop(query);
    let query = start(Role::Query, &[("WEIR_ALERTING_URL", alerting.url())]);
    let answer = query.get("/api/v1/alerts").expect("an answer").json().expect("JSON");
    assert_eq!(answer["data"]["alerts"][0]["labels"]["alertname"], "PaymentDeclined", "{answer}");
}

#[test]
fn rules_that_cannot_work_are_refused_before_anything_starts() {
    let scratch = Scratch::new("alerts-bad");
    let hook = Hook::start(&[]);
    let check = |rules: &str, expected: &str| {
        let config = configure(&scratch, rules, &hook, None);
        let data = scratch.data();
        for command in [vec!["validate"], vec!["all", "--listen", "127.0.0.1:0", "--config"]] {
            let output = crate::harness::weir()
                .args(command)
                .arg(&config)
                .env("WEIR_DATA", &data)
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(expected), "{said:?} lacks {expected:?}");
        }
        assert!(!data.exists(), "nothing was touched");
    };
    check("      - alert: A\n        logs: 'severity>=loud'\n", "rule \"A\": logs");
    check("      - alert: A\n        lgs: x\n", "unknown field `lgs`");
    check("      - alert: A\n        sql: SELECT 1\n        threshold: five\n", "threshold is \"five\"");
}
