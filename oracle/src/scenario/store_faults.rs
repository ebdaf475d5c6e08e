//! The object store behind `weir all` fails, is slow, and does not say what it did:
//! it stores an object and breaks the connection, or answers with an error, or answers
//! when its client has given up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::Rng;
use weir_storage::object::s3_server::{Fault, Operation, S3Server};

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::run::Run;

/// Until the requests came that were to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than Weir waits for an answer from its store.
const LATE: Duration = Duration::from_secs(32);

pub(super) struct StoreFaults;

impl Scenario for StoreFaults {
    fn name(&self) -> &'static str {
        "store-faults"
    }

    fn about(&self) -> &'static str {
        "an object store that fails, is slow, and stores what it says that it did not; kills beside it"
    }

    fn faults(&self) -> u64 {
        20
    }

    fn brief(&self) -> u64 {
        8
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, ..Needs::default() };
        Setup { shape: Shape::All, nodes: vec!["all"], needs, ..Setup::default() }
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        let server = S3Server::start();
        let config = server.config();
        let node = run.cluster.add("all")?;
        node.set("WEIR_OBJECTS", server.url("oracle"));
        node.set("WEIR_S3_ENDPOINT", config.endpoint);
        node.set("WEIR_S3_REGION", config.region);
        node.set("WEIR_S3_ACCESS_KEY_ID", config.access_key_id);
        node.set("WEIR_S3_SECRET_ACCESS_KEY", config.secret_access_key);
        node.set("WEIR_S3_ALLOW_HTTP", "true");
        run.store = Some(server);
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let draw = run.random.random_range(0..if run.options.is_brief { 95 } else { 100 });
            let (kind, operation, fault, most) = match draw {
                0..25 => ("put stored, connection broken", Operation::Put, Fault::AnswerLost, 3),
                25..50 => ("put stored, answered 500", Operation::Put, Fault::DoneButFailed, 3),
                50..65 => ("put refused", Operation::Put, Fault::Unavailable, 6),
                65..70 => ("put refused, too many", Operation::Put, Fault::TooMany, 3),
                70..80 => ("put slow", Operation::Put, Fault::Slow(Duration::from_secs(2)), 2),
                80..90 => ("get refused", Operation::Get, Fault::Unavailable, 4),
                90..95 => ("get slow", Operation::Get, Fault::Slow(Duration::from_secs(2)), 2),
                _ => ("put stored when its client had gone", Operation::Put, Fault::Slow(LATE), 1),
            };
            let count = run.random.random_range(1..=most);
            meet(run, operation, fault, count)?;
            if run.random.random_bool(0.2) {
                run.kill("all")?;
                run.sleep_ms(0..200);
                run.launch("all")?;
            }
            run.over(kind);
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

/// Lets the next requests fail, and waits until they have come.
fn meet(run: &mut Run, operation: Operation, fault: Fault, count: usize) -> Result<()> {
    let (before, begun) = (met(run)?, Instant::now());
    store(run)?.fail(operation, vec![fault; count]);
    while met(run)? < before + count as u64 {
        if begun.elapsed() > PATIENCE {
            bail!("the store was not asked for {count} times {operation:?} within {PATIENCE:?}");
        }
        run.sleep_ms(20..60);
        run.mind()?;
    }
    Ok(())
}

fn met(run: &Run) -> Result<u64> {
    Ok(store(run)?.faults())
}

fn store(run: &Run) -> Result<&S3Server> {
    run.store.as_ref().context("it was prepared")
}
