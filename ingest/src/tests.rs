//! The whole crate on the real event log, catalog and object store, with what
//! can go wrong on the way.

mod doubles;
mod shared;
mod site;

use std::time::Duration;

use weir_proto::model::{ByteRange, SourceId, TenantId, drop_reason};
use weir_runtime::{Clock, Handles};
use weir_storage::file;
use weir_storage::object::Objects;
use weir_stream::Subscribe;

use doubles::{Fault, FaultyCatalog, MemoryLog};
use site::{Sender, Site, message, until};

#[tokio::test]
async fn lines_become_live_rows_and_then_files() {
    let site = Site::new(2).await;
    site.append(0, message(1, 0, &["a", "b"])).await;
    site.append(1, message(2, 0, &[r#"{"msg":"c","level":"info"}"#])).await;
    let ingest = site.start().await;
    until("rows are live", async || site.live(&ingest).await == ["a", "b", "c"]).await;
    assert_eq!(ingest.health().check(), Ok(()));
    assert_eq!(site.stored().await, [""; 0], "the interval is an hour");
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.stored().await, ["a", "b", "c"]);

    let snapshot = site.snapshot().await;
    assert_eq!(snapshot.next_offsets.values().copied().collect::<Vec<_>>(), [1, 1]);
    let entry = &snapshot.files[0];
    let footer = file::read_footer(&site.objects.read(&entry.path).await.unwrap()).unwrap();
    assert_eq!(footer.offsets.len(), 2);
    assert_eq!(footer.layouts.len(), 1);
    assert_eq!(site.catalog.layouts().await.unwrap(), footer.layouts);
    assert_eq!(footer.ranges[0].sources[&SourceId::from_u128(1)].end(), 4);
    let delivery = site.catalog.delivery(&TenantId::default()).await.unwrap();
    assert_eq!(delivery.len(), 2);
    assert_eq!(delivery[0].cover.resource, [("service.name".to_owned(), "shop".to_owned())]);
    // The leases are given back: another owner need not wait.
    let other = site.catalog.lease(&site.partition(0), "other", 0, Duration::from_secs(1)).await;
    assert!(other.is_ok(), "{other:?}");
}

#[tokio::test]
async fn a_killed_ingester_reads_again_and_drops_what_is_stored() {
    let site = Site::new(1).await;
    site.append(0, message(1, 0, &["a", "b"])).await;
    let first = site.start().await;
    until("rows are live", async || site.live(&first).await == ["a", "b"]).await;
    first.stop(Duration::from_secs(30)).await;
    // Sent again in another cut, as after an answer that was lost.
    site.append(0, message(1, 2, &["b", "c"])).await;
    let handles = Handles::new("killed");
    let killed = site.start_with(site.catalog.clone(), "", handles.clone()).await;
    until("the new row is live", async || site.live(&killed).await == ["c"]).await;
    site::kill(&handles).await;
    assert_eq!(site.stored().await, ["a", "b"], "nothing was flushed");
    let ingest = site.start().await;
    until("it is live again", async || site.live(&ingest).await == ["c"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.stored().await, ["a", "b", "c"]);
    assert_eq!(site.gaps().await, []);
}

#[tokio::test]
async fn flushes_come_by_themselves_and_the_log_is_trimmed() {
    let mut site = Site::new(1).await;
    site.config.flush_interval.0 = Duration::from_millis(20);
    let ingest = site.start().await;
    site.append(0, message(1, 0, &["a"])).await;
    until("the row is stored", async || site.stored().await == ["a"]).await;
    until("it is no longer live", async || site.live(&ingest).await.is_empty()).await;
    // A mark alone moves the offset.
    site.append(0, message(1, 2, &[])).await;
    until("the offset moves", async || site.snapshot().await.next_offsets.values().all(|next| *next == 2))
        .await;
    assert_eq!(site.snapshot().await.files.len(), 1);
    ingest.stop(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn who_is_overtaken_stores_nothing_twice() {
    let site = Site::new(1).await;
    site.append(0, message(1, 0, &["a", "b"])).await;
    let slow = site.start().await;
    until("rows are live", async || site.live(&slow).await == ["a", "b"]).await;
    // To another host's clock the lease has run out.
    let handles = Handles::new("other");
    let later = Clock::manual(Clock::system().now_micros() + 3_600_000_000);
    let handles = Handles { clock: later, ..handles };
    let other = site.start_with(site.catalog.clone(), "other", handles).await;
    until("the other has them", async || site.live(&other).await == ["a", "b"]).await;
    other.stop(Duration::from_secs(30)).await;
    assert_eq!(site.stored().await, ["a", "b"]);
    slow.stop(Duration::from_secs(30)).await;
    assert_eq!(site.stored().await, ["a", "b"], "the slow one's publication is refused");
}

#[tokio::test]
async fn an_overtaken_ingester_starts_anew_and_goes_on() {
    let mut site = Site::new(1).await;
    site.append(0, message(1, 0, &["a"])).await;
    let catalog = FaultyCatalog::new(site.catalog.clone()).await;
    catalog.faults([Fault::Overtaken]);
    site.config.flush_interval.0 = Duration::from_millis(20);
    let ingest = site.start_with(catalog, "", Handles::new("overtaken")).await;
    until("the other's commit stands", async || site.snapshot().await.next_offsets.values().eq(&[1])).await;
    site.append(0, message(1, 2, &["b"])).await;
    until("what follows is stored", async || site.stored().await == ["b"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.stored().await, ["b"]);
    // The refused attempt left no object.
    assert_eq!(site.objects.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_found_out() {
    for faults in [
        vec![Fault::UnknownDone],
        vec![Fault::UnknownNotDone],
        vec![Fault::Unreachable, Fault::UnknownNotDone, Fault::UnknownDone],
    ] {
        let mut site = Site::new(1).await;
        site.append(0, message(1, 0, &["a", "b"])).await;
        let catalog = FaultyCatalog::new(site.catalog.clone()).await;
        catalog.faults(faults.clone());
        site.config.flush_interval.0 = Duration::from_millis(20);
        let ingest = site.start_with(catalog.clone(), "", Handles::new("unknown")).await;
        until("the rows are stored", async || site.stored().await == ["a", "b"]).await;
        site.append(0, message(1, 4, &["c"])).await;
        until("and those after", async || site.stored().await == ["a", "b", "c"]).await;
        ingest.stop(Duration::from_secs(30)).await;
        assert!(catalog.is_spent(), "{faults:?}");
    }
}

#[tokio::test]
async fn what_was_committed_stays_when_another_went_on_before_that_was_known() {
    let mut site = Site::new(1).await;
    site.append(0, message(1, 0, &["a"])).await;
    let catalog = FaultyCatalog::new(site.catalog.clone()).await;
    catalog.faults([Fault::UnknownDoneAndOvertaken]);
    site.config.flush_interval.0 = Duration::from_millis(20);
    let ingest = site.start_with(catalog.clone(), "", Handles::new("overtaken")).await;
    until("its own commit stands", async || site.snapshot().await.next_offsets.values().eq(&[1])).await;
    // The second is the other's: it is read on behind it.
    site.append(0, message(1, 2, &["b"])).await;
    catalog.go_on();
    until("the other's commit stands", async || site.snapshot().await.next_offsets.values().eq(&[2])).await;
    site.append(0, message(1, 4, &["c"])).await;
    until("what follows is stored", async || site.stored().await == ["a", "c"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    let snapshot = site.snapshot().await;
    let objects: Vec<_> = site.objects.list().await.unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(snapshot.files.len(), 2);
    assert!(snapshot.files.iter().all(|file| objects.contains(&file.path)), "{objects:?}");
}

#[tokio::test]
async fn a_disk_that_refuses_loses_nothing() {
    let mut site = Site::new(1).await;
    site.config.flush_interval.0 = Duration::from_millis(20);
    site.append(0, message(1, 0, &["a", "b"])).await;
    // A file where the tenant's directory belongs: every put fails.
    let obstacle = site.objects.root().join("default");
    std::fs::write(&obstacle, "in the way").unwrap();
    let ingest = site.start().await;
    until("it is said", async || ingest.health().check().is_err_and(|why| why.contains("cannot store")))
        .await;
    assert_eq!(site.live(&ingest).await, ["a", "b"]);
    assert_eq!(site.stored().await, [""; 0]);
    std::fs::remove_file(&obstacle).unwrap();
    until("the rows are stored", async || site.stored().await == ["a", "b"]).await;
    until("it is fine again", async || ingest.health().check().is_ok()).await;
    ingest.stop(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_message_that_is_damaged_is_kept_aside_and_named() {
    let site = Site::new(1).await;
    site.append(0, message(1, 0, &["a"])).await;
    let mut damaged = message(1, 2, &["b"]);
    damaged.payload = bytes::Bytes::from_static(b"\0not a batch");
    site.append(0, damaged).await;
    site.append(0, message(1, 2, &["b"])).await;
    let ingest = site.start().await;
    until("the others are live", async || site.live(&ingest).await == ["a", "b"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    let gaps = site.gaps().await;
    assert_eq!(gaps, [("weir.logs/0".to_owned(), ByteRange::new(1, 2), drop_reason::UNDECODABLE.to_owned())]);
    let kept = std::fs::read(site.dead_letters("").join("weir.logs-0-1.message")).unwrap();
    assert!(kept.ends_with(b"\n\0not a batch"));
}

#[tokio::test]
async fn a_message_of_a_newer_version_is_waited_for() {
    let site = Site::new(2).await;
    site.append(0, message(1, 0, &["a"])).await;
    let mut newer = message(1, 2, &["b"]);
    for (key, value) in &mut newer.headers {
        if key == "weir-schema" {
            *value = bytes::Bytes::from_static(b"2");
        }
    }
    site.append(0, newer).await;
    site.append(1, message(2, 0, &["x"])).await;
    let ingest = site.start().await;
    until("it is said", async || ingest.health().check().is_err_and(|why| why.contains("upgrade"))).await;
    until("the rest is live", async || site.live(&ingest).await == ["a", "x"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.snapshot().await.next_offset(&site.partition(0)), 1, "the message is still to come");
    assert_eq!((site.gaps().await, site.stored().await), (vec![], vec!["a".to_owned(), "x".to_owned()]));
}

/// Which partitions of the lines were read to their end.
async fn caught_up(site: &Site, ingest: &crate::Ingest) -> Vec<u32> {
    let pinned = ingest.live().pin(&TenantId::default(), &[]).await.unwrap();
    let ranges = pinned.ranges.iter().filter(|range| range.partition.topic == site.topic.as_str());
    ranges.filter(|range| range.is_caught_up).map(|range| range.partition.partition).collect()
}

#[tokio::test]
async fn a_partition_that_is_not_read_on_says_so_even_if_no_lane_is_known() {
    let site = Site::new(3).await;
    let ingest = site.start().await;
    until("all is read", async || caught_up(&site, &ingest).await == [0, 1, 2]).await;
    let mut newer = message(1, 0, &["b"]);
    newer.headers.iter_mut().for_each(|(key, value)| {
        if key == "weir-schema" {
            *value = bytes::Bytes::from_static(b"2");
        }
    });
    site.append(0, newer).await;
    // A message that cannot be kept aside: a file stands where it should go.
    std::fs::remove_dir_all(site.dead_letters("")).unwrap();
    std::fs::write(site.dead_letters(""), "in the way").unwrap();
    let mut damaged = message(2, 0, &["b"]);
    damaged.payload = bytes::Bytes::from_static(b"\0not a batch");
    site.append(1, damaged).await;
    until("both wait", async || caught_up(&site, &ingest).await == [2]).await;
    assert!(ingest.health().check().is_err());
    // It goes on by itself.
    std::fs::remove_file(site.dead_letters("")).unwrap();
    std::fs::create_dir(site.dead_letters("")).unwrap();
    until("it is read", async || caught_up(&site, &ingest).await == [1, 2]).await;
    ingest.stop(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn offsets_that_the_log_lost_are_named() {
    let site = Site::new(1).await;
    let log = MemoryLog::new(3, [message(1, 0, &["a"]), message(1, 2, &["b"]), message(1, 4, &["c"])]);
    log.corrupt(4);
    let ingest = site.start_on(log, site.catalog.clone(), "", Handles::new("gaps")).await;
    until("what is left is live", async || site.live(&ingest).await == ["a", "c"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    let source = SourceId::from_u128(1).to_string();
    assert_eq!(
        site.gaps().await,
        [
            ("weir.logs/0".to_owned(), ByteRange::new(0, 3), drop_reason::LOG_GAP.to_owned()),
            ("weir.logs/0".to_owned(), ByteRange::new(4, 5), drop_reason::LOG_CORRUPT.to_owned()),
            (source, ByteRange::new(2, 4), drop_reason::HOLE.to_owned()),
        ]
    );
}

/// The losses: of which source or partition, how many events, why.
async fn losses(site: &Site) -> Vec<(String, Option<u64>, String)> {
    let gaps = site.catalog.gaps(&TenantId::default()).await.unwrap();
    gaps.into_iter().map(|gap| (gap.source, gap.count, gap.reason)).collect()
}

#[tokio::test]
async fn what_the_log_lost_is_counted_in_events_and_told_once() {
    let site = Site::new(1).await;
    let mut sender = Sender::at(1, 0);
    let mut messages: Vec<_> = [
        &["a1", "a2"][..],
        &["b1", "b2", "b3"],
        &["c1"],
        &["d1", "d2"],
        &["e1", "e2", "e3", "e4"],
        &["f1", "f2", "f3"],
        &["g1"],
    ]
    .map(|lines| sender.send(lines))
    .into();
    let damaged = messages[5].clone();
    messages[5].payload = bytes::Bytes::from_static(b"\0not a batch");
    // The log's head is cut off, one message fails its checksum, and one is
    // no batch; the ingester ends before each of them but the last.
    let log = |count: usize| MemoryLog::new(2, messages[2..count].to_vec());
    let source = SourceId::from_u128(1).to_string();
    let lost = |source: &str, count, reason: &str| (source.to_owned(), count, reason.to_owned());
    let mut expected = Vec::new();
    for (count, live, told) in [
        (3, "c1", vec![lost("weir.logs/0", None, "log_gap"), lost(&source, Some(5), "hole")]),
        (5, "e4", vec![lost("weir.logs/0", None, "log_corrupt"), lost(&source, Some(2), "hole")]),
        (7, "g1", vec![lost("weir.logs/0", None, "undecodable"), lost(&source, Some(3), "hole")]),
        (7, "", vec![]),
    ] {
        expected.extend(told);
        for is_killed in [true, false] {
            let log = log(count);
            if count > 3 {
                log.corrupt(3);
            }
            let handles = Handles::new("losses");
            let ingest = site.start_on(log, site.catalog.clone(), "", handles.clone()).await;
            let is_there = |rows: Vec<String>| rows.iter().any(|row| row == live);
            until("what came last is there", async || {
                live.is_empty() || is_there(site.live(&ingest).await) || is_there(site.stored().await)
            })
            .await;
            if is_killed {
                site::kill(&handles).await;
            } else {
                ingest.stop(Duration::from_secs(30)).await;
            }
        }
        let found = losses(&site).await;
        assert_eq!(found, expected, "after {count} messages");
    }
    assert_eq!(site.stored().await, ["c1", "e1", "e2", "e3", "e4", "g1"]);
    let delivery = site.catalog.delivery(&TenantId::default()).await.unwrap();
    assert_eq!((delivery[0].losses.events, delivery[0].cover.tally.events), (10, 6), "of 16");

    // What could not be decoded comes again, whole, and with it what had come.
    let mut again = Sender::at(1, 0);
    let mut rest = messages[2..].to_vec();
    rest.extend([damaged, again.send(&["a1", "a2", "b1"])]);
    let log = MemoryLog::new(2, rest);
    let ingest = site.start_on(log, site.catalog.clone(), "", Handles::new("replayed")).await;
    until("it is live", async || site.live(&ingest).await == ["a1", "a2", "b1", "f1", "f2", "f3"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.catalog.close_gaps("weir.logs/0", ByteRange::new(5, 6)).await.unwrap(), 1);
    let left = [
        lost("weir.logs/0", None, "log_gap"),
        lost(&source, Some(2), "hole"),
        lost("weir.logs/0", None, "log_corrupt"),
        lost(&source, Some(2), "hole"),
    ];
    assert_eq!(losses(&site).await, left);
}

#[tokio::test]
async fn what_is_sent_again_is_counted_by_source() {
    let site = Site::new(1).await;
    for (start, lines) in [(0, &["a", "b"][..]), (0, &["a", "b"]), (2, &["b", "c"])] {
        site.append(0, message(1, start, lines)).await;
    }
    site.append(0, message(2, 0, &["x"])).await;
    let ingest = site.start().await;
    until("rows are live", async || site.live(&ingest).await == ["a", "b", "c", "x"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    // Nothing new, and a source of which all came before.
    site.append(0, message(2, 0, &["x"])).await;
    let ingest = site.start().await;
    until("it is read", async || {
        let pinned = ingest.live().pin(&TenantId::default(), &[]).await.unwrap();
        pinned.ranges.iter().any(|range| range.next == 5)
    })
    .await;
    ingest.stop(Duration::from_secs(30)).await;
    let delivery = site.catalog.delivery(&TenantId::default()).await.unwrap();
    let counts: Vec<_> =
        delivery.iter().map(|it| (it.cover.tally.events, it.cover.tally.duplicates)).collect();
    assert_eq!(counts, [(3, 3), (1, 1)]);
    let tally = &delivery[0].cover.tally;
    assert_eq!((tally.appended_micros, tally.event_micros), (Some(site::THEN), Some(site::THEN)));
    assert_eq!(tally.agent, Some(weir_proto::model::AgentId::from_u128(1)));
}

#[tokio::test]
async fn a_log_that_was_replaced_is_not_read() {
    let site = Site::new(1).await;
    let log = MemoryLog::new(0, [message(1, 0, &["a"]), message(1, 2, &["b"])]);
    let first = site.start_on(log, site.catalog.clone(), "", Handles::new("first")).await;
    until("rows are live", async || site.live(&first).await == ["a", "b"]).await;
    first.stop(Duration::from_secs(30)).await;
    let replaced = MemoryLog::new(0, [message(9, 0, &["z"])]);
    let ingest = site.start_on(replaced, site.catalog.clone(), "", Handles::new("second")).await;
    until("it is said", async || ingest.health().check().is_err_and(|why| why.contains("replaced"))).await;
    assert_eq!(site.live(&ingest).await, [""; 0]);
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!((site.stored().await, site.gaps().await), (vec!["a".to_owned(), "b".to_owned()], vec![]));
}

#[tokio::test]
async fn partitions_that_are_added_are_read() {
    let site = Site::new(1).await;
    let ingest = site.start().await;
    site.log.ensure_topic(&site.topic, 2).unwrap();
    site.append(1, message(1, 0, &["a"])).await;
    until("the row is live", async || site.live(&ingest).await == ["a"]).await;
    ingest.stop(Duration::from_secs(30)).await;
    assert_eq!(site.log.reader().partitions(&site.topic).await.unwrap(), 2);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let mut site = Site::new(1).await;
    site.config.lease.0 = Duration::ZERO;
    let refused = crate::start(
        site.config.clone(),
        std::sync::Arc::new(site.log.reader()),
        vec![site.topic.clone()],
        site.catalog.clone(),
        std::sync::Arc::new(site.objects.clone()),
        crate::DeadLetters::directory(site.dead_letters("")),
        Vec::new(),
        crate::MemberIdentity { name: "refused".to_owned(), address: String::new() },
        Handles::new("refused"),
    );
    assert_eq!(refused.await.unwrap_err().to_string(), "ingest.lease must be at least 1s");
    assert!(site.snapshot().await.files.is_empty());
}
