//! The end of a run: the load ends, everything is waited for, and all that was seen is
//! brought together for the report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{OWN, Run};
use crate::audit::{Audit, Totals};
use crate::counters;
use crate::judge::{Findings, Judge};
use crate::ledger::{Book, Table};
use crate::load::Load;
use crate::naming::{self, Named, Truth};
use crate::probe::{Observed, Probe};
use crate::query::Query;
use crate::report::Evidence;
use crate::scenario::Scenario;
use crate::worker::Worker;

/// Findings of a kind that are told in words.
const EXAMPLES: usize = 5;

/// Who writes and asks while faults happen.
pub(super) struct Around {
    pub(super) load: Load,
    pub(super) probe: Probe,
    pub(super) audit: Audit,
    pub(super) counters: Worker,
}

impl Run {
    /// Ends the load, waits until all of it can be there, and looks.
    pub(super) fn conclude(
        &mut self,
        scenario: &dyn Scenario,
        around: Around,
        problems: &mut Vec<String>,
    ) -> Result<Evidence> {
        let Around { load, probe, mut audit, counters } = around;
        let rotations = load.rotations();
        load.finish();
        // Before all that the judge asks for.
        self.memory_mib = self.cluster.memory_mib();
        let (slowest, dead) = self.faults.recoveries(&self.seen);
        problems.extend(dead);
        let observed = probe.finish();
        audit.stop();
        let named = self.named(&observed).unwrap_or_else(|error| {
            problems.push(format!("the lanes cannot be read: {error:#}"));
            Named::default()
        });
        let (query, books) = (self.cluster.query()?, self.ledger.books());
        let settled = self.settle(query, &books, problems).unwrap_or_else(|error| {
            problems.push(format!("the tables cannot be read: {error:#}"));
            Findings::default()
        });
        let audited = audit.finish();
        let Losses { events: losses, messages, undecodable: poisoned } =
            losses(query).unwrap_or_else(|error| {
                problems.push(format!("the losses cannot be read: {error:#}"));
                Losses::default()
            });
        if messages > 0 && !self.needs.losses {
            problems.push(format!("{messages} messages are told as lost, and nothing can be"));
        }
        let delivered = delivered(query, problems, losses);
        if self.needs.losses {
            match lost_of_files(query) {
                Ok(told) if told == settled.lost_of => {}
                Ok(told) => {
                    problems
                        .push(format!("by file {told:?} are told as lost, and {:?} are", settled.lost_of));
                }
                Err(error) => problems.push(format!("the losses of files cannot be read: {error:#}")),
            }
        }
        match scenario.judge(self) {
            Ok(wrong) => problems.extend(wrong),
            Err(error) => problems.push(format!("{error:#}")),
        }
        if poisoned > 0 && self.poisoned.is_empty() {
            problems.push(format!("{poisoned} records were undecodable, and nobody poisoned anything"));
        }
        // The last word of the counters, before their processes end.
        self.cluster.names("").iter().for_each(|name| self.board.read(name));
        counters.finish();
        self.mind()?;
        for name in self.cluster.names("") {
            if let Err(error) = self.cluster.node(&name)?.terminate() {
                problems.push(format!("{error:#}"));
            }
        }
        problems.append(&mut self.wrongs);
        let crashes = self.crashes.len() as u64;
        if !self.is_told_to_fail {
            problems.append(&mut self.crashes);
        }
        let checked = match self.cluster.check()? {
            (true, said) => said,
            (false, said) => {
                problems.push(format!("`weir check --rows`: {said}"));
                said
            }
        };
        let Observed { answers, unanswered, wrong, .. } = observed;
        let audits = audited.wrong.into_iter().take(EXAMPLES);
        let wrong = wrong.into_iter().take(EXAMPLES).chain(named.wrong).chain(audits);
        problems.extend(wrong.map(|wrong| format!("a wrong answer: {wrong}")));
        Ok(Evidence {
            faults: self.faults.clone(),
            findings: settled,
            losses,
            rotations,
            commits: self.board.sum(counters::COMMITS),
            duplicates_refused: delivered.duplicates,
            memory_mib: self.memory_mib.clone(),
            handovers: self.board.sum(counters::HANDOVERS) + self.board.sum(counters::TERMS_LOST),
            crashes,
            checked,
            slowest,
            answers,
            answers_naming: [named.lanes, named.partitions],
            inputs_audited: audited.held,
            unanswered_questions: unanswered,
        })
    }

    /// Holds whom answers named to who there was.
    fn named(&mut self, observed: &Observed) -> Result<Named> {
        let lanes = self.cluster.query()?.ask("SELECT agent, partition FROM weir.lanes")?.rows;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = |row: &Vec<Value>| Some(format!("{} {}", text(row.first()?)?, text(row.get(1)?)?));
        let truth = Truth {
            holds: self.needs.holds,
            lanes: &lanes.iter().filter_map(name).collect(),
            partitions: self.cluster.partitions(),
            sightings: &observed.sightings,
            over: &self.faults.times(),
            live: self.options.live,
        };
        Ok(naming::judge(&observed.namings, truth))
    }

    /// Waits until an answer says that everything is in it and names nobody, and judges
    /// that one. It must be right; what comes later anyway is not lost, and told apart.
    fn settle(&mut self, query: Query, books: &[Book], problems: &mut Vec<String>) -> Result<Findings> {
        let (stopped, begun) = (jiff::Timestamp::now().as_microsecond(), Instant::now());
        let patience = self.options.live;
        let is_complete = loop {
            self.mind()?;
            let said = Table::ALL.map(|table| completeness(query, table.rows()));
            let is_complete = |(until, held_by): &(Option<i64>, Vec<String>)| {
                until.is_some_and(|until| until >= stopped) && held_by.is_empty()
            };
            if said.iter().all(is_complete) {
                break true;
            }
            if begun.elapsed() > patience {
                let said = said.map(|(until, held_by)| (until.map(|until| until - stopped), held_by));
                problems.push(format!(
                    "{patience:?} after the end no answer is complete: logs, spans and metrics until us after it, held by {said:?}"
                ));
                break false;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let patience = self.options.settle;
        let first = judged(query, books)?;
        let mut last = first.clone();
        // What is told as lost does not come any more.
        let told = if self.needs.losses { losses(query)?.events } else { 0 };
        while last.lost > told && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_secs(1));
            last = judged(query, books)?;
        }
        if is_complete && last.lost < first.lost {
            let late = first.lost - last.lost;
            problems.push(format!("{late} events were missing in an answer that said that it was complete"));
        }
        Ok(last)
    }
}

/// Until when an answer over a table is complete, and who holds it.
fn completeness(query: Query, table: &str) -> (Option<i64>, Vec<String>) {
    let answer = query.ask(&format!("SELECT count(*) FROM {table}"));
    answer.map(|answer| (answer.complete_until, answer.held_by)).unwrap_or_default()
}

/// Every row of every table, held to the books.
fn judged(query: Query, books: &[Book]) -> Result<Findings> {
    let mut judge = Judge::new(books);
    for table in Table::ALL {
        let of_table = books.iter().filter(|book| book.table == table);
        let services: BTreeSet<_> = of_table.map(|book| book.service.as_str()).collect();
        for service in &services {
            judge.take(service, query.rows(table, service)?);
        }
        let name = table.rows();
        let answer = query.ask(&format!("SELECT service_name, count(*) FROM {name} GROUP BY 1"))?;
        for row in &answer.rows {
            let [service, count] = row.as_slice() else { bail!("no answer about {name}") };
            let service = service.as_str().unwrap_or_default();
            if !services.contains(service) && service != OWN {
                judge.strangers(service, count.as_u64().unwrap_or(0));
            }
        }
    }
    Ok(judge.finish())
}

/// What `/api/v1/delivery` says of all streams; it must be what the tables say.
fn delivered(query: Query, problems: &mut Vec<String>, lost: u64) -> Totals {
    match delivery(query) {
        Ok((told, rows)) => {
            if told.events != rows {
                problems
                    .push(format!("{} events are told as stored, and the tables have {rows}", told.events));
            }
            if told.lost != lost {
                problems.push(format!("{} events are told as lost by stream, {lost} by loss", told.lost));
            }
            told
        }
        Err(error) => {
            problems.push(format!("the delivery cannot be read: {error:#}"));
            Totals::default()
        }
    }
}

/// What `weir.delivery` says is lost of files, by the feed that wrote them: a file is
/// called after its feed, rotated or not.
fn lost_of_files(query: Query) -> Result<BTreeMap<String, u64>> {
    let statement = "SELECT log_file_path, sum(lost + left_out) FROM weir.delivery \
        WHERE lost + left_out > 0 GROUP BY 1";
    let mut lost = BTreeMap::new();
    for row in query.ask(statement)?.rows {
        let [path, count] = row.as_slice() else { bail!("no losses: {row:?}") };
        let path = path.as_str().context("a loss that is no file's")?;
        let name = path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or(path);
        *lost.entry(name.to_owned()).or_default() += count.as_u64().context("no count")?;
    }
    Ok(lost)
}

fn delivery(query: Query) -> Result<(Totals, u64)> {
    let told = Totals::of(&query.get("/api/v1/delivery?limit=1")?).context("totals")?;
    let mut rows = 0;
    for table in Table::ALL {
        let answer = query.ask(&format!("SELECT count(*) FROM {}", table.rows()))?;
        rows += answer.rows.first().and_then(|row| row.first()?.as_u64()).context("no count")?;
    }
    Ok((told, rows))
}

/// What `weir.gaps` says.
#[derive(Default)]
struct Losses {
    /// Events that are lost.
    events: u64,
    /// Messages that the log has lost: what they held is told of each source, too.
    messages: u64,
    /// Records that could not be decoded.
    undecodable: u64,
}

fn losses(query: Query) -> Result<Losses> {
    let mut losses = Losses::default();
    for row in query.ask("SELECT reason, count, messages FROM weir.gaps")?.rows {
        let number = |column: usize| row.get(column).and_then(Value::as_u64);
        match (row.first().and_then(Value::as_str), number(2)) {
            (Some("undecodable"), messages) => losses.undecodable += messages.unwrap_or(1),
            (_, Some(messages)) => losses.messages += messages.max(1),
            // A loss whose events nobody could count is one, at least.
            (_, None) => losses.events += number(1).unwrap_or(0).max(1),
        }
    }
    Ok(losses)
}
