use weir_runtime::Handles;
use weir_stream::disk::{DiskConfig, DiskLog};
use weir_stream::{Offset, ReadLimit, Subscribe};

use super::*;

fn source() -> Partition {
    Partition::new(Topic::new("weir.logs").expect("a topic"), 3)
}

fn message() -> StoredRecord {
    let headers = vec![("weir-codec".to_owned(), Bytes::from_static(b"l\xff"))];
    let record = Record { headers, timestamp_micros: 7, payload: Bytes::from_static(b"\0\xffx") };
    StoredRecord { offset: Offset(42), record }
}

#[tokio::test]
async fn in_a_directory_a_message_is_kept_with_its_headers_and_replaces_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dead");
    let letters = DeadLetters::directory(&path);
    letters.prepare().expect("is created");
    for _ in 0..2 {
        let place = letters.keep(&source(), &message(), "torn", 9).await.expect("is kept");
        assert!(place.ends_with("weir.logs-3-42.message"), "{place}");
        let kept = fs::read(&place).expect("is there");
        let (headers, payload) = kept.split_at(kept.iter().position(|byte| *byte == b'\n').expect("a line"));
        let expected = r#"[["weir-codec",[108,255]],["weir-dead-letter-reason","torn"],["weir-dead-letter-topic","weir.logs"],["weir-dead-letter-partition","3"],["weir-dead-letter-offset","42"],["weir-dead-letter-at","9"],["weir-dead-letter-timestamp","7"]]"#;
        assert_eq!(String::from_utf8_lossy(headers), expected);
        assert_eq!(payload, b"\n\0\xffx");
    }
    assert_eq!(fs::read_dir(&path).expect("lists").count(), 1);
}

#[tokio::test]
async fn on_a_topic_a_message_keeps_its_bytes_and_says_where_it_came_from() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = DiskConfig { dir: directory.path().to_owned(), ..DiskConfig::default() };
    let log = DiskLog::open(config, &Handles::new("letters")).expect("opens");
    let topic = Topic::new("weir.dead-letter").expect("a topic");
    log.ensure_topic(&topic, 2).expect("is created");
    let reader = log.reader();
    let letters = DeadLetters::topic(Arc::new(log), topic.clone());
    let place = letters.keep(&source(), &message(), "torn", 9).await.expect("is kept");
    assert_eq!(place, "weir.dead-letter/1 at offset 0");
    let limit = ReadLimit { bytes: 1, wait: std::time::Duration::ZERO };
    let kept = reader.read(&Partition::new(topic, 1), Offset(0), limit).await.expect("reads");
    let record = &kept[0].record;
    let headers: Vec<(&str, &[u8])> =
        record.headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    let expected: [(&str, &[u8]); 7] = [
        ("weir-codec", b"l\xff"),
        ("weir-dead-letter-reason", b"torn"),
        ("weir-dead-letter-topic", b"weir.logs"),
        ("weir-dead-letter-partition", b"3"),
        ("weir-dead-letter-offset", b"42"),
        ("weir-dead-letter-at", b"9"),
        ("weir-dead-letter-timestamp", b"7"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(&record.payload[..], b"\0\xffx");
}

fn letter_of_message() -> Letter {
    Letter {
        partition: source(),
        offset: Offset(42),
        reason: "torn".to_owned(),
        kept_micros: 9,
        record: message().record,
    }
}

fn letter(found: Found) -> Letter {
    match found {
        Found::Letter(letter) => letter,
        Found::Unreadable(place, error) => panic!("{place}: {error}"),
    }
}

#[tokio::test]
async fn letters_of_a_directory_are_the_messages_that_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    letters_in(&directory.path().join("none"), |_| panic!("there is none")).expect("lists");
    let letters = DeadLetters::directory(directory.path());
    letters.keep(&source(), &message(), "torn", 9).await.expect("is kept");
    fs::write(directory.path().join("a.message"), "no letter").expect("writes");
    fs::write(directory.path().join("b.message"), "[]\nno letter").expect("writes");
    fs::write(directory.path().join("weir.logs-3-43.unfinished"), "half a").expect("writes");
    let mut found = Vec::new();
    letters_in(directory.path(), |one| found.push(one)).expect("lists");
    assert_eq!(letter(found.pop().expect("a letter")), letter_of_message());
    let why = |found: &Found| match found {
        Found::Unreadable(place, error) => {
            format!("{}: {error}", place.rsplit('/').next().unwrap_or_default())
        }
        Found::Letter(letter) => format!("{letter:?}"),
    };
    let others: Vec<_> = found.iter().map(why).collect();
    let expected = [
        "a.message: its first line is no list of headers",
        "b.message: its header weir-dead-letter-reason is missing or makes no sense",
    ];
    assert_eq!(others, expected);
}

#[tokio::test]
async fn letters_of_a_topic_are_the_messages_that_they_were_and_go_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = DiskConfig { dir: directory.path().to_owned(), ..DiskConfig::default() };
    let log = DiskLog::open(config, &Handles::new("letters")).expect("opens");
    let topic = Topic::new("weir.dead-letter").expect("a topic");
    log.ensure_topic(&topic, 1).expect("is created");
    log.ensure_topic(&source().topic, 4).expect("is created");
    let (reader, log) = (log.reader(), Arc::new(log));
    let letters = DeadLetters::topic(log.clone(), topic.clone());
    for _ in 0..2 {
        letters.keep(&source(), &message(), "torn", 9).await.expect("is kept");
    }
    let mut found = Vec::new();
    letters_on(&reader, &topic, |one| found.push(letter(one))).await.expect("reads");
    assert_eq!(found, [letter_of_message(), letter_of_message()]);
    assert!(found[0].id() == *"weir.logs/3@42");
    assert_eq!(found[0].replay(&*log).await.expect("is appended"), Offset(0));
    let limit = ReadLimit { bytes: 1, wait: std::time::Duration::ZERO };
    let back = reader.read(&source(), Offset(0), limit).await.expect("reads");
    assert_eq!(back[0].record, message().record, "as it was");
}
