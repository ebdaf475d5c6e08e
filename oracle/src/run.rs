//! One run: a Weir under load, faults, and the judgement. The scenario holds the
//! middle part; what comes before and after is the same for all.

mod conclude;

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_storage::object::s3_server::S3Server;

use crate::arguments::Options;
use crate::audit::Audit;
use crate::cluster::{Cluster, Variable};
use crate::counters::{self, Board};
use crate::fault::Faults;
use crate::ledger::Ledger;
use crate::load::{Halves, Load};
use crate::mount::Mount;
use crate::power::Power;
use crate::probe::{Probe, Seen};
use crate::report::Report;
use crate::scenario::{Needs, Scenario};

use conclude::Around;

/// How long the processes may take from their start to the first row.
const START: Duration = Duration::from_secs(60);

/// What Weir tells of itself among the rows: which lines it left out, and why.
const OWN: &str = "weir-agent";

/// Among so many faults is one of every kind.
const MANY: u64 = 40;

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
    /// The most memory of each process when the load ended, MiB.
    pub(crate) memory_mib: BTreeMap<String, u64>,
    /// What failpoints of each node had told when it was last started.
    told_to_fail: BTreeMap<String, usize>,
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
        memory_mib: BTreeMap::new(),
        told_to_fail: BTreeMap::new(),
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
    let audit = Audit::start(ledger.clone(), query);
    run.seen = probe.seen().clone();
    let load = Load::start(setup.plan, options.seed, &ledger, &input, agent, binary, &run.halves)?;
    run.wait_live(Instant::now(), START).context("nothing is stored, and nothing has happened yet")?;

    let injected = scenario.inject(&mut run);
    let mut problems: Vec<String> = injected.err().map(|error| format!("{error:#}")).into_iter().collect();
    let faulty = begun.elapsed();
    if let Err(error) = run.mend() {
        problems.push(format!("{error:#}"));
    }
    let around = Around { load, probe, audit, counters };
    let evidence = run.conclude(scenario, around, &mut problems)?;
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

    /// What is wrong where there were many faults, and none of a kind that begins so.
    pub(crate) fn lacks(&self, beginning: &str) -> Option<String> {
        let is_lacking = self.faults.count() >= MANY && self.faults.of_kind(beginning) == 0;
        is_lacking
            .then(|| format!("too few to mean anything: no {beginning:?} of {} faults", self.faults.count()))
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
        self.cluster.launch(name)?;
        if self.is_told_to_fail {
            let told = self.failed_as_told(name)?;
            self.told_to_fail.insert(name.to_owned(), told);
        }
        Ok(())
    }

    /// How often a node failed because it was told to, over all its lives.
    fn failed_as_told(&mut self, name: &str) -> Result<usize> {
        Ok(self.cluster.node(name)?.said("failpoint ").len())
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

    /// True once something is to be seen that was written after a moment.
    ///
    /// # Errors
    /// It is not, and too long ago.
    pub(crate) fn is_live_since(&self, moment: Instant) -> Result<bool> {
        let is_live = self.seen.live_after(moment).is_some();
        if !is_live && moment.elapsed() > self.options.live {
            bail!("nothing that was written in the last {:?} is to be seen", self.options.live);
        }
        Ok(is_live)
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
        for (name, status, how) in self.cluster.ended()? {
            let crash = format!("{name} ended by itself with {how}");
            if self.is_told_to_fail {
                let before = self.told_to_fail.get(&name).copied().unwrap_or(0);
                // Nobody is told to fail by a signal.
                if status.signal().is_some() || self.failed_as_told(&name)? <= before {
                    self.wrongs.push(format!("{crash}, and nobody told it to"));
                }
            }
            self.crashes.push(crash);
            self.launch(&name)?;
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
}
