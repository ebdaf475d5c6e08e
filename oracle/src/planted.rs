//! Whether the oracle can see: a bug is planted in the binary under test, and the
//! scenario that is to find it must say what the table here says; without the bug
//! the same seed must pass. A zero from a harness that cannot see is worth nothing.
//!
//! The bugs themselves stand where they spoil something (`weir_runtime::planted`).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::report::Report;
use crate::scenario::{self, Scenario};
use crate::series::Series;

/// Longer than anything takes that is only late: what is not there then is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bug, and who finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) bug: &'static str,
    pub(crate) scenario: &'static str,
    /// As after `--env`, for both runs.
    pub(crate) settings: &'static [&'static str],
    /// By what.
    pub(crate) sign: Sign,
}

/// What the verdict must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
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
    // Longer between what was handed out and what is stored.
    Planted {
        settings: &["ingest:WEIR_INGEST_FLUSH_INTERVAL=1s"],
        ..planted("auto-offset-store", "kill-ingest", Sign::Lost)
    },
    // Between the two there is little time: killed just there.
    Planted {
        settings: &["ingest:FAILPOINTS=ingest.put.before=exit%7"],
        ..planted("commit-offsets-first", "failpoints", Sign::Lost)
    },
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

impl Planted {
    /// Who finds it.
    ///
    /// # Errors
    /// Nobody is called so.
    pub(crate) fn scenario(&self) -> Result<&'static dyn Scenario> {
        scenario::of(self.scenario).with_context(|| format!("there is no scenario {:?}", self.scenario))
    }
}

/// Looks for each of these bugs with each seed. True if all were found, and nothing
/// was where none was.
///
/// # Errors
/// A name is none.
pub(crate) fn search(names: &str, seeds: &[u64], as_json: bool, binary: &Path) -> Result<bool> {
    let wanted: Vec<_> = ALL.iter().filter(|planted| names == "all" || names == planted.bug).collect();
    ensure!(!wanted.is_empty(), "{names:?} cannot be planted; --list names what can");
    let mut series = Series::new(as_json, binary, PATIENCE);
    for planted in wanted {
        for seed in seeds {
            series.find(planted, *seed)?;
            series.pass(planted.scenario()?, *seed, planted.settings);
        }
    }
    Ok(series.finish())
}

impl Sign {
    /// True if the verdict says it.
    pub(crate) fn is_in(self, report: &Report) -> bool {
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
    use crate::arguments;

    #[test]
    fn every_bug_that_can_be_planted_is_looked_for() {
        let mut names: Vec<_> = ALL.iter().map(|planted| planted.bug).collect();
        names.sort_unstable();
        assert_eq!(names, weir_runtime::planted::NAMES);
        for planted in &ALL {
            assert!(planted.scenario().is_ok(), "{}", planted.scenario);
            assert!(planted.settings.iter().all(|text| arguments::variable(text).is_ok()), "{}", planted.bug);
        }
    }
}
