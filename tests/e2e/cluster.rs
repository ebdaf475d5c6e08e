//! What runs in production: an agent, a real Kafka, two ingesters, two query
//! services, a real Postgres, a shared directory. Any of them is killed under
//! load, and nothing is lost, nothing is there twice, and every answer given
//! meanwhile was right.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use weir_storage::object::s3_server::{Fault, S3Server};

use crate::harness::{
    Cluster, Lines, Node, Observer, Pushes, Role, add_partitions, eventually, produce, seed,
};

/// Lines per second of the load.
const RATE: u64 = 1500;

/// Clients that push beside it.
const PUSHING: u64 = 2;

const NODES: [(&str, Role); 5] = [
    ("ingest-1", Role::Ingest),
    ("ingest-2", Role::Ingest),
    ("query-1", Role::Query),
    ("query-2", Role::Query),
    ("agent", Role::Agent),
];

/// A cluster under load, observed.
struct Running {
    cluster: Cluster,
    nodes: BTreeMap<&'static str, Node>,
    lines: Lines,
    pushes: Pushes,
    observer: Observer,
}

impl Running {
    fn start(test: &str) -> Self {
        Self::start_on(Cluster::start(test))
    }

    fn start_on(cluster: Cluster) -> Self {
        // Short times make many commits and moves fall between the kills.
        cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
        cluster.set("WEIR_INGEST_LEASE", "3s");
        let files = (0..3).map(|n| cluster.scratch.input(&format!("w{n}.log"))).collect();
        let lines = Lines::start(files, RATE);
        let observer = lines.observe();
        let pushes = Pushes::start(PUSHING);
        let mut running = Self { cluster, nodes: BTreeMap::new(), lines, pushes, observer };
        for (name, _) in NODES {
            running.start_node(name);
        }
        for node in running.nodes.values() {
            node.wait_until_ready();
        }
        running.wait_for_progress();
        running
    }

    fn start_node(&mut self, name: &'static str) {
        let role = NODES.iter().find(|(known, _)| *known == name).expect("a node of the cluster").1;
        let node = self.cluster.start_node(name, role);
        if role == Role::Agent {
            self.pushes.to(&node);
        }
        self.nodes.insert(name, node);
        self.observer.ask(self.queries().map(Node::client).collect());
    }

    fn take(&mut self, name: &str) -> Node {
        self.nodes.remove(name).expect("it runs")
    }

    fn kill_and_start(&mut self, name: &'static str) {
        self.take(name).kill();
        self.start_node(name);
    }

    fn queries(&self) -> impl Iterator<Item = &Node> {
        let queries = |(name, node): (&&'static str, _)| name.starts_with("query").then_some(node);
        self.nodes.iter().filter_map(queries)
    }

    /// Waits until what is written now can be asked for everywhere.
    fn wait_for_progress(&self) {
        let count = self.lines.count() + 100;
        for query in self.queries() {
            self.cluster.wait_for(query, "logs", count);
        }
    }

    /// How many commits the catalog knows.
    fn files(&self) -> u64 {
        self.queries().next().expect("a query service").number("SELECT count(*) FROM weir.files")
    }

    /// Everything that was written or answered is there once, and every answer
    /// was right.
    fn finish(self, test: &str) {
        let Self { cluster: _cluster, mut nodes, lines, mut pushes, observer } = self;
        let written = lines.finish();
        pushes.stop();
        let mut pushed = None;
        for (name, query) in nodes.iter().filter(|(name, _)| name.starts_with("query")) {
            eventually("every line is there once", || {
                let question = "SELECT count(*), count(DISTINCT body) FROM logs";
                let rows = query.try_rows(question).map_err(|error| format!("{error:#}"))?;
                if rows[0][0] == written && rows[0][1] == written {
                    return Ok(());
                }
                Err(format!("{rows:?} of {written} at {name}"))
            });
            pushed = Some(pushes.judge(query));
            let gaps = query.rows("SELECT * FROM weir.gaps");
            assert!(gaps.is_empty(), "losses were counted: {gaps:?}");
        }
        let observed = observer.finish();
        println!("{test}: {written} lines, 0 lost, 0 duplicated; {pushed:?}; {observed:?}");
        assert_eq!(observed.wrong, None);
        assert!(observed.answers > 10, "too few answers to mean anything: {observed:?}");
        assert!(pushed.is_some_and(|pushed| pushed.answered > 100), "too few pushes to mean anything");
        for (name, _) in NODES.iter().rev() {
            let node = nodes.remove(name).expect("it runs");
            assert!(node.terminate().success(), "{name}");
        }
    }
}

#[test]
fn an_ingester_of_two_is_killed_and_the_other_takes_its_partitions() {
    let mut running = Running::start("kill-ingest");
    let seed = seed("an_ingester_of_two_is_killed");
    let mut random = SmallRng::seed_from_u64(seed);
    let before = running.files();
    for round in 0..4 {
        let name = ["ingest-1", "ingest-2"][round % 2];
        std::thread::sleep(Duration::from_millis(random.random_range(100..900)));
        running.take(name).kill();
        // The other one alone does it all, once the leases have run out.
        running.wait_for_progress();
        running.start_node(name);
        running.wait_for_progress();
    }
    assert!(running.files() > before + 4, "the kills fell between no commits");
    running.finish("an_ingester_of_two_is_killed");
}

#[test]
fn a_paused_ingester_wakes_and_is_refused() {
    let running = Running::start("zombie");
    let zombie = &running.nodes["ingest-1"];
    zombie.pause(true);
    // Longer than its leases last.
    running.wait_for_progress();
    zombie.pause(false);
    running.wait_for_progress();
    running.finish("a_paused_ingester_wakes");
}

#[test]
fn a_query_service_of_two_is_killed_and_the_other_answers() {
    let mut running = Running::start("kill-query");
    for name in ["query-1", "query-2", "query-1"] {
        running.take(name).kill();
        let other = running.queries().next().expect("the other one");
        assert!(other.number("SELECT count(*) FROM logs") > 0);
        running.start_node(name);
        running.nodes[name].wait_until_ready();
        running.wait_for_progress();
    }
    running.finish("a_query_service_of_two_is_killed");
}

/// What comes back after a kill gives the hints that librdkafka must not take. This
/// program is linked as `weir` is, by the same `build.rs`.
#[test]
fn hints_about_new_leaders_are_not_taken() {
    weir_stream::kafka::hints::are_not_taken();
}

#[test]
fn kafka_is_killed_and_paused_and_nothing_is_lost() {
    let running = Running::start("kill-kafka");
    for _ in 0..2 {
        running.cluster.kafka.kill();
        // Lines go on being written meanwhile; the files are the buffer.
        std::thread::sleep(Duration::from_secs(3));
        running.cluster.kafka.restart();
        running.wait_for_progress();
    }
    running.cluster.kafka.pause();
    std::thread::sleep(Duration::from_secs(4));
    running.cluster.kafka.resume();
    running.wait_for_progress();
    running.finish("kafka_is_killed");
}

#[test]
fn postgres_is_killed_and_paused_and_nothing_is_lost() {
    let running = Running::start("kill-postgres");
    let seed = seed("postgres_is_killed");
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(random.random_range(0..1000)));
        running.cluster.postgres.kill();
        std::thread::sleep(Duration::from_secs(2));
        running.cluster.postgres.restart();
        running.wait_for_progress();
    }
    running.cluster.postgres.pause();
    std::thread::sleep(Duration::from_secs(4));
    running.cluster.postgres.resume();
    running.wait_for_progress();
    running.finish("postgres_is_killed");
}

#[test]
fn a_rolling_restart_of_all_loses_nothing() {
    let mut running = Running::start("rolling");
    for (name, _) in NODES {
        assert!(running.take(name).terminate().success(), "{name} stops well");
        running.start_node(name);
        running.nodes[name].wait_until_ready();
        running.wait_for_progress();
    }
    // And once more without a word.
    for (name, _) in NODES {
        running.kill_and_start(name);
        running.nodes[name].wait_until_ready();
        running.wait_for_progress();
    }
    running.finish("a_rolling_restart");
}

/// What supervises Weir kills it a minute after it was told to end.
const GRACE: Duration = Duration::from_secs(60);

#[test]
fn who_is_told_to_end_ends_in_time_while_everything_hangs() {
    let mut running = Running::start("hangs");
    running.cluster.kafka.pause();
    running.cluster.postgres.pause();
    // Something is on its way in all of them.
    std::thread::sleep(Duration::from_secs(2));
    let names = ["agent", "ingest-1", "ingest-2"];
    let nodes = names.map(|name| running.take(name));
    let told = Instant::now();
    std::thread::scope(|scope| {
        for (name, node) in names.into_iter().zip(nodes) {
            scope.spawn(move || {
                let status = node.terminate();
                assert!(
                    told.elapsed() < GRACE,
                    "{name} ended {:?} after it was told to: {status}",
                    told.elapsed()
                );
                assert!(status.signal().is_none(), "{name} ended by itself: {status}");
            });
        }
    });
    running.cluster.kafka.resume();
    running.cluster.postgres.resume();
    for name in names {
        running.start_node(name);
    }
    running.wait_for_progress();
    running.finish("who_is_told_to_end");
}

#[test]
fn an_ingester_joins_and_leaves_under_load() {
    let mut running = Running::start("join");
    let third = running.cluster.start_node("ingest-3", Role::Ingest);
    third.wait_until_ready();
    eventually("the third ingester has partitions of its own", || {
        let text = third.get("/metrics").map_err(|error| format!("{error:#}"))?.text();
        let held = text.lines().find_map(|line| line.strip_prefix("weir_ingest_partitions "));
        match held.and_then(|held| held.parse::<u32>().ok()) {
            Some(1..) => Ok(()),
            other => Err(format!("{other:?} partitions")),
        }
    });
    running.wait_for_progress();
    assert!(third.terminate().success());
    running.wait_for_progress();
    running.kill_and_start("agent");
    running.wait_for_progress();
    running.finish("an_ingester_joins");
}

#[test]
fn a_bucket_that_fails_now_and_then_keeps_everything_once() {
    let bucket = S3Server::start();
    let cluster = Cluster::start("bucket");
    let of = bucket.config();
    for (variable, value) in [
        ("WEIR_OBJECTS", bucket.url("tables").as_str()),
        ("WEIR_S3_ENDPOINT", &of.endpoint),
        ("WEIR_S3_REGION", &of.region),
        ("WEIR_S3_ACCESS_KEY_ID", &of.access_key_id),
        ("WEIR_S3_SECRET_ACCESS_KEY", &of.secret_access_key),
        ("WEIR_S3_ALLOW_HTTP", "true"),
    ] {
        cluster.set(variable, value);
    }
    let mut running = Running::start_on(cluster);
    let mut before = 0;
    for fault in [Fault::Unavailable, Fault::TooMany, Fault::DoneButFailed, Fault::AnswerLost] {
        bucket.fail_every(3, fault);
        running.wait_for_progress();
        running.kill_and_start("ingest-1");
        running.wait_for_progress();
        eventually("a request meets the fault", || match bucket.faults() {
            faults if faults > before => Ok(()),
            faults => Err(format!("{fault:?}: still {faults} faults")),
        });
        before = bucket.faults();
    }
    bucket.fail_every(0, Fault::Unavailable);
    eventually("more than a few files are stored", || match bucket.objects() {
        objects if objects > 4 => Ok(()),
        objects => Err(format!("{objects} objects")),
    });
    println!("a_bucket_that_fails: {} objects, {} faults", bucket.objects(), bucket.faults());
    running.finish("a_bucket_that_fails");
}

#[test]
fn partitions_that_are_added_under_load_are_read() {
    let mut running = Running::start("more-partitions");
    let brokers = running.cluster.kafka.brokers();
    for topic in ["weir.logs", "weir.spans"] {
        add_partitions(&brokers, topic, 7);
    }
    // A stranger writes to the newest one at once.
    let json = [("content-type", "application/json")];
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","name":"late","startTimeUnixNano":"1767225600000000000"}]}]}]}"#;
    produce(&brokers, "weir.spans", 6, &json, span.as_bytes());
    for query in running.queries() {
        eventually("the new partition is read", || {
            let rows = query.try_rows("SELECT count(*) FROM spans WHERE name = 'late'");
            match rows.map_err(|error| format!("{error:#}"))?[0][0].as_u64() {
                Some(1) => Ok(()),
                other => Err(format!("{other:?} spans")),
            }
        });
    }
    let held = "SELECT count(DISTINCT partition) FROM weir.lanes WHERE partition LIKE 'weir.spans/%'";
    assert!(running.queries().next().expect("a query service").number(held) >= 1);
    running.kill_and_start("ingest-2");
    running.wait_for_progress();
    running.finish("partitions_that_are_added");
}
