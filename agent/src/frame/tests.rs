use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const NOW: Duration = Duration::from_secs(100);

/// What a record says, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    stream: Stream,
    start: u64,
    end: u64,
    text: Vec<u8>,
    flags: i32,
    dropped: Option<ByteRange>,
    timestamp_nanos: Option<i64>,
}

#[derive(Default)]
struct Records(Vec<Record>);

impl Sink for Records {
    fn record(&mut self, frame: Frame<'_>) {
        assert!(frame.text.len() <= LINE_BYTES_MAX);
        self.0.push(Record {
            stream: frame.stream,
            start: frame.range.start,
            end: frame.range.end,
            text: frame.text.to_vec(),
            flags: frame.flags,
            dropped: frame.dropped,
            timestamp_nanos: frame.timestamp_nanos,
        });
    }
}

/// A file of which only a part is there yet, and which reads as it pleases.
struct Growing {
    content: Vec<u8>,
    visible: Cell<usize>,
    short_reads: RefCell<Option<SmallRng>>,
}

impl Growing {
    fn whole(content: &[u8]) -> Self {
        let visible = Cell::new(content.len());
        Self { content: content.to_vec(), visible, short_reads: RefCell::new(None) }
    }
}

impl ReadAt for Growing {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let start = index(position).min(self.visible.get());
        let there = (self.visible.get() - start).min(buffer.len());
        let read = match self.short_reads.borrow_mut().as_mut() {
            Some(random) if there > 0 => random.random_range(1..=there * 2).min(there),
            _ => there,
        };
        buffer[..read].copy_from_slice(&self.content[start..start + read]);
        Ok(read)
    }
}

/// Reads until nothing more comes. With short reads, nothing may come although
/// there is something, so it is tried several times.
fn drain(framer: &mut Framer, file: &Growing, records: &mut Records) {
    let mut buffer = Vec::new();
    let mut still = 0;
    while still < 40 {
        let before = (framer.position, framer.scanned);
        framer.advance(file, &mut buffer, NOW, records).expect("memory does not fail");
        still = if (framer.position, framer.scanned) == before { still + 1 } else { 0 };
    }
}

fn frame_whole(content: &[u8], format: Option<Format>, cuts: Vec<Cut>) -> (Framer, Vec<Record>) {
    let mut framer = Framer::resume(format, &[], cuts);
    let mut records = Records::default();
    drain(&mut framer, &Growing::whole(content), &mut records);
    (framer, records.0)
}

fn cut(end: u64, stream: Stream, kind: CutKind) -> Cut {
    Cut { end, stream, kind, resolved: None }
}

const T: &str = "2016-10-06T00:17:09Z";

/// `out F text` stands for a whole CRI line, which always takes the same room
/// before its text.
fn cri(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{T} std{line}\n")).collect()
}

/// The same lines as Docker writes them; other lines as they are.
fn docker(lines: &[&str]) -> String {
    let line = |line: &&str| {
        let (stream, partial, text) = match line.split_at_checked(6) {
            Some(("out P ", text)) => ("stdout", true, text),
            Some(("out F ", text)) => ("stdout", false, text),
            Some(("err P ", text)) => ("stderr", true, text),
            Some(("err F ", text)) => ("stderr", false, text),
            _ => return format!("{line}\n"),
        };
        let log = if partial { text.to_owned() } else { format!("{text}\n") };
        let log = serde_json::to_string(&log).expect("a string");
        format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"{T}\"}}\n")
    };
    lines.iter().map(line).collect()
}

#[test]
fn plain_lines() {
    let check = |content: &str, cuts: &[u64], expected: &[(u64, u64, &str, i32)]| {
        let cuts = cuts.iter().map(|&end| cut(end, Stream::File, CutKind::Line)).collect();
        let (framer, records) = frame_whole(content.as_bytes(), None, cuts);
        let found: Vec<_> = records
            .iter()
            .map(|record| {
                (record.start, record.end, std::str::from_utf8(&record.text).expect("text"), record.flags)
            })
            .collect();
        assert_eq!(found, expected, "{content:?}");
        framer.settled(Stream::File)
    };
    use flags::{CONTINUATION, CRLF, CUT};
    assert_eq!(check("", &[], &[]), 0);
    assert_eq!(check("a\nbc\n", &[], &[(0, 2, "a", 0), (2, 5, "bc", 0)]), 5);
    assert_eq!(check("a\n\n", &[], &[(0, 2, "a", 0), (2, 3, "", 0)]), 3);
    assert_eq!(check("a\r\n\r\n", &[], &[(0, 3, "a", CRLF), (3, 5, "", CRLF)]), 5);
    assert_eq!(check("a\rb\n", &[], &[(0, 4, "a\rb", 0)]), 4);
    assert_eq!(check("a\nrest", &[], &[(0, 2, "a", 0)]), 2);
    assert_eq!(check("\0\u{1}\n", &[], &[(0, 3, "\0\u{1}", 0)]), 3);
    // Cuts: the rest is a row of its own, a bare line ending is none.
    assert_eq!(check("abc", &[3], &[(0, 3, "abc", CUT)]), 3);
    assert_eq!(check("abcd\n", &[3], &[(0, 3, "abc", CUT), (3, 5, "d", CONTINUATION)]), 5);
    assert_eq!(check("abc\nx\n", &[3], &[(0, 3, "abc", CUT), (4, 6, "x", 0)]), 6);
    assert_eq!(check("abc\r\nx\n", &[3], &[(0, 3, "abc", CUT), (5, 7, "x", 0)]), 7);
    assert_eq!(
        check(
            "abcdef\n",
            &[2, 4],
            &[(0, 2, "ab", CUT), (2, 4, "cd", CUT | CONTINUATION), (4, 7, "ef", CONTINUATION)]
        ),
        7
    );
}

#[test]
fn container_lines() {
    use Stream::{Stderr, Stdout};
    let row = T.len() as u64 + 10;
    let check = |lines: &[&str], cuts: &[Cut], expected: &[(Stream, u64, u64, &str, i32)]| {
        let (framer, records) = frame_whole(cri(lines).as_bytes(), None, cuts.to_vec());
        let found: Vec<_> = records
            .iter()
            .map(|record| {
                let text = std::str::from_utf8(&record.text).expect("text");
                (record.stream, record.start, record.end, text, record.flags)
            })
            .collect();
        assert_eq!(found, expected, "{lines:?}");
        (framer.settled(Stdout), framer.settled(Stderr))
    };
    use flags::{CONTINUATION, CRLF, CUT, PARTIAL};
    // Each line of one letter is `row + 2` bytes long.
    let n = row + 2;
    assert_eq!(
        check(&["out F a", "err F b"], &[], &[(Stdout, 0, n, "a", 0), (Stderr, n, 2 * n, "b", 0)]),
        (2 * n, 2 * n)
    );
    assert_eq!(check(&["out P a", "out F b"], &[], &[(Stdout, 0, 2 * n, "ab", 0)]), (2 * n, 2 * n));
    assert_eq!(
        check(
            &["out P a", "err F x", "out F b"],
            &[],
            &[(Stderr, n, 2 * n, "x", 0), (Stdout, 0, 3 * n, "ab", 0)]
        ),
        (3 * n, 3 * n)
    );
    // An open record holds its own stream back, not the other.
    assert_eq!(check(&["out P a", "err F x"], &[], &[(Stderr, n, 2 * n, "x", 0)]), (0, 2 * n));
    assert_eq!(check(&["out F a\r"], &[], &[(Stdout, 0, n + 1, "a", CRLF)]), (n + 1, n + 1));
    assert_eq!(check(&["out P a", "out F \r"], &[], &[(Stdout, 0, 2 * n, "a", CRLF)]), (2 * n, 2 * n));
    // Cut for want of a last part.
    let join = cut(n, Stdout, CutKind::Join);
    assert_eq!(
        check(
            &["out P a", "err F x"],
            &[join],
            &[(Stdout, 0, n, "a", CUT | PARTIAL), (Stderr, n, 2 * n, "x", 0)]
        )
        .0,
        2 * n
    );
    assert_eq!(
        check(
            &["out P a", "err F x", "out F b"],
            &[join],
            &[
                (Stdout, 0, n, "a", CUT | PARTIAL),
                (Stderr, n, 2 * n, "x", 0),
                (Stdout, 2 * n, 3 * n, "b", CONTINUATION)
            ]
        )
        .0,
        3 * n
    );
    // The last part turns out to be empty.
    assert_eq!(check(&["out P a", "out F "], &[join], &[(Stdout, 0, n, "a", CUT | PARTIAL)]).0, 2 * n - 1);
    // Cut in the middle of a line: the rest has no header.
    let line = cut(row + 1, Stdout, CutKind::Line);
    assert_eq!(
        check(
            &["out F ab", "err F x"],
            &[line],
            &[
                (Stdout, 0, row + 1, "a", CUT),
                (Stdout, row + 1, row + 3, "b", CONTINUATION),
                (Stderr, row + 3, row + 3 + n, "x", 0)
            ]
        )
        .0,
        row + 3 + n
    );
    assert_eq!(check(&["out F a"], &[line], &[(Stdout, 0, row + 1, "a", CUT)]).0, row + 2);
    assert_eq!(
        check(
            &["out P ab", "out F c"],
            &[cut(row + 1, Stdout, CutKind::PartialLine)],
            &[(Stdout, 0, row + 1, "a", CUT | PARTIAL), (Stdout, row + 1, row + 3 + n, "bc", CONTINUATION)]
        )
        .0,
        row + 3 + n
    );
}

#[test]
fn a_line_that_is_none_of_the_format_is_kept_as_it_is() {
    let content = format!("{}garbage\n{T} stderr F x\n", cri(&["out F a"]));
    let (_, records) = frame_whole(content.as_bytes(), None, Vec::new());
    let texts: Vec<_> = records.iter().map(|record| (record.stream, record.text.as_slice())).collect();
    assert_eq!(
        texts,
        [(Stream::Stdout, b"a".as_slice()), (Stream::Stdout, b"garbage"), (Stream::Stderr, b"x")]
    );
}

#[test]
fn docker_lines() {
    use Stream::{Stderr, Stdout};
    use flags::{CONTINUATION, CRLF, CUT, PARTIAL};
    let check = |content: &str, cuts: &[Cut], expected: &[(Stream, u64, u64, &str, i32)]| {
        let (_, records) = frame_whole(content.as_bytes(), None, cuts.to_vec());
        let found: Vec<_> = records
            .iter()
            .map(|record| {
                let text = std::str::from_utf8(&record.text).expect("text");
                (record.stream, record.start, record.end, text, record.flags)
            })
            .collect();
        assert_eq!(found, expected, "{content}");
        records
    };
    let length = |lines: &[&str]| docker(lines).len() as u64;
    let (a, p) = (length(&["out F a"]), length(&["out P a"]));
    let records =
        check(&docker(&["out F a", "err F b"]), &[], &[(Stdout, 0, a, "a", 0), (Stderr, a, 2 * a, "b", 0)]);
    assert_eq!(records[0].timestamp_nanos, Some(1_475_713_029_000_000_000));
    check(
        &docker(&["out P a", "err F x", "out F \"b\t"]),
        &[],
        &[
            (Stderr, p, p + a, "x", 0),
            (Stdout, 0, length(&["out P a", "err F x", "out F \"b\t"]), "a\"b\t", 0),
        ],
    );
    let crlf = docker(&["out F a\r", "out P b", "out F \r"]);
    let first = length(&["out F a\r"]);
    check(&crlf, &[], &[(Stdout, 0, first, "a", CRLF), (Stdout, first, crlf.len() as u64, "b", CRLF)]);
    // Cut for want of a last part, which comes later.
    check(
        &docker(&["out P a", "out F b"]),
        &[cut(p, Stdout, CutKind::Join)],
        &[(Stdout, 0, p, "a", CUT | PARTIAL), (Stdout, p, p + a, "b", CONTINUATION)],
    );
    // Cut in the middle of a line: its two halves make the line as it stands.
    let torn = docker(&["err F x", "out F a"]);
    let (half, end) = (a + 10, 2 * a);
    check(
        &torn,
        &[cut(half, Stdout, CutKind::Line)],
        &[
            (Stderr, 0, a, "x", 0),
            (Stdout, a, half, &torn[a as usize..half as usize], CUT),
            (Stdout, half, end, torn[half as usize..].trim_end(), CONTINUATION),
        ],
    );
    // Only the newline was late.
    check(&docker(&["out F a"]), &[cut(a - 1, Stdout, CutKind::Line)], &[(Stdout, 0, a - 1, "a", CUT)]);
    // What is none of Docker's is kept as it is.
    let garbage = [docker(&["err F x"]), "{\"log\":\"y\n".to_owned(), "\n".to_owned()].concat();
    check(
        &garbage,
        &[],
        &[(Stderr, 0, a, "x", 0), (Stdout, a, a + 10, "{\"log\":\"y", 0), (Stdout, a + 10, a + 11, "", 0)],
    );
}

#[test]
fn a_docker_record_of_many_parts_is_cut_at_the_limit_and_its_rest_told() {
    // Escaped, a quotation mark takes two bytes.
    let part = "\"x".repeat(8 * 1024);
    let parts: Vec<_> = (0..4096).map(|_| format!("out P {part}")).collect();
    let mut lines: Vec<_> = parts.iter().map(String::as_str).collect();
    lines.extend(["err F other", "out F end"]);
    let content = docker(&lines);
    let mut framer = Framer::new(None);
    let (mut records, mut buffer) = (Records::default(), Vec::new());
    let file = Growing::whole(content.as_bytes());
    while framer.advance(&file, &mut buffer, NOW, &mut records).expect("memory") < content.len() as u64 {
        let held: usize =
            framer.streams.iter().filter_map(|state| Some(state.open.as_ref()?.text.capacity())).sum();
        assert!(held + buffer.len() < 4 << 20, "64 MiB are not held: {held}");
    }
    drain(&mut framer, &file, &mut records);
    let [other, record] = records.0.as_slice() else { panic!("{} records", records.0.len()) };
    assert_eq!(other.text, b"other");
    assert_eq!((record.start, record.end), (0, content.len() as u64));
    assert_eq!((record.text.len(), record.flags), (LINE_BYTES_MAX, flags::TRUNCATED));
    let row = docker(&lines[..1]).len();
    let whole_parts = LINE_BYTES_MAX / part.len();
    let dropped_at = (whole_parts * row + 8) as u64;
    assert_eq!(record.dropped, Some(ByteRange::new(dropped_at, content.len() as u64)));
}

#[test]
fn a_docker_line_over_the_limit_says_where_its_rest_begins() {
    let text = ["\t", &"x".repeat(LINE_BYTES_MAX + 50)].concat();
    let content = docker(&[&format!("out F {text}")]);
    let (_, records) = frame_whole(content.as_bytes(), None, Vec::new());
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!(
        (record.text.as_slice(), record.flags),
        (&text.as_bytes()[..LINE_BYTES_MAX], flags::TRUNCATED)
    );
    // `{"log":"` and the escape's second byte.
    let dropped_at = (8 + LINE_BYTES_MAX + 1) as u64;
    assert_eq!(record.dropped, Some(ByteRange::new(dropped_at, content.len() as u64)));
}

#[test]
fn the_first_line_says_the_format_whatever_the_path_says() {
    let content = docker(&["err F x"]);
    let mut framer = Framer::new(Some(Format::Cri));
    drain(&mut framer, &Growing::whole(content.as_bytes()), &mut Records::default());
    assert_eq!(framer.format(), Some(Format::Docker));
    let mut framer = Framer::new(Some(Format::Docker));
    drain(&mut framer, &Growing::whole(b"x\n"), &mut Records::default());
    assert_eq!((framer.format(), framer.first(Stream::Stdout)), (Some(Format::Docker), Some(0)));
}

#[test]
fn the_path_decides_where_the_first_line_cannot() {
    let (framer, _) = frame_whole(b"x\n", Some(Format::Cri), Vec::new());
    assert_eq!(framer.first(Stream::Stdout), Some(0));
    let (framer, _) = frame_whole(b"x\n", None, Vec::new());
    assert_eq!((framer.first(Stream::File), framer.format()), (Some(0), Some(Format::Plain)));
}

#[test]
fn a_line_over_the_limit_is_cut_marked_and_not_held() {
    const MAX: u64 = LINE_BYTES_MAX as u64;
    // Around the limit, around the window, and far beyond.
    for length in [MAX - 1, MAX, MAX + 1, MAX + 255, MAX + 256, MAX + 257, 4 << 20] {
        let long = vec![b'x'; length as usize];
        let content = [b"first\n", long.as_slice(), b"\nlast\n"].concat();
        let (_, records) = frame_whole(&content, None, Vec::new());
        assert_eq!(records.len(), 3, "{length}");
        let record = &records[1];
        assert_eq!((record.start, record.end), (6, 6 + length + 1), "{length}");
        assert_eq!(record.text.len() as u64, length.min(MAX), "{length}");
        let over = length > MAX;
        assert_eq!(record.flags, flag(over, flags::TRUNCATED), "{length}");
        let dropped = over.then(|| ByteRange::new(6 + MAX, 6 + length + 1));
        assert_eq!(record.dropped, dropped, "{length}");
        assert_eq!(records[2].text, b"last", "{length}");

        let content =
            [format!("{T} stdout F ").as_bytes(), &long, b"\n", cri(&["err F x"]).as_bytes()].concat();
        let (_, records) = frame_whole(&content, None, Vec::new());
        assert_eq!(records.len(), 2, "{length}");
        let text_at = T.len() as u64 + 10;
        assert_eq!(records[0].end, text_at + length + 1, "{length}");
        assert_eq!(records[0].text.len() as u64, length.min(MAX), "{length}");
        let dropped = over.then(|| ByteRange::new(text_at + MAX, text_at + length + 1));
        assert_eq!(records[0].dropped, dropped, "{length}");
    }
}

#[test]
fn a_joined_record_over_the_limit_is_cut_and_its_rest_told() {
    let part = "x".repeat(16 * 1024);
    let parts: Vec<_> = (0..100).map(|_| format!("out P {part}")).collect();
    let mut lines: Vec<_> = parts.iter().map(String::as_str).collect();
    lines.push("out F end");
    let content = cri(&lines);
    let (_, records) = frame_whole(content.as_bytes(), None, Vec::new());
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!((record.start, record.end), (0, content.len() as u64));
    assert_eq!((record.text.len(), record.flags), (LINE_BYTES_MAX, flags::TRUNCATED));
    let row = part.len() as u64 + T.len() as u64 + 11;
    let whole_parts = (LINE_BYTES_MAX / part.len()) as u64;
    let dropped_at = whole_parts * row + T.len() as u64 + 10;
    assert_eq!(record.dropped, Some(ByteRange::new(dropped_at, content.len() as u64)));
}

#[test]
fn a_line_over_the_limit_that_stops_growing_is_cut_where_it_ends() {
    let content = vec![b'x'; 2 << 20];
    let file = Growing::whole(&content);
    let (mut framer, mut records) = (Framer::new(None), Records::default());
    drain(&mut framer, &file, &mut records);
    assert_eq!(framer.settled(Stream::File), 0);
    framer.cut_line(content.len() as u64);
    drain(&mut framer, &file, &mut records);
    let live = records.0.clone();
    assert_eq!(live[0].flags, flags::CUT | flags::TRUNCATED);
    assert_eq!(framer.settled(Stream::File), content.len() as u64);
    let (_, replayed) = frame_whole(&content, None, framer.cuts_needed(|_| None));
    assert_eq!(replayed, live);
}

fn plain_content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[ab]{0,6}".prop_map(String::into_bytes),
        3 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn cri_content() -> impl Strategy<Value = Vec<u8>> {
    let line = (any::<bool>(), 0u8..5, "[ab\r]{0,3}").prop_map(|(err, tag, text)| {
        let stream = if err { "stderr" } else { "stdout" };
        match tag {
            0 | 1 => format!("{T} {stream} P {text}\n"),
            2 | 3 => format!("{T} {stream} F {text}\n"),
            _ => format!("{text}\n"),
        }
    });
    let torn = (0usize..30).prop_map(|bytes| format!("{T} stdout F abcdef")[..bytes].to_owned());
    (prop::collection::vec(line, 0..25), torn)
        .prop_map(|(lines, torn)| [lines.concat(), torn].concat().into_bytes())
}

fn docker_content() -> impl Strategy<Value = Vec<u8>> {
    let line = (any::<bool>(), 0u8..5, "[ab\r\"\\\\é]{0,3}").prop_map(|(err, tag, text)| {
        let stream = if err { "err" } else { "out" };
        match tag {
            0 | 1 => docker(&[&format!("{stream} P {text}")]),
            2 | 3 => docker(&[&format!("{stream} F {text}")]),
            _ => format!("{text}\n"),
        }
    });
    let torn = (0usize..60).prop_map(|bytes| docker(&["out F abcdef"])[..bytes].to_owned());
    (prop::collection::vec(line, 0..25), torn)
        .prop_map(|(lines, torn)| [lines.concat(), torn].concat().into_bytes())
}

/// A file read live: it grows at random, reads are short, and now and then
/// time passes and what is unfinished is cut.
struct Live {
    framer: Framer,
    file: Growing,
    records: Records,
    /// What each stream had settled, at several times.
    settled: Vec<[u64; 3]>,
    cuts: usize,
}

fn read_live(content: &[u8], until: usize, format: Option<Format>, seed: u64) -> Live {
    let mut random = SmallRng::seed_from_u64(seed);
    let file = Growing::whole(content);
    file.visible.set(0);
    *file.short_reads.borrow_mut() = Some(SmallRng::seed_from_u64(seed));
    let mut live = Live {
        framer: Framer::resume(format, &[], Vec::new()),
        file,
        records: Records::default(),
        settled: vec![[0; 3]],
        cuts: 0,
    };
    while live.file.visible.get() < until {
        let grown = live.file.visible.get() + random.random_range(1..=12);
        live.file.visible.set(grown.min(until));
        drain(&mut live.framer, &live.file, &mut live.records);
        if random.random_bool(0.2) {
            let seen = live.file.visible.get() as u64;
            if live.framer.position < seen {
                live.framer.cut_line(seen);
                live.cuts += 1;
                drain(&mut live.framer, &live.file, &mut live.records);
            }
            live.cuts += usize::from(live.framer.cut_joins(NOW, &mut live.records));
        }
        live.settled.push(Stream::ALL.map(|stream| live.framer.settled(stream)));
    }
    live
}

/// A crash: another process goes on from what was acknowledged some time ago
/// and from the cuts, which are never behind. It must frame the same records,
/// and go on like the first.
fn check_replay(
    content: &[u8],
    format: Option<Format>,
    seed: u64,
    at: prop::sample::Index,
    to: prop::sample::Index,
) {
    let until = to.index(content.len() + 1);
    let mut live = read_live(content, until, format, seed);
    let acknowledged = live.settled[at.index(live.settled.len())];
    let resume =
        |stream: Stream| live.framer.first(stream).map(|first| first.max(acknowledged[stream.index()]));
    let resumed = Stream::ALL.map(resume);
    let known = |stream: Stream| resumed[stream.index()];
    let cuts = live.framer.cuts_needed(known);
    let streams: Vec<_> =
        Stream::ALL.into_iter().filter_map(|stream| Some((stream, known(stream)?))).collect();
    let mut second = Framer::resume(live.framer.format().or(format), &streams, cuts);
    let mut replayed = Records::default();
    let whole = Growing::whole(content);
    whole.visible.set(until);
    drain(&mut second, &whole, &mut replayed);
    for file in [&whole, &live.file] {
        file.visible.set(content.len());
    }
    drain(&mut second, &whole, &mut replayed);
    drain(&mut live.framer, &live.file, &mut live.records);
    for stream in Stream::ALL {
        let of = |records: &Records, from: u64| -> Vec<Record> {
            records.0.iter().filter(|r| r.stream == stream && r.start >= from).cloned().collect()
        };
        let from = known(stream).unwrap_or(0);
        assert_eq!(of(&replayed, 0), of(&live.records, from), "{stream:?} from {from}");
    }
    check_cover(&live, content.len());
}

/// Records of a stream follow each other, and what was ever settled is a
/// border between them.
fn check_cover(live: &Live, length: usize) {
    for stream in Stream::ALL {
        let own = || live.records.0.iter().filter(|record| record.stream == stream);
        let mut end = 0;
        for record in own() {
            assert!(record.start >= end && record.end > record.start && record.end <= length as u64);
            end = record.end;
        }
        for settled in &live.settled {
            let border = settled[stream.index()];
            assert!(own().all(|r| border <= r.start || r.end <= border), "{stream:?} at {border}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn plain_framing_depends_on_content_alone(content in plain_content(), seed in any::<u64>()) {
        let (_, whole) = frame_whole(&content, None, Vec::new());
        let file = Growing::whole(&content);
        file.visible.set(0);
        *file.short_reads.borrow_mut() = Some(SmallRng::seed_from_u64(seed));
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut framer, mut records) = (Framer::new(None), Records::default());
        while file.visible.get() < content.len() {
            file.visible.set((file.visible.get() + random.random_range(1..=9)).min(content.len()));
            drain(&mut framer, &file, &mut records);
        }
        prop_assert_eq!(&records.0, &whole);
        let newlines = content.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(whole.len(), newlines, "every line is a record");
    }

    #[test]
    fn container_framing_depends_on_content_alone(content in cri_content(), seed in any::<u64>()) {
        let (_, whole) = frame_whole(&content, Some(Format::Cri), Vec::new());
        let file = Growing::whole(&content);
        file.visible.set(0);
        *file.short_reads.borrow_mut() = Some(SmallRng::seed_from_u64(seed));
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut framer, mut records) = (Framer::resume(Some(Format::Cri), &[], Vec::new()), Records::default());
        while file.visible.get() < content.len() {
            file.visible.set((file.visible.get() + random.random_range(1..=30)).min(content.len()));
            drain(&mut framer, &file, &mut records);
        }
        prop_assert_eq!(&records.0, &whole);
    }

    #[test]
    fn docker_framing_depends_on_content_alone(content in docker_content(), seed in any::<u64>()) {
        let (_, whole) = frame_whole(&content, Some(Format::Docker), Vec::new());
        let file = Growing::whole(&content);
        file.visible.set(0);
        *file.short_reads.borrow_mut() = Some(SmallRng::seed_from_u64(seed));
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut framer, mut records) = (Framer::resume(Some(Format::Docker), &[], Vec::new()), Records::default());
        while file.visible.get() < content.len() {
            file.visible.set((file.visible.get() + random.random_range(1..=30)).min(content.len()));
            drain(&mut framer, &file, &mut records);
        }
        prop_assert_eq!(&records.0, &whole);
    }

    #[test]
    fn a_docker_replay_frames_alike(
        content in docker_content(), seed in any::<u64>(),
        at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
    ) {
        check_replay(&content, Some(Format::Docker), seed, at, to);
    }

    #[test]
    fn a_plain_replay_frames_alike(
        content in plain_content(), seed in any::<u64>(),
        at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
    ) {
        check_replay(&content, None, seed, at, to);
    }

    #[test]
    fn a_container_replay_frames_alike(
        content in cri_content(), seed in any::<u64>(),
        at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
    ) {
        check_replay(&content, Some(Format::Cri), seed, at, to);
    }
}

#[test]
fn the_replay_tests_do_cut() {
    let content = cri(&["out P a", "err F b", "out P c", "out F d", "err P e"]);
    let cuts: usize = (0..50).map(|seed| read_live(content.as_bytes(), content.len(), None, seed).cuts).sum();
    assert!(cuts > 50, "{cuts}");
}
