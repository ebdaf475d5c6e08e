//! Files that were deleted or compressed before they were sent.

use std::fs::File;
use std::time::UNIX_EPOCH;

use weir_proto::model::{ByteRange, drop_reason};

use super::*;

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

fn copies(bed: &mut Bed) -> usize {
    bed.reader().keep.keys().count()
}

/// The event log takes nothing for a while.
fn stall(bed: &mut Bed) {
    for _ in 0..16 {
        bed.turn(500, true);
    }
}

#[test]
fn the_rest_of_a_file_that_was_compressed_meanwhile_is_read_under_its_source() {
    for rotated in ["a.log", "a.log.1", "a.log.20330518-033320"] {
        let mut bed = Bed::new(&["*.log"]);
        bed.write("a.log", "one\n");
        bed.settle();
        bed.settle();
        bed.crash(0);
        bed.write("a.log", "two\n");
        bed.rename("a.log", rotated);
        bed.compress(rotated);
        bed.write("a.log", "three\n");
        bed.start();
        bed.settle();
        assert_eq!(sorted(bed.texts("a.log")), ["one", "three", "two"], "{rotated}");
        assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (2, 0), "{rotated}");
        assert_eq!(copies(&mut bed), 0, "all of it is acknowledged");
        let live_and_archive = 2;
        assert_eq!(bed.reader().files.iter().count(), live_and_archive);
        // Nor is it read again.
        for _ in 0..2 {
            bed.stop();
            bed.start();
            bed.settle();
        }
        assert_eq!(bed.rows().all().len(), 3);
        assert!(Ingested::drops(&bed.log).is_empty());
    }
}

#[test]
fn a_crash_while_the_rest_is_read_begins_at_the_copy_again() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.crash(0);
    let lines: Vec<_> = (0..2_000).map(|n| format!("line {n}")).collect();
    bed.write("a.log", lines.join("\n") + "\n");
    bed.compress("a.log");
    bed.start();
    bed.turn(200, true);
    bed.turn(200, true);
    assert_eq!(copies(&mut bed), 1);
    // The archive is gone as well; the copy is not.
    fs::remove_file(bed.path("a.log.gz")).expect("removed");
    let arrived = bed.pending.len() / 2;
    bed.crash(arrived);
    bed.start();
    bed.settle();
    let expected: Vec<_> = ["one".to_owned()].into_iter().chain(lines).collect();
    assert_eq!(bed.texts("a.log"), expected);
    assert_eq!((bed.rows().sources.len(), copies(&mut bed)), (1, 0));
}

#[test]
fn what_was_read_before_it_was_compressed_is_not_read_again() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    // While the agent lives.
    bed.rename("a.log", "a.log.1");
    bed.compress("a.log.1");
    bed.write("a.log", "two\n");
    bed.settle();
    // And while it does not.
    bed.settle();
    bed.crash(0);
    bed.rename("a.log.1.gz", "a.log.2.gz");
    bed.rename("a.log", "a.log.1");
    bed.compress("a.log.1");
    bed.start();
    bed.settle();
    bed.stop();
    bed.start();
    bed.settle();
    assert_eq!(bed.rows().all(), ["one", "two"]);
    assert_eq!(bed.rows().duplicates, 0);
    assert!(!bed.state().join("kept").exists(), "nothing was decompressed");
}

#[test]
fn what_is_held_open_is_read_there_and_not_in_the_archive() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.turn(100, true);
    bed.write("a.log", "two\n");
    bed.rename("a.log", "a.log.1");
    bed.compress("a.log.1");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two"]);
    assert_eq!(bed.rows().sources.len(), 1);
    assert!(!bed.state().join("kept").exists(), "nothing was decompressed");
}

#[test]
fn archives_that_were_there_before_the_agent_are_read_once() {
    let root_files = |bed: &Bed| {
        bed.compressed("a.log.2.gz", b"one\ntwo\n");
        bed.compressed("pods/n_p_u/c/0.log.20161006-001709.gz", b"2016-10-06T00:17:09Z stderr F three\n");
        bed.write("a.log.3.bz2", "not read");
        bed.compressed("other.txt.gz", b"not meant");
        bed.write("a.log", "four\n");
    };
    let mut bed = Bed::new(&["*.log", "pods/*/*/*.log"]);
    bed.crash(0);
    root_files(&bed);
    bed.start();
    bed.settle();
    let expected = ["four", "one", "three", "two"];
    assert_eq!(sorted(bed.rows().all()), expected);
    let of = bed.rows().of(|source| resource(source, "service.name") == Some("c"));
    assert_eq!(of, ["three"], "an archive of a pod is the pod's");
    for name in ["a.log.3.gz", "a.log.4.gz"] {
        bed.stop();
        let before = ["a.log.2.gz", "a.log.3.gz"].into_iter().find(|name| bed.path(name).exists());
        bed.rename(before.expect("one of them"), name);
        bed.start();
        bed.settle();
    }
    assert_eq!(sorted(bed.rows().all()), expected);
    assert_eq!((bed.rows().duplicates, copies(&mut bed)), (0, 0));
}

#[test]
fn what_came_and_was_compressed_while_nobody_looked_is_read_if_it_is_younger_than_what_is_settled() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.stop();
    let mark = bed.last_mark().expect("known");
    for (name, micros) in [("a.log.1.gz", mark + 1_000_000), ("a.log.2.gz", mark - 1_000_000)] {
        bed.compressed(name, format!("{name}\n").as_bytes());
        let at = UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs());
        File::options().write(true).open(bed.path(name)).expect("opened").set_modified(at).expect("set");
    }
    bed.now.wall += 10_000_000;
    bed.start();
    bed.settle();
    assert_eq!(sorted(bed.rows().all()), ["a.log.1.gz", "one"]);
}

#[test]
fn what_came_and_was_compressed_between_two_looks_is_read_once() {
    for crashes in [false, true] {
        let mut bed = Bed::new(&["*.log"]);
        bed.write("a.log", "one\n");
        bed.settle();
        let mark = bed.reader().marks.value();
        bed.compressed("whole", b"two\nthree\n");
        bed.compressed("a.log.2.gz", b"");
        let whole = fs::read(bed.path("whole")).expect("read");
        let write = |bed: &Bed, part: &[u8]| {
            bed.write("a.log.1.gz", part);
            let at = UNIX_EPOCH + Duration::from_micros(bed.now.wall.unsigned_abs());
            let file = File::options().write(true).open(bed.path("a.log.1.gz")).expect("opened");
            file.set_modified(at).expect("set");
        };
        // It may still grow.
        write(&bed, &whole[..12]);
        for _ in 0..3 {
            bed.turn(500, true);
        }
        assert_eq!(bed.rows().all(), ["one"]);
        assert_eq!(bed.reader().marks.value(), mark, "complete up to a time before it");
        if crashes {
            bed.crash(0);
            bed.start();
        }
        write(&bed, &whole[12..]);
        bed.settle();
        bed.rename("a.log.1.gz", "a.log.3.gz");
        bed.settle();
        assert_eq!(sorted(bed.rows().all()), ["one", "three", "two"]);
        assert_eq!((bed.rows().duplicates, copies(&mut bed)), (0, 0));
        assert!(bed.reader().marks.value() > mark);
    }
}

#[test]
fn an_archive_that_is_deleted_while_it_waits_is_told_as_lost() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    // What they are made of is still there, and is not known either.
    fs::create_dir(bed.path("a.log.1")).expect("something");
    bed.compressed("a.log.1.gz", b"two\nthree\n");
    bed.turn(500, true);
    fs::remove_file(bed.path("a.log.1.gz")).expect("removed");
    bed.settle();
    assert_eq!(bed.rows().all(), ["one"]);
    let drops = Ingested::drops(&bed.log);
    let drops: Vec<_> = drops.iter().map(|drop| (drop.range.len(), drop.reason.as_str())).collect();
    assert_eq!(drops, [(10, "rotated_unread")]);
}

#[test]
fn what_was_read_and_is_gone_is_known_when_its_archive_is_seen_a_look_later() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    fs::remove_file(bed.path("a.log")).expect("removed");
    // Nobody holds it open any longer.
    bed.turn(31_000, true);
    bed.compressed("a.log.1.gz", b"one\n");
    bed.settle();
    assert_eq!((bed.rows().all(), bed.rows().duplicates), (vec!["one".to_owned()], 0));
    assert_eq!(bed.reader().files.iter().filter(|tail| !tail.archive).count(), 0, "and then forgotten");
}

#[test]
fn an_archive_that_is_being_written_is_waited_for() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.crash(0);
    let text = "two\n".repeat(20_000);
    bed.write("a.log", &text);
    bed.compressed("whole", &fs::read(bed.path("a.log")).expect("read"));
    let whole = fs::read(bed.path("whole")).expect("read");
    // What it is made of is moved away only for the agent not to read it.
    bed.rename("a.log", "a.log.1");
    bed.write("a.log.1.gz", &whole[..whole.len() / 2]);
    fs::remove_file(bed.path("a.log.1")).expect("removed");
    fs::create_dir(bed.path("a.log.1")).expect("still something there");
    bed.start();
    bed.settle();
    assert_eq!(bed.rows().all(), ["one"]);
    bed.write("a.log.1.gz", &whole[whole.len() / 2..]);
    bed.settle();
    assert_eq!(bed.texts("a.log").len(), 20_001);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (1, 0));
}

#[test]
fn a_damaged_archive_is_told_and_left_alone() {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    let metrics = Metrics::new();
    bed.measured = Measured::new(&metrics);
    bed.compressed("whole", "lines\n".repeat(1000).as_bytes());
    let mut damaged = fs::read(bed.path("whole")).expect("read");
    let end = damaged.len() - 5;
    damaged[end] ^= 1;
    bed.write("a.log.1.gz", damaged);
    bed.write("a.log.2.gz", "no gzip at all");
    bed.write("a.log.3.gz", "");
    bed.write("a.log", "one\n");
    bed.start();
    bed.settle();
    assert_eq!(bed.rows().all(), ["one"]);
    let counted = metrics.encode();
    assert!(counted.contains(r#"weir_agent_errors_total{kind="archive"} 3"#), "{counted}");
    assert_eq!(copies(&mut bed), 0);
}

#[test]
fn a_file_that_was_copied_compressed_and_cut_off_while_nobody_looked_is_read_on_in_the_archive() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.crash(0);
    bed.write("a.log", "two\n");
    bed.compressed("a.log.1.gz", &fs::read(bed.path("a.log")).expect("read"));
    fs::write(bed.path("a.log"), "3\n").expect("cut off and written to");
    bed.start();
    bed.settle();
    assert_eq!(sorted(bed.texts("a.log")), ["3", "one", "two"]);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (2, 0));
}

#[test]
fn an_archive_made_beside_what_is_still_there_is_not_read() {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    bed.write("a.log", "one\ntwo\n");
    bed.compressed("a.log.1.gz", b"one\n");
    bed.write("b.log", "three\nfour\n");
    bed.compressed("b.log.gz", b"three\nfour\n");
    bed.start();
    bed.settle();
    // What begins alike and is shorter than what is there is another file.
    assert_eq!(sorted(bed.rows().all()), ["four", "one", "one", "three", "two"]);
}

#[test]
fn a_deleted_file_that_the_log_does_not_take_is_kept_and_its_descriptor_closed() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.write("a.log", "two\nthree\n");
    bed.turn(200, true);
    bed.turn(200, true);
    fs::remove_file(bed.path("a.log")).expect("deleted");
    stall(&mut bed);
    assert_eq!(copies(&mut bed), 1);
    let reader = bed.reader();
    assert!(reader.files.iter().all(|tail| tail.kept));
    assert_eq!(reader.measured.open_deleted_files.get(), 0);
    assert!(reader.measured.kept_bytes.get() > 0);
    // What had been handed on never arrives.
    bed.crash(0);
    bed.start();
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "three"]);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (1, 0));
    bed.settle();
    assert_eq!((copies(&mut bed), bed.reader().files.iter().count()), (0, 0));
    assert!(Ingested::drops(&bed.log).is_empty());
}

#[test]
fn a_renamed_file_stays_within_reach_until_the_log_has_it_all() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.write("a.log", "two\nthree\n");
    bed.turn(200, true);
    bed.rename("a.log", "a.log.1");
    // Longer than a renamed file is looked at that was read to its end.
    (0..8).for_each(|_| stall(&mut bed));
    fs::remove_file(bed.path("a.log.1")).expect("deleted");
    stall(&mut bed);
    assert_eq!(copies(&mut bed), 1);
    bed.crash(0);
    bed.start();
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "three"]);
    assert!(Ingested::drops(&bed.log).is_empty());
}

#[test]
fn a_deleted_file_that_the_log_takes_is_not_copied() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.turn(200, true);
    bed.write("a.log", "two\n");
    fs::remove_file(bed.path("a.log")).expect("deleted");
    for _ in 0..40 {
        bed.turn(500, true);
        bed.deliver();
    }
    assert_eq!(bed.texts("a.log"), ["one", "two"]);
    assert!(!bed.state().join("kept").exists());
}

#[test]
fn what_is_deleted_when_the_agent_ends_is_kept() {
    let mut bed = Bed::new(&["*.log", "pods/*/*/*.log"]);
    let pod = "pods/n_p_u/c/0.log";
    let line = |stream: &str, text: &str| format!("2016-10-06T00:17:09Z {stream} {text}\n");
    bed.write("a.log", "one\n");
    bed.write(pod, line("stdout", "F a") + &line("stderr", "F b") + &line("stdout", "P c"));
    bed.turn(100, true);
    bed.turn(200, true);
    bed.deliver();
    bed.write("a.log", "two\nunfin");
    bed.write(pod, line("stderr", "F d") + &line("stdout", "F e"));
    fs::remove_file(bed.path("a.log")).expect("deleted");
    fs::remove_file(bed.path(pod)).expect("deleted");
    bed.stop();
    bed.start();
    assert_eq!(copies(&mut bed), 2);
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "unfin"]);
    let of = |bed: &Bed, stream| bed.rows().of(|source| resource(source, "log.iostream") == Some(stream));
    assert_eq!(
        (of(&bed, "stdout"), of(&bed, "stderr")),
        (vec!["a".into(), "ce".into()], vec!["b".into(), "d".into()])
    );
    assert_eq!(bed.rows().sources.len(), 3);
}

#[test]
fn a_new_file_under_the_inode_of_a_kept_one_is_another() {
    let mut bed = Bed::new(&["*.log"]);
    for round in 0..20 {
        bed.write("a.log", format!("line {round}\n"));
        bed.find("a.log");
        fs::remove_file(bed.path("a.log")).expect("deleted");
        bed.stop();
        bed.start();
    }
    bed.settle();
    let expected: Vec<_> = (0..20).map(|round| format!("line {round}")).collect();
    let mut texts = bed.texts("a.log");
    texts.sort_by_key(|text| (text.len(), text.clone()));
    assert_eq!(texts, expected);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (20, 0));
}

#[test]
fn without_room_the_oldest_copy_is_dropped_and_its_range_told() {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    bed.keep_bytes = ByteSize(20_000);
    bed.start();
    let line = "x".repeat(99) + "\n";
    for name in ["a.log", "b.log", "c.log"] {
        bed.write(name, "first\n");
    }
    bed.settle();
    for name in ["a.log", "b.log", "c.log"] {
        bed.write(name, line.repeat(90));
        bed.find(name);
        fs::remove_file(bed.path(name)).expect("deleted");
    }
    bed.stop();
    bed.start();
    assert_eq!(copies(&mut bed), 2);
    assert!(bed.reader().keep.bytes() <= 20_000 + 8192);
    bed.settle();
    let lines = |bed: &Bed, name| bed.texts(name).len();
    assert_eq!((lines(&bed, "b.log"), lines(&bed, "c.log"), lines(&bed, "a.log")), (91, 91, 1));
    // What was told as lost when the agent ended never arrived. It is known by
    // the checkpoint, and told again when the file is given up.
    bed.now.wall += 2 * EXPIRY_MICROS;
    bed.settle();
    let drops = Ingested::drops(&bed.log);
    let [drop] = drops.as_slice() else { panic!("{drops:?}") };
    assert_eq!((drop.range, drop.reason.as_str()), (ByteRange::new(6, 9006), drop_reason::ROTATED_UNREAD));
    assert_eq!(bed.reader().files.iter().count(), 0);
}

#[test]
fn a_file_dropped_for_room_while_the_agent_lives_is_told_once() {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    bed.keep_bytes = ByteSize(10_000);
    bed.start();
    let line = "x".repeat(99) + "\n";
    for name in ["a.log", "b.log"] {
        bed.write(name, "first\n");
    }
    bed.settle();
    for name in ["a.log", "b.log"] {
        bed.write(name, line.repeat(90));
        bed.find(name);
        fs::remove_file(bed.path(name)).expect("deleted");
        stall(&mut bed);
    }
    assert_eq!(copies(&mut bed), 1);
    bed.settle();
    // What had been read of it is sent all the same.
    let lines = bed.texts("a.log").len() + bed.texts("b.log").len();
    let drops = Ingested::drops(&bed.log);
    let counted: u64 = drops.iter().map(|drop| drop.count).sum();
    assert_eq!(lines as u64 + counted, 2 * 91, "{drops:?}");
    let dropped: u64 = drops.iter().map(|drop| drop.range.len()).sum();
    assert_eq!(lines as u64 * 100 + dropped, 2 * 9100 - dropped % 100, "{lines} {dropped}");
    bed.settle();
    assert_eq!(bed.reader().files.iter().count(), 0);
}

#[test]
fn what_was_known_of_a_file_that_is_gone_for_good_is_told_as_lost() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.write("a.log", "two\nthree\n");
    // It is seen, and what is read of it never arrives.
    bed.turn(1_500, true);
    bed.turn(1_500, true);
    bed.crash(0);
    fs::remove_file(bed.path("a.log")).expect("deleted");
    bed.start();
    bed.settle();
    assert!(Ingested::drops(&bed.log).is_empty(), "it may only be unmounted");
    bed.now.wall += EXPIRY_MICROS;
    bed.settle();
    let drops = Ingested::drops(&bed.log);
    let [drop] = drops.as_slice() else { panic!("{drops:?}") };
    assert_eq!((drop.range, drop.reason.as_str()), (ByteRange::new(4, 14), drop_reason::ROTATED_UNREAD));
    bed.settle();
    assert_eq!((bed.texts("a.log"), bed.reader().files.iter().count()), (vec!["one".to_owned()], 0));
}
