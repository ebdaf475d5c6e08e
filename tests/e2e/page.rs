//! The page, in a real browser, on the demo and on lines that want to do harm.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Demo, browser, eventually};

/// What a line can do to a page; `page.mjs` asks for each of these.
fn hostile() -> Vec<String> {
    let long = format!("long {}", "<b>&amp;</b> ".repeat(1 << 17));
    assert!(long.len() > 1 << 20, "more than 1 MiB");
    let short = [
        "<script>window.__pwned=1</script>",
        "<img src=x onerror=\"window.__pwned=2\"><svg/onload=\"window.__pwned=3\">",
        "{{7*7}} ${7*7} #{7*7}",
        "\u{1b}[31mred\u{1b}[0m \u{1b}]8;;javascript:window.__pwned=4\u{7}link\u{1b}]8;;\u{7}",
        "one\r\nSet-Cookie: two=3\r\n\r\n<iframe src=javascript:window.__pwned=5>",
        "\u{202e}gpj.exe \u{2066}\u{200f} \u{0} </pre></li></ol></main><style>*{display:none}</style>",
    ];
    short.into_iter().map(str::to_owned).chain([long]).collect()
}

fn records() -> Vec<Value> {
    let now = jiff::Timestamp::now().as_nanosecond();
    let attributes = json!([{ "key": "\"><svg/onload=x>", "value": { "stringValue": "\"><svg/onload=window.__pwned=6>" } }]);
    let record = |body: String| json!({ "timeUnixNano": now.to_string(), "severityNumber": 17, "body": { "stringValue": body }, "attributes": attributes });
    hostile().into_iter().map(record).collect()
}

#[test]
fn every_view_works_in_a_browser_and_no_line_does_harm() {
    let mut demo = Demo::start(&["--rate", "150"]);
    let records = records();
    let count = records.len();
    let service = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "hostile" } }] });
    demo.post(
        "/v1/logs",
        &json!({ "resourceLogs": [{ "resource": service, "scopeLogs": [{ "logRecords": records }] }] }),
    );
    demo.wait_until_said("the operator is told: firing PaymentDeclined");
    eventually("the lines are there", || {
        let rows = demo.rows("SELECT count(*) FROM logs WHERE service_name = 'hostile'");
        if rows[0][0] == count { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    eventually("the trace of the first payment that was declined is there", || {
        let rows = demo.rows(
            "SELECT trace_id FROM logs WHERE service_name = 'payment' AND body LIKE 'payment declined%' ORDER BY timestamp LIMIT 1",
        );
        let id = rows[0][0].as_str().ok_or("no line")?;
        let (status, spans) = demo.get(&format!("/api/v2/trace/{id}"))?;
        if spans.as_array().is_some_and(|spans| spans.len() > 3) {
            Ok(())
        } else {
            Err(format!("{status}: {spans}"))
        }
    });
    eventually("the graph is there", || {
        let (_, links) = demo.get("/api/v2/dependencies?endTs=4102444800000&lookback=4102444800000")?;
        if links.as_array().is_some_and(|links| links.len() >= 12) { Ok(()) } else { Err(links.to_string()) }
    });

    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let _ = fs::remove_dir_all(&pictures);
    fs::create_dir_all(&pictures).expect("a directory");
    let output = browser("page.mjs").arg(demo.url()).arg(&pictures).output().expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for view in
        ["logs", "line", "trace", "traces", "dependencies", "alerts", "delivery", "hostile", "logs-dark"]
    {
        let picture = fs::metadata(pictures.join(format!("{view}.png"))).expect(view);
        assert!(picture.len() > 10_000, "{view} is a picture of something: {} bytes", picture.len());
    }
}
