//! Is everything there that an answer says is? Somebody who asks for the number of rows
//! of each input that is answered, again and again, and holds each answer to its
//! `complete_until`: what was acknowledged before that time must be counted. As many as
//! got no answer and are there all the same may be missing unseen; the judge of rows
//! sees each at the end.
//!
//! [`crate::probe`] does the same for one file, more often, and looks for the newest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ledger::{Ledger, Table};
use crate::query::Query;
use crate::worker::Worker;

const PAUSE: Duration = Duration::from_millis(500);

/// A question costs more with each row: no more than a quarter of the time.
const REST: u32 = 3;

/// Somebody who asks.
pub(crate) struct Audit {
    worker: Option<Worker>,
    auditor: Arc<Mutex<Auditor>>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audited {
    /// Inputs in answers that were owed something, by table.
    pub(crate) held: BTreeMap<&'static str, u64>,
    /// What answers lacked, in words.
    pub(crate) wrong: Vec<String>,
}

struct Auditor {
    ledger: Arc<Ledger>,
    query: Query,
    /// Inputs that were seen once: before its lane has said anything, nobody knows of one.
    known: BTreeSet<(Table, String)>,
    found: Audited,
}

impl Audit {
    /// Starts it.
    pub(crate) fn start(ledger: Arc<Ledger>, query: Query) -> Self {
        let auditor = Auditor { ledger, query, known: BTreeSet::new(), found: Audited::default() };
        let auditor = Arc::new(Mutex::new(auditor));
        let asking = auditor.clone();
        let worker = Worker::start("audit", move |stop| {
            let mut pause = PAUSE;
            while !stop.wait(pause) {
                let begun = Instant::now();
                lock(&asking).ask();
                pause = PAUSE.max(begun.elapsed() * REST);
            }
        });
        Self { worker: Some(worker), auditor }
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.finish();
        }
    }

    /// Asks once more, now that everything is there, and says what was found in all.
    pub(crate) fn finish(mut self) -> Audited {
        self.stop();
        let mut auditor = lock(&self.auditor);
        auditor.ask();
        auditor.found.clone()
    }
}

impl Auditor {
    fn ask(&mut self) {
        for table in Table::ALL {
            self.ask_about(table);
        }
    }

    fn ask_about(&mut self, table: Table) {
        let name = table.rows();
        let statement = format!("SELECT service_name, count(*) FROM {name} GROUP BY 1");
        let Ok(answer) = self.query.ask(&statement) else { return };
        let Some(until) = answer.complete_until else { return };
        let counts = answer.rows.iter().filter_map(|row| {
            let [service, count] = row.as_slice() else { return None };
            Some((service.as_str()?.to_owned(), count.as_u64()?))
        });
        let counts: BTreeMap<_, _> = counts.collect();
        for (service, owed) in self.ledger.owed_before(table, until) {
            let count = counts.get(&service).copied().unwrap_or(0);
            let input = (table, service);
            if count > 0 {
                self.known.insert(input.clone());
            }
            if owed == 0 || !self.known.contains(&input) {
                continue;
            }
            *self.found.held.entry(name).or_default() += 1;
            if count < owed {
                let (_, service) = input;
                self.found.wrong.push(format!(
                    "{count} rows of {service} in {name}, and {owed} were acknowledged before it says that it is complete"
                ));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `/api/v1/delivery` says of all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Stored.
    pub(crate) events: u64,
    /// Came again, and were not stored again.
    pub(crate) duplicates: u64,
    /// Lost, or left out as configured.
    pub(crate) lost: u64,
}

impl Totals {
    /// As the answer says it.
    pub(crate) fn of(answer: &Value) -> Option<Self> {
        let number = |name: &str| answer["totals"][name].as_u64();
        let lost = number("lost")? + number("left_out")?;
        Some(Self { events: number("events")?, duplicates: number("duplicates")?, lost })
    }
}
