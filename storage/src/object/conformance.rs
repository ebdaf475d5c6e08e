//! What every object store must keep, as tests that any implementation runs.
//!
//! Each promise gets a fresh store, opened several times where several
//! processes matter.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::ObjectStoreExt;

use super::Objects;
use crate::ObjectError;

const PATH: &str = "default/logs/2026-01-01/07/1.parquet";

/// Runs the whole suite. `make` gives a fresh, empty store each time, as a
/// function that opens it.
///
/// # Panics
/// When a promise is broken.
pub async fn suite<O: Fn() -> Arc<dyn Objects>>(make: impl Fn() -> O) {
    an_object_is_put_once_and_read_back(&make()).await;
    of_concurrent_putters_exactly_one_wins(&make()).await;
    a_large_object_is_put_whole(&make()).await;
    what_is_there_is_listed_and_can_be_removed(&make()).await;
    a_path_stays_inside_the_store(&make()).await;
    an_engine_reads_the_same_objects(&make()).await;
}

async fn paths(store: &dyn Objects) -> Vec<String> {
    store.list().await.expect("list").into_iter().map(|entry| entry.path).collect()
}

async fn an_object_is_put_once_and_read_back(open: &impl Fn() -> Arc<dyn Objects>) {
    let (store, other) = (open(), open());
    assert!(!store.exists(PATH).await.expect("look"));
    assert!(matches!(store.read(PATH).await, Err(ObjectError::Missing(_))));
    assert!(matches!(store.read_range(PATH, 0..1).await, Err(ObjectError::Missing(_))));
    store.put_new(PATH, Bytes::from_static(b"content")).await.expect("put");
    for content in ["other", "content"] {
        let again = other.put_new(PATH, Bytes::from_static(content.as_bytes())).await;
        assert!(matches!(again, Err(ObjectError::Exists(_))), "{again:?}");
    }
    assert!(other.exists(PATH).await.expect("look"));
    assert_eq!(other.read(PATH).await.expect("read"), "content");
    assert_eq!(other.read_range(PATH, 1..4).await.expect("read"), "ont");
    assert_eq!(other.read_range(PATH, 7..7).await.expect("read"), "");
    for beyond in [1..8, 8..9, 1..u64::MAX] {
        let refused = other.read_range(PATH, beyond).await;
        assert!(matches!(refused, Err(ObjectError::BeyondEnd { bytes: 7, .. })), "{refused:?}");
    }
    store.put_new("default/empty", Bytes::new()).await.expect("put");
    assert_eq!(store.read("default/empty").await.expect("read"), "");
}

async fn of_concurrent_putters_exactly_one_wins(open: &impl Fn() -> Arc<dyn Objects>) {
    let stores: Vec<_> = (0..4).map(|_| open()).collect();
    for round in 0..8 {
        let path = format!("default/round-{round}");
        let attempts = stores.iter().enumerate().map(|(index, store)| {
            let path = path.clone();
            async move { store.put_new(&path, Bytes::from(vec![index as u8; 100])).await }
        });
        let outcomes = join_all(attempts).await;
        let won: Vec<_> = (0..4).filter(|index| outcomes[*index].is_ok()).collect();
        assert_eq!(won.len(), 1, "round {round}: {outcomes:?}");
        let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(ObjectError::Exists(_))));
        assert_eq!(lost.count(), 3, "round {round}: {outcomes:?}");
        assert_eq!(stores[0].read(&path).await.expect("read"), vec![won[0] as u8; 100]);
    }
}

async fn a_large_object_is_put_whole(open: &impl Fn() -> Arc<dyn Objects>) {
    let store = open();
    let content: Bytes = (0..(37 << 20) + 5).map(|byte: u32| (byte >> 12) as u8).collect();
    store.put_new(PATH, content.clone()).await.expect("put");
    assert!(store.read(PATH).await.expect("read") == content, "what was put is read");
    let (from, to) = ((16 << 20) - 3, (16 << 20) + 3);
    let across = store.read_range(PATH, from as u64..to as u64).await.expect("read");
    assert_eq!(across, content.slice(from..to));
    let again = store.put_new(PATH, content).await;
    assert!(matches!(again, Err(ObjectError::Exists(_))), "{again:?}");
}

async fn what_is_there_is_listed_and_can_be_removed(open: &impl Fn() -> Arc<dyn Objects>) {
    let (store, other) = (open(), open());
    assert_eq!(paths(&*store).await, Vec::<String>::new());
    let names: Vec<_> = (0..25).map(|number| format!("tenant-{}/logs/{number:02}", number % 3)).collect();
    for name in &names {
        store.put_new(name, Bytes::from(name.clone())).await.expect("put");
    }
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(paths(&*other).await, sorted);
    let entry = &other.list().await.expect("list")[0];
    assert_eq!(entry.bytes, sorted[0].len() as u64);
    assert!(entry.modified_micros > 1_600_000_000_000_000, "{entry:?}");
    other.delete(&sorted[0]).await.expect("delete");
    other.delete(&sorted[0]).await.expect("what is gone can be deleted");
    assert_eq!(paths(&*store).await, sorted[1..]);
    assert!(!store.exists(&sorted[0]).await.expect("look"));
}

async fn a_path_stays_inside_the_store(open: &impl Fn() -> Arc<dyn Objects>) {
    let store = open();
    for bad in ["", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".incoming/a", "a/.b"] {
        let refused = store.put_new(bad, Bytes::new()).await;
        assert!(matches!(refused, Err(ObjectError::BadPath(_))), "{bad:?}: {refused:?}");
    }
    assert_eq!(paths(&*store).await, Vec::<String>::new());
}

async fn an_engine_reads_the_same_objects(open: &impl Fn() -> Arc<dyn Objects>) {
    let store = open();
    store.put_new(PATH, Bytes::from_static(b"content")).await.expect("put");
    let engine = store.object_store();
    let place = object_store::path::Path::from(PATH);
    assert_eq!(engine.head(&place).await.expect("head").size, 7);
    assert_eq!(engine.get_range(&place, 2..4).await.expect("get"), "nt");
    let listed: Vec<_> = engine.list(None).try_collect().await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].location, place);
}
