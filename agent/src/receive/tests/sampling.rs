//! Traces that are left out before the spool, and what the agent says itself.

use opentelemetry_proto::tonic::trace::v1::Span;
use weir_proto::model::ByteRange;

use super::*;
use crate::Share;

fn half() -> ReceiveConfig {
    ReceiveConfig { sample_traces: Share::try_from(0.5).expect("a share"), ..ReceiveConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn otlp_and_zipkin_keep_the_same_traces_and_answer_all_with_success() {
    let place = Place::new(half());
    let agent = place.start().await;
    let ids: Vec<u64> = (0..200_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).skip(1).collect();
    let span = |id: &u64| Span {
        trace_id: [[7; 8], id.to_be_bytes()].concat(),
        span_id: vec![1; 8],
        start_time_unix_nano: 1_767_225_600_000_000_000,
        ..Span::default()
    };
    let mut all = request(0);
    all.resource_spans[0].scope_spans[0].spans = ids.iter().map(span).collect();
    let expected = ids.iter().filter(|id| **id & ((1 << 56) - 1) >= 1 << 55).count();
    assert!((50..150).contains(&expected));

    let answer = post(&agent, "/v1/traces", &[PROTOBUF], all.encode_to_vec()).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, ""), "no partial success");
    let answer = post(&agent, TRACES, &[GRPC], framed(&all.encode_to_vec(), false)).await;
    assert_eq!(answer.header("grpc-status"), "0");
    let zipkin = |id: &u64| format!(r#"{{"traceId":"{id:016x}","id":"1","timestamp":1767225600000000}}"#);
    let zipkin: Vec<_> = ids.iter().map(zipkin).collect();
    let answer = post(&agent, "/api/v2/spans", &[JSON], format!("[{}]", zipkin.join(","))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    place.wait_for_spans(3 * expected).await;
    // All of these are left out, but for the one that says debug.
    let left_out =
        r#"[{"traceId":"1","id":"1","timestamp":1},{"traceId":"2","id":"2","debug":true,"timestamp":1}]"#;
    assert_eq!(post(&agent, "/api/v2/spans", &[JSON], left_out).await.status, StatusCode::ACCEPTED);
    let none = r#"[{"traceId":"1","id":"1","timestamp":1}]"#;
    assert_eq!(post(&agent, "/api/v2/spans", &[JSON], none).await.status, StatusCode::ACCEPTED);
    place.wait_for_spans(3 * expected + 1).await;
    let spools: Vec<_> = agent.receivers.spools().filter(|spool| spool.signal == Signal::Spans).collect();
    let sampled = (3 * (ids.len() - expected) + 2) as u64;
    assert_eq!((spools[0].records, spools[0].sampled), ((3 * expected + 1) as u64, sampled));
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.numbers(Signal::Spans).len(), 3 * expected + 1);
    assert_eq!(told(&place, Signal::Spans), [("sampled".to_owned(), sampled)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_is_one_log_record_of_each_pod() {
    let place = Place::new(ReceiveConfig::default());
    std::fs::create_dir(place.root.path().join("logs")).expect("a directory");
    let agent = place.start().await;
    let subject = crate::limit::Subject {
        namespace: Some("shop".to_owned()),
        pod: Some("cart-7d9".to_owned()),
        ..crate::limit::Subject::default()
    };
    let loss = Loss {
        subject: Arc::new(subject),
        reason: weir_proto::model::drop_reason::RATE_LIMITED,
        lines: 12_345,
        bytes: 3_200_000,
        rate: None,
        within: Duration::from_secs(10),
    };
    let (told, losses) = mpsc::channel(1);
    told.send(vec![loss]).await.expect("sent");
    drop(told);
    let origin = Origin { node: Some("node-1".to_owned()), ..Origin::default() };
    agent.receivers.say(&origin, losses).await;
    place.wait_for("the record", || !place.log.numbers(Signal::Logs).is_empty()).await;
    agent.stop(PATIENCE).await.expect("stops");
    let batches = place.log.batches(Signal::Logs);
    let rows = batches.iter().flat_map(|batch| &batch.tables).next().expect("rows");
    let shown = format!("{:?}", rows.columns);
    for part in [
        "dropped 12345 lines (3.2 MB) of pod shop/cart-7d9 in 10 s: rate limited",
        "weir-agent",
        "weir.agent.loss",
        "weir.drop.lines",
        "node-1",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(rows.columns.num_rows(), 1);
    assert_ne!(batches[0].sources[0].covered, ByteRange::new(0, 0));
}
