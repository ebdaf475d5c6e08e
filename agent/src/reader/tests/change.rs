//! The configuration changes while lines flow.

use proptest::prelude::*;
use weir_proto::model::drop_reason;
use weir_runtime::HumanDuration;

use super::*;
use crate::RateLimit;

impl Bed {
    /// The running agent goes on by what the bed says now.
    fn reconfigure(&mut self) {
        let change = Change::new(self.config(), &self.state()).expect("valid");
        self.reader().reconfigure(change);
    }

    fn tail_is(&mut self, patterns: &[&str]) {
        let logs = self.root.path().join("logs");
        self.tail = patterns.iter().map(|pattern| format!("{}/{pattern}", logs.display())).collect();
    }

    fn sources(&self, name: &str) -> Vec<SourceId> {
        let path = self.path(name).to_string_lossy().into_owned();
        let rows = self.rows();
        let of = |id: &&SourceId| resource(&rows.sources[*id], "log.file.path") == Some(path.as_str());
        rows.order.iter().filter(of).copied().collect()
    }
}

#[test]
fn a_pattern_is_taken_away_and_given_back_and_nothing_is_lost_or_doubled() {
    let mut bed = Bed::new(&["a.log", "b.log"]);
    bed.write("a.log", "a1\n");
    bed.write("b.log", "b1\nb2\nError: no\n    at f (a.js:1:2)\n");
    bed.settle();
    bed.write("b.log", "Error: more\nhal");
    bed.turn(10, true);
    bed.tail_is(&["a.log", "c.log"]);
    bed.reconfigure();
    bed.settle();
    assert_eq!(bed.texts("b.log").len(), 4, "what was read is sent");
    for (name, text) in [("a.log", "a2\n"), ("b.log", "f\nb5\n"), ("c.log", "c1\n")] {
        bed.write(name, text);
    }
    bed.settle();
    assert_eq!(
        (bed.texts("a.log"), bed.texts("c.log")),
        (vec!["a1".into(), "a2".into()], vec!["c1".to_owned()])
    );
    assert_eq!(bed.texts("b.log").len(), 4, "nothing more of it is read");
    let mark = bed.last_mark();
    bed.settle();
    assert!(bed.last_mark() > mark, "what is not read holds up no mark");

    bed.stop();
    bed.start();
    bed.settle();
    assert_eq!(bed.texts("b.log").len(), 4, "nor by the next process");
    bed.tail_is(&["*.log"]);
    bed.reconfigure();
    bed.settle();
    let expected = ["b1", "b2", "Error: no\n    at f (a.js:1:2)", "Error: more", "half", "b5"];
    assert_eq!(bed.texts("b.log"), expected);
    for name in ["a.log", "b.log", "c.log"] {
        assert_eq!(bed.sources(name).len(), 1, "{name} is the same source");
    }
    assert_eq!(bed.rows().duplicates, 0);
}

#[test]
fn what_was_rotated_before_its_pattern_went_is_read_to_its_end() {
    let mut bed = Bed::new(&["a.log", "b.log"]);
    bed.write("b.log", "one\n");
    bed.settle();
    bed.rename("b.log", "b.old");
    bed.write("b.log", "new\n");
    bed.settle();
    bed.tail_is(&["a.log"]);
    bed.reconfigure();
    bed.write("b.old", "two\n");
    bed.write("b.log", "not this\n");
    bed.settle();
    assert_eq!(bed.texts("b.log"), ["one", "two", "new"]);
}

#[test]
fn a_dismissed_file_is_forgotten_once_it_is_gone_and_that_is_no_loss() {
    let mut bed = Bed::new(&["*.log"]);
    bed.write("a.log", "one\n");
    bed.settle();
    bed.tail_is(&["other"]);
    bed.reconfigure();
    bed.settle();
    bed.write("a.log", "two\n");
    bed.turn(25 * 3600 * 1000, true);
    bed.turn(25 * 3600 * 1000, true);
    assert_eq!(bed.reader().files.iter().count(), 1, "it is there, so its place is kept");
    fs::remove_file(bed.path("a.log")).expect("removed");
    for _ in 0..3 {
        bed.turn(25 * 3600 * 1000, true);
        bed.deliver();
    }
    assert_eq!(bed.reader().files.iter().count(), 0);
    assert!(Ingested::drops(&bed.log).is_empty());
}

#[test]
fn limits_hold_from_a_change_on() {
    let mut bed = Bed::new(&["*.log"]);
    let many = "line\n".repeat(50);
    bed.write("a.log", &many);
    bed.settle();
    assert_eq!(bed.texts("a.log").len(), 50);
    let burst = HumanDuration(Duration::from_secs(1));
    let limit = RateLimit { lines_per_second: Some(10), burst, ..RateLimit::default() };
    bed.limits = LimitsConfig { pod: Some(limit), ..LimitsConfig::default() };
    bed.reconfigure();
    bed.write("a.log", &many);
    bed.settle();
    assert!(bed.texts("a.log").len() < 70, "{}", bed.texts("a.log").len());
    let dropped: u64 = Ingested::drops(&bed.log).iter().map(|drop| drop.count).sum();
    assert_eq!(bed.texts("a.log").len() as u64 + dropped, 100);
    assert!(Ingested::drops(&bed.log).iter().all(|drop| drop.reason == drop_reason::RATE_LIMITED));
    bed.limits = LimitsConfig::default();
    bed.reconfigure();
    bed.write("a.log", &many);
    bed.settle();
    assert_eq!(bed.texts("a.log").len() as u64 + dropped, 150);
}

/// A step of a run.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    Patterns(usize),
    Join(bool),
    Turn(u64),
    Deliver(usize),
    Rotate(usize),
    Crash(usize),
}

const NAMES: [&str; 3] = ["a.log", "b.log", "c.log"];

const PATTERNS: [&[&str]; 4] = [&["a.log", "b.log", "c.log"], &["a.log"], &["a.log", "b.*"], &["*.log"]];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Act::Write),
        2 => (0..4_usize).prop_map(Act::Patterns),
        1 => any::<bool>().prop_map(Act::Join),
        4 => prop::sample::select(vec![5, 60, 400, 1_500]).prop_map(Act::Turn),
        3 => (0..4_usize).prop_map(Act::Deliver),
        1 => (0..1_usize).prop_map(Act::Rotate),
        1 => (0..3_usize).prop_map(Act::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// However the patterns and the joining change, and whenever the agent dies:
    /// once all is meant again, every line is there once, in its order, and what
    /// was always meant has one source for each file.
    #[test]
    fn changes_lose_nothing_and_double_nothing(acts in prop::collection::vec(act(), 1..60)) {
        let mut bed = Bed::new(PATTERNS[0]);
        let mut written: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut rotated = 0;
        for act in acts {
            match act {
                Act::Write(file) => {
                    let lines = written.entry(NAMES[file]).or_default();
                    let n = lines.len();
                    // Lines of a trace now and then, to be joined or not.
                    let text = match n % 4 {
                        0 => format!("Error: {n}"),
                        1 => format!("    at f{n} (a.js:1:2)"),
                        _ => format!("line {n}"),
                    };
                    bed.write(NAMES[file], format!("{text}\n"));
                    lines.push(text);
                }
                Act::Patterns(n) => {
                    bed.tail_is(PATTERNS[n]);
                    bed.reconfigure();
                }
                Act::Join(joins) => {
                    bed.multiline = if joins { Multiline::Auto } else { Multiline::None };
                    bed.reconfigure();
                }
                Act::Turn(millis) => {
                    bed.turn(millis, true);
                }
                Act::Deliver(batches) => {
                    bed.append(batches);
                    bed.acknowledge(batches);
                }
                Act::Rotate(file) if bed.path(NAMES[file]).exists() => {
                    bed.find(NAMES[file]);
                    rotated += 1;
                    bed.rename(NAMES[file], &format!("old{rotated}"));
                }
                Act::Rotate(_) => {}
                Act::Crash(arrived) => {
                    bed.crash(arrived);
                    bed.start();
                }
            }
        }
        bed.tail_is(PATTERNS[3]);
        bed.reconfigure();
        bed.settle();
        for (name, lines) in &written {
            let rows = bed.rows();
            let rows = bed.sources(name).into_iter().filter_map(|id| rows.rows.get(&id)).flatten();
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            let mut split: Vec<_> =
                rows.flat_map(|row| row.text.split(|byte| *byte == b'\n').map(text)).collect();
            let mut lines = lines.clone();
            // Of two files of one name, either may come first.
            if *name == "a.log" {
                split.sort();
                lines.sort();
            }
            prop_assert_eq!(split, lines, "{}", name);
        }
        for name in ["b.log", "c.log"] {
            prop_assert!(bed.sources(name).len() <= 1, "{}", name);
        }
        prop_assert!(Ingested::drops(&bed.log).is_empty());
    }
}
