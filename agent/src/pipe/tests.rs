//! Streams cut into pieces anyhow, and what becomes of them.

use proptest::prelude::*;
use weir_proto::limit::LINE_BYTES_MAX;
use weir_proto::model::flags;
use weir_proto::wire::batch::LineBatch;

use super::*;
use crate::frame::WINDOW_BYTES_MAX;

fn pipe() -> Pipe {
    Pipe::new(vec![("service.name".to_owned(), "make".to_owned())], Clock::system())
}

fn decoded(batches: &[PipeBatch]) -> Vec<LineBatch> {
    batches.iter().map(|batch| LineBatch::decode(&batch.headers, &batch.body).expect("decodes")).collect()
}

/// Texts and flags, after checking that the messages cover the stream without a
/// hole and that no line lies across two.
fn lines(batches: &[PipeBatch]) -> Vec<(Vec<u8>, i32)> {
    let mut end = 0;
    let mut lines = Vec::new();
    for batch in decoded(batches) {
        let [source] = &batch.sources[..] else { panic!("one source") };
        assert_eq!(source.covered.start, end, "a hole, or a repeat");
        end = source.covered.end;
        for line in batch.lines() {
            assert!(line.range.start >= source.covered.start && line.range.end <= end);
            lines.push((line.text.to_vec(), line.flags));
        }
    }
    lines
}

fn texts(batches: &[PipeBatch]) -> Vec<String> {
    lines(batches).into_iter().map(|(text, _)| String::from_utf8_lossy(&text).into_owned()).collect()
}

fn all(text: &[u8], pieces: &[usize]) -> Vec<PipeBatch> {
    let mut pipe = pipe();
    let mut rest = text;
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*piece).clamp(1, rest.len()));
        pipe.push(now, true);
        rest = later;
    }
    pipe.finish(true);
    pipe.take()
}

#[test]
fn lines_are_lines_and_a_trace_is_one() {
    let text =
        b"one\r\ntwo\0\xff\n\n\x1b[31mred\x1b[0m\nError: no\n    at f (a.js:1:2)\n    at g (a.js:3:4)\nlast";
    let found = lines(&all(text, &[7]));
    let expected: [(&[u8], i32); 6] = [
        (b"one", flags::CRLF),
        (b"two\0\xff", 0),
        (b"", 0),
        (b"\x1b[31mred\x1b[0m", 0),
        (b"Error: no\n    at f (a.js:1:2)\n    at g (a.js:3:4)", 0),
        (b"last", flags::CUT),
    ];
    let expected: Vec<_> = expected.iter().map(|(text, flags)| (text.to_vec(), *flags)).collect();
    assert_eq!(found, expected);
    assert!(all(b"", &[1]).is_empty(), "nothing is no message");
}

#[test]
fn what_looks_like_a_containers_line_is_a_line() {
    let text = "2024-01-31T00:00:00Z stdout F hello\n";
    assert_eq!(texts(&all(text.as_bytes(), &[100])), ["2024-01-31T00:00:00Z stdout F hello"]);
}

#[test]
fn a_line_over_the_limit_is_cut_and_its_rest_is_told() {
    let mut text = b"before\n".to_vec();
    text.extend(vec![b'x'; 3 * LINE_BYTES_MAX]);
    text.extend(b"\nafter\n");
    let batches = all(&text, &[65_536, 1, 70_000]);
    let found = lines(&batches);
    assert_eq!(found.len(), 3);
    assert_eq!((found[1].0.len(), found[1].1), (LINE_BYTES_MAX, flags::TRUNCATED));
    assert_eq!((found[0].0.as_slice(), found[2].0.as_slice()), (&b"before"[..], &b"after"[..]));
    let drops: Vec<_> = decoded(&batches).iter().flat_map(|batch| batch.sources[0].drops.clone()).collect();
    assert_eq!(drops.len(), 1);
    assert_eq!(drops[0].range.len(), 2 * LINE_BYTES_MAX as u64 + 1);
    assert_eq!(batches.iter().map(|batch| batch.dropped).sum::<u64>(), 0, "the sender lost none");
}

#[test]
fn memory_is_bounded_by_the_line_limit() {
    let mut pipe = pipe();
    for _ in 0..200 {
        pipe.push(&[b'x'; 65_536], true);
        assert!(pipe.window.held() <= WINDOW_BYTES_MAX + 2 * 65_536);
    }
    pipe.push(b"\nnext\n", true);
    pipe.finish(true);
    assert_eq!(lines(&pipe.take()).len(), 2);
}

#[test]
fn what_does_not_grow_is_sent_after_a_while() {
    let at = Duration::from_millis;
    let mut pipe = pipe();
    pipe.push_at(b"whole\nTraceback (most recent call last):\n  File \"a\", line 1\n", true, at(0));
    pipe.push_at(b"prompt> ", true, at(10));
    pipe.tick_at(true, at(99));
    assert!(pipe.take().is_empty());
    pipe.tick_at(true, at(110));
    let mut sent = pipe.take();
    assert_eq!(texts(&sent), ["whole"]);
    pipe.tick_at(true, at(310));
    pipe.tick_at(true, at(411));
    sent.extend(pipe.take());
    assert_eq!(lines(&sent).len(), 2, "the trace may have had more lines");
    pipe.tick_at(true, at(1_010));
    pipe.tick_at(true, at(1_111));
    sent.extend(pipe.take());
    assert_eq!(lines(&sent)[2], (b"prompt> ".to_vec(), flags::CUT));
    pipe.push_at(b"yes\n", true, at(2_000));
    pipe.finish(true);
    sent.extend(pipe.take());
    assert_eq!(lines(&sent)[3], (b"yes".to_vec(), flags::CONTINUATION));
}

#[test]
fn without_room_lines_are_counted_and_named_and_nothing_is_a_hole() {
    let mut pipe = pipe();
    pipe.push(b"a\nb\n", true);
    pipe.push(b"c\nd\ne\n", false);
    pipe.push(b"f\n", true);
    pipe.push(b"g\n", false);
    pipe.finish(true);
    let batches = pipe.take();
    assert_eq!(texts(&batches), ["a", "b", "f"]);
    let counts: Vec<_> = batches.iter().map(|batch| (batch.lines, batch.dropped)).collect();
    assert_eq!(counts, [(3, 4)]);
    let drops = decoded(&batches)[0].sources[0].drops.clone();
    let drops: Vec<_> =
        drops.iter().map(|drop| (drop.range.start, drop.count, drop.reason.as_str())).collect();
    assert_eq!(drops, [(4, 3, drop_reason::SENDER_FULL), (12, 1, drop_reason::SENDER_FULL)]);
}

#[test]
fn many_lines_are_several_messages_each_of_which_an_agent_takes() {
    let text: Vec<u8> =
        (0..60_000).flat_map(|n| format!("{n} {}\n", "y".repeat(n % 60)).into_bytes()).collect();
    let batches = all(&text, &[65_536]);
    assert!(batches.len() > 3);
    assert_eq!(lines(&batches).len(), 60_000);
    for batch in decoded(&batches) {
        assert!(batch.len() <= weir_proto::limit::BATCH_ROWS_MAX);
        assert!(batch.text_bytes() <= weir_proto::limit::BATCH_BYTES);
    }
}

proptest! {
    #[test]
    fn how_it_comes_makes_no_difference(
        words in prop::collection::vec(prop::sample::select(vec![
            "plain\n", "x", "\r\n", "\n", "Exception in thread \"main\" java.lang.E: a\n", "\tat a.b(C.java:1)\n",
            "Caused by: b\n", "{\"a\":1}\n", "  indented\n", "goroutine 1 [running]:\n", "main.main()\n",
        ]), 0..60),
        pieces in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let text = words.concat();
        prop_assert_eq!(lines(&all(text.as_bytes(), &pieces)), lines(&all(text.as_bytes(), &[usize::MAX])));
    }
}
