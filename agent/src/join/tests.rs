use std::path::Path;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::frame::{Format, Framer, ReadAt};

/// What an event says, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    stream: Stream,
    range: ByteRange,
    text: Vec<u8>,
    flags: i32,
}

#[derive(Default)]
struct Events(Vec<Event>);

impl Sink for Events {
    fn record(&mut self, frame: Frame<'_>) {
        let Frame { stream, range, flags, .. } = frame;
        self.0.push(Event { stream, range, text: frame.text.to_vec(), flags });
    }
}

/// A part of a file: what was written so far.
struct Written<'a>(&'a [u8]);

impl ReadAt for Written<'_> {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> std::io::Result<usize> {
        let there = self.0.get(usize::try_from(position).expect("small")..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }
}

/// A file being read: what [`crate::tail`] does, with time at will.
struct Reading {
    framer: Framer,
    joiner: Joiner,
    events: Events,
    buffer: Vec<u8>,
}

impl Reading {
    fn new(format: Format, settled: &[(Stream, u64)], cuts: Vec<Cut>) -> Self {
        Self {
            framer: Framer::resume(Some(format), settled, Vec::new()),
            joiner: Joiner::resume(Modes::one(Multiline::Auto), settled, cuts),
            events: Events::default(),
            buffer: Vec::new(),
        }
    }

    fn read(&mut self, written: &[u8]) {
        let file = Written(written);
        loop {
            let before = self.framer.position();
            let mut sink = self.joiner.to(&mut self.events, Duration::ZERO);
            self.framer.advance(&file, &mut self.buffer, Duration::ZERO, &mut sink).expect("memory");
            self.joiner.pass(|stream| self.framer.settled(stream), &mut self.events);
            if self.framer.position() == before {
                return;
            }
        }
    }

    fn cut(&mut self) -> bool {
        self.joiner.cut(Duration::ZERO, &mut self.events)
    }

    fn end(mut self) -> Vec<Event> {
        self.joiner.abandon(&mut self.events);
        self.events.0
    }
}

fn join_plain(content: &[u8]) -> Vec<Event> {
    let mut reading = Reading::new(Format::Plain, &[], Vec::new());
    reading.read(content);
    reading.end()
}

/// Name, lines, and which of them begin an event.
struct Sample {
    name: String,
    lines: Vec<(bool, String)>,
}

impl Sample {
    fn content(&self) -> String {
        self.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    fn events(&self) -> Vec<String> {
        let mut events: Vec<String> = Vec::new();
        for (begins, line) in &self.lines {
            match events.last_mut() {
                Some(event) if !begins => {
                    event.push('\n');
                    event.push_str(line);
                }
                _ => events.push(line.clone()),
            }
        }
        events
    }
}

const LANGUAGES: [&str; 9] = ["java", "dotnet", "python", "go", "node", "ruby", "php", "rust", "others"];

/// `=== name`, then lines behind `> ` where an event begins and `| ` where it
/// goes on.
fn samples(language: &str) -> Vec<Sample> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/join/fixtures").join(format!("{language}.txt"));
    let text = std::fs::read_to_string(path).expect("a fixture");
    let mut samples: Vec<Sample> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("=== "), samples.last_mut()) {
            (Some(name), _) => {
                samples.push(Sample { name: format!("{language}: {name}"), lines: Vec::new() });
            }
            (None, Some(sample)) => {
                let begins = line.starts_with("> ");
                assert!(begins || line.starts_with("| "), "{language}: {line:?}");
                sample.lines.push((begins, line[2..].to_owned()));
            }
            (None, None) => panic!("{language}: begins with {line:?}"),
        }
    }
    samples
}

fn all_samples() -> Vec<Sample> {
    LANGUAGES.iter().flat_map(|language| samples(language)).collect()
}

fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8_lossy(&event.text).into_owned()).collect()
}

#[test]
fn traces_of_every_language_are_one_event_each() {
    for language in LANGUAGES {
        let samples = samples(language);
        assert!(samples.len() >= 3, "{language} has {} samples", samples.len());
    }
    for sample in all_samples() {
        let events = join_plain(sample.content().as_bytes());
        assert_eq!(texts(&events), sample.events(), "{}", sample.name);
        let mut end = 0;
        for event in &events {
            assert_eq!((event.range.start, event.flags), (end, 0), "{}", sample.name);
            end = event.range.end;
        }
        assert_eq!(end, sample.content().len() as u64, "{}", sample.name);
    }
}

#[test]
fn a_line_end_of_two_bytes_stays_between_the_lines() {
    let events = join_plain(b"java.lang.Error: x\r\n\tat a.b\r\n\tat c.d\nnext\n");
    assert_eq!(texts(&events), ["java.lang.Error: x\r\n\tat a.b\r\n\tat c.d", "next"]);
    assert_eq!(events[0].flags, 0);
    let events = join_plain(b"java.lang.Error: x\n\tat a.b\r\n");
    assert_eq!((texts(&events)[0].as_str(), events[0].flags), ("java.lang.Error: x\n\tat a.b", flags::CRLF));
}

#[test]
fn an_event_has_a_greatest_length() {
    let mut content = String::from("java.lang.StackOverflowError\n");
    for n in 0..3_000 {
        content.push_str(&format!("\tat shop.Tree.walk(Tree.java:{n})\n"));
    }
    let events = join_plain(content.as_bytes());
    let lines: Vec<_> =
        events.iter().map(|event| memchr::memchr_iter(b'\n', &event.text).count() + 1).collect();
    assert_eq!(lines, [EVENT_LINES_MAX, 3_001 - EVENT_LINES_MAX]);
    let long = format!("java.lang.Error: x\n{}", format!("\t{}\n", "y".repeat(100_000)).repeat(4));
    let events = join_plain(long.as_bytes());
    assert_eq!(events.len(), 3, "two of its lines fit; the others are none that begin an event");
    assert!(events.iter().all(|event| event.text.len() <= EVENT_BYTES_MAX));
}

#[test]
fn the_rest_of_an_event_that_was_cut_is_marked() {
    let mut reading = Reading::new(Format::Plain, &[], Vec::new());
    let content = b"java.lang.Error: x\n\tat a.b\n\tat c.d\nnext\n";
    reading.read(&content[..27]);
    assert!(reading.events.0.is_empty(), "it may have more lines");
    assert!(reading.cut());
    assert!(!reading.cut(), "there is nothing left to cut");
    reading.read(content);
    let events = reading.end();
    assert_eq!(texts(&events), ["java.lang.Error: x\n\tat a.b", "\tat c.d", "next"]);
    let flags: Vec<_> = events.iter().map(|event| event.flags).collect();
    assert_eq!(flags, [0, flags::CONTINUATION, 0]);
}

#[test]
fn a_line_of_the_other_stream_does_not_part_an_event() {
    let t = "2026-03-10T12:00:00Z";
    let lines = [
        "stderr F java.lang.Error: x",
        "stdout F fine",
        "stderr P \tat a",
        "stdout F {\"a\":1}",
        "stderr F .b",
        "stderr F y",
    ];
    let content: String = lines.iter().map(|line| format!("{t} {line}\n")).collect();
    let mut reading = Reading::new(Format::Cri, &[], Vec::new());
    reading.read(content.as_bytes());
    let events = reading.end();
    assert_eq!(texts(&events), ["fine", "{\"a\":1}", "java.lang.Error: x\n\tat a.b", "y"]);
}

#[test]
fn an_event_far_behind_is_let_go_of() {
    let t = "2026-03-10T12:00:00Z";
    let mut content = format!("{t} stderr F java.lang.Error: x\n");
    let held = content.len() as u64;
    let other = format!("{t} stdout F {}\n", "z".repeat(1000)).repeat(1_100);
    content.push_str(&other);
    let mut reading = Reading::new(Format::Cri, &[], Vec::new());
    reading.read(content.as_bytes());
    assert_eq!(reading.joiner.held_from(Stream::Stderr), None);
    content.push_str(&format!("{t} stderr F \tat a.b\n"));
    reading.read(content.as_bytes());
    let errors: Vec<_> = reading.end().into_iter().filter(|event| event.stream == Stream::Stderr).collect();
    assert_eq!(errors[0].range.end, held);
    assert_eq!(texts(&errors), ["java.lang.Error: x", "\tat a.b"]);
}

#[test]
fn a_mode_holds_from_its_place_on() {
    let content = b"java.lang.Error: x\n\tat a.b\njava.lang.Error: y\n\tat c.d\n";
    let mut reading = Reading::new(Format::Plain, &[], Vec::new());
    assert!(!reading.joiner.switch(Multiline::Auto, 27));
    assert!(reading.joiner.switch(Multiline::None, 27));
    reading.read(content);
    assert_eq!(texts(&reading.end()), ["java.lang.Error: x\n\tat a.b", "java.lang.Error: y", "\tat c.d"]);
    let mut modes = Modes(vec![(0, Multiline::None), (10, Multiline::Auto), (20, Multiline::None)]);
    assert_eq!(modes.needed(9).0.len(), 3);
    assert_eq!(modes.needed(15).0, [(10, Multiline::Auto), (20, Multiline::None)]);
    assert_eq!(modes.needed(20).0, [(20, Multiline::None)]);
    assert_eq!(Modes::default().at(7), Multiline::None, "an old checkpoint did not join");
}

/// Lines of samples and others, of both streams, in CRI.
fn content() -> impl Strategy<Value = String> {
    let lines: Vec<String> =
        all_samples().into_iter().flat_map(|sample| sample.lines).map(|(_, line)| line).collect();
    let line = (prop::sample::select(lines), any::<bool>(), prop::bool::weighted(0.1));
    prop::collection::vec(line, 1..60).prop_map(|lines| {
        let mut content = String::new();
        for (line, is_error, is_partial) in lines {
            let stream = if is_error { "stderr" } else { "stdout" };
            let tag = if is_partial { "P" } else { "F" };
            content.push_str(&format!("2026-03-10T12:00:00Z {stream} {tag} {line}\n"));
        }
        content
    })
}

/// A first reading, in steps and with cuts, and at each step what its
/// checkpoint would say.
type Checkpoints = Vec<(Vec<(Stream, u64)>, Vec<Cut>)>;

fn read_live(content: &str, seed: u64) -> (Vec<Event>, Checkpoints, usize) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut reading = Reading::new(Format::Cri, &[], Vec::new());
    let (mut written, mut cuts, mut checkpoints) = (0, 0, Vec::new());
    while written < content.len() {
        written = (written + random.random_range(1..400)).min(content.len());
        reading.read(&content.as_bytes()[..written]);
        if random.random_ratio(1, 3) {
            cuts += usize::from(reading.cut());
        }
        let streams: Vec<_> = Stream::ALL
            .into_iter()
            .filter(|stream| reading.framer.first(*stream).is_some())
            .map(|stream| {
                let framed = reading.framer.settled(stream);
                (stream, reading.joiner.held_from(stream).map_or(framed, |held| held.min(framed)))
            })
            .collect();
        let acknowledged = streams.clone();
        let needed = reading
            .joiner
            .cuts_needed(|stream| acknowledged.iter().find(|(of, _)| *of == stream).map(|(_, end)| *end));
        checkpoints.push((streams, needed));
    }
    (reading.end(), checkpoints, cuts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Wherever the agent died, what it then reads has the borders and the marks that the first reading
    /// had: cuts known to a later checkpoint are known to the replay.
    #[test]
    fn a_replay_joins_alike(content in content(), seed in any::<u64>()) {
        let (live, checkpoints, _) = read_live(&content, seed);
        let mut all_cuts: Vec<Cut> = Vec::new();
        for (_, cuts) in &checkpoints {
            for cut in cuts {
                if !all_cuts.iter().any(|held| held.end == cut.end && held.stream == cut.stream) {
                    all_cuts.push(Cut { resolved: None, ..*cut });
                }
            }
        }
        for (index, (streams, cuts)) in checkpoints.iter().enumerate() {
            // What a cut of a later step needs is on disk before its event is sent.
            let later = all_cuts.iter().filter(|cut| {
                let resume = streams.iter().find(|(stream, _)| *stream == cut.stream).map_or(0, |(_, end)| *end);
                cut.end > resume
            });
            let known: Vec<Cut> = cuts.iter().copied().filter(|cut| {
                let resume = streams.iter().find(|(stream, _)| *stream == cut.stream).map_or(0, |(_, end)| *end);
                cut.end <= resume
            }).chain(later.copied()).collect();
            let mut replay = Reading::new(Format::Cri, streams, known);
            replay.read(content.as_bytes());
            let replayed = replay.end();
            for stream in [Stream::Stdout, Stream::Stderr] {
                let resume = streams.iter().find(|(of, _)| *of == stream).map_or(0, |(_, end)| *end);
                let first: Vec<_> = live.iter().filter(|event| event.stream == stream && event.range.start >= resume).collect();
                let again: Vec<_> = replayed.iter().filter(|event| event.stream == stream).collect();
                prop_assert_eq!(again, first, "after step {}", index);
            }
        }
    }

    /// Every byte of every line is in one event, whatever is cut.
    #[test]
    fn nothing_is_lost_between_events(content in content(), seed in any::<u64>()) {
        let (joined, _, _) = read_live(&content, seed);
        let mut plain = Events::default();
        let mut framer = Framer::resume(Some(Format::Cri), &[], Vec::new());
        framer.advance(&Written(content.as_bytes()), &mut Vec::new(), Duration::ZERO, &mut plain).expect("memory");
        for stream in [Stream::Stdout, Stream::Stderr] {
            let of = |events: &[Event]| -> Vec<u8> {
                let texts: Vec<_> = events.iter().filter(|event| event.stream == stream).map(|event| event.text.as_slice()).collect();
                texts.join(&b'\n')
            };
            prop_assert_eq!(of(&joined), of(&plain.0));
        }
    }

    #[test]
    fn no_line_is_too_odd(line in prop::collection::vec(any::<u8>(), 0..200), next in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Trace::begin(&line).and_then(|trace| trace.next(&next));
    }
}

#[test]
fn the_replay_test_does_cut() {
    let content: String = all_samples().iter().map(Sample::content).collect();
    let content: String =
        content.lines().map(|line| format!("2026-03-10T12:00:00Z stderr F {line}\n")).collect();
    let (_, checkpoints, cuts) = read_live(&content, 1);
    assert!(cuts > 10, "{cuts} cuts");
    assert!(checkpoints.iter().any(|(_, cuts)| !cuts.is_empty()));
}
