//! More files than descriptors, and which of them is read first.

use std::os::unix::fs::MetadataExt;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_proto::model::drop_reason;

use super::*;

/// A bed whose agent may have 16 files open.
fn few() -> Bed {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    bed.descriptors = 16;
    bed.start();
    bed
}

fn name(nth: usize) -> String {
    format!("{nth:03}.log")
}

fn parked(bed: &mut Bed) -> usize {
    bed.reader().files.iter().filter(|tail| tail.parked.is_some()).count()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

/// A line of such a length that a block holds few.
fn long(word: &str) -> String {
    format!("{word}{}\n", "x".repeat(100_000))
}

#[test]
fn files_at_rest_give_their_descriptors_up_and_are_read_on_when_they_grow() {
    let mut bed = few();
    for nth in 0..100 {
        bed.write(&name(nth), format!("{nth} one\n"));
    }
    bed.settle();
    assert_eq!(bed.rows().all().len(), 100);
    assert!(bed.reader().descriptors.held() <= 16);
    assert!(parked(&mut bed) >= 84);
    assert!(bed.last_mark().expect("known") >= bed.now.wall - 2_000_000, "they hold nothing back");
    for nth in 0..100 {
        bed.write(&name(nth), format!("{nth} two\n"));
    }
    bed.settle();
    for nth in 0..100 {
        assert_eq!(bed.texts(&name(nth)), [format!("{nth} one"), format!("{nth} two")]);
    }
    assert!(bed.reader().descriptors.held() <= 16);
    assert_eq!((bed.rows().sources.len(), bed.rows().duplicates), (100, 0));
    // A restart looks at each and holds no more.
    bed.crash(0);
    bed.start();
    bed.settle();
    assert!(bed.reader().descriptors.held() <= 16);
    bed.write(&name(7), "7 three\n");
    bed.settle();
    assert_eq!(bed.texts(&name(7)).len(), 3);
    assert_eq!(bed.rows().all().len(), 201);
}

#[test]
fn a_file_that_stands_where_a_parked_one_did_is_another() {
    let mut bed = few();
    for nth in 0..60 {
        bed.write(&name(nth), "same\n");
    }
    bed.settle();
    let mut reused = 0;
    for (nth, replacement) in
        ["same\n", "diff\n", "other and longer\n", "s\n"].into_iter().cycle().enumerate().take(60)
    {
        let path = bed.path(&name(nth));
        let inode = fs::metadata(&path).expect("there").ino();
        fs::remove_file(&path).expect("deleted");
        fs::write(&path, replacement).expect("written");
        reused += usize::from(fs::metadata(&path).expect("there").ino() == inode);
    }
    bed.settle();
    let texts = sorted(bed.rows().all());
    let count = |text: &str| texts.iter().filter(|held| *held == text).count();
    // Some were held open: what is under their inodes is no secret either.
    assert_eq!(
        (count("same"), count("diff"), count("other and longer"), count("s")),
        (75, 15, 15, 15),
        "{reused} reused"
    );
}

#[test]
fn a_file_renamed_between_walk_and_opening_is_not_taken_for_replaced() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.settle();
    bed.crash(0);
    bed.start();
    bed.write("b.log", "one\ntwo\n");
    let other = fs::File::open(bed.path("b.log")).expect("opened");
    let reader = bed.reader();
    let other = reader.descriptors.hold(other);
    let key =
        reader.files.by_path(&reader.files.iter().next().expect("known").last_path.clone()).expect("known");
    let error = reader.files.get_mut(key).expect("known").open(other).expect_err("another file");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    bed.settle();
    assert_eq!(sorted(bed.rows().all()), ["one", "one", "two"]);
    assert_eq!(bed.measured.truncations.get(), 0);
}

#[test]
fn a_parked_file_that_was_cut_off_or_renamed_is_found_again() {
    let mut bed = few();
    for nth in 0..60 {
        bed.write(&name(nth), "one\ntwo\n");
    }
    bed.settle();
    for nth in 0..60 {
        match nth % 3 {
            0 => fs::write(bed.path(&name(nth)), "three\n").expect("cut off"),
            1 => {
                bed.write(&name(nth), "three\n");
                bed.rename(&name(nth), &format!("{}.1", name(nth)));
                bed.write(&name(nth), "four\n");
            }
            _ => {
                bed.rename(&name(nth), &format!("{}.1", name(nth)));
                bed.write(&format!("{}.1", name(nth)), "three\n");
            }
        }
    }
    bed.settle();
    for nth in 0..60 {
        let expected: &[&str] =
            if nth % 3 == 1 { &["four", "one", "three", "two"] } else { &["one", "three", "two"] };
        assert_eq!(sorted(bed.texts(&name(nth))), expected, "{nth}");
    }
    assert_eq!(bed.rows().duplicates, 0);
    assert!(Ingested::drops(&bed.log).is_empty());
}

#[test]
fn what_is_renamed_or_deleted_and_unread_keeps_its_descriptor() {
    let mut bed = few();
    for nth in 0..12 {
        bed.write(&name(nth), long("one"));
    }
    // Found and held; then nothing is read, since nothing is taken.
    bed.write("zzz.log", "");
    bed.turn(10, true);
    for nth in 0..12 {
        bed.write(&name(nth), long("two").repeat(20));
        fs::remove_file(bed.path(&name(nth))).expect("deleted");
    }
    for nth in 20..80 {
        bed.write(&name(nth), "other\n");
        bed.turn(10, true);
    }
    bed.settle();
    for nth in 0..12 {
        assert_eq!(bed.texts(&name(nth)).len(), 21, "{nth}");
    }
    assert_eq!(bed.rows().all().len(), 12 * 21 + 60);
    assert!(bed.reader().descriptors.held() <= 17);
}

#[test]
fn what_was_seen_of_a_parked_file_that_is_gone_is_told_as_lost() {
    let mut bed = few();
    for nth in 0..60 {
        bed.write(&name(nth), "one\n");
    }
    bed.settle();
    let gone: Vec<_> = bed
        .reader()
        .files
        .iter()
        .filter(|tail| tail.parked.is_some())
        .map(|tail| tail.last_path.clone())
        .collect();
    // Nothing is read while nothing is taken; their sizes are seen.
    let line = |n: u64| {
        (0..64).map(|i| format!("{:x}", (n * 64 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect::<String>()
    };
    bed.write("zzz.log", (0..12_000).map(line).collect::<Vec<_>>().join("\n"));
    for _ in 0..20 {
        bed.turn(100, false);
    }
    for path in &gone {
        OpenOptions::new().append(true).open(path).expect("there").write_all(b"two\n").expect("written");
    }
    bed.turn(1_000, true);
    for path in &gone {
        fs::remove_file(path).expect("deleted");
    }
    bed.settle();
    bed.now.wall += EXPIRY_MICROS;
    bed.settle();
    let drops = Ingested::drops(&bed.log);
    assert!(gone.len() >= 40 && drops.len() == gone.len(), "{} of {}", drops.len(), gone.len());
    assert!(drops.iter().all(
        |drop| drop.reason == drop_reason::ROTATED_UNREAD && (drop.range.start, drop.range.end) == (4, 8)
    ));
}

#[test]
fn an_unfinished_line_of_a_parked_file_is_sent_in_time() {
    let mut bed = few();
    for nth in 0..80 {
        bed.write(&name(nth), format!("{nth} unfinished"));
    }
    bed.settle();
    assert_eq!(bed.rows().all().len(), 80);
    assert_eq!(bed.rows().flagged(flags::CUT), 80);
}

#[test]
fn at_the_start_rotated_generations_are_read_before_live_files_the_oldest_first() {
    let mut bed = Bed::new(&["*.log"]);
    bed.crash(0);
    let at = |secs: u64| std::time::UNIX_EPOCH + Duration::from_secs(1_900_000_000 + secs);
    for (name, secs) in [("a.log", 50), ("a.log.1", 40), ("a.log.2", 30), ("a.log.10", 20), ("b.log.1", 35)] {
        bed.write(name, long(name).repeat(8));
        fs::File::options()
            .write(true)
            .open(bed.path(name))
            .expect("opened")
            .set_modified(at(secs))
            .expect("set");
    }
    for name in ["c.log.2", "c.log.3", "c.log.1"] {
        bed.write(name, long(name));
        fs::File::options()
            .write(true)
            .open(bed.path(name))
            .expect("opened")
            .set_modified(at(60))
            .expect("set");
    }
    bed.start();
    bed.settle();
    let ingested = bed.rows();
    let order: Vec<_> = ingested
        .order
        .iter()
        .map(|id| {
            resource(&ingested.sources[id], "log.file.path")
                .expect("a path")
                .rsplit('/')
                .next()
                .expect("a name")
        })
        .collect();
    // A live file has its turn now and then.
    let rotated: Vec<_> = order.iter().copied().filter(|name| *name != "a.log").collect();
    assert_eq!(rotated, ["a.log.10", "a.log.2", "b.log.1", "a.log.1", "c.log.3", "c.log.2", "c.log.1"]);
    assert_ne!(order[0], "a.log");
}

#[test]
fn what_will_be_rotated_soon_is_read_before_what_will_not() {
    let mut bed = Bed::new(&["*.log"]);
    for name in ["a.log.1", "b.log.1"] {
        bed.write(name, "x".repeat(999) + "\n");
    }
    bed.write("a.log", "");
    bed.write("b.log", "");
    bed.settle();
    bed.write("a.log", "y".repeat(400) + "\n");
    bed.write("b.log", "y".repeat(600) + "\n");
    bed.turn(1_000, true);
    bed.deliver();
    let reader = bed.reader();
    let urgency = |name: &str| {
        reader.files.iter().find(|tail| tail.last_path.ends_with(name)).expect("known").urgency()
    };
    assert_eq!(
        (urgency("a.log"), urgency("b.log"), urgency("a.log.1")),
        (Urgency::Calm, Urgency::Pressed, Urgency::Pressed)
    );
}

#[test]
fn what_was_renamed_while_it_waited_is_read_next() {
    let mut bed = Bed::new(&["*.log"]);
    for nth in 0..40 {
        bed.write(&name(nth), long("one").repeat(10));
    }
    bed.turn(10, true);
    bed.rename(&name(39), "kept-elsewhere");
    bed.turn(2_000, true);
    bed.turn(2_000, false);
    bed.deliver();
    assert_eq!(bed.texts(&name(39)).len(), 10, "all of it, before the others");
    assert!(bed.rows().all().len() < 200);
    bed.settle();
    assert_eq!(bed.rows().all().len(), 400);
}

#[test]
fn every_line_comes_once_however_few_descriptors_there_are() {
    for seed in 0..20 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bed = few();
        let mut expected = Vec::new();
        let mut rotations = 0;
        for step in 0..400 {
            let nth = random.random_range(0..50);
            match random.random_range(0..100) {
                0..50 => {
                    let text = format!("{nth}-{step}");
                    bed.write(&name(nth), format!("{text}\n"));
                    expected.push(text);
                }
                50..58 if bed.path(&name(nth)).exists() => {
                    bed.find(&name(nth));
                    rotations += 1;
                    bed.rename(&name(nth), &format!("{}.{rotations}", name(nth)));
                }
                58..85 => {
                    bed.turn([0, 20, 400, 1_200][random.random_range(0..4)], random.random_bool(0.5));
                }
                85..97 => bed.deliver(),
                97..99 => {
                    let arrived = random.random_range(0..=bed.pending.len());
                    bed.crash(arrived);
                    bed.start();
                }
                _ => {}
            }
            assert!(bed.reader().descriptors.held() <= 17, "seed {seed}");
        }
        // A scan on a busy host may be long, and the next comes later.
        for _ in 0..10 {
            bed.settle();
            if bed.rows().all().len() >= expected.len() {
                break;
            }
        }
        assert_eq!(sorted(bed.rows().all()), sorted(expected), "seed {seed}");
    }
}

#[test]
fn what_was_written_in_place_of_as_many_bytes_is_read() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\ntwo\n");
    bed.settle();
    fs::write(bed.path("a.log"), "tri\nfor\n").expect("replaced");
    let changed = [bed.path("a.log")].into();
    let now = bed.now;
    bed.reader().turn(now, &Heard { changed, ..Heard::default() });
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "tri", "for"]);
}

#[test]
fn after_an_overflow_every_open_file_is_compared() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\ntwo\n");
    bed.settle();
    // The same size, and no event: only a comparison tells.
    fs::write(bed.path("a.log"), "tri\nfor\n").expect("replaced");
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two"]);
    let now = bed.now;
    bed.reader().turn(now, &Heard { overflow: true, ..Heard::default() });
    bed.settle();
    assert_eq!(bed.texts("a.log"), ["one", "two", "tri", "for"]);
    assert_eq!(bed.measured.watch_overflows.get(), 1);
}
