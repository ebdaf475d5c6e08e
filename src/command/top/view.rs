//! From two statuses of an agent to a table. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::{TopBy, TopSort};
use crate::command::aligned::aligned;
use crate::command::sql::cell;

/// What changed from one status to the next.
#[derive(Debug)]
pub(super) struct View<'a> {
    now: &'a Value,
    seconds: f64,
    rows: Vec<Row>,
}

/// Files that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    name: String,
    files: usize,
    lines_per_second: f64,
    bytes_per_second: f64,
    lag_bytes: u64,
    drops_per_second: f64,
    drops: BTreeMap<String, u64>,
}

impl<'a> View<'a> {
    /// What happened in the time `passed` between two statuses.
    pub(super) fn between(
        before: &Value,
        now: &'a Value,
        passed: Duration,
        by: TopBy,
        sort: TopSort,
    ) -> View<'a> {
        let seconds = passed.as_secs_f64().max(1e-3);
        // An agent that was started anew counts from nothing.
        let earlier: BTreeMap<u64, &Value> =
            files(before).map(|file| (number(&file["file"]), file)).collect();
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for file in files(now) {
            let was = earlier.get(&number(&file["file"])).copied().unwrap_or(&Value::Null);
            let grown = |key: &str| number(&file[key]).saturating_sub(number(&was[key])) as f64 / seconds;
            let name = name(file, by);
            let row = rows.entry(name.clone()).or_insert_with(|| Row { name, ..Row::default() });
            row.files += 1;
            row.lines_per_second += grown("lines");
            row.bytes_per_second += grown("bytes");
            row.lag_bytes += number(&file["lag_bytes"]);
            for (reason, count) in drops(file) {
                let newly = count.saturating_sub(number(&was["drops"][reason]));
                row.drops_per_second += newly as f64 / seconds;
                *row.drops.entry(reason.clone()).or_default() += count;
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_by(|one, other| match sort {
            TopSort::Bytes => other.bytes_per_second.total_cmp(&one.bytes_per_second),
            TopSort::Lag => other.lag_bytes.cmp(&one.lag_bytes),
        });
        View { now, seconds, rows }
    }

    /// For programs.
    pub(super) fn json(&self, rows: usize) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.name,
                "files": row.files,
                "lines_per_second": rounded(row.lines_per_second),
                "bytes_per_second": rounded(row.bytes_per_second),
                "lag_bytes": row.lag_bytes,
                "drops_per_second": rounded(row.drops_per_second),
                "drops": row.drops,
            })
        };
        let now = self.now;
        json!({
            "agent": now["agent"],
            "watch": now["watch"],
            "log": now["log"],
            "reading": now["reading"],
            "receive": now["receive"],
            "interval_s": rounded(self.seconds),
            "rows": self.rows.iter().take(rows).map(row).collect::<Vec<_>>(),
            "rows_in_all": self.rows.len(),
        })
    }

    /// For people.
    pub(super) fn table(&self, rows: usize) -> String {
        let head = ["NAME", "LINES/S", "BYTES/S", "LAG", "LOST/S", "LOST", "FILES"].map(str::to_owned);
        let total = self.rows.iter().fold(Row { name: "(all)".to_owned(), ..Row::default() }, Row::plus);
        let shown = self.rows.iter().take(rows);
        let cells: Vec<_> = [head].into_iter().chain(shown.chain([&total]).map(Row::cells)).collect();
        let mut text = self.heading() + &aligned(&cells);
        let hidden = self.rows.len().saturating_sub(rows);
        if hidden > 0 {
            let _ = writeln!(text, "({hidden} more rows: --rows {})", self.rows.len());
        }
        text
    }

    fn heading(&self) -> String {
        let now = self.now;
        let reading = &now["reading"];
        let in_flight = bytes(number(&reading["in_flight_bytes"]) as f64);
        let mut text =
            format!("agent {}  watch {}  in flight {in_flight}", cell(&now["agent"]), cell(&now["watch"]));
        if reading["paused"] == true {
            text.push_str("  READING PAUSED");
        }
        text.push('\n');
        let (log, why) = (&now["log"], &reading["why"]);
        for problem in [Some(log), Some(why).filter(|why| *why != log)].into_iter().flatten() {
            if problem.is_string() {
                let _ = writeln!(text, "! {}", cell(problem));
            }
        }
        let nothing = Map::new();
        let spools = now["receive"].as_object().unwrap_or(&nothing).iter().map(|(signal, spool)| {
            let held = bytes(number(&spool["spool_bytes"]) as f64);
            format!("{} {held} ({} records)", cell(&json!(signal)), number(&spool["records"]))
        });
        let _ = writeln!(text, "spools: {}\n", spools.collect::<Vec<_>>().join("  "));
        text
    }
}

impl Row {
    fn plus(mut self, other: &Self) -> Self {
        self.files += other.files;
        self.lines_per_second += other.lines_per_second;
        self.bytes_per_second += other.bytes_per_second;
        self.lag_bytes += other.lag_bytes;
        self.drops_per_second += other.drops_per_second;
        for (reason, count) in &other.drops {
            *self.drops.entry(reason.clone()).or_default() += count;
        }
        self
    }

    fn cells(&self) -> [String; 7] {
        [
            // A pod may have any name: none of it may steer the terminal.
            cell(&json!(self.name)),
            format!("{:.0}", self.lines_per_second),
            bytes(self.bytes_per_second),
            bytes(self.lag_bytes as f64),
            format!("{:.0}", self.drops_per_second),
            self.drops.values().sum::<u64>().to_string(),
            self.files.to_string(),
        ]
    }
}

fn files(status: &Value) -> impl Iterator<Item = &Value> {
    status["files"].as_array().into_iter().flatten()
}

fn drops(file: &Value) -> impl Iterator<Item = (&String, u64)> {
    file["drops"].as_object().into_iter().flatten().map(|(reason, count)| (reason, number(count)))
}

fn name(file: &Value, by: TopBy) -> String {
    let text = |key: &str| file[key].as_str();
    let named = match (by, text("namespace"), text("pod")) {
        (TopBy::Pod, Some(namespace), Some(pod)) => Some(format!("{namespace}/{pod}")),
        (TopBy::Pod, None, Some(pod)) => Some(pod.to_owned()),
        (TopBy::Pod, _, None) | (TopBy::Service, ..) => text("service").map(str::to_owned),
        (TopBy::Namespace, namespace, _) => Some(namespace.unwrap_or("(none)").to_owned()),
        (TopBy::File, ..) => text("path").map(str::to_owned),
    };
    named.unwrap_or_else(|| "(unknown)".to_owned())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A size in four characters or so.
fn bytes(count: f64) -> String {
    let (mut count, mut unit) = (count, 0);
    while count >= 999.5 && unit < 4 {
        (count, unit) = (count / 1000.0, unit + 1);
    }
    let decimals = usize::from(unit > 0 && count < 99.95);
    format!("{count:.decimals$} {}", ["B", "kB", "MB", "GB", "TB"][unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64, pod: Option<&str>, lines: u64, dropped: u64) -> Value {
        json!({
            "file": id, "path": format!("/logs/{id}.log"), "namespace": pod.map(|_| "shop"), "pod": pod,
            "service": "web", "lines": lines, "bytes": lines * 100, "lag_bytes": 5,
            "drops": { "rate_limited": dropped },
        })
    }

    fn status(files: &[Value]) -> Value {
        json!({
            "agent": "01A", "watch": "inotify", "log": null,
            "reading": { "paused": true, "why": "the event log takes nothing", "in_flight_bytes": 4_000_000 },
            "receive": { "spans": { "spool_bytes": 1500, "records": 3 } },
            "files": files,
        })
    }

    #[test]
    fn rates_are_of_the_interval_and_a_rename_or_a_restart_makes_none() {
        let before =
            status(&[file(1, Some("cart"), 100, 0), file(2, Some("cart"), 50, 10), file(3, None, 900, 0)]);
        let mut renamed = file(1, Some("cart"), 300, 0);
        renamed["path"] = json!("/logs/1.log.1");
        // The third counts from nothing: its agent was started anew.
        let now =
            status(&[renamed, file(2, Some("cart"), 50, 30), file(3, None, 20, 0), file(4, None, 40, 0)]);
        let view = View::between(&before, &now, Duration::from_secs(2), TopBy::Pod, TopSort::Bytes);
        let rows: Vec<_> = view
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.lines_per_second, row.drops_per_second, row.lag_bytes))
            .collect();
        assert_eq!(rows, [("shop/cart", 100.0, 10.0, 10), ("web", 20.0, 0.0, 10)]);
        let json = view.json(1);
        assert_eq!(
            (&json["rows"][0]["bytes_per_second"], &json["rows_in_all"]),
            (&json!(10_000.0), &json!(2))
        );
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_table_is_aligned_says_why_reading_stands_still_and_is_harmless() {
        let now = status(&[file(1, Some("cart\u{1b}[2J"), 0, 7), file(2, None, 0, 0)]);
        let view = View::between(&now, &now, Duration::from_secs(2), TopBy::Pod, TopSort::Lag);
        let expected = "\
agent 01A  watch inotify  in flight 4.0 MB  READING PAUSED
! the event log takes nothing
spools: spans 1.5 kB (3 records)

NAME                LINES/S  BYTES/S   LAG  LOST/S  LOST  FILES
shop/cart\\u{1b}[2J        0      0 B   5 B       0     7      1
web                       0      0 B   5 B       0     0      1
(all)                     0      0 B  10 B       0     7      2
";
        assert_eq!(view.table(20), expected);
        assert!(view.table(1).contains("(1 more rows: --rows 2)"));
    }

    #[test]
    fn rows_may_be_namespaces_services_or_files() {
        let now = status(&[file(1, Some("cart"), 0, 0), file(2, None, 0, 0)]);
        let check = |by, expected: &[&str]| {
            let view = View::between(&now, &now, Duration::from_secs(1), by, TopSort::Bytes);
            assert_eq!(view.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), expected);
        };
        check(TopBy::Namespace, &["(none)", "shop"]);
        check(TopBy::Service, &["web"]);
        check(TopBy::File, &["/logs/1.log", "/logs/2.log"]);
        assert_eq!(
            View::between(&json!({}), &json!({}), Duration::ZERO, TopBy::Pod, TopSort::Lag).rows.len(),
            0
        );
    }

    #[test]
    fn sizes_are_short() {
        for (count, expected) in
            [(0.0, "0 B"), (999.0, "999 B"), (1_000.0, "1.0 kB"), (123_456.0, "123 kB"), (9.9e15, "9900 TB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
