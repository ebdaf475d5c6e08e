use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::object::conformance::suite;
use crate::object::s3_server::{Fault, Operation, S3Server};
use crate::object::{LocalStore, open};

const PATH: &str = "default/logs/1.parquet";

fn store(server: &S3Server) -> Arc<dyn Objects> {
    open(&server.url("some/prefix"), &server.config()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_every_promise_of_an_object_store() {
    let server = S3Server::start();
    server.page_keys(7);
    let prefixes = AtomicU32::new(0);
    suite(|| {
        let url = server.url(&format!("prefix-{}", prefixes.fetch_add(1, Ordering::SeqCst)));
        let config = server.config();
        move || open(&url, &config).unwrap()
    })
    .await;
    assert!(
        server.requests(Operation::Part) >= 3 && server.requests(Operation::List) >= 6,
        "pages and parts"
    );
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_every_promise_of_an_object_store() {
    let directory = tempfile::tempdir().unwrap();
    let stores = AtomicU32::new(0);
    suite(|| {
        let path = directory.path().join(stores.fetch_add(1, Ordering::SeqCst).to_string());
        move || -> Arc<dyn Objects> { Arc::new(LocalStore::open(&path).unwrap()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_is_repeated_until_it_is_done_once() {
    let server = S3Server::start();
    let store = store(&server);
    let slow = Fault::Slow(Duration::from_millis(50));
    let faults = [Fault::Unavailable, Fault::TooMany, slow, Fault::DoneButFailed, Fault::AnswerLost];
    for (number, fault) in faults.into_iter().enumerate() {
        let path = format!("{PATH}-{number}");
        server.fail(Operation::Put, [fault]);
        store
            .put_new(&path, Bytes::from_static(b"content"))
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        assert_eq!(store.read(&path).await.unwrap(), "content", "{fault:?}");
        assert_eq!(server.faults(), number as u64 + 1, "{fault:?} was met");
        let again = store.put_new(&path, Bytes::from_static(b"content")).await;
        assert!(matches!(again, Err(ObjectError::Exists(_))), "{fault:?}: {again:?}");
    }
    assert_eq!(server.objects(), faults.len());
    // Somebody else's object of that name is never taken for one's own.
    store.put_new("default/theirs", Bytes::from_static(b"longer than ours")).await.unwrap();
    server.fail(Operation::Put, [Fault::Unavailable]);
    let taken = store.put_new("default/theirs", Bytes::from_static(b"ours")).await;
    assert!(matches!(taken, Err(ObjectError::Exists(_))), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_put_survives_faults_in_every_step() {
    let server = S3Server::start();
    let store = store(&server);
    let content = Bytes::from(vec![7; 2 * PART_BYTES + 1]);
    let mut met = 0;
    for operation in [Operation::Begin, Operation::Part, Operation::Complete] {
        for fault in [Fault::Unavailable, Fault::AnswerLost] {
            let path = format!("default/{operation:?}-{fault:?}");
            server.fail(operation, [fault]);
            met += 1;
            match store.put_new(&path, content.clone()).await {
                Ok(()) => assert!(store.read(&path).await.unwrap() == content, "{operation:?} {fault:?}"),
                Err(error) => {
                    assert!(error.is_retryable(), "{operation:?} {fault:?}: {error:?}");
                    assert!(!store.exists(&path).await.unwrap(), "{operation:?} {fault:?}");
                    store.put_new(&path, content.clone()).await.unwrap();
                }
            }
            assert_eq!(server.faults(), met, "{operation:?} {fault:?} was met");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_goes_on_through_faults() {
    let server = S3Server::start();
    let store = store(&server);
    store.put_new(PATH, Bytes::from_static(b"content")).await.unwrap();
    for fault in [Fault::Unavailable, Fault::TooMany, Fault::AnswerLost] {
        for operation in [Operation::Get, Operation::Head, Operation::List, Operation::Delete] {
            server.fail(operation, [fault]);
        }
        assert_eq!(store.read(PATH).await.unwrap(), "content");
        assert!(store.exists(PATH).await.unwrap());
        assert_eq!(store.list().await.unwrap().len(), 1);
        // A bulk deletion is no request to repeat blindly; the caller does.
        while store.delete("default/other").await.is_err() {}
    }
    assert_eq!(server.faults(), 12);
}

#[tokio::test]
async fn keys_that_are_not_let_in_are_named_at_once_and_never_shown() {
    let server = S3Server::start();
    let config =
        S3Config { endpoint: server.endpoint(), secret_access_key: "secret".to_owned(), ..server.config() };
    let other = open("s3://other", &config).unwrap();
    let started = Instant::now();
    let refused = other.put_new(PATH, Bytes::from_static(b"content")).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "no bucket of that name comes by waiting");
    assert!(!format!("{refused} {refused:?} {config:?}").contains("secret"), "{refused:?}");
    assert!(format!("{refused:?}").contains("NoSuchBucket"), "{refused:?}");
}
