//! The judge sees: each kind of fault is planted in rows that were right.

use super::*;
use crate::event::Style;
use crate::ledger::Table;

const SEED: u64 = 11;

/// Two feeds of one service, ten events each, all owed but for one that was not
/// answered and one that was refused.
fn books() -> Vec<Book> {
    let book = |name: &str, style| {
        let mut fates = vec![Fate::Owed; 16];
        fates[4] = Fate::Unanswered;
        fates[5] = Fate::Refused;
        let (name, service) = (name.to_owned(), "s".to_owned());
        Book { seed: SEED, name, service, table: Table::Lines, style, fates }
    };
    vec![book("a", Style::Mixed), book("b", Style::Mixed)]
}

fn row(source: &str, start: u64, text: impl Into<String>) -> Row {
    Row { source: source.to_owned(), start, flags: 0, text: text.into() }
}

fn text(feed: &str, number: u64) -> String {
    event::text(SEED, feed, Style::Mixed, number)
}

/// What a Weir without faults would have: a source for each feed.
fn rows() -> Vec<Row> {
    let of = |feed: &'static str| {
        let stored = (0..16).filter(|number| *number != 5);
        stored.map(move |number| row(feed, number * 100, text(feed, number)))
    };
    of("a").chain(of("b")).collect()
}

fn judge(rows: Vec<Row>) -> Findings {
    let books = books();
    let mut judge = Judge::new(&books);
    judge.take("s", rows);
    judge.finish()
}

/// How many were lost, doubled, phantom, altered, out of order.
fn check(rows: Vec<Row>, expected: [u64; 5]) {
    let found = judge(rows);
    let counts = [found.lost, found.duplicated, found.phantom, found.altered, found.out_of_order];
    assert_eq!(counts, expected, "{:#?}", found.examples);
    assert_eq!(found.examples.is_empty(), expected == [0; 5]);
}

#[test]
fn what_is_right_is_right() {
    check(rows(), [0; 5]);
    let found = judge(rows());
    let counts = [found.issued, found.acknowledged, found.unanswered, found.refused, found.stored];
    assert_eq!(counts, [32, 28, 2, 2, 30]);
    // Rows come in no order, and what was not answered may be missing.
    let mut turned = rows();
    turned.reverse();
    turned.retain(|row| row.text != text("a", 4));
    check(turned, [0; 5]);
}

#[test]
fn a_lost_event_is_seen() {
    let mut rows = rows();
    rows.retain(|row| row.text != text("a", 7) && row.text != text("b", 15));
    check(rows, [2, 0, 0, 0, 0]);
    check(Vec::new(), [28, 0, 0, 0, 0]);
}

#[test]
fn a_doubled_event_is_seen_wherever_it_is() {
    let mut rows = rows();
    rows.push(row("a", 701, text("a", 7)));
    rows.push(row("elsewhere", 0, text("b", 3)));
    rows.push(row("elsewhere", 1, text("b", 4)));
    rows.push(row("a", 700, text("a", 7)));
    check(rows, [0, 4, 0, 0, 0]);
}

#[test]
fn a_phantom_is_seen() {
    let mut rows = rows();
    rows.push(row("a", 5000, text("a", 16)));
    rows.push(row("x", 0, "nobody wrote this"));
    rows.push(row("x", 1, text("c", 0)));
    rows.push(row("a", 5001, text("a", 5)));
    check(rows, [0, 0, 4, 0, 0]);
    let books = books();
    let mut judge = Judge::new(&books);
    judge.take("another", vec![row("a", 0, text("a", 0))]);
    judge.strangers("unknown", 3);
    assert_eq!(judge.finish().phantom, 4);
}

#[test]
fn an_altered_event_is_seen() {
    let altered = |alter: fn(&mut String)| {
        let mut rows = rows();
        let found = rows.iter_mut().find(|row| row.text == text("a", 7)).expect("it is there");
        alter(&mut found.text);
        rows
    };
    check(altered(|text| text.push(' ')), [0, 0, 0, 1, 0]);
    check(altered(|text| text.truncate(text.len() - 1)), [0, 0, 0, 1, 0]);
    check(altered(|text| *text = text.to_uppercase().replace("EV.A", "ev.a")), [0, 0, 0, 1, 0]);
    // One that lost its identity is no longer it.
    check(altered(|text| *text = text.replace("ev.", "")), [1, 0, 1, 0, 0]);
    // Two lines in one row are two events only if they are whole.
    check(altered(|text| text.push_str("\nrest")), [0, 0, 1, 0, 0]);
}

#[test]
fn another_order_is_seen_within_a_source() {
    let swapped = |feed: &str, one: u64, other: u64| {
        let mut rows = rows();
        for row in rows.iter_mut().filter(|row| row.source == feed) {
            row.start = match row.start / 100 {
                n if n == one => other * 100,
                n if n == other => one * 100,
                n => n * 100,
            };
        }
        rows
    };
    check(swapped("a", 7, 8), [0, 0, 0, 0, 1]);
    check(swapped("b", 0, 3), [0, 0, 0, 0, 3]);
    // What was not answered may be late.
    check(swapped("a", 4, 6), [0; 5]);
    // Two feeds of one source are each in order; two sources have none.
    let mut joined = rows();
    for row in &mut joined {
        row.source = "one".to_owned();
    }
    check(joined, [0; 5]);
}

#[test]
fn a_line_that_was_cut_is_put_together_if_its_rest_says_so() {
    let cut = |at: &[usize], flags: u64| {
        let mut rows = rows();
        let whole = rows.iter().position(|row| row.text == text("a", 7)).expect("it is there");
        let whole = rows.remove(whole);
        let mut from = 0;
        for (n, to) in at.iter().copied().chain([whole.text.len()]).enumerate() {
            let part = &whole.text[from..to];
            let flags = if n == 0 { 4 } else { flags };
            rows.push(Row { flags, ..row("a", whole.start + n as u64, part) });
            from = to;
        }
        rows
    };
    for at in [&[1][..], &[9], &[3, 8], &[1, 2, 3]] {
        check(cut(at, CONTINUATION), [0; 5]);
        assert_eq!(judge(cut(at, CONTINUATION)).continued, at.len() as u64);
    }
    let identity = text("a", 7).find("ev.").expect("it has one");
    let found = judge(cut(&[identity + 1], 0));
    assert_eq!((found.lost, found.phantom), (1, 2), "a rest that does not say so is none");
}

#[test]
fn the_lines_of_a_stack_trace_are_events_in_one_row_or_in_several() {
    let style = Style::Trace;
    let (name, service, table) = ("t".to_owned(), "s".to_owned(), Table::Lines);
    let book = Book { seed: SEED, name, service, table, style, fates: vec![Fate::Owed; 16] };
    let lines: Vec<_> = (0..16).map(|number| event::text(SEED, "t", style, number)).collect();
    let whole = |from: usize, to: usize| lines[from..to].join("\n");
    let check = |rows: &[(u64, String)], lost: u64, altered: u64| {
        let books = [book.clone()];
        let mut judge = Judge::new(&books);
        let rows = rows.iter().enumerate();
        let rows = rows.map(|(n, (flags, text))| Row { flags: *flags, ..row("t", n as u64, text.clone()) });
        judge.take("s", rows.collect());
        let found = judge.finish();
        assert_eq!((found.lost, found.altered, found.phantom, found.duplicated), (lost, altered, 0, 0));
    };
    check(&[(0, whole(0, 8)), (0, whole(8, 16))], 0, 0);
    check(&[(4, whole(0, 3)), (8, whole(3, 8)), (0, whole(8, 16))], 0, 0);
    check(&[(4, whole(0, 3)), (8, whole(3, 7)), (0, whole(8, 16))], 1, 0);
    // A line of it that was cut within.
    let (one, two) = lines[3].split_at(20);
    check(
        &[(4, whole(0, 3) + "\n" + one), (8, two.to_owned() + "\n" + &whole(4, 8)), (0, whole(8, 16))],
        0,
        0,
    );
    check(&[(0, whole(0, 8) + "!"), (0, whole(8, 16))], 0, 1);
}
