//! Whether the oracle can see: a bug is planted in the binary under test, and the
//! scenario that is to find it must say what the table here says; without the bug
//! the same seed must pass. A zero from a harness that cannot see is worth nothing.
//!
//! The bugs themselves stand where they spoil something (`weir_runtime::planted`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::arguments::{self, Options};
use crate::cluster::Variable;
use crate::play;
use crate::report::Report;
use crate::scenario::{self, Scenario};

/// A bug, and who finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) bug: &'static str,
    pub(crate) scenario: &'static str,
    /// As after `--env`, for both runs.
    settings: &'static [&'static str],
    /// By what.
    sign: Sign,
}

/// What the verdict must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Something that was acknowledged is not there.
    Lost,
    /// Something is there twice.
    Duplicated,
    /// A problem with these words in it.
    Says(&'static str),
}

const fn planted(bug: &'static str, scenario: &'static str, sign: Sign) -> Planted {
    Planted { bug, scenario, settings: &[], sign }
}

/// All that can be planted.
pub(crate) const ALL: [Planted; 12] = [
    planted("ack-before-fsync", "power-cut", Sign::Lost),
    planted("auto-offset-store", "kill-ingest", Sign::Lost),
    planted("commit-offsets-first", "kill-ingest", Sign::Lost),
    planted("drop-on-timeout", "kill-broker", Sign::Lost),
    planted("limit-on-compressed-size", "pressure", Sign::Says("was let in")),
    planted("no-directory-fsync", "power-cut", Sign::Lost),
    planted("no-fence", "zombie", Sign::Duplicated),
    planted("range-by-put", "kill-node", Sign::Duplicated),
    planted("seek-without-size-check", "truncate", Sign::Lost),
    planted("skip-dead-letter", "poison", Sign::Says("is among the dead letters 0 times")),
    planted("success-on-reject", "pressure", Sign::Lost),
    planted("unlink-before-fsync", "kill-agent", Sign::Lost),
];

/// How long is waited for what may never come, where something is expected to be wrong.
const PATIENCE: Duration = Duration::from_secs(8);

/// Runs that were played, and what they came to: a run without a bug is the same for
/// all that look for one there.
#[derive(Default)]
pub(crate) struct Runs {
    clean: BTreeMap<(&'static str, u64, &'static [&'static str]), bool>,
    pub(crate) failed: Vec<String>,
    pub(crate) count: u64,
}

/// Looks for each of these bugs with each seed. True if all were found, and nothing
/// was where none was.
///
/// # Errors
/// A name is none.
pub(crate) fn search(names: &str, seeds: &[u64], as_json: bool, binary: &Path) -> Result<bool> {
    let wanted: Vec<_> = ALL.iter().filter(|planted| names == "all" || names == planted.bug).collect();
    anyhow::ensure!(!wanted.is_empty(), "{names:?} cannot be planted; --list names what can");
    let mut runs = Runs::default();
    for planted in wanted {
        for seed in seeds {
            runs.find(planted, *seed, as_json, binary);
            let scenario = scenario::of(planted.scenario).context("the table names scenarios")?;
            runs.pass(scenario, *seed, planted.settings, as_json, binary);
        }
    }
    runs.tell(as_json);
    Ok(runs.failed.is_empty())
}

impl Runs {
    /// A run with a bug, which must be seen.
    pub(crate) fn find(&mut self, planted: &Planted, seed: u64, as_json: bool, binary: &Path) {
        let name = format!("{}: {} with {}, seed {seed}", planted.bug, planted.scenario, planted.bug);
        self.play(
            &name,
            as_json,
            |options| {
                let scenario = scenario::of(planted.scenario).context("the table names scenarios")?;
                options.environment.push(Variable::everywhere("PLANTED_BUG", planted.bug));
                (options.live, options.settle) = (PATIENCE, PATIENCE);
                let (report, result) = play::once(scenario, options, binary)?;
                let is_found = planted.sign.is_in(&report);
                Ok((is_found, if is_found { "found" } else { "NOT FOUND" }, result))
            },
            seed,
            planted.settings,
        );
    }

    /// A run without one, which must pass. Once for each seed.
    pub(crate) fn pass(
        &mut self,
        scenario: &'static dyn Scenario,
        seed: u64,
        settings: &'static [&'static str],
        as_json: bool,
        binary: &Path,
    ) {
        let key = (scenario.name(), seed, settings);
        if self.clean.contains_key(&key) {
            return;
        }
        let with = if settings.is_empty() { String::new() } else { format!(" with {}", settings.join(" ")) };
        let name = format!("{}{with}, seed {seed}", scenario.name());
        let is_good = self.play(
            &name,
            as_json,
            |options| {
                let (report, result) = play::once(scenario, options, binary)?;
                let is_pass = report.is_pass();
                Ok((is_pass, if is_pass { "pass" } else { "FAIL" }, result))
            },
            seed,
            settings,
        );
        self.clean.insert(key, is_good);
    }

    /// Plays one and tells of it in a line.
    fn play(
        &mut self,
        name: &str,
        as_json: bool,
        play: impl FnOnce(&mut Options) -> Result<(bool, &'static str, Value)>,
        seed: u64,
        settings: &[&str],
    ) -> bool {
        let begun = Instant::now();
        let environment = settings.iter().filter_map(|text| arguments::variable(text).ok()).collect();
        let mut options = Options { seed, environment, is_brief: true, ..Options::default() };
        let (is_good, word, result) = play(&mut options)
            .unwrap_or_else(|error| (false, "COULD NOT BE RUN", json!({ "why": [format!("{error:#}")] })));
        self.count += 1;
        if !is_good {
            self.failed.push(name.to_owned());
        }
        let seconds = begun.elapsed().as_secs();
        if as_json {
            println!("{}", json!({ "run": name, "good": is_good, "seconds": seconds, "result": result }));
        } else {
            let counts = ["faults", "acknowledged", "lost", "duplicated"];
            let counts = counts.map(|count| format!("{count} {}", result[count]));
            println!("{word:10} {seconds:4} s  {name}: {}", counts.join(", "));
            if !is_good {
                println!("{:17}{}", "", result["why"]);
            }
        }
        is_good
    }

    /// The last line.
    pub(crate) fn tell(&self, as_json: bool) {
        if as_json {
            println!("{}", json!({ "runs": self.count, "failed": self.failed }));
        } else {
            println!(
                "{} runs, {} failed{}",
                self.count,
                self.failed.len(),
                if self.failed.is_empty() { "" } else { ":" }
            );
            self.failed.iter().for_each(|name| println!("  {name}"));
        }
    }
}

impl Sign {
    fn is_in(self, report: &Report) -> bool {
        match self {
            Self::Lost => report.findings().lost > 0,
            Self::Duplicated => report.findings().duplicated > 0,
            Self::Says(words) => report.problems().iter().any(|problem| problem.contains(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_that_can_be_planted_is_looked_for() {
        let mut names: Vec<_> = ALL.iter().map(|planted| planted.bug).collect();
        names.sort_unstable();
        assert_eq!(names, weir_runtime::planted::NAMES);
        for planted in &ALL {
            assert!(scenario::of(planted.scenario).is_some(), "{}", planted.scenario);
            assert!(planted.settings.iter().all(|text| arguments::variable(text).is_ok()), "{}", planted.bug);
        }
    }
}
