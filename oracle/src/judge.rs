//! Holds rows to the books. Pure: rows and books come in, findings go out; it
//! asks nobody and waits for nothing. `judge/tests.rs` shows that it sees each
//! kind of fault, for a judge that cannot see finds nothing.

use std::collections::BTreeMap;

use crate::event;
use crate::ledger::{Book, Fate};

#[cfg(test)]
mod tests;

/// Bit of `flags`: the row goes on with the one that ends where it starts.
const CONTINUATION: u64 = 8;

/// Findings that are told word by word; the others are only counted.
const EXAMPLES: usize = 20;

/// A stored row, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) start: u64,
    pub(crate) flags: u64,
    /// One line, or the lines of a stack trace.
    pub(crate) text: String,
}

/// What the tables say, held against the books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Events that were written or sent, or about to be.
    pub(crate) issued: u64,
    /// Of them written, or answered with success.
    pub(crate) acknowledged: u64,
    /// Of them without an answer.
    pub(crate) unanswered: u64,
    /// Of them refused.
    pub(crate) refused: u64,
    /// Events that are there, each counted once.
    pub(crate) stored: u64,
    /// Acknowledged, and not there.
    pub(crate) lost: u64,
    /// The same by feed, where there are some.
    pub(crate) lost_of: BTreeMap<String, u64>,
    /// There more than once: how many times too many.
    pub(crate) duplicated: u64,
    /// There, and never issued, or refused.
    pub(crate) phantom: u64,
    /// There, with another text.
    pub(crate) altered: u64,
    /// Behind a later one of the same feed in the same source.
    pub(crate) out_of_order: u64,
    /// Rows that go on with another: lines and events that were cut by time.
    pub(crate) continued: u64,
    /// The first findings, in words.
    pub(crate) examples: Vec<String>,
}

/// Takes rows, a service at a time.
pub(crate) struct Judge<'a> {
    books: BTreeMap<&'a str, (&'a Book, Vec<u8>)>,
    findings: Findings,
}

impl<'a> Judge<'a> {
    /// With these books, and nothing found yet.
    pub(crate) fn new(books: &'a [Book]) -> Self {
        let empty = |book: &'a Book| (book.name.as_str(), (book, vec![0; book.fates.len()]));
        Self { books: books.iter().map(empty).collect(), findings: Findings::default() }
    }

    /// All rows of a service, in any order.
    pub(crate) fn take(&mut self, service: &str, mut rows: Vec<Row>) {
        rows.sort_by(|a, b| (&a.source, a.start).cmp(&(&b.source, b.start)));
        for of_source in rows.chunk_by(|a, b| a.source == b.source) {
            let mut order = BTreeMap::new();
            for line in self.lines(of_source) {
                self.line(service, &line, &mut order);
            }
        }
    }

    /// Rows of a service that nobody feeds.
    pub(crate) fn strangers(&mut self, service: &str, count: u64) {
        self.findings.phantom += count;
        self.say(|| format!("phantom: {count} rows of service {service:?}, which issued none"));
    }

    /// What was found, once every service was taken.
    pub(crate) fn finish(mut self) -> Findings {
        for (book, seen) in std::mem::take(&mut self.books).into_values() {
            for (number, (fate, times)) in book.fates.iter().zip(seen).enumerate() {
                self.findings.issued += 1;
                let count = match fate {
                    Fate::Owed => &mut self.findings.acknowledged,
                    Fate::Unanswered => &mut self.findings.unanswered,
                    Fate::Refused => &mut self.findings.refused,
                };
                *count += 1;
                self.findings.stored += u64::from(times > 0);
                if *fate == Fate::Owed && times == 0 {
                    self.findings.lost += 1;
                    *self.findings.lost_of.entry(book.name.clone()).or_default() += 1;
                    self.say(|| format!("lost: {}", book.text(number as u64)));
                }
            }
        }
        self.findings
    }

    /// The lines of a source's rows: a line that was cut by time is put together
    /// again, if its rest says that it is one.
    fn lines(&mut self, rows: &[Row]) -> Vec<String> {
        let (mut lines, mut open) = (Vec::new(), None::<String>);
        for row in rows {
            let continues = row.flags & CONTINUATION != 0;
            self.findings.continued += u64::from(continues);
            let mut text = row.text.as_str();
            if let Some(half) = open.take() {
                if continues {
                    let (rest, others) = text.split_once('\n').map_or((text, None), |(a, b)| (a, Some(b)));
                    let whole = half + rest;
                    match others {
                        Some(others) => {
                            lines.push(whole);
                            text = others;
                        }
                        None => {
                            open = self.keep(whole, &mut lines);
                            continue;
                        }
                    }
                } else {
                    lines.push(half);
                }
            }
            let (before, last) = text.rsplit_once('\n').map_or((None, text), |(a, b)| (Some(a), b));
            lines.extend(before.into_iter().flat_map(|before| before.split('\n')).map(str::to_owned));
            open = self.keep(last.to_owned(), &mut lines);
        }
        lines.extend(open);
        lines
    }

    /// A row's last line, which is whole, or else waits for its rest.
    fn keep(&self, line: String, lines: &mut Vec<String>) -> Option<String> {
        if self.is_whole(&line) {
            lines.push(line);
            return None;
        }
        Some(line)
    }

    fn is_whole(&self, line: &str) -> bool {
        let Some((feed, number)) = event::id_of(line) else { return false };
        self.books.get(feed).is_some_and(|(book, _)| book.text(number) == line)
    }

    fn line(&mut self, service: &str, line: &str, order: &mut BTreeMap<&'a str, u64>) {
        let known = event::id_of(line).and_then(|(feed, number)| {
            let (book, seen) = self.books.get_mut(feed)?;
            let fate = book.fate(number).filter(|_| book.service == service)?;
            let times = seen.get_mut(usize::try_from(number).ok()?)?;
            Some((number, *book, fate, times))
        });
        let Some((number, book, fate, times)) = known else {
            self.findings.phantom += 1;
            self.say(|| format!("phantom in {service}: {line:?}"));
            return;
        };
        if fate == Fate::Refused {
            self.findings.phantom += 1;
            self.say(|| format!("phantom in {service}, it was refused: {line:?}"));
            return;
        }
        *times = times.saturating_add(1);
        let is_again = *times > 1;
        let expected = book.text(number);
        if is_again {
            self.findings.duplicated += 1;
            self.say(|| format!("duplicated in {service}: {line:?}"));
        }
        if expected != line {
            self.findings.altered += 1;
            self.say(|| format!("altered in {service}: {line:?} instead of {expected:?}"));
        }
        // What was not answered may have come late, behind what was sent after it.
        if fate == Fate::Owed && !is_again {
            let last = order.entry(&book.name).or_insert(number);
            if *last > number {
                self.findings.out_of_order += 1;
                self.say(|| format!("out of order in {service}: {number} of {} behind another", book.name));
            }
            *last = number.max(*last);
        }
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.findings.examples.len() < EXAMPLES {
            self.findings.examples.push(what());
        }
    }
}
