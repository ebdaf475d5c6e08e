//! Spools with hardly any room, and bodies that are small on the wire and over the
//! limit once unpacked: what is refused must be told so, and must not be there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::event::Style;
use crate::ledger::{Feed, Table};
use crate::load::{Plan, push_logs};
use crate::naming::Holds;
use crate::run::Run;

/// What `agent.receive.max_body` is.
const BODY_BYTES_MAX: usize = 64 << 10;

/// So many records are over the limit as they are, and under it when packed.
const RECORDS: std::ops::Range<u64> = 400..600;

/// Clients that push at one moment, so that one of them finds no room.
const CROWD: u64 = 6;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Pressure;

impl Scenario for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn about(&self) -> &'static str {
        "pushes into spools with hardly any room, and packed bodies that are over the limit once unpacked"
    }

    fn faults(&self) -> u64 {
        40
    }

    fn brief(&self) -> u64 {
        12
    }

    fn setup(&self, options: &Options) -> Setup {
        let needs = Needs { commits: true, holds: Holds::Agents, ..Needs::default() };
        // A shell that is told to come again does so in seconds: too slow for a brief run.
        let plan = Plan { otlp: 4, ships: u32::from(!options.is_brief), ..Plan::default() };
        let mut setup = Setup { shape: Shape::All, nodes: vec!["all"], needs, plan, ..Setup::default() };
        setup.settings.push(("WEIR_AGENT_RECEIVE_SPOOL_BYTES", "4KiB".to_owned()));
        setup.settings.push(("WEIR_AGENT_RECEIVE_MAX_BODY", BODY_BYTES_MAX.to_string()));
        setup
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let (agent, ledger) = (run.cluster.agent()?, run.ledger.clone());
        let open = |name: &str| ledger.open(name, name, Table::Lines, Style::Plain);
        let large = open("large");
        let crowd: Vec<_> = (0..CROWD).map(|n| open(&format!("crowd{n}"))).collect();
        while run.is_to_go_on() {
            if run.random.random_bool(0.5) {
                let records = run.random.random_range(RECORDS);
                refused_for_its_size(run, agent, &large, records)?;
                run.over("too large once unpacked");
            } else {
                refused_for_want_of_room(agent, &crowd)?;
                run.over("no room in the spool");
            }
            run.sleep_ms(50..400);
            run.mind()?;
        }
        Ok(())
    }
}

/// Pushes it until it is looked at, and says what is wrong if it is let in.
fn refused_for_its_size(run: &mut Run, agent: SocketAddr, feed: &Feed, records: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        match push_logs(agent, feed, records, true).1 {
            Ok(answer) if answer.status == 413 => return Ok(()),
            Ok(answer) if answer.is_success() => {
                let limit = BODY_BYTES_MAX;
                run.wrong(format!("a body that is over the limit of {limit} bytes once unpacked was let in"));
                return Ok(());
            }
            // There is no room even for looking at it.
            Ok(answer) if answer.status == 503 && begun.elapsed() < PATIENCE => {}
            Ok(answer) => bail!("a body that is too large is answered {}: {}", answer.status, answer.text()),
            Err(error) => bail!("a body that is too large gets {error}"),
        }
    }
}

/// Pushes from several clients at once until one of them is told that there is no
/// room. Weir counts it, so it is asked, and not only the answers.
fn refused_for_want_of_room(agent: SocketAddr, crowd: &[Feed]) -> Result<()> {
    let begun = Instant::now();
    let before = refusals(agent)?;
    while begun.elapsed() < PATIENCE {
        std::thread::scope(|scope| {
            for feed in crowd {
                scope.spawn(move || push_logs(agent, feed, 20, false));
            }
        });
        if refusals(agent)? > before {
            return Ok(());
        }
    }
    bail!("{} clients at once find room for {PATIENCE:?}", crowd.len())
}

fn refusals(agent: SocketAddr) -> Result<u64> {
    let answer = crate::http::request(agent, ("GET", "/metrics"), &[], b"", PATIENCE)?;
    let text = answer.text();
    let lines = text.lines().filter(|line| line.contains("reason=\"spool_full\""));
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}
