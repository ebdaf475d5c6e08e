//! What a check found, for people and for scripts.

use std::fmt::Write;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not for all.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be looked at, or there is nothing to look at.
    Skip,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) outcome: Outcome,
    /// What is, and what that means.
    pub(crate) found: String,
    /// What to do; empty where nothing is to be done.
    pub(crate) advice: String,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, found: found.into(), advice: String::new() }
    }

    pub(crate) fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Warn, found: found.into(), advice: advice.into() }
    }

    pub(crate) fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Fail, found: found.into(), advice: advice.into() }
    }

    pub(crate) fn skip(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Skip, found: found.into(), advice: advice.into() }
    }
}

impl Report {
    /// Nothing keeps Weir from working.
    pub(crate) fn is_ok(&self) -> bool {
        self.count(Outcome::Fail) == 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// A line for each check, and below it what to do.
    pub(crate) fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, outcome, found, advice } in &self.findings {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<4}  {check:<width$}  {}", outcome.as_str(), harmless(found));
            if !advice.is_empty() {
                let _ = writeln!(text, "      {:<width$}  -> {}", "", harmless(advice));
            }
        }
        let [fail, warn] = [Outcome::Fail, Outcome::Warn].map(|outcome| self.count(outcome));
        let _ = match (fail, warn) {
            (0, 0) => writeln!(text, "nothing is wrong"),
            (0, warn) => writeln!(text, "{warn} to look at, nothing that fails"),
            (fail, warn) => writeln!(text, "{fail} failed, {warn} to look at"),
        };
        text
    }

    pub(crate) fn json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "check": finding.check,
                "outcome": finding.outcome.as_str(),
                "found": finding.found,
                "advice": finding.advice,
            })
        };
        json!({ "ok": self.is_ok(), "checks": self.findings.iter().map(finding).collect::<Vec<_>>() })
    }
}

/// Names of files and words of others reach a terminal.
fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_check_and_what_to_do() {
        let findings = vec![
            Finding::ok("open files", "1048576"),
            Finding::warn("disk", "1 GB free\u{1b}[2J", "make room"),
            Finding::skip("clock", "not checked", ""),
        ];
        let report = Report { findings };
        assert!(report.is_ok());
        let expected = "\
ok    open files  1048576
warn  disk        1 GB free\\u{1b}[2J
                  -> make room
skip  clock       not checked
1 to look at, nothing that fails
";
        assert_eq!(report.text(), expected);
        assert_eq!(report.json()["checks"][1]["advice"], "make room");
        let report = Report { findings: vec![Finding::fail("a", "b", "c")] };
        assert!(!report.is_ok() && report.text().ends_with("1 failed, 0 to look at\n"));
        assert_eq!(report.json()["ok"], false);
    }
}
