//! Whatever there is too little of, each protocol says so and when to come
//! again; nobody is left without an answer.

use std::convert::Infallible;

use axum::Router;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tonic_types::StatusExt;
use weir_runtime::Metrics;

use super::*;

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// A path, headers and a body.
type Way = (&'static str, Vec<(&'static str, &'static str)>, Bytes);

/// Every way in, with a request that it would take.
fn ways() -> Vec<Way> {
    let spans = request(1).encode_to_vec();
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":
        [{"timeUnixNano":"1767225600000000000","asInt":"1"}]}}]}]}]}"#;
    let logs_message: ExportLogsServiceRequest = serde_json::from_str(logs).expect("logs");
    let metrics_message: ExportMetricsServiceRequest = serde_json::from_str(metrics).expect("metrics");
    vec![
        ("/v1/traces", vec![PROTOBUF], spans.clone().into()),
        ("/v1/traces", vec![PROTOBUF, GZIP], gzip(&spans).into()),
        ("/v1/logs", vec![JSON], logs.into()),
        ("/v1/metrics", vec![JSON], metrics.into()),
        (TRACES, vec![GRPC], framed(&spans, false).into()),
        (LOGS, vec![GRPC], framed(&logs_message.encode_to_vec(), false).into()),
        (METRICS, vec![GRPC], framed(&metrics_message.encode_to_vec(), false).into()),
        ("/api/v2/spans", vec![JSON], ZIPKIN.into()),
    ]
}

/// Every way in is refused for that reason, and told when to come again.
async fn all_refuse(router: &Router, seconds: u64, part: &str) {
    let answers = ways().into_iter().map(|(path, headers, body)| async move {
        let answer = post_to(router.clone(), path, &headers, body).await;
        (path, headers, answer)
    });
    for (path, headers, answer) in futures::future::join_all(answers).await {
        if headers.contains(&GRPC) {
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            let status = tonic::Status::from_header_map(&answer.headers).expect("a status");
            assert_eq!(status.code(), tonic::Code::Unavailable, "{path}: {status}");
            let retry = status.get_details_retry_info().expect("RetryInfo").retry_delay;
            assert_eq!(retry, Some(Duration::from_secs(seconds)), "{path}");
            assert!(status.message().contains(part), "{path}: {status}");
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", answer.text());
            assert_eq!(answer.header("retry-after"), seconds.to_string(), "{path}");
            assert!(answer.text().contains(part), "{path}: {}", answer.text());
        }
    }
}

async fn all_are_taken(router: &Router) {
    for (path, headers, body) in ways() {
        let answer = post_to(router.clone(), path, &headers, body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        if headers.contains(&GRPC) {
            assert_eq!(answer.header("grpc-status"), "0", "{path}");
        }
    }
}

/// A spool whose disk may be full.
#[derive(Default)]
struct Disk {
    is_full: AtomicBool,
    next: Mutex<BTreeMap<Partition, u64>>,
}

#[async_trait]
impl Append for Disk {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        if self.is_full.load(Ordering::SeqCst) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(AppendError::Full { path: "/spool".into(), source });
        }
        let mut next = self.next.lock().expect("not poisoned");
        let next = next.entry(partition.clone()).or_default();
        let first = *next;
        *next += records.len() as u64;
        Ok(Offset(first))
    }

    async fn partitions(&self, _: &Topic) -> Result<u32, AppendError> {
        Ok(1)
    }
}

/// A door before spools on that disk.
fn door_to(disk: &Arc<Disk>, tasks: &Tasks, trouble: &Trouble) -> Arc<Door> {
    let received = Received::new(&Metrics::new());
    let clock = Handles::new("test").clock;
    let inlets = Signal::ALL.map(|signal| {
        let (queue, arrivals) = spool::queue();
        let backlog = Backlog::new(1 << 30, received.spool_bytes(signal));
        let source = Source {
            id: weir_proto::model::SourceId::generate(),
            resource: Vec::new(),
            parser: String::new(),
            min_severity: None,
            covered: weir_proto::model::ByteRange::new(0, 0),
            drops: Vec::new(),
            counted: None,
        };
        let agent = weir_proto::model::AgentId::generate();
        let writer = Writer {
            spool: Arc::clone(disk) as Arc<dyn Append>,
            partition: Partition::new(spool_topic(signal), 0),
            numbering: Arc::new(Numbering { tenant: TenantId::default(), agent, source }),
            next: Offset(0),
            counted: Counted::from(0),
            arrivals,
            backlog: backlog.clone(),
            clock: clock.clone(),
            trouble: trouble.clone(),
        };
        tasks.spawn("spool", async move { writer.run().await.map_err(TaskError::from) });
        Inlet::new(queue, backlog)
    });
    Arc::new(Door::new(&ReceiveConfig::default(), inlets.into(), clock, received))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_every_client_and_taken_again_when_it_has_room() {
    let (disk, trouble) = (Arc::<Disk>::default(), Trouble::default());
    let tasks = Tasks::new("spools", weir_runtime::Shutdown::new());
    let door = door_to(&disk, &tasks, &trouble);
    let router = http::routes(&door).merge(zipkin::routes(&door)).merge(grpc::routes(&door));
    all_are_taken(&router).await;
    disk.is_full.store(true, Ordering::SeqCst);
    all_refuse(&router, 5, "disk is full").await;
    assert!(trouble.text().is_some_and(|text| text.contains("cannot be written")), "/readyz says it");
    disk.is_full.store(false, Ordering::SeqCst);
    all_are_taken(&router).await;
    assert_eq!(trouble.text(), None);
    assert_eq!(tasks.failure(), None, "a full disk ends nothing");
    door.close();
    assert!(tasks.join(PATIENCE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_others_hold_all_memory_every_client_is_told_to_come_again() {
    let place = Place::new(ReceiveConfig { memory: ByteSize(1024), ..ReceiveConfig::default() });
    let agent = place.start().await;
    let router = agent.router();
    // It holds what there is for as long as its body does not end.
    let (sender, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = futures::stream::unfold(body, |mut body| async move {
        let chunk = body.recv().await?;
        Some((Ok::<_, Infallible>(chunk), body))
    });
    let tasks = Tasks::new("client", weir_runtime::Shutdown::new());
    let holding = router.clone();
    tasks.spawn("holder", async move {
        let answer = post_to(holding, "/v1/traces", &[PROTOBUF], Body::from_stream(body)).await;
        if answer.status == StatusCode::BAD_REQUEST { Ok(()) } else { Err(answer.text().into()) }
    });
    sender.send(vec![0xff; 4096].into()).await.expect("sent");
    // The second is taken from the channel once the first was read.
    sender.send(Bytes::new()).await.expect("sent");
    sender.send(Bytes::new()).await.expect("sent");
    all_refuse(&router, 1, "has memory for").await;
    drop(sender);
    assert!(tasks.join(PATIENCE).await.is_empty());
    assert_eq!(tasks.failure(), None);
    all_are_taken(&router).await;
    agent.stop(PATIENCE).await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_and_an_end_are_told_to_every_client() {
    let place = Place::new(ReceiveConfig { spool_bytes: ByteSize(1), ..ReceiveConfig::default() });
    place.log.is_away.store(true, Ordering::SeqCst);
    let agent = place.start().await;
    let router = agent.router();
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let (_, headers, body) = ways().into_iter().find(|(way, ..)| *way == path).expect("a way");
        assert_eq!(post_to(router.clone(), path, &headers, body).await.status, StatusCode::OK);
    }
    all_refuse(&router, 5, "spool is full").await;
    place.log.is_away.store(false, Ordering::SeqCst);
    agent.stop(PATIENCE).await.expect("stops");
    all_refuse(&router, 1, "stopping").await;
}
