//! One run: a Weir under load, faults, and the judgement. The scenario holds the
//! middle part; what comes before and after is the same for all.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use weir_storage::object::s3_server::S3Server;

use crate::arguments::Options;
use crate::cluster::{Cluster, Variable};
use crate::counters::{self, Board};
use crate::fault::Faults;
use crate::judge::{Findings, Judge};
use crate::ledger::{Book, Ledger, Table};
use crate::load::{Halves, Load};
use crate::mount::Mount;
use crate::naming::{self, Named, Truth};
use crate::power::Power;
use crate::probe::{Observed, Probe, Seen};
use crate::query::Query;
use crate::report::{Evidence, Report};
use crate::scenario::{Needs, Scenario};
use crate::worker::Worker;

/// How long the processes may take from their start to the first row.
const START: Duration = Duration::from_secs(60);

/// What Weir tells of itself among the rows: which lines it left out, and why.
const OWN: &str = "weir-agent";

/// From one fault to the next, where nobody waits for recovery.
const BREATH_MS: Range<u64> = 300..2000;

/// What a scenario works with.
pub(crate) struct Run {
    // The processes go before their disks and stores.
    pub(crate) cluster: Cluster,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) power: Option<Power>,
    pub(crate) store: Option<S3Server>,
    /// The books, for a scenario that issues events of its own.
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) random: SmallRng,
    pub(crate) board: Board,
    pub(crate) options: Options,
    /// Stack traces that are half written.
    pub(crate) halves: Halves,
    /// Records that nobody can decode, as they were produced.
    pub(crate) poisoned: Vec<Vec<u8>>,
    /// Processes are told to end by themselves.
    pub(crate) is_told_to_fail: bool,
    needs: Needs,
    asked: u64,
    faults: Faults,
    seen: Seen,
    crashes: Vec<String>,
    wrongs: Vec<String>,
}

/// Runs a scenario in a directory.
///
/// # Errors
/// It could not be run: nothing is known then.
pub(crate) fn run(scenario: &dyn Scenario, options: &Options, dir: &Path, binary: &Path) -> Result<Report> {
    let begun = Instant::now();
    let setup = scenario.setup(options);
    let mut environment: Vec<_> =
        setup.settings.iter().map(|(name, value)| Variable::everywhere(name, value)).collect();
    environment.extend(options.environment.iter().cloned());
    let board = Board::default();
    let cluster = Cluster::start(setup.shape, dir, binary, environment, &board)?;
    let mut run = Run {
        cluster,
        mounts: Vec::new(),
        power: None,
        store: None,
        ledger: Arc::new(Ledger::new(options.seed)),
        random: SmallRng::seed_from_u64(options.seed),
        board: board.clone(),
        options: options.clone(),
        halves: Halves::default(),
        poisoned: Vec::new(),
        is_told_to_fail: options.environment.iter().any(Variable::tells_to_fail),
        needs: setup.needs,
        asked: options.faults.unwrap_or(if options.is_brief { scenario.brief() } else { scenario.faults() }),
        faults: Faults::default(),
        seen: Seen::default(),
        crashes: Vec::new(),
        wrongs: Vec::new(),
    };
    scenario.prepare(&mut run)?;
    for name in &setup.nodes {
        run.cluster.launch(name)?;
    }
    for name in &setup.nodes {
        run.cluster.node(name)?.wait_until_ready()?;
    }
    let (ledger, query) = (run.ledger.clone(), run.cluster.query()?);
    let (input, agent, counters) = (run.cluster.input(), run.cluster.agent()?, board.follow());
    let probe = Probe::start(&ledger, &input, query)?;
    run.seen = probe.seen().clone();
    let load = Load::start(setup.plan, options.seed, &ledger, &input, agent, binary, &run.halves)?;
    run.wait_live(Instant::now(), START).context("nothing is stored, and nothing has happened yet")?;

    let injected = scenario.inject(&mut run);
    let mut problems: Vec<String> = injected.err().map(|error| format!("{error:#}")).into_iter().collect();
    let faulty = begun.elapsed();
    if let Err(error) = run.mend() {
        problems.push(format!("{error:#}"));
    }
    let evidence = run.conclude(scenario, load, probe, counters, &mut problems)?;
    Ok(Report::new(scenario.name(), options.seed, (run.asked, setup.needs), evidence, problems, faulty))
}

impl Run {
    /// True until as many faults have happened as were asked for.
    pub(crate) fn is_to_go_on(&self) -> bool {
        self.faults.count() < self.asked
    }

    /// A fault is over just now: whoever was killed was started again, whoever was
    /// held let go.
    pub(crate) fn over(&mut self, kind: &str) {
        self.faults.over(kind, self.board.sum(counters::COMMITS));
        if self.faults.count().is_multiple_of(10) {
            eprintln!("{} of {} faults", self.faults.count(), self.asked);
        }
    }

    /// `kill -9` of a node; true if it ran.
    ///
    /// # Errors
    /// There is no such node.
    pub(crate) fn kill(&mut self, name: &str) -> Result<bool> {
        let was_alive = self.cluster.node(name)?.kill();
        self.board.gone(name);
        Ok(was_alive)
    }

    /// Starts a node, and waits for nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn launch(&mut self, name: &str) -> Result<()> {
        self.cluster.launch(name)
    }

    /// Sleeps for as long as the seed says.
    pub(crate) fn sleep_ms(&mut self, range: Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(range)));
    }

    /// Half of all faults meet a Weir that has recovered from the last one, half
    /// meet one that has not.
    ///
    /// # Errors
    /// It did not recover in time.
    pub(crate) fn sometimes_recover(&mut self) -> Result<()> {
        if self.random.random_bool(0.5) {
            self.recover()?;
        }
        self.sleep_ms(BREATH_MS);
        self.mind()
    }

    /// Waits until something is to be seen that was written after the last fault.
    ///
    /// # Errors
    /// Not in time.
    pub(crate) fn recover(&mut self) -> Result<()> {
        let Some(last) = self.faults.last() else { return Ok(()) };
        self.wait_live(last, self.options.live)
    }

    /// Waits until something is to be seen that is written from now on.
    ///
    /// # Errors
    /// Not in time.
    pub(crate) fn see(&mut self) -> Result<()> {
        self.wait_live(Instant::now(), self.options.live)
    }

    /// Starts again who ended by itself, as an init system does, and keeps count:
    /// with a failpoint it was told to, and else it must not.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn mind(&mut self) -> Result<()> {
        for (name, how) in self.cluster.ended()? {
            self.crashes.push(format!("{name} ended by itself with {how}"));
            self.cluster.launch(&name)?;
        }
        Ok(())
    }

    /// Waits until all that was issued for a service is to be seen.
    ///
    /// # Errors
    /// Not in time.
    pub(crate) fn wait_stored(&mut self, service: &str, count: u64) -> Result<()> {
        let (query, begun) = (self.cluster.query()?, Instant::now());
        let statement = format!("SELECT count(*) FROM log_lines WHERE service_name = '{service}'");
        loop {
            let answer = query.ask(&statement).ok().and_then(|answer| answer.rows.first()?.first()?.as_u64());
            if answer.is_some_and(|found| found >= count) {
                return Ok(());
            }
            let patience = self.options.live;
            if begun.elapsed() > patience {
                bail!("{answer:?} of {count} rows of {service} are to be seen after {patience:?}");
            }
            self.mind()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something is wrong that the books do not show.
    pub(crate) fn wrong(&mut self, what: String) {
        self.wrongs.push(what);
    }

    fn wait_live(&mut self, since: Instant, at_most: Duration) -> Result<()> {
        while self.seen.live_after(since).is_none() {
            if since.elapsed() > at_most {
                bail!("nothing that was written in the last {at_most:?} is to be seen");
            }
            self.mind()?;
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// Whatever the scenario left, everybody runs.
    fn mend(&mut self) -> Result<()> {
        for name in self.cluster.names("") {
            self.cluster.node(&name)?.resume();
            if !self.cluster.node(&name)?.is_started() {
                self.cluster.launch(&name)?;
            }
        }
        self.recover()
    }

    /// Ends the load, waits until all of it can be there, and looks.
    fn conclude(
        &mut self,
        scenario: &dyn Scenario,
        load: Load,
        probe: Probe,
        counters: Worker,
        problems: &mut Vec<String>,
    ) -> Result<Evidence> {
        let rotations = load.rotations();
        load.finish();
        let (slowest, dead) = self.faults.recoveries(&self.seen);
        problems.extend(dead);
        let observed = probe.finish();
        let named = self.named(&observed).unwrap_or_else(|error| {
            problems.push(format!("the lanes cannot be read: {error:#}"));
            Named::default()
        });
        let (query, books) = (self.cluster.query()?, self.ledger.books());
        let settled = self.settle(query, &books, problems).unwrap_or_else(|error| {
            problems.push(format!("the tables cannot be read: {error:#}"));
            Findings::default()
        });
        let Losses { events: losses, messages, undecodable: poisoned } =
            losses(query).unwrap_or_else(|error| {
                problems.push(format!("the losses cannot be read: {error:#}"));
                Losses::default()
            });
        if messages > 0 && !self.needs.losses {
            problems.push(format!("{messages} messages are told as lost, and nothing can be"));
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
        let wrong = wrong.into_iter().take(5).chain(named.wrong);
        problems.extend(wrong.map(|wrong| format!("a wrong answer: {wrong}")));
        Ok(Evidence {
            faults: self.faults.clone(),
            findings: settled,
            losses,
            rotations,
            commits: self.board.sum(counters::COMMITS),
            duplicates_refused: self.board.sum(counters::DUPLICATES_REFUSED),
            handovers: self.board.sum(counters::HANDOVERS) + self.board.sum(counters::TERMS_LOST),
            crashes,
            checked,
            slowest,
            answers,
            answers_naming: [named.lanes, named.partitions],
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
        let patience = self.options.settle;
        loop {
            self.mind()?;
            let said = ["logs", "spans"].map(|table| completeness(query, table));
            let is_complete = |(until, held_by): &(Option<i64>, Vec<String>)| {
                until.is_some_and(|until| until >= stopped) && held_by.is_empty()
            };
            if said.iter().all(is_complete) {
                break;
            }
            if begun.elapsed() > patience {
                let said = said.map(|(until, held_by)| (until.map(|until| until - stopped), held_by));
                problems.push(format!(
                    "{patience:?} after the end no answer is complete: logs and spans until us after it, held by {said:?}"
                ));
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let first = judged(query, books)?;
        let mut last = first.clone();
        // What is told as lost does not come any more.
        let told = if self.needs.losses { losses(query)?.events } else { 0 };
        while last.lost > told && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_secs(1));
            last = judged(query, books)?;
        }
        if last.lost < first.lost {
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
    for table in [Table::Lines, Table::Spans] {
        let of_table = books.iter().filter(|book| book.table == table);
        let services: BTreeSet<_> = of_table.map(|book| book.service.as_str()).collect();
        for service in &services {
            judge.take(service, query.rows(table, service)?);
        }
        let name = if table == Table::Lines { "logs" } else { "spans" };
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
