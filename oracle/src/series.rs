//! Runs one after the other, a line for each and one for all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::arguments::{self, Options};
use crate::cluster::Variable;
use crate::planted::Planted;
use crate::play;
use crate::scenario::Scenario;

/// What a run came to.
struct Outcome {
    is_good: bool,
    /// In a word or two.
    word: &'static str,
    result: Value,
}

/// Brief runs of one binary.
pub(crate) struct Series {
    as_json: bool,
    binary: PathBuf,
    /// How long is waited for what may never come, where something is expected to be
    /// wrong.
    patience: Duration,
    begun: Instant,
    /// Runs without a bug, each the same for all that look for one there.
    clean: BTreeSet<(&'static str, u64, &'static [&'static str])>,
    count: u64,
    failed: Vec<String>,
}

impl Series {
    /// No run yet.
    pub(crate) fn new(as_json: bool, binary: &Path, patience: Duration) -> Self {
        let (binary, clean, failed) = (binary.to_owned(), BTreeSet::new(), Vec::new());
        Self { as_json, binary, patience, begun: Instant::now(), clean, count: 0, failed }
    }

    /// A run with a bug, which must be seen.
    ///
    /// # Errors
    /// The table of bugs names no scenario.
    pub(crate) fn find(&mut self, planted: &Planted, seed: u64) -> Result<()> {
        let name = format!("{} with {}, seed {seed}", planted.scenario, planted.bug);
        let (scenario, mut options) = (planted.scenario()?, options(seed, planted.settings));
        options.environment.push(Variable::everywhere("PLANTED_BUG", planted.bug));
        (options.live, options.settle) = (self.patience, self.patience);
        self.play(&name, |binary| {
            let (report, result) = play::once(scenario, &options, binary)?;
            let is_good = planted.sign.is_in(&report);
            Ok(Outcome { is_good, word: if is_good { "found" } else { "NOT FOUND" }, result })
        });
        Ok(())
    }

    /// A run without one, which must pass. Once for each seed.
    pub(crate) fn pass(
        &mut self,
        scenario: &'static dyn Scenario,
        seed: u64,
        settings: &'static [&'static str],
    ) {
        if !self.clean.insert((scenario.name(), seed, settings)) {
            return;
        }
        let with: String = settings.iter().map(|setting| format!(" with {setting}")).collect();
        let options = options(seed, settings);
        self.play(&format!("{}{with}, seed {seed}", scenario.name()), |binary| {
            let (report, result) = play::once(scenario, &options, binary)?;
            let is_good = report.is_pass();
            Ok(Outcome { is_good, word: if is_good { "pass" } else { "FAIL" }, result })
        });
    }

    /// The last line. True if every run was as it should be.
    pub(crate) fn finish(self) -> bool {
        let Self { as_json, begun, count, failed, .. } = self;
        let seconds = begun.elapsed().as_secs();
        if as_json {
            println!("{}", json!({ "runs": count, "failed": failed, "seconds": seconds }));
        } else {
            println!("{count} runs in {seconds} s, {} failed", failed.len());
            failed.iter().for_each(|name| println!("  {name}"));
        }
        failed.is_empty()
    }

    /// Plays one and tells of it in a line.
    fn play(&mut self, name: &str, play: impl FnOnce(&Path) -> Result<Outcome>) {
        let begun = Instant::now();
        let Outcome { is_good, word, result } = play(&self.binary).unwrap_or_else(|error| {
            let result = json!({ "why": [format!("{error:#}")] });
            Outcome { is_good: false, word: "UNKNOWN", result }
        });
        self.count += 1;
        if !is_good {
            self.failed.push(name.to_owned());
        }
        let seconds = begun.elapsed().as_secs();
        if self.as_json {
            println!("{}", json!({ "run": name, "good": is_good, "seconds": seconds, "result": result }));
            return;
        }
        let counts = ["faults", "acknowledged", "lost", "duplicated"];
        let counts = counts.map(|count| format!("{count} {}", result[count]));
        println!("{word:10}{seconds:4} s  {name}: {}", counts.join(", "));
        if !is_good {
            println!("{:18}{}", "", result["why"]);
        }
    }
}

fn options(seed: u64, settings: &[&str]) -> Options {
    let environment = settings.iter().filter_map(|text| arguments::variable(text).ok()).collect();
    Options { seed, environment, is_brief: true, ..Options::default() }
}
