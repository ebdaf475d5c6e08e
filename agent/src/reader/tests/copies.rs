//! logrotate's `copytruncate`.

use weir_proto::model::{ByteRange, drop_reason};

use super::*;

fn copy(bed: &Bed) {
    fs::copy(bed.path("a.log"), bed.path("a.log.1")).expect("copied");
}

fn cut_off(bed: &Bed) {
    OpenOptions::new().write(true).open(bed.path("a.log")).expect("opened").set_len(0).expect("cut off");
}

/// Nothing more is read: the event log takes nothing.
fn fill(bed: &mut Bed) {
    let line = |n: u64| {
        (0..64).map(|i| format!("{:x}", (n * 64 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect::<String>()
    };
    bed.write("full.log", (0..12_000).map(line).collect::<Vec<_>>().join("\n") + "\n");
    for _ in 0..30 {
        bed.turn(100, false);
    }
}

fn texts(bed: &Bed) -> Vec<String> {
    let mut texts =
        bed.rows().of(|source| !resource(source, "log.file.path").expect("a path").ends_with("full.log"));
    texts.sort_unstable();
    texts
}

fn dropped(bed: &Bed) -> Vec<ByteRange> {
    let drops = Ingested::drops(&bed.log);
    assert!(drops.iter().all(|drop| drop.reason == drop_reason::TRUNCATED_UNREAD), "{drops:?}");
    drops.into_iter().map(|drop| drop.range).collect()
}

#[test]
fn what_was_read_is_not_read_again_in_the_copy() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.write("a.log", "two\n");
    bed.settle();
    copy(&bed);
    // More is read before it is cut off: the copy ends before what was read.
    bed.write("a.log", "three\n");
    bed.turn(100, true);
    bed.turn(100, true);
    cut_off(&bed);
    bed.write("a.log", "four\n");
    bed.settle();
    assert_eq!(texts(&bed), ["four", "one", "three", "two"]);
    assert_eq!((dropped(&bed), bed.measured.copies.get()), (vec![], 1));
    // Nor after a restart, nor under another name.
    bed.stop();
    bed.rename("a.log.1", "a.log.2");
    bed.start();
    bed.settle();
    assert_eq!(texts(&bed).len(), 4);
}

#[test]
fn what_was_not_read_is_read_in_the_copy_and_what_is_in_neither_is_told() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    fill(&mut bed);
    bed.write("a.log", "two\nthree\nhal");
    bed.turn(1_500, true);
    copy(&bed);
    bed.write("a.log", "f\nfour\n");
    bed.turn(1_500, true);
    assert_eq!(bed.measured.copies.get(), 0, "the copy waits while its original lives");
    cut_off(&bed);
    bed.write("a.log", "5\n");
    bed.settle();
    assert_eq!(texts(&bed), ["5", "hal", "one", "three", "two"]);
    assert_eq!(dropped(&bed), [ByteRange::new(17, 24)], "what lies behind the copy");
}

#[test]
fn a_short_generation_that_is_no_copy_does_not_wait() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "longer than the other\n".repeat(100));
    bed.settle();
    // It came and was renamed before anybody looked.
    bed.write("a.log.1", "short\n");
    bed.now.wall = i64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros(),
    )
    .expect("small");
    bed.turn(0, true);
    bed.turn(200, true);
    bed.turn(200, false);
    bed.deliver();
    assert_eq!(bed.texts("a.log.1"), ["short"]);
    // What may be one in the making does.
    bed.write("a.log.2", "longer than");
    bed.turn(200, true);
    let path = bed.path("a.log.2");
    assert!(bed.reader().files.by_path(&path).is_none());
}

#[test]
fn what_was_cut_off_without_a_copy_is_told() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    fill(&mut bed);
    bed.write("a.log", "two\nthree\n");
    bed.turn(1_500, true);
    cut_off(&bed);
    bed.settle();
    assert_eq!((texts(&bed), dropped(&bed)), (vec!["one".to_owned()], vec![ByteRange::new(4, 14)]));
}

#[test]
fn what_was_cut_off_while_nobody_looked_is_read_in_the_copy_or_told() {
    for copies in [true, false] {
        let mut bed = Bed::new(&["*.log"]);
        bed.write("a.log", "one\n");
        bed.settle();
        bed.write("a.log", "two\nthree\n");
        // Seen and noted; what is read of it never arrives.
        bed.turn(1_500, true);
        bed.turn(1_500, true);
        bed.crash(0);
        if copies {
            copy(&bed);
        }
        cut_off(&bed);
        bed.write("a.log", "4\n");
        bed.start();
        bed.settle();
        let (expected, told): (&[&str], _) = if copies {
            (&["4", "one", "three", "two"], vec![])
        } else {
            (&["4", "one"], vec![ByteRange::new(4, 14)])
        };
        assert_eq!(
            (texts(&bed).as_slice(), dropped(&bed)),
            (expected.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().as_slice(), told)
        );
    }
}

#[test]
fn a_copy_may_hold_more_than_was_ever_seen() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.write("a.log", "two\n");
    bed.turn(1_500, true);
    bed.turn(1_500, true);
    bed.crash(0);
    bed.write("a.log", "never seen\n");
    copy(&bed);
    cut_off(&bed);
    bed.write("a.log", "4\n");
    bed.start();
    bed.settle();
    assert_eq!(
        (texts(&bed), dropped(&bed)),
        (["4", "never seen", "one", "two"].map(str::to_owned).to_vec(), vec![])
    );
}

#[test]
fn a_file_cut_off_and_written_anew_is_never_read_in_its_middle() {
    let mut bed = Bed::new(&["*.log"]);
    let line = |word: &str| format!("{word}{}\n", "x".repeat(50_000));
    let first: String = (0..40).map(|nth| line(&format!("first-{nth:02}-"))).collect();
    bed.write("a.log", &first);
    bed.turn(100, true);
    // Half read, and in the queue: what stands there now is longer.
    let second: String = (0..80).map(|nth| line(&format!("second-{nth:02}-"))).collect();
    fs::write(bed.path("a.log"), &second).expect("written anew");
    bed.settle();
    let texts = texts(&bed);
    let of = |word: &str| texts.iter().filter(|text| text.starts_with(word)).count();
    assert_eq!(of("second-"), 80);
    assert_eq!(of("first-") + of("second-"), texts.len(), "no line begins in its middle");
}
