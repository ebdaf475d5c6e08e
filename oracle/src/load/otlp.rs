//! Log records, pushed as OTLP over HTTP, in JSON.

use std::io::Write;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{ANSWER, AWAY, Place, fate_of};
use crate::event::Style;
use crate::http::{self, Answer, NoAnswer};
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::Worker;

/// Records of a request.
const RECORDS: u64 = 15;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("o{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Plain);
    let (agent, tick) = (place.agent, place.tick);
    Worker::start(&name, move |stop| {
        while !stop.wait(tick) {
            if push_logs(agent, &feed, RECORDS, false).0 != Fate::Owed {
                stop.wait(AWAY);
            }
        }
    })
}

/// Pushes so many new records in one request, packed or not, and notes what became of
/// them.
pub(crate) fn push_logs(
    agent: SocketAddr,
    feed: &Feed,
    records: u64,
    is_packed: bool,
) -> (Fate, Result<Answer, NoAnswer>) {
    let numbers = feed.issue(records);
    let mut body = body(feed, numbers.clone()).into_bytes();
    let mut headers = vec![("content-type", "application/json")];
    if is_packed {
        body = packed(&body);
        headers.push(("content-encoding", "gzip"));
    }
    let answer = http::request(agent, ("POST", "/v1/logs"), &headers, &body, ANSWER);
    // Which ones were left out of a part that was taken, it does not say.
    let is_partial = answer.as_ref().is_ok_and(|answer| answer.text().contains("rejectedLogRecords"));
    let fate = if is_partial { Fate::Unanswered } else { fate_of(&answer) };
    feed.settle(numbers, fate);
    (fate, answer)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let packed = packer.write_all(body).and_then(|()| packer.finish());
    packed.expect("memory takes bytes")
}

fn body(feed: &Feed, numbers: std::ops::Range<u64>) -> String {
    let time = jiff::Timestamp::now().as_nanosecond().to_string();
    let records: Vec<_> = numbers
        .map(|number| {
            json!({ "timeUnixNano": time, "severityNumber": 9, "body": { "stringValue": feed.text(number) } })
        })
        .collect();
    let service = json!([{ "key": "service.name", "value": { "stringValue": feed.name() } }]);
    json!({ "resourceLogs": [{
        "resource": { "attributes": service },
        "scopeLogs": [{ "logRecords": records }],
    }] })
    .to_string()
}
