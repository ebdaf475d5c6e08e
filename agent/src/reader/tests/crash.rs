//! Random writers, rotations, time and crashes: every line once.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const TIME: &str = "2016-10-06T00:17:09.5Z";

/// Writes lines that are all different, and remembers them.
struct Writer {
    name: &'static str,
    kind: Kind,
    file: usize,
    line: usize,
    rotations: usize,
    /// The unfinished line of each stream: what it says so far.
    unfinished: [Option<String>; 2],
    /// CRI: a line whose newline is not written yet, by stream and tag.
    torn: Option<(usize, char)>,
    expected: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Cri,
}

impl Writer {
    fn new(name: &'static str, kind: Kind, file: usize) -> Self {
        Self {
            name,
            kind,
            file,
            line: 0,
            rotations: 0,
            unfinished: [None, None],
            torn: None,
            expected: Vec::new(),
        }
    }

    fn words(&mut self, random: &mut SmallRng) -> String {
        self.line += 1;
        format!("{}-{}-{}", self.file, self.line, "x".repeat(random.random_range(0..20)))
    }

    fn write(&mut self, bed: &Bed, random: &mut SmallRng) {
        let words = self.words(random);
        let text = match self.kind {
            Kind::Plain => self.plain(words, random),
            Kind::Cri => self.cri(words, random),
        };
        bed.write(self.name, text);
    }

    fn plain(&mut self, words: String, random: &mut SmallRng) -> String {
        let so_far = self.unfinished[0].take().unwrap_or_default();
        if random.random_bool(0.3) {
            self.unfinished[0] = Some(so_far + &words);
            return words;
        }
        // Sometimes only the newline is late.
        let words = if !so_far.is_empty() && random.random_bool(0.5) { String::new() } else { words };
        self.expected.push(so_far + &words);
        words + "\n"
    }

    fn cri(&mut self, words: String, random: &mut SmallRng) -> String {
        if let Some((stream, tag)) = self.torn.take() {
            let words = if random.random_bool(0.5) { String::new() } else { words };
            self.said(stream, tag, &words);
            return words + "\n";
        }
        let stream = usize::from(random.random_bool(0.4));
        let tag = if random.random_bool(0.4) { 'P' } else { 'F' };
        let so_far = self.unfinished[stream].is_some();
        let words = if tag == 'F' && so_far && random.random_bool(0.3) { String::new() } else { words };
        let head = format!("{TIME} {} {tag} ", ["stdout", "stderr"][stream]);
        if !words.is_empty() && random.random_bool(0.2) {
            self.unfinished[stream].get_or_insert_default().push_str(&words);
            self.torn = Some((stream, tag));
            return head + &words;
        }
        self.said(stream, tag, &words);
        head + &words + "\n"
    }

    fn said(&mut self, stream: usize, tag: char, words: &str) {
        let mut text = self.unfinished[stream].take().unwrap_or_default();
        text.push_str(words);
        match tag {
            'P' => self.unfinished[stream] = Some(text),
            _ => self.expected.push(text),
        }
    }

    /// Compresses some generation that is not yet, if there is one.
    fn compress(&self, bed: &Bed, random: &mut SmallRng) -> bool {
        let name = |n: usize| format!("{}.{n}", self.name);
        let plain: Vec<_> = (1..=self.rotations).map(name).filter(|name| bed.path(name).exists()).collect();
        if plain.is_empty() {
            return false;
        }
        bed.compress(&plain[random.random_range(0..plain.len())]);
        true
    }

    /// What was unfinished stays so for ever.
    fn rotate(&mut self, bed: &Bed) {
        if !bed.path(self.name).exists() {
            return;
        }
        self.rotations += 1;
        bed.rename(self.name, &format!("{}.{}", self.name, self.rotations));
        self.torn = None;
        let left = self.unfinished.iter_mut().filter_map(Option::take);
        self.expected.extend(left.filter(|text| !text.is_empty()));
    }
}

#[derive(Default)]
struct Tally {
    crashes: usize,
    torn: usize,
    duplicates: usize,
    cuts: usize,
    continuations: usize,
    rotations: usize,
    compressions: usize,
    recoveries: usize,
    lines: usize,
}

fn run(seed: u64, tally: &mut Tally) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut bed = Bed::new(&["*.log", "pods/*/*/*.log"]);
    let mut writers = [
        Writer::new("a.log", Kind::Plain, 0),
        Writer::new("b.log", Kind::Plain, 1),
        Writer::new("pods/n_p_u/c/0.log", Kind::Cri, 2),
    ];
    for _ in 0..120 {
        let writer = random.random_range(0..writers.len());
        match random.random_range(0..100) {
            0..45 => writers[writer].write(&bed, &mut random),
            45..50 => {
                bed.find(writers[writer].name);
                writers[writer].rotate(&bed);
                tally.rotations += 1;
            }
            50..54 => {
                tally.compressions += usize::from(writers[writer].compress(&bed, &mut random));
            }
            54..75 => {
                let millis = [0, 20, 120, 700, 1200][random.random_range(0..5)];
                bed.turn(millis, random.random_bool(0.5));
            }
            75..85 => bed.append(random.random_range(0..3)),
            85..93 => bed.acknowledge(random.random_range(0..3)),
            93..96 => {
                bed.find(writers[writer].name);
                let arrived = random.random_range(0..=bed.pending.len());
                bed.crash(arrived);
                if random.random_bool(0.5) && bed.path(writers[writer].name).exists() {
                    writers[writer].write(&bed, &mut random);
                    writers[writer].rotate(&bed);
                }
                if random.random_bool(0.5) {
                    tally.compressions += usize::from(writers[writer].compress(&bed, &mut random));
                }
                bed.start();
                tally.crashes += 1;
            }
            96..98 => {
                crash_in_a_turn(&mut bed, &mut random);
                tally.torn += 1;
            }
            _ => {
                bed.turn(150, true);
                let now = bed.now;
                let last = bed.reader().finish(now, false);
                bed.pending.extend(last.into_iter().map(|closed| closed.batch));
                bed.deliver();
                bed.reader().end(now);
                bed.crash(0);
                bed.start();
            }
        }
    }
    for writer in &mut writers {
        bed.find(writer.name);
        writer.rotate(&bed);
    }
    bed.settle();
    tally.recoveries += usize::from(bed.state().join("kept").exists());
    // Whoever had nothing left has no copy.
    assert_eq!(bed.reader().keep.keys().count(), 0, "seed {seed}");
    let ingested = bed.rows();
    let mut found = ingested.all();
    let mut expected: Vec<_> = writers.iter().flat_map(|writer| writer.expected.clone()).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "seed {seed}");
    tally.duplicates += ingested.duplicates;
    tally.cuts += ingested.flagged(flags::CUT);
    tally.continuations += ingested.flagged(flags::CONTINUATION);
    tally.lines += expected.len();
}

/// Dies while the checkpoint is written: its last line is torn, and nothing
/// that waited for it was handed on.
fn crash_in_a_turn(bed: &mut Bed, random: &mut SmallRng) {
    let before = checkpoint_bytes(&bed.state());
    let handed_on = bed.pending.len();
    bed.turn([20, 1200][random.random_range(0..2)], true);
    let after = checkpoint_bytes(&bed.state());
    bed.pending.truncate(handed_on);
    let arrived = random.random_range(0..=bed.pending.len());
    bed.crash(arrived);
    if after.starts_with(&before) {
        let kept = random.random_range(before.len()..=after.len());
        fs::write(bed.state().join("checkpoint"), &after[..kept]).expect("written");
    }
    bed.start();
}

#[test]
fn every_line_comes_once_through_crashes_and_rotations() {
    let mut tally = Tally::default();
    for seed in 0..60 {
        run(seed, &mut tally);
    }
    // What was not exercised was not shown.
    assert!(tally.crashes > 100 && tally.torn > 50, "{} {}", tally.crashes, tally.torn);
    assert!(tally.duplicates > 100, "only {} lines came twice", tally.duplicates);
    assert!(tally.cuts > 100 && tally.continuations > 50, "{} {}", tally.cuts, tally.continuations);
    assert!(tally.compressions > 100 && tally.recoveries > 10, "{} {}", tally.compressions, tally.recoveries);
    assert!(tally.rotations > 100 && tally.lines > 1000, "{} {}", tally.rotations, tally.lines);
}
