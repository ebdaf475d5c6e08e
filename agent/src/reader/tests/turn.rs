//! One thing at a time.

use std::os::unix::fs::symlink;

use weir_proto::limit::LINE_BYTES_MAX;
use weir_proto::model::{ByteRange, drop_reason};

use super::*;

/// The sources in the order in which they were first sent, with their ranges.
fn covered(bed: &Bed) -> Vec<(SourceId, ByteRange)> {
    let decode = |batch: &EncodedBatch| LineBatch::decode(&batch.headers, &batch.payload).expect("decodes");
    bed.log.iter().flat_map(|batch| decode(batch).sources).map(|source| (source.id, source.covered)).collect()
}

#[test]
fn covered_ranges_begin_at_nothing_and_touch() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("shop.log", "one\ntwo\n");
    bed.settle();
    bed.write("shop.log", "three\n");
    bed.settle();
    let covered = covered(&bed);
    let ranges: Vec<_> = covered.iter().map(|(_, range)| (range.start, range.end)).collect();
    assert_eq!(ranges, [(0, 8), (8, 14)]);
    assert_eq!(covered[0].0, covered[1].0);
    assert_eq!(bed.texts("shop.log"), ["one", "two", "three"]);
    let ingested = bed.rows();
    let source = ingested.sources.values().next().expect("a source");
    assert_eq!(resource(source, "service.name"), Some("shop"));
    assert_eq!(source.parser, "auto");
}

#[test]
fn a_container_file_is_two_sources_that_share_its_offsets() {
    let mut bed = Bed::new(&["pods/*/*/*.log"]);
    let name = "pods/shop_cart_uid/cart/0.log";
    bed.write(name, "2016-10-06T00:17:09Z stdout F a\n2016-10-06T00:17:09Z stderr F b\n");
    bed.settle();
    let ingested = bed.rows();
    assert_eq!(ingested.sources.len(), 2);
    for source in ingested.sources.values() {
        assert_eq!(source.covered, ByteRange::new(0, 64), "the other stream's bytes are settled too");
        assert_eq!(resource(source, "k8s.pod.name"), Some("cart"));
    }
    let of = |stream| ingested.of(|source| resource(source, "log.iostream") == Some(stream));
    assert_eq!((of("stdout"), of("stderr")), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn a_docker_file_is_two_sources_and_says_the_lines_alone() {
    let mut bed = Bed::new(&["containers/*/*-json.log"]);
    let id = "0123456789abcdef".repeat(4);
    let name = format!("containers/{id}/{id}-json.log");
    let line = |log: &str, stream: &str| {
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"2016-10-06T00:17:09.5Z\"}}\n")
    };
    bed.write(&name, line(r"one\u0021\n", "stdout") + &line("tw", "stdout") + &line(r"err\n", "stderr"));
    bed.turn(100, true);
    bed.deliver();
    bed.crash(0);
    bed.start();
    bed.write(&name, line(r"o\n", "stdout"));
    bed.settle();
    let ingested = bed.rows();
    let of = |stream| ingested.of(|source| resource(source, "log.iostream") == Some(stream));
    assert_eq!(
        (of("stdout"), of("stderr")),
        (vec!["one!".to_owned(), "two".to_owned()], vec!["err".to_owned()])
    );
}

#[test]
fn a_line_split_by_rotation_is_told_as_partial() {
    let mut bed = Bed::new(&["pods/*/*/*.log"]);
    let name = "pods/shop_cart_uid/cart/0.log";
    bed.write(name, "2016-10-06T02:17:09.5+02:00 stdout P:x be\n");
    bed.turn(100, true);
    bed.rename(name, "pods/shop_cart_uid/cart/0.log.20161006-021710");
    bed.write(name, "2016-10-06T02:17:09.6+02:00 stdout F:x gin\n");
    bed.settle();
    let mut texts = bed.rows().all();
    texts.sort_unstable();
    assert_eq!(texts, ["be", "gin"], "the kubelet's two files are two sources");
    assert_eq!((bed.rows().flagged(flags::PARTIAL), bed.rows().flagged(flags::CONTINUATION)), (1, 0));
}

#[test]
fn a_last_line_without_newline_is_cut_only_when_it_stopped_growing() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "be");
    for _ in 0..3 {
        bed.turn(600, true);
        bed.write("a.log", "x");
    }
    bed.turn(600, true);
    bed.deliver();
    assert_eq!(bed.texts("a.log"), Vec::<String>::new());
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["bexxx"]);
    bed.write("a.log", "\nnext\n");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["bexxx", "next"]);
    assert_eq!(bed.rows().flagged(flags::CUT), 1);
}

#[test]
fn a_file_that_shrank_is_read_anew_and_what_was_lost_is_told() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\ntwo\nunfinished");
    bed.turn(200, true);
    bed.turn(200, true);
    bed.deliver();
    fs::write(bed.path("a.log"), "1\n").expect("truncated");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "1"]);
    let drops = Ingested::drops(&bed.log);
    let [drop] = drops.as_slice() else { panic!("{drops:?}") };
    assert_eq!((drop.range, drop.reason.as_str()), (ByteRange::new(8, 18), drop_reason::TRUNCATED_UNREAD));
    assert_eq!(bed.rows().sources.len(), 2);
    assert_eq!(bed.measured.truncations.get(), 1);
    let kept = String::from_utf8(checkpoint_bytes(&bed.state())).expect("text");
    assert!(kept.contains("\"gone\":[1]"), "the old incarnation is forgotten: {kept}");
}

#[test]
fn a_file_replaced_in_place_by_a_longer_one_is_noticed_by_its_beginning() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\ntwo\n");
    bed.settle();
    fs::write(bed.path("a.log"), "three\nfour\nfive\n").expect("replaced");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "three", "four", "five"]);
    assert_eq!(bed.rows().sources.len(), 2);
}

#[test]
fn a_file_replaced_while_nobody_read_is_not_read_from_the_old_offset() {
    for replacement in ["other\n", "other and much longer than before\nmore\n", "sam1\nsam2\n"] {
        let mut bed = Bed::new(&["*.log"]);
        bed.write("a.log", "same\nsame\n");
        bed.settle();
        bed.settle();
        bed.crash(0);
        // In place: the same inode and birth, as an immediately reused inode
        // on a file system without birth times would have.
        fs::write(bed.path("a.log"), replacement).expect("replaced");
        bed.start();
        bed.settle();
        let expected: Vec<_> = ["same", "same"].into_iter().chain(replacement.lines()).collect();
        assert_eq!(bed.texts("a.log"), expected);
        assert_eq!(bed.rows().duplicates, 0);
    }
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_then_forgotten() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.turn(200, true);
    bed.write("a.log", "two\nthree");
    fs::remove_file(bed.path("a.log")).expect("deleted");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "three"]);
    assert_eq!(bed.reader().files.iter().count(), 1, "held open for its writer");
    bed.turn(40_000, true);
    bed.turn(2_000, true);
    bed.turn(2_000, true);
    assert_eq!(bed.reader().files.iter().count(), 0);
    bed.crash(0);
    bed.start();
    assert_eq!(bed.reader().files.iter().count(), 0, "the checkpoint has forgotten it too");
}

#[test]
fn a_renamed_file_that_still_matches_is_the_same_source() {
    let mut bed = Bed::new(&[""]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.rename("a.log", "a.log.1");
    bed.write("a.log", "two\n");
    bed.write("a.log.1", "late\n");
    bed.settle();
    let mut texts = bed.rows().all();
    texts.sort_unstable();
    assert_eq!(texts, ["late", "one", "two"]);
    assert_eq!(bed.rows().sources.len(), 2);
    assert_eq!(bed.rows().duplicates, 0);
}

#[test]
fn a_file_renamed_while_nobody_read_is_finished_under_its_old_source() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.settle();
    bed.crash(0);
    bed.write("a.log", "two\n");
    bed.rename("a.log", "a.log.1");
    bed.write("a.log", "three\n");
    bed.start();
    bed.settle();
    let mut texts = bed.texts("a.log");
    texts.sort_unstable();
    assert_eq!(texts, ["one", "three", "two"]);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (2, 0));
}

#[test]
fn a_file_with_two_names_is_read_once() {
    let mut bed = Bed::new(&["*.log", "links/*.log"]);
    bed.write("a.log", "one\n");
    fs::hard_link(bed.path("a.log"), bed.path("b.log")).expect("a link");
    fs::create_dir(bed.path("links")).expect("a directory");
    symlink(bed.path("a.log"), bed.path("links/c.log")).expect("a link");
    bed.settle();
    bed.write("b.log", "two\n");
    bed.settle();
    assert_eq!(bed.rows().all(), ["one", "two"]);
}

#[test]
fn a_link_stands_for_the_file_that_says_more() {
    let mut bed = Bed::new(&["containers/*.log"]);
    bed.write("pods/shop_cart_uid/cart/0.log", "2016-10-06T00:17:09Z stdout F a\n");
    fs::create_dir(bed.path("containers")).expect("a directory");
    symlink(bed.path("pods/shop_cart_uid/cart/0.log"), bed.path("containers/cart.log")).expect("a link");
    bed.settle();
    assert_eq!(bed.texts("pods/shop_cart_uid/cart/0.log"), ["a"]);
    let ingested = bed.rows();
    let source = ingested.sources.values().next().expect("a source");
    assert_eq!(resource(source, "service.name"), Some("cart"));
    // Its renamed predecessor is found where it lies, not where the link does.
    bed.crash(0);
    bed.write("pods/shop_cart_uid/cart/0.log", "2016-10-06T00:17:10Z stdout F b\n");
    bed.rename("pods/shop_cart_uid/cart/0.log", "pods/shop_cart_uid/cart/0.log.20161006-001710");
    bed.write("pods/shop_cart_uid/cart/0.log", "2016-10-06T00:17:11Z stdout F c\n");
    bed.start();
    bed.settle();
    let mut texts = bed.texts("pods/shop_cart_uid/cart/0.log");
    texts.sort_unstable();
    assert_eq!(texts, ["a", "b", "c"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_the_rest_goes_on() {
    let mut bed = Bed::new(&["*.log"]);
    let metrics = Metrics::new();
    bed.measured = Measured::new(&metrics);
    bed.crash(0);
    bed.start();
    bed.write("a.log", "one\n");
    // What lies below a file: not a directory, for any user.
    symlink(bed.path("a.log").join("below"), bed.path("b.log")).expect("a link");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one"]);
    let counted = metrics.encode();
    assert!(counted.contains(r#"weir_agent_errors_total{kind="directory"} "#), "{counted}");
    assert!(bed.last_mark().is_some(), "it holds nothing back");
}

#[test]
fn a_planted_link_is_refused_counted_and_the_rest_goes_on() {
    let mut bed = Bed::new(&["*.log"]);
    let metrics = Metrics::new();
    bed.measured = Measured::new(&metrics);
    bed.crash(0);
    bed.start();
    bed.write("a.log", "one\n");
    symlink("/etc/hosts", bed.path("b.log")).expect("a link");
    bed.settle();
    // What is known already is not followed either, once a link stands there.
    fs::remove_file(bed.path("a.log")).expect("removed");
    symlink("/etc/passwd", bed.path("a.log")).expect("a link");
    bed.settle();
    assert_eq!(bed.rows().all(), ["one"]);
    let counted = metrics.encode();
    assert!(counted.contains(r#"weir_agent_errors_total{kind="link"} "#), "{counted}");
}

#[test]
fn while_the_log_does_not_answer_reading_pauses_and_nothing_is_lost() {
    let mut bed = Bed::new(&["*.log"]);
    // Hard to compress: the bound is on what is held.
    let line = |n: u64| {
        (0..64).map(|i| format!("{:x}", (n * 64 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect::<String>()
    };
    let lines: Vec<_> = (0..12_000).map(line).collect();
    bed.write("a.log", lines.join("\n") + "\n");
    for _ in 0..50 {
        bed.turn(100, false);
    }
    let held: usize = bed.pending.iter().map(|batch| batch.payload.len()).sum();
    assert!(held >= IN_FLIGHT_BYTES, "{held}");
    assert!(held < IN_FLIGHT_BYTES + (2 << 20), "{held}");
    assert!(bed.turn(0, false) > Duration::ZERO, "it waits");
    // Files are still found and held open meanwhile.
    bed.write("b.log", "late\n");
    bed.turn(2_000, true);
    fs::remove_file(bed.path("b.log")).expect("deleted");
    bed.settle();
    assert_eq!(bed.texts("a.log"), lines);
    assert_eq!(bed.texts("b.log"), ["late"]);
}

#[test]
fn an_idle_lane_says_its_mark_once_a_second() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    let before = bed.log.len();
    let scanned = bed.now.wall;
    for _ in 0..30 {
        bed.turn(100, false);
        bed.deliver();
    }
    let marks = bed.log.len() - before;
    assert!((2..=4).contains(&marks), "{marks} in three seconds");
    let mark = bed.last_mark().expect("known");
    assert!(mark > scanned && mark <= bed.now.wall, "{mark} of {scanned}..{}", bed.now.wall);
}

#[test]
fn an_unfinished_line_holds_the_mark_until_it_is_sent() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    let settled = bed.now.wall;
    bed.write("a.log", "unfinished");
    bed.turn(600, true);
    // Another line goes out meanwhile.
    bed.write("b.log", "two\n");
    bed.turn(200, true);
    bed.turn(150, false);
    bed.deliver();
    assert!(bed.texts("b.log").len() == 1 && bed.texts("a.log").len() == 1);
    assert!(bed.last_mark().expect("known") <= settled, "what was written after is not sent");
    bed.settle();
    assert_eq!(bed.texts("a.log").len(), 2);
    assert!(bed.last_mark().expect("known") > settled);
}

#[test]
fn a_backlog_of_container_lines_holds_the_mark_at_their_time() {
    let mut bed = Bed::new(&["pods/*/*/*.log"]);
    let text = "x".repeat(2_000);
    let lines: String =
        (0..2_000).map(|n| format!("2020-01-01T00:{:02}:00Z stdout F {text}\n", n / 40)).collect();
    bed.write("pods/n_p_u/c/0.log", lines);
    // The time that the file says is older than the file itself, which in
    // turn bounds the mark from below.
    bed.turn(0, true);
    bed.append(usize::MAX);
    let birth = bed.reader().files.iter().next().expect("a file").identity.birth;
    let first = &bed.log[0];
    let mark = LineBatch::decode(&first.headers, &first.payload).expect("decodes").header.mark_micros;
    assert_eq!(mark, birth, "nothing was written before the file was made");
    bed.settle();
    assert!(bed.last_mark() > birth);
}

#[test]
fn nothing_is_sent_until_the_checkpoint_knows_its_source() {
    let mut bed = Bed::new(&["*.log"]);
    bed.reader().checkpoint.refuse_writes();
    bed.write("a.log", "one\n");
    for _ in 0..20 {
        bed.turn(300, true);
    }
    let lines = |bed: &Bed| -> usize {
        let decode =
            |batch: &EncodedBatch| LineBatch::decode(&batch.headers, &batch.payload).expect("decodes");
        bed.pending.iter().map(|batch| decode(batch).len()).sum()
    };
    assert_eq!(lines(&bed), 0);
    assert!(bed.reader().problem().is_some_and(|text| text.contains("checkpoint")));
    bed.reader().checkpoint.accept_writes();
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one"]);
    assert_eq!(bed.reader().problem(), None);
    bed.crash(0);
    bed.start();
    bed.settle();
    assert_eq!(bed.rows().sources.len(), 1, "written anew as a whole");
}

#[test]
fn a_huge_line_takes_no_memory_and_its_neighbours_are_intact() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "before\n");
    bed.write("a.log", vec![b'x'; 4 << 20]);
    bed.write("a.log", "\nafter\n");
    bed.settle();
    let texts = bed.texts("a.log");
    assert_eq!((texts[0].as_str(), texts[2].as_str(), texts.len()), ("before", "after", 3));
    assert_eq!(texts[1].len(), LINE_BYTES_MAX);
    assert_eq!(bed.rows().flagged(flags::TRUNCATED), 1);
    let drops = Ingested::drops(&bed.log);
    let [drop] = drops.as_slice() else { panic!("{drops:?}") };
    assert_eq!(drop.reason, drop_reason::LINE_TOO_LONG);
    assert_eq!(drop.range, ByteRange::new(7 + LINE_BYTES_MAX as u64, 7 + (4 << 20) + 1));
    assert!(bed.reader().buffer.len() < 1 << 20, "{}", bed.reader().buffer.len());
}

#[test]
fn goodbye_is_said_only_when_asked_for() {
    for goodbye in [false, true] {
        let mut bed = Bed::new(&["*.log"]);
        bed.write("a.log", "one\n");
        bed.turn(200, true);
        let now = bed.now;
        let last = bed.reader().finish(now, goodbye);
        bed.pending.extend(last.into_iter().map(|closed| closed.batch));
        bed.deliver();
        assert_eq!(bed.texts("a.log"), ["one"]);
        assert!(bed.reader().is_acknowledged());
        let batch = bed.log.last().expect("a batch");
        let header = LineBatch::decode(&batch.headers, &batch.payload).expect("decodes").header;
        assert_eq!(header.goodbye, goodbye);
    }
}

#[test]
fn a_file_gone_for_a_day_is_forgotten() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.settle();
    bed.crash(0);
    fs::remove_file(bed.path("a.log")).expect("deleted");
    bed.start();
    bed.settle();
    assert_eq!(bed.reader().files.iter().count(), 1, "it may only be unmounted");
    bed.now.wall += EXPIRY_MICROS;
    bed.settle();
    assert_eq!(bed.reader().files.iter().count(), 0);
}
