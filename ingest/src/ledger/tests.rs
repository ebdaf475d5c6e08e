use weir_proto::model::Drop;

use super::*;

fn source(start: u64, end: u64) -> Source {
    Source {
        id: SourceId::from_u128(1),
        resource: Vec::new(),
        parser: "auto".to_owned(),
        min_severity: None,
        covered: ByteRange::new(start, end),
        drops: Vec::new(),
        counted: None,
    }
}

fn ledger(covered: &[(u64, u64)]) -> Ledger {
    let set: RangeSet = covered.iter().map(|(start, end)| ByteRange::new(*start, *end)).collect();
    Ledger::new(&Progress { covered: [(SourceId::from_u128(1), set)].into(), ..Progress::default() })
}

fn admit(ledger: &mut Ledger, source: Source, lines: &[(u64, u64)]) -> Admission {
    ledger.admit(&[source], lines.iter().map(|(start, end)| row(*start, *end)))
}

fn row(start: u64, end: u64) -> Row {
    Row { source: 0, range: ByteRange::new(start, end), is_event: true }
}

/// The ranges that a message covers anew.
fn advanced(admission: &Admission) -> Vec<(u64, u64)> {
    admission.found.iter().filter_map(|found| found.advanced).map(|range| (range.start, range.end)).collect()
}

/// What is lost; 0 events: nobody knows how many.
fn losses(admission: &Admission) -> Vec<(u64, u64, u64, &str)> {
    let loss = |held: &Loss| (held.range.start, held.range.end, held.count.unwrap_or(0));
    let losses = admission.losses.iter().map(|held| (loss(held), held.reason.as_str()));
    losses.map(|((start, end, count), reason)| (start, end, count, reason)).collect()
}

#[test]
fn a_replay_brings_only_what_is_new() {
    let mut ledger = ledger(&[(0, 10)]);
    let admission = admit(&mut ledger, source(5, 20), &[(5, 10), (10, 20)]);
    assert_eq!(admission.is_new, [false, true]);
    assert_eq!((admission.duplicates, admission.straddles), (1, 0));
    assert_eq!((losses(&admission), advanced(&admission)), (vec![], vec![(5, 20)]));
    assert_eq!((admission.found[0].events, admission.found[0].duplicates), (1, 1));
    let again = admit(&mut ledger, source(5, 20), &[(5, 10), (10, 20)]);
    assert_eq!(again.is_new, [false, false]);
    assert_eq!(advanced(&again), []);
    assert_eq!((again.found[0].events, again.found[0].duplicates), (0, 2), "counted all the same");
}

#[test]
fn what_is_taken_back_was_never_there() {
    let mut ledger = ledger(&[(0, 10)]);
    admit(&mut ledger, source(10, 20), &[(10, 20)]);
    ledger.keep();
    ledger.admit(&[source(20, 25), source(25, 30)], [row(20, 25)].into_iter());
    ledger.take_back();
    ledger.take_back();
    let again = admit(&mut ledger, source(5, 30), &[(10, 20), (20, 25)]);
    assert_eq!(again.is_new, [false, true]);
}

#[test]
fn a_hole_is_named_once() {
    let mut ledger = ledger(&[(0, 10)]);
    let admission = admit(&mut ledger, source(15, 20), &[(15, 20)]);
    assert_eq!(losses(&admission), [(10, 15, 0, "hole")]);
    assert_eq!(admission.is_new, [true]);
    let replay = admit(&mut ledger, source(15, 20), &[(15, 20)]);
    assert_eq!((losses(&replay), replay.is_new.as_slice()), (vec![], [false].as_slice()));
    // What was missing may still come.
    let late = admit(&mut ledger, source(10, 15), &[(10, 15)]);
    assert_eq!((losses(&late), late.is_new.as_slice()), (vec![], [true].as_slice()));
    let filled = Filled { source: 0, range: ByteRange::new(10, 15), events: 1 };
    assert_eq!(late.filled, [filled]);
}

#[test]
fn a_hole_that_is_filled_from_behind_is_told_once() {
    let mut ledger = ledger(&[(0, 10)]);
    assert_eq!(losses(&admit(&mut ledger, source(20, 25), &[(20, 25)])), [(10, 20, 0, "hole")]);
    let late = admit(&mut ledger, source(15, 20), &[(15, 17), (17, 20)]);
    assert_eq!(losses(&late), []);
    assert_eq!(late.filled, [Filled { source: 0, range: ByteRange::new(15, 20), events: 2 }]);
    // What lies on both sides of what was covered last fills and goes on.
    let late = admit(&mut ledger, source(10, 30), &[(10, 15), (25, 30)]);
    assert_eq!((losses(&late), late.found[0].events), (vec![], 2));
    assert_eq!(late.filled, [Filled { source: 0, range: ByteRange::new(10, 15), events: 1 }]);
}

/// Messages of one source as its sender counts them.
fn counting(from: u64, messages: &[(u64, u64)]) -> Vec<(Source, u64)> {
    let mut counted = Counted::from(from);
    let mut counted_messages = Vec::new();
    for &(end, rows) in messages {
        let source = Source { counted: Some(counted), ..source(counted.to, end) };
        counted = counted.after(&source, rows);
        counted_messages.push((source, rows));
    }
    counted_messages
}

fn take(ledger: &mut Ledger, message: &(Source, u64)) -> Admission {
    let (source, rows) = message;
    let start = source.covered.start;
    let rows: Vec<_> = (start..start + rows).map(|byte| (byte, byte + 1)).collect();
    admit(ledger, source.clone(), &rows)
}

#[test]
fn the_events_of_a_hole_are_counted_where_the_sender_counted_them() {
    let messages = counting(0, &[(10, 3), (20, 4), (30, 0), (40, 5)]);
    let mut whole = ledger(&[]);
    take(&mut whole, &messages[0]);
    let last = take(&mut whole, &messages[3]);
    assert_eq!(losses(&last), [(10, 30, 4, "hole")]);
    // From the beginning, of which nothing came.
    assert_eq!(losses(&take(&mut ledger(&[]), &messages[3])), [(0, 30, 7, "hole")]);
    // Bytes without an event are no loss.
    let mut whole = ledger(&[]);
    take(&mut whole, &messages[0]);
    take(&mut whole, &messages[1]);
    let last = take(&mut whole, &messages[3]);
    assert_eq!((losses(&last), advanced(&last)), (vec![], vec![(20, 40)]));
    assert_eq!(whole.end(SourceId::from_u128(1)), 40);
}

#[test]
fn what_a_dropped_run_held_is_counted_in_a_hole_too() {
    let mut messages = counting(0, &[(10, 3), (20, 4), (30, 1)]);
    let drops = [("rate_limited", 5), ("line_too_long", 1)];
    let drops =
        drops.map(|(reason, count)| Drop { range: ByteRange::new(10, 20), count, reason: reason.into() });
    messages[1].0.drops = drops.into();
    let counted = messages[1].0.counted.map(|counted| counted.after(&messages[1].0, 4));
    messages[2].0.counted = counted;
    let mut ledger = ledger(&[]);
    take(&mut ledger, &messages[0]);
    assert_eq!(losses(&take(&mut ledger, &messages[2])), [(10, 20, 9, "hole")]);
}

#[test]
fn where_a_sender_began_to_count_anew_nobody_knows() {
    let before = counting(0, &[(10, 3), (20, 4)]);
    // It starts again where it knows that all is there, and sends some twice.
    let after = counting(5, &[(10, 2), (15, 1), (25, 2), (30, 2)]);
    let mut ledger = ledger(&[]);
    take(&mut ledger, &before[0]);
    take(&mut ledger, &after[0]);
    assert_eq!(losses(&take(&mut ledger, &after[3])), [(10, 25, 3, "hole")], "what came again counts");
    let mut ledger = Ledger::default();
    take(&mut ledger, &before[0]);
    take(&mut ledger, &before[1]);
    assert_eq!(losses(&take(&mut ledger, &after[3])), [(20, 25, 0, "hole")]);
    // It told of a loss that nobody could count.
    let mut unknown = counting(0, &[(10, 3)]).remove(0).0;
    unknown.drops = vec![Drop { range: ByteRange::new(4, 9), count: 0, reason: "rotated_unread".into() }];
    assert_eq!(Counted::from(0).after(&unknown, 3), Counted::from(10));
}

#[test]
fn a_drop_is_told_once() {
    let mut ledger = ledger(&[]);
    let dropping = || {
        let drops = vec![Drop { range: ByteRange::new(4, 9), count: 2, reason: "line_too_long".into() }];
        Source { drops, ..source(0, 10) }
    };
    let first = admit(&mut ledger, dropping(), &[(0, 4)]);
    assert_eq!(losses(&first), [(4, 9, 2, "line_too_long")]);
    let replay = admit(&mut ledger, dropping(), &[(0, 4)]);
    assert_eq!(losses(&replay), []);
}

#[test]
fn of_a_drop_what_came_before_is_not_told_and_the_rest_is() {
    let mut ledger = ledger(&[(0, 10), (14, 16)]);
    let lost = |from| {
        let drops = vec![Drop { range: ByteRange::new(from, 20), count: 0, reason: "rotated_unread".into() }];
        Source { drops, ..source(from, 20) }
    };
    let admission = admit(&mut ledger, lost(5), &[]);
    assert_eq!(losses(&admission), [(10, 14, 0, "rotated_unread"), (16, 20, 0, "rotated_unread")]);
    assert_eq!(losses(&admit(&mut ledger, lost(3), &[])), []);
}

#[test]
fn a_replay_that_decides_otherwise_changes_nothing_that_was_told() {
    let mut ledger = ledger(&[]);
    let dropping = |start, end, count, from, to| {
        let drops = vec![Drop { range: ByteRange::new(start, end), count, reason: "rate_limited".into() }];
        Source { drops, ..source(from, to) }
    };
    // Among the dropped stands a row: the range is that of all of them.
    let first = admit(&mut ledger, dropping(4, 30, 5, 0, 30), &[(0, 4), (12, 16)]);
    assert_eq!(
        (first.is_new.as_slice(), losses(&first)),
        ([true, true].as_slice(), vec![(4, 30, 5, "rate_limited")])
    );
    // What was dropped comes as rows: they were told to be lost, and stay so.
    let again = admit(&mut ledger, source(0, 40), &[(0, 4), (4, 8), (8, 12), (12, 16), (16, 30), (30, 40)]);
    assert_eq!(again.is_new, [false, false, false, false, false, true]);
    assert_eq!((losses(&again), again.straddles), (vec![], 0));
    // What was a row comes as dropped: it is not counted.
    let third = admit(&mut ledger, dropping(0, 16, 3, 0, 40), &[(30, 40)]);
    assert_eq!(losses(&third), []);
}

#[test]
fn rows_across_a_boundary_raise_the_alarm() {
    // Its start is covered: dropped, and what it held beyond is lost.
    let tail = admit(&mut ledger(&[(0, 10)]), source(0, 15), &[(5, 15)]);
    assert_eq!((tail.is_new.as_slice(), tail.straddles), ([false].as_slice(), 1));
    assert_eq!(losses(&tail), [(10, 15, 1, "straddle")]);
    // Its start is new: kept, and what it repeats is named.
    let head = admit(&mut ledger(&[(0, 5), (10, 20)]), source(5, 15), &[(5, 15)]);
    assert_eq!((head.is_new.as_slice(), head.straddles), ([true].as_slice(), 1));
    assert_eq!(losses(&head), [], "nothing is lost");
    // It lies in a hole: neither.
    let inside = admit(&mut ledger(&[(0, 5), (10, 20)]), source(5, 10), &[(5, 10)]);
    assert_eq!((inside.is_new.as_slice(), inside.straddles), ([true].as_slice(), 0));
}

#[test]
fn a_mark_changes_nothing() {
    let mut ledger = ledger(&[(0, 10)]);
    let mark = Admission { found: vec![Found::default()], ..Admission::default() };
    assert_eq!(admit(&mut ledger, source(10, 10), &[]), mark);
    assert_eq!(ledger.admit(&[], std::iter::empty()), Admission::default());
}
