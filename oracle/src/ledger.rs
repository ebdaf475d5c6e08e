//! What was issued, and what is owed for it: the oracle's own books. They live in
//! this process, which is never killed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{self, Style};

/// What is known of an event that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent, or about to be, and not answered: there once, or not at all.
    Unanswered,
    /// Written to a file, or answered with success: there once.
    Owed,
    /// Answered with a refusal, or never sent: not there.
    Refused,
}

/// Where the events of a feed become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// `log_lines`.
    Lines,
    /// `spans`: the text is the span's name, a space, and its attribute `pad`.
    Spans,
    /// `metric_samples`: the value is the event's number.
    Metrics,
}

impl Table {
    /// All that rows are judged in.
    pub(crate) const ALL: [Self; 3] = [Self::Lines, Self::Spans, Self::Metrics];

    /// The table that has a row for each event and nothing else.
    pub(crate) const fn rows(self) -> &'static str {
        match self {
            Self::Lines => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metric_samples",
        }
    }
}

/// One issuer's events, numbered from 0. A clone writes into the same book.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seed: u64,
    name: String,
    service: String,
    table: Table,
    style: Style,
    fates: Mutex<Vec<Fate>>,
    /// How many were owed, and since when; microseconds since 1970.
    owed: Mutex<Vec<(i64, u64)>>,
}

/// A feed's book as the judge reads it.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) seed: u64,
    pub(crate) name: String,
    /// The `service_name` of its rows.
    pub(crate) service: String,
    pub(crate) table: Table,
    pub(crate) style: Style,
    /// By number.
    pub(crate) fates: Vec<Fate>,
}

/// The books of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    feeds: Mutex<BTreeMap<String, Feed>>,
}

impl Ledger {
    /// Empty books.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, feeds: Mutex::default() }
    }

    /// Opens a book. The name is the feed's alone, and of letters and digits.
    pub(crate) fn open(&self, name: &str, service: &str, table: Table, style: Style) -> Feed {
        let feed = Feed(Arc::new(Shared {
            seed: self.seed,
            name: name.to_owned(),
            service: service.to_owned(),
            table,
            style,
            fates: Mutex::default(),
            owed: Mutex::default(),
        }));
        lock(&self.feeds).insert(name.to_owned(), feed.clone());
        feed
    }

    /// Of the services whose every event is a row, how many events were owed before a
    /// time.
    pub(crate) fn owed_before(&self, table: Table, micros: i64) -> BTreeMap<String, u64> {
        let mut owed = BTreeMap::new();
        for Feed(feed) in lock(&self.feeds).values() {
            if feed.table == table && feed.style.is_one_row() {
                let of_feed = lock(&feed.owed);
                let before = of_feed.partition_point(|(at, _)| *at < micros);
                let count = before.checked_sub(1).and_then(|last| of_feed.get(last)).map_or(0, |(_, n)| *n);
                *owed.entry(feed.service.clone()).or_default() += count;
            }
        }
        owed
    }

    /// What the judge holds the tables to.
    pub(crate) fn books(&self) -> Vec<Book> {
        lock(&self.feeds).values().map(Feed::book).collect()
    }
}

impl Feed {
    /// The next so many events, each `Unanswered` from now on: whoever finds one
    /// before its answer has come finds nothing strange.
    pub(crate) fn issue(&self, count: u64) -> Range<u64> {
        let mut fates = self.fates();
        let first = fates.len() as u64;
        fates.extend((0..count).map(|_| Fate::Unanswered));
        first..first + count
    }

    /// What became of them.
    pub(crate) fn settle(&self, numbers: Range<u64>, fate: Fate) {
        if fate == Fate::Owed {
            let mut owed = lock(&self.0.owed);
            let before = owed.last().map_or(0, |(_, count)| *count);
            owed.push((jiff::Timestamp::now().as_microsecond(), before + (numbers.end - numbers.start)));
        }
        let mut fates = self.fates();
        for number in numbers {
            if let Some(known) = usize::try_from(number).ok().and_then(|number| fates.get_mut(number)) {
                *known = fate;
            }
        }
    }

    /// An event's text.
    pub(crate) fn text(&self, number: u64) -> String {
        event::text(self.0.seed, &self.0.name, self.0.style, number)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    fn book(&self) -> Book {
        let Shared { seed, name, service, table, style, .. } = &*self.0;
        let (name, service) = (name.clone(), service.clone());
        Book { seed: *seed, name, service, table: *table, style: *style, fates: self.fates().clone() }
    }

    fn fates(&self) -> MutexGuard<'_, Vec<Fate>> {
        lock(&self.0.fates)
    }
}

impl Book {
    /// What an event of this feed must look like.
    pub(crate) fn text(&self, number: u64) -> String {
        event::text(self.seed, &self.name, self.style, number)
    }

    /// What became of one, if it was issued.
    pub(crate) fn fate(&self, number: u64) -> Option<Fate> {
        self.fates.get(usize::try_from(number).ok()?).copied()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
