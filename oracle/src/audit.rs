//! Is everything there that an answer says is? Somebody who asks for the number of rows
//! of each input that is answered, again and again, and holds each answer to its
//! `complete_until`: what was acknowledged before that time must be counted. As many as
//! got no answer and are there all the same may be missing unseen; the judge of rows
//! sees each at the end.
//!
//! [`crate::probe`] does the same for one file, more often, and looks for the newest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
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
    worker: Worker,
    found: Arc<Mutex<Audited>>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audited {
    /// Inputs in answers that were owed something, by table.
    pub(crate) held: BTreeMap<&'static str, u64>,
    /// What answers lacked, in words.
    pub(crate) wrong: Vec<String>,
}

impl Audit {
    /// Starts it.
    pub(crate) fn start(ledger: Arc<Ledger>, query: Query) -> Self {
        let found = Arc::<Mutex<Audited>>::default();
        let told = found.clone();
        let worker = Worker::start("audit", move |stop| {
            let (mut pause, mut known) = (PAUSE, BTreeSet::new());
            while !stop.wait(pause) {
                let begun = Instant::now();
                for table in Table::ALL {
                    ask(&ledger, query, table, &told, &mut known);
                }
                pause = PAUSE.max(begun.elapsed() * REST);
            }
        });
        Self { worker, found }
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Audited {
        self.worker.finish();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Before its lane has said anything, nobody knows of an input: `known` are those that
/// were seen once.
fn ask(
    ledger: &Ledger,
    query: Query,
    table: Table,
    found: &Mutex<Audited>,
    known: &mut BTreeSet<(Table, String)>,
) {
    let name = table.rows();
    let Ok(answer) = query.ask(&format!("SELECT service_name, count(*) FROM {name} GROUP BY 1")) else {
        return;
    };
    let Some(until) = answer.complete_until else { return };
    let counts = answer.rows.iter().filter_map(|row| {
        let [service, count] = row.as_slice() else { return None };
        Some((service.as_str()?.to_owned(), count.as_u64()?))
    });
    let counts: BTreeMap<_, _> = counts.collect();
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    for (service, owed) in ledger.owed_before(table, until) {
        let count = counts.get(&service).copied().unwrap_or(0);
        let of = (table, service);
        if count > 0 {
            known.insert(of.clone());
        }
        if !known.contains(&of) {
            continue;
        }
        let service = of.1;
        *found.held.entry(name).or_default() += u64::from(owed > 0);
        if count < owed {
            found.wrong.push(format!(
                "{count} rows of {service} in {name}, and {owed} were acknowledged before it says that it is complete"
            ));
        }
    }
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
