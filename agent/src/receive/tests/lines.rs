//! Lines that a command's shipper sends.

use weir_proto::wire::batch::LineBatch;
use weir_runtime::Clock;

use super::*;
use crate::{Pipe, PipeBatch};

const LINES: &str = "/api/v1/lines";

impl MemoryLog {
    fn line_batches(&self) -> Vec<LineBatch> {
        let records = self.records.lock().expect("not poisoned");
        let lines = records.iter().filter_map(|(at, record)| {
            let signal = Signal::of_topic(at.topic.as_str()).expect("a topic of ours");
            match Message::decode(signal, &record.headers, &record.payload, 0).expect("decodes") {
                Message::Lines(batch) => Some(batch),
                Message::Rows(_) | Message::Foreign(_) => None,
            }
        });
        // An idle lane of files says its mark so, too.
        lines.filter(|batch| !batch.sources.is_empty()).collect()
    }
}

fn batches(text: &str) -> Vec<PipeBatch> {
    let resource = [("service.name", "make"), ("log.iostream", "stderr")];
    let resource = resource.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut pipe = Pipe::new(resource, Clock::system());
    pipe.push(text.as_bytes(), true);
    pipe.finish(true);
    pipe.take()
}

async fn send(agent: &Agent, batch: &PipeBatch, changes: &[(&str, &str)]) -> Answer {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).expect("ASCII");
    let mut headers: Vec<_> =
        batch.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    for (name, value) in changes {
        headers.retain(|(held, _)| held != name);
        headers.push((name, (*value).to_owned()));
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    post(agent, LINES, &headers, batch.body.clone()).await
}

/// Rows and lines in one spool: its numbers have no hole, and a repeat covers
/// what it covered before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_between_rows_and_a_repeat_can_be_told() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    let log = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}"#;
    let sent = batches("one\nError: no\n    at f (a.js:1:2)\n");
    for _ in 0..2 {
        assert_eq!(post(&agent, "/v1/logs", &[JSON], log).await.status, StatusCode::OK);
        let answer = send(&agent, &sent[0], &[("weir-tenant", "other"), ("weir-mark", "7")]).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "{}"));
    }
    place.wait_for("lines", || place.log.line_batches().len() == 2).await;
    agent.stop(PATIENCE).await.expect("stops");

    let found = place.log.line_batches();
    let rows = place.log.batches(Signal::Logs);
    let lane = rows[0].header.agent;
    let mut covered: Vec<_> = rows.iter().flat_map(|batch| &batch.sources).map(|own| own.covered).collect();
    for batch in &found {
        assert_eq!((batch.header.agent, batch.header.tenant.as_str()), (lane, "default"));
        assert!(batch.header.mark_micros.is_some_and(|mark| mark > 7));
        let [source, own] = &batch.sources[..] else { panic!("the client's, and the spool") };
        assert_eq!((source.id, source.covered), (found[0].sources[0].id, found[0].sources[0].covered));
        assert_eq!(source.id, source.id.of_client());
        let keys: Vec<_> = source.resource.iter().map(|(key, _)| key.as_str()).collect();
        assert!(keys.is_sorted() && !keys.contains(&"weir.source"), "{keys:?}");
        assert!(
            ["host.name", "k8s.cluster.name", "log.iostream", "service.name"]
                .iter()
                .all(|key| keys.contains(key))
        );
        let texts: Vec<_> = batch.lines().map(|line| line.text.to_vec()).collect();
        assert_eq!(texts, [&b"one"[..], b"Error: no\n    at f (a.js:1:2)"]);
        covered.push(own.covered);
    }
    covered.sort_by_key(|range| range.start);
    assert!(covered.windows(2).all(|pair| pair[0].end == pair[1].start), "no hole: {covered:?}");
    assert_eq!(covered.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_of_lines_is_refused() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    let sent = batches("one\n");
    let check = async |changes: &[(&str, &str)], status: StatusCode, words: &str| {
        let answer = send(&agent, &sent[0], changes).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    };
    check(&[("weir-schema", "9")], StatusCode::UNSUPPORTED_MEDIA_TYPE, "newer than this agent").await;
    check(&[("content-type", "text/plain")], StatusCode::UNSUPPORTED_MEDIA_TYPE, "/v1/logs").await;
    check(&[("weir-uncompressed-bytes", "999999999")], StatusCode::PAYLOAD_TOO_LARGE, "limit").await;
    check(&[("weir-uncompressed-bytes", "5")], StatusCode::BAD_REQUEST, "malformed").await;
    let answer = post(&agent, LINES, &[], "one\n").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}", answer.text());

    let resource = vec![("service.name".to_owned(), "x".repeat(200_000))];
    let mut pipe = Pipe::new(resource, Clock::system());
    pipe.push(b"a\n", true);
    pipe.finish(true);
    let answer = send(&agent, &pipe.take()[0], &[]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    agent.stop(PATIENCE).await.expect("stops");
    assert!(place.log.line_batches().is_empty());
}

/// A line of a command is as sensitive as one of a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_redacted_before_the_spool() {
    let redact =
        r#"{"rules":["email"],"patterns":[{"name":"top","regex":"TOP SECRET"}],"actions":{"top":"drop"}}"#;
    let mut place = Place::new(ReceiveConfig::default());
    place.config.redact = serde_json::from_str(redact).expect("a configuration");
    let agent = place.start().await;
    let sent = batches("mail to a@b.example\nTOP SECRET\nplain\n");
    assert_eq!(send(&agent, &sent[0], &[]).await.status, StatusCode::OK);
    place.wait_for("lines", || place.log.line_batches().len() == 1).await;
    let batch = &place.log.line_batches()[0];
    let lines: Vec<_> = batch.lines().map(|line| String::from_utf8_lossy(line.text).into_owned()).collect();
    assert_eq!(lines, ["mail to [redacted:email]", "plain"]);
    let drops = batch.sources[0].drops.iter();
    let dropped: Vec<_> = drops.map(|it| (it.range.start, it.range.end, it.reason.as_str())).collect();
    assert_eq!(dropped, [(20, 31, "redacted")]);
    agent.stop(PATIENCE).await.expect("stops");
}
