//! Postgres dies, hangs, or answers into a connection that was cut.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use futures::future::join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use weir_proto::model::FileId;

use super::*;
use crate::catalog::{Advance, FileEntry};

const LASTS: Duration = Duration::from_secs(3600);

/// For a server that starts again on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

/// A flush of one file.
fn flush(lease: &Lease, from: Option<u64>, to: u64) -> Commit {
    let id = FileId::generate();
    let time = TimeRange { min_micros: 0, max_micros: 1 };
    Commit {
        files: vec![FileEntry {
            id,
            tenant: TenantId::default(),
            table: "logs".to_owned(),
            path: format!("{id}.parquet"),
            rows: 1,
            bytes: 1,
            time,
            observed: time,
            level: 0,
            created_micros: 0,
            crc32c: None,
        }],
        advances: vec![Advance {
            partition: lease.partition.clone(),
            epoch: lease.epoch,
            from,
            to,
            anchor: None,
        }],
        ..Commit::default()
    }
}

async fn lease(catalog: &PostgresCatalog, number: u32) -> Lease {
    let partition = LogPartition { partition: number, ..partition() };
    catalog.lease(&partition, "a", 0, LASTS).await.unwrap()
}

async fn stored(catalog: &PostgresCatalog) -> Option<u64> {
    catalog.progress(&partition()).await.unwrap().next_offset
}

/// Asks until there is an answer.
async fn progress(catalog: &PostgresCatalog, of: &LogPartition) -> Option<u64> {
    let asked = Instant::now();
    loop {
        match catalog.progress(of).await {
            Ok(progress) => return progress.next_offset,
            Err(error) => assert!(asked.elapsed() < PATIENCE, "no answer any more: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a publisher believes to have published, and what went wrong.
#[derive(Default)]
struct Believed {
    files: BTreeSet<FileId>,
    unknown: usize,
    failed: usize,
}

/// Publishes one file after the other, as an ingester does, until told.
async fn publish(
    catalog: &PostgresCatalog,
    lease: &Lease,
    enough: &AtomicBool,
    count: &AtomicU64,
) -> Believed {
    let mut believed = Believed::default();
    let mut next = None;
    while !enough.load(Ordering::SeqCst) {
        let commit = flush(lease, next, next.unwrap_or(0) + 1);
        let is_done = match catalog.publish(&commit).await {
            Ok(_) => true,
            Err(error) => {
                let found = progress(catalog, &lease.partition).await;
                let is_done = found == Some(commit.advances[0].to);
                assert!(is_done || found == next, "{found:?} is neither before nor after");
                if error.is_unknown() {
                    believed.unknown += 1;
                } else {
                    believed.failed += 1;
                    assert!(!is_done, "it was said to have failed: {error:?}");
                }
                is_done
            }
        };
        if is_done {
            believed.files.insert(commit.files[0].id);
            count.fetch_add(1, Ordering::SeqCst);
            next = Some(commit.advances[0].to);
        }
    }
    believed
}

/// Ends the publishers, also when the killer fails.
struct Tell(Arc<AtomicBool>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_commits_nothing_is_lost_and_nothing_is_doubled() {
    let server = Arc::new(PostgresServer::start());
    let url = server.database().await;
    let (a, b) = (PostgresCatalog::open(&url).await.unwrap(), PostgresCatalog::open(&url).await.unwrap());
    let leases = [lease(&a, 0).await, lease(&b, 1).await];
    let enough = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let (killed, told, committed) = (server.clone(), Tell(enough.clone()), count.clone());
    let killer = std::thread::spawn(move || {
        for round in 0..8 {
            // However busy the machine is, there is something to break.
            let (begun, before) = (Instant::now(), committed.load(Ordering::SeqCst));
            while committed.load(Ordering::SeqCst) < before + 10 && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(37 * round));
            killed.kill();
            killed.restart();
        }
        drop(told);
    });
    let (first, second) =
        join(publish(&a, &leases[0], &enough, &count), publish(&b, &leases[1], &enough, &count)).await;
    killer.join().unwrap();

    let believed: BTreeSet<_> = first.files.union(&second.files).copied().collect();
    let snapshot = a.snapshot(&TenantId::default(), "logs", TimeRange::ALL).await.unwrap();
    let found: Vec<_> = snapshot.files.iter().map(|file| file.id).collect();
    assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), believed, "what is there is what was told");
    assert_eq!(found.len(), believed.len());
    let offsets: u64 = snapshot.next_offsets.values().sum();
    assert_eq!(offsets, believed.len() as u64, "a file with each offset");
    let (unknown, failed) = (first.unknown + second.unknown, first.failed + second.failed);
    println!("{offsets} commits, {unknown} of unknown outcome, {failed} failed");
    assert!(unknown + failed >= 4 && offsets > 40, "the server died in the midst of it");
}

/// What becomes of a COMMIT on its way.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The connection ends before the server gets it.
    Before,
    /// The server gets it, and its answer is lost.
    After,
    /// The server gets it later than the client waits.
    Late,
}

/// Stands between client and server, and cuts the first COMMIT.
async fn between(listener: TcpListener, port: u16, cut: Cut) {
    let spent = Arc::new(AtomicBool::new(false));
    let mut relays = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        relays.spawn(relay(client, server, cut, spent.clone()));
    }
}

async fn relay(client: TcpStream, server: TcpStream, cut: Cut, spent: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut back = pin!(tokio::io::copy(&mut from_server, &mut to_client));
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            _ = &mut back => return,
            read = from_client.read(&mut bytes) => read.unwrap_or(0),
        };
        let is_commit = bytes[..read].windows(7).any(|window| window == b"COMMIT\0");
        if is_commit && !spent.swap(true, Ordering::SeqCst) {
            if matches!(cut, Cut::Late) {
                tokio::time::sleep(Duration::from_millis(1500)).await;
            }
            if !matches!(cut, Cut::Before) {
                to_server.write_all(&bytes[..read]).await.unwrap();
                // Until the server has done it; nobody carries its answer.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            return;
        }
        if read == 0 || to_server.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_unknown_and_then_the_truth_is_told() {
    for (cut, is_done) in [(Cut::Before, false), (Cut::After, true), (Cut::Late, true)] {
        let url = SERVER.database().await;
        let direct = PostgresCatalog::open(&url).await.unwrap();
        let lease = lease(&direct, 0).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = url.replace(&format!(":{}/", SERVER.port()), &format!(":{port}/"));
        // Made on the server directly: the first COMMIT is that of the flush.
        let place = Place::parse(&url).unwrap();
        let limits = Limits { commit: Duration::from_millis(500), ..Limits::default() };
        let pool = place.pool(limits, false);
        let catalog = PostgresCatalog { write: Some(pool.clone()), read: pool, place, limits };
        let work = async {
            let commit = flush(&lease, None, 5);
            let error = catalog.publish(&commit).await.unwrap_err();
            assert!(error.is_unknown(), "{cut:?}: {error:?}");
            // At once: the server may be about to commit.
            let found = stored(&direct).await;
            assert_eq!(found, is_done.then_some(5), "{cut:?}");
            let again = catalog.publish(&flush(&lease, found, 9)).await;
            again.unwrap_or_else(|error| panic!("{cut:?}: the next one goes through: {error:?}"));
            assert_eq!(stored(&direct).await, Some(9), "{cut:?}");
        };
        tokio::select! {
            () = work => {}
            () = between(listener, SERVER.port(), cut) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_is_an_error_and_not_a_wait_without_end() {
    let server = PostgresServer::start();
    let url = server.database().await;
    let second = Duration::from_secs(1);
    let limits = Limits {
        acquire: second,
        call: second,
        commit: second,
        statement: second,
        lock: second,
        idle: second,
    };
    let catalog = PostgresCatalog::open_within(&url, limits).await.unwrap();
    let lease = lease(&catalog, 0).await;
    catalog.publish(&flush(&lease, None, 1)).await.unwrap();
    server.pause();
    for _ in 0..3 {
        let asked = Instant::now();
        let tenant = TenantId::default();
        let snapshot = catalog.snapshot(&tenant, "logs", TimeRange::ALL);
        let (read, written) = join(snapshot, catalog.publish(&flush(&lease, Some(1), 2))).await;
        assert!(read.is_err() && written.is_err(), "{read:?} {written:?}");
        assert!(asked.elapsed() < 10 * second, "{:?}", asked.elapsed());
    }
    server.resume();
    let next = progress(&catalog, &partition()).await;
    catalog.publish(&flush(&lease, next, 7)).await.unwrap();
    assert_eq!(stored(&catalog).await, Some(7), "it goes on by itself");
    server.stop();
    assert!(matches!(PostgresCatalog::open(&url).await, Err(CatalogError::Open { .. })));
    server.restart();
    assert_eq!(progress(&catalog, &partition()).await, Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stalls_in_a_commit_does_not_keep_its_partition_for_ever() {
    let url = SERVER.database().await;
    let limits = Limits { idle: Duration::from_millis(500), ..Limits::default() };
    let stalled = PostgresCatalog::open_within(&url, limits).await.unwrap();
    let old = lease(&stalled, 0).await;
    let mut session = stalled.begin().await.unwrap();
    publish::publish(&mut session, &flush(&old, None, 5)).await.unwrap();
    // And there it stops, with the lease's row locked.
    let heir = PostgresCatalog::open(&url).await.unwrap();
    let asked = Instant::now();
    assert_eq!(stored(&heir).await, None, "what was not committed is given up");
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let late = session.commit(Ok(())).await.unwrap_err();
    assert!(late.is_unknown(), "{late:?}");
    assert_eq!(stored(&heir).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_and_a_commit_of_one_path_never_both_succeed() {
    let url = SERVER.database().await;
    let (a, b) = (PostgresCatalog::open(&url).await.unwrap(), PostgresCatalog::open(&url).await.unwrap());
    let lease = lease(&a, 0).await;
    let mut next = None;
    let mut committed = 0;
    for round in 0..40 {
        let commit = flush(&lease, next, next.unwrap_or(0) + 1);
        let tombstone = async {
            tokio::time::sleep(Duration::from_micros(150 * (round % 10))).await;
            b.tombstone(&commit.files[0].path, 0).await
        };
        let (published, given_up) = join(a.publish(&commit), tombstone).await;
        assert!(published.is_ok() != given_up.is_ok(), "{published:?} {given_up:?}");
        if published.is_ok() {
            next = Some(commit.advances[0].to);
            committed += 1;
        }
    }
    println!("{committed} of 40 were committed first");
}
