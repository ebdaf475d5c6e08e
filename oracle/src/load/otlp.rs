//! Log records, pushed as OTLP over HTTP, in JSON.

use serde_json::json;

use super::{ANSWER, AWAY, Place, TICK, fate_of};
use crate::event::Style;
use crate::http;
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::Worker;

/// Records of a request.
const RECORDS: u64 = 15;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("o{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Plain);
    let agent = place.agent;
    Worker::start(&name, move |stop| {
        while !stop.wait(TICK) {
            let numbers = feed.issue(RECORDS);
            let body = body(&feed, numbers.clone());
            let headers = [("content-type", "application/json")];
            let answer = http::request(agent, ("POST", "/v1/logs"), &headers, body.as_bytes(), ANSWER);
            // Which ones were left out of a part that was taken, it does not say.
            let is_partial = answer.as_ref().is_ok_and(|answer| answer.text().contains("rejectedLogRecords"));
            let fate = if is_partial { Fate::Unanswered } else { fate_of(&answer) };
            feed.settle(numbers, fate);
            if fate != Fate::Owed {
                stop.wait(AWAY);
            }
        }
    })
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
