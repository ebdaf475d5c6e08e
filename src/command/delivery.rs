//! `weir delivery`: how far everything is stored, and what is missing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::Value;

use super::aligned::aligned;
use super::sql::{cell, complaint};
use crate::cli::DeliveryArgs;
use crate::http::Client;

/// Asks the query service, and prints what it says.
pub fn delivery(args: &DeliveryArgs) -> Result<ExitCode> {
    let client = Client::new(&args.url)?;
    let path = format!("/api/v1/delivery?limit={}", args.rows);
    let response = super::block_on(client.get(&path, "application/json"))?;
    if !response.status.is_success() {
        bail!("{}", complaint(&response));
    }
    let text = match args.json {
        true => response.text().trim_end().to_owned() + "\n",
        false => report(&response.json()?),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    super::DONE
}

/// For people: until when it is whole, what is lost, then source by source.
fn report(answer: &Value) -> String {
    let mut text = match answer["complete_until"].as_str() {
        Some(_) => format!("complete until {}", cell(&answer["complete_until"])),
        None => "how complete it is, nobody has said yet".to_owned(),
    };
    let held_by: Vec<_> = list(&answer["held_by"]).map(cell).collect();
    if !held_by.is_empty() {
        let _ = write!(text, ", held back by {}", held_by.join(", "));
    }
    let totals = &answer["totals"];
    let _ = writeln!(
        text,
        "\n{} sources: {} events stored, {} came again and were refused, {} lost, {} left out as configured\n",
        cell(&totals["sources"]),
        cell(&totals["events"]),
        cell(&totals["duplicates"]),
        cell(&totals["lost"]),
        cell(&totals["left_out"]),
    );
    let losses: Vec<_> = list(&answer["losses"]).map(loss).collect();
    if !losses.is_empty() {
        let head = ["LOSS", "GAPS", "EVENTS", "MESSAGES", "LAST NOTICED"].map(str::to_owned);
        text.push_str(&aligned(&[vec![head], losses].concat()));
        text.push('\n');
    }
    let sources: Vec<_> = list(&answer["sources"]).map(source).collect();
    if !sources.is_empty() {
        let head = ["SOURCE", "PARTITION", "LAG", "EVENTS", "AGAIN", "LOST", "LEFT OUT", "STORED"];
        text.push_str(&aligned(&[vec![head.map(str::to_owned)], sources].concat()));
    }
    if answer["truncated"] == true {
        text.push_str("(there are more: --rows, or SELECT * FROM weir.delivery)\n");
    }
    text
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn loss(row: &Value) -> [String; 5] {
    let name = match row["declared"] == true {
        true => format!("{} (as configured)", cell(&row["reason"])),
        false => cell(&row["reason"]),
    };
    let uncounted = row["uncounted"].as_u64().unwrap_or(0);
    let events = at_least(row["events"].as_u64().unwrap_or(0), uncounted);
    let events = if row["messages"].is_null() { events } else { String::new() };
    [name, cell(&row["gaps"]), events, cell(&row["messages"]), second(&row["noticed_at"])]
}

fn source(row: &Value) -> [String; 8] {
    let count = |key: &str| row[key].as_u64().unwrap_or(0);
    let lag = match row["lag_ms"].as_u64() {
        Some(lag) => format!("{:.1} s", lag as f64 / 1e3),
        // Its sender said goodbye, or says nothing of how far it is.
        None => "-".to_owned(),
    };
    [
        name(row),
        cell(&row["partition"]),
        lag,
        count("events").to_string(),
        count("duplicates").to_string(),
        at_least(count("lost"), count("gaps_uncounted")),
        count("left_out").to_string(),
        second(&row["committed_at"]),
    ]
}

/// Where a source is: as people know it.
fn name(row: &Value) -> String {
    let text = |key: &str| Some(cell(&row[key])).filter(|text| !text.is_empty());
    let pod = match (text("k8s_namespace_name"), text("k8s_pod_name")) {
        (Some(namespace), Some(pod)) => Some(format!("{namespace}/{pod}")),
        (_, pod) => pod,
    };
    let pod = pod.map(|pod| text("k8s_container_name").map_or(pod.clone(), |name| format!("{pod} {name}")));
    let pushed = row["resource"]["weir.source"].as_str().map(|name| cell(&name.into()));
    pod.or(text("log_file_path"))
        .or(pushed)
        .or(text("service_name"))
        .or(text("source_id"))
        .unwrap_or_default()
}

/// A count, and whether there may be more that nobody could count.
fn at_least(count: u64, uncounted: u64) -> String {
    match (count, uncounted) {
        (count, 0) => count.to_string(),
        (0, _) => "unknown".to_owned(),
        (count, _) => format!("{count} or more"),
    }
}

/// A time without its fractions.
fn second(time: &Value) -> String {
    let text = cell(time);
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn losses_come_before_sources_and_what_is_unknown_is_said() {
        let answer = json!({
            "complete_until": "2026-01-01T00:00:00.000000Z",
            "held_by": ["weir.logs/1: no ingester serves its newest rows"],
            "totals": {"sources": 2, "events": 12, "duplicates": 3, "lost": 5, "left_out": 0},
            "losses": [
                {"reason": "hole", "declared": false, "gaps": 2, "events": 5, "uncounted": 1, "messages": null,
                 "noticed_at": "2026-01-01T00:00:00.5Z"},
                {"reason": "log_gap", "declared": false, "gaps": 1, "events": 0, "uncounted": 0, "messages": 4,
                 "noticed_at": "2026-01-01T00:00:00Z"},
                {"reason": "sampled", "declared": true, "gaps": 1, "events": 7, "uncounted": 0, "messages": null,
                 "noticed_at": "2026-01-01T00:00:01Z"},
            ],
            "sources": [
                {"partition": "weir.logs/0", "k8s_namespace_name": "shop", "k8s_pod_name": "a\u{1b}[31m",
                 "k8s_container_name": "web", "log_file_path": "/x", "lag_ms": 1500, "events": 9, "duplicates": 3,
                 "lost": 5, "gaps_uncounted": 1, "left_out": 0, "committed_at": "2026-01-01T00:00:00.25Z"},
                {"partition": "weir.spans/0", "resource": {"weir.source": "receiver/spans"}, "lag_ms": null,
                 "events": 3, "duplicates": 0, "lost": 0, "gaps_uncounted": 0, "left_out": 7,
                 "committed_at": "2026-01-01T00:00:00Z"},
            ],
            "truncated": true,
        });
        let expected = "\
complete until 2026-01-01T00:00:00.000000Z, held back by weir.logs/1: no ingester serves its newest rows
2 sources: 12 events stored, 3 came again and were refused, 5 lost, 0 left out as configured

LOSS                     GAPS     EVENTS  MESSAGES          LAST NOTICED
hole                        2  5 or more            2026-01-01T00:00:00Z
log_gap                     1                    4  2026-01-01T00:00:00Z
sampled (as configured)     1          7            2026-01-01T00:00:01Z

SOURCE                   PARTITION    LAG  EVENTS  AGAIN       LOST  LEFT OUT                STORED
shop/a\\u{1b}[31m web   weir.logs/0  1.5 s       9      3  5 or more         0  2026-01-01T00:00:00Z
receiver/spans        weir.spans/0      -       3      0          0         7  2026-01-01T00:00:00Z
(there are more: --rows, or SELECT * FROM weir.delivery)
";
        assert_eq!(report(&answer), expected);
    }
}
