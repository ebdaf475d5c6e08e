//! Spans, pushed as Zipkin's JSON. A span's text is its name and its tag `pad`.

use serde_json::{Value, json};

use super::{ANSWER, Place, fate_of, push_on};
use crate::event::Style;
use crate::http;
use crate::ledger::{Feed, Ledger, Table};
use crate::worker::Worker;

/// Spans of a request.
const SPANS: u64 = 5;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("z{n}");
    let feed = ledger.open(&name, &name, Table::Spans, Style::Plain);
    let (agent, tick) = (place.agent, place.tick);
    Worker::start(&name, move |stop| {
        push_on(&feed, SPANS, tick, stop, |numbers| {
            let spans: Vec<_> = numbers.map(|number| span(&feed, number)).collect();
            let (body, headers) = (Value::from(spans).to_string(), [("content-type", "application/json")]);
            let answer = http::request(agent, ("POST", "/api/v2/spans"), &headers, body.as_bytes(), ANSWER);
            fate_of(&answer)
        });
    })
}

fn span(feed: &Feed, number: u64) -> Value {
    let text = feed.text(number);
    let (name, pad) = text.split_once(' ').unwrap_or((&text, ""));
    json!({
        "traceId": format!("{:032x}", number + 1),
        "id": format!("{:016x}", number + 1),
        "name": name,
        "timestamp": jiff::Timestamp::now().as_microsecond(),
        "duration": 1000,
        "localEndpoint": { "serviceName": feed.name() },
        "tags": { "pad": pad },
    })
}
