//! A file is cut off and written anew in place, when all of it is stored: nothing is
//! lost then, whatever its length says, and whether the agent is there or not.

use std::fs::File;
use std::io::Write;

use anyhow::Result;
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::event::Style;
use crate::ledger::{Fate, Table};
use crate::run::Run;

/// Its service, and its feed's name.
const NAME: &str = "anew";

/// Lines of each writing: the next may be longer or shorter.
const LINES: std::ops::Range<u64> = 1..300;

pub(super) struct Truncate;

impl Scenario for Truncate {
    fn name(&self) -> &'static str {
        "truncate"
    }

    fn about(&self) -> &'static str {
        "a file is cut off and written anew in place, longer or shorter, in half of all cases while `weir all` is down"
    }

    fn brief(&self) -> u64 {
        6
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, ..Needs::default() };
        Setup { shape: Shape::All, nodes: vec!["all"], needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let feed = run.ledger.open(NAME, NAME, Table::Lines, Style::Plain);
        let path = run.cluster.input().join(format!("{NAME}.log"));
        while run.is_to_go_on() {
            run.wait_stored(NAME, feed.issue(0).start)?;
            let is_down = run.random.random_bool(0.5);
            if is_down {
                run.kill("all")?;
            }
            let numbers = feed.issue(run.random.random_range(LINES));
            let text: String = numbers.clone().map(|number| feed.text(number) + "\n").collect();
            // The same inode, empty, and then full again.
            File::create(&path)?.write_all(text.as_bytes())?;
            feed.settle(numbers, Fate::Owed);
            if is_down {
                run.launch("all")?;
            }
            run.over(if is_down { "written anew while the agent is down" } else { "written anew" });
            run.sometimes_recover()?;
        }
        Ok(())
    }
}
