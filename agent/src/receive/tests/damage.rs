//! A spool whose disk forgets what it was given.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Each is a record of its own, and a few are more than one append takes.
const BYTES: usize = 700 << 10;
const REQUESTS: usize = 8;

fn large(random: &mut SmallRng) -> Vec<u8> {
    let mut one = super::request(1);
    let text = (0..BYTES).map(|_| char::from(random.random_range(b' '..b'~'))).collect();
    let value = Some(AnyValue { value: Some(Value::StringValue(text)) });
    let attribute = KeyValue { key: "text".to_owned(), value, ..KeyValue::default() };
    one.resource_spans[0].scope_spans[0].spans[0].attributes.push(attribute);
    one.encode_to_vec()
}

fn spooled(agent: &Agent) -> u64 {
    let mut spools = agent.receivers.spools();
    spools.find(|spool| spool.signal == Signal::Spans).expect("a spool").bytes
}

/// Flips a byte of the spool's last records, each so far before its end.
fn damage(place: &Place, before_end: &[usize]) {
    let directory = place.state().join("receive/spool/spans/0");
    let segments =
        std::fs::read_dir(directory).expect("a spool").map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<_> =
        segments.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    segments.sort();
    let last = segments.pop().expect("a segment");
    let mut bytes = std::fs::read(&last).expect("read");
    for back in before_end {
        let at = bytes.len() - back;
        bytes[at] ^= 1;
    }
    std::fs::write(last, bytes).expect("damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_cannot_be_read_do_not_fill_the_spool_for_good() {
    let place = Place::new(ReceiveConfig::default());
    place.log.is_away.store(true, Ordering::SeqCst);
    let agent = place.start().await;
    let mut random = SmallRng::seed_from_u64(1);
    for _ in 0..REQUESTS {
        let answer = post(&agent, "/v1/traces", &[PROTOBUF], large(&mut random)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    drop(agent.stop(Duration::from_millis(20)).await);

    // A new process has nothing of it in memory, and counts what there is.
    let agent = loop {
        match place.try_start().await {
            Ok(agent) => break agent,
            Err(StartError::InUse { .. } | StartError::Spool(_)) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(other) => panic!("{other}"),
        }
    };
    assert!(spooled(&agent) > (BYTES * REQUESTS / 2) as u64, "{}", spooled(&agent));
    // It holds the first records, and has not read the last ones.
    place.wait_for("trouble", || agent.health().check().is_err()).await;
    damage(&place, &[1000, BYTES + BYTES / 2]);
    place.log.is_away.store(false, Ordering::SeqCst);
    place.wait_for_spans(REQUESTS - 2).await;
    // What comes behind the damage finds the position there.
    let answer = post(&agent, "/v1/traces", &[PROTOBUF], request(1).encode_to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    place.wait_for_spans(REQUESTS - 1).await;
    let empty = tokio::time::timeout(Duration::from_secs(10), async {
        while spooled(&agent) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(empty.await.is_ok(), "{} bytes are still counted", spooled(&agent));
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.numbers(Signal::Spans).len(), REQUESTS - 1);
}
