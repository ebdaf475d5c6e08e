//! What came out, and whether it is good: too few faults are no better than a loss.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fault::Faults;
use crate::judge::Findings;
use crate::ledger::Table;
use crate::scenario::Needs;

/// Fewer events say nothing.
const EVENTS_MIN: u64 = 1000;

/// Fewer answers about the newest line say nothing about answers.
const ANSWERS_MIN: u64 = 10;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) faults: Faults,
    pub(crate) findings: Findings,
    /// Events that `weir.gaps` says are lost.
    pub(crate) losses: u64,
    pub(crate) rotations: u64,
    pub(crate) commits: u64,
    /// Events that the event log carried again, and that were not stored again, as the
    /// catalog has counted them.
    pub(crate) duplicates_refused: u64,
    /// Partitions that went from one ingester to another.
    pub(crate) handovers: u64,
    /// Processes that ended by themselves.
    pub(crate) crashes: u64,
    /// What `weir check --rows` says of files and catalog at the end.
    pub(crate) checked: String,
    /// The slowest recovery after a fault of each kind.
    pub(crate) slowest: BTreeMap<String, Duration>,
    pub(crate) answers: u64,
    /// Of them such that name a lane, and such that name a partition.
    pub(crate) answers_naming: [u64; 2],
    /// How often an input was held to an answer's `complete_until`.
    pub(crate) inputs_audited: BTreeMap<&'static str, u64>,
    pub(crate) unanswered_questions: u64,
    /// The most memory of each process at the end, MiB.
    pub(crate) memory_mib: BTreeMap<String, u64>,
}

/// A run's result.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    scenario: String,
    seed: u64,
    asked: u64,
    evidence: Evidence,
    problems: Vec<String>,
    faulty: Duration,
}

impl Report {
    /// Judges what was seen, beside what went wrong anyway.
    pub(crate) fn new(
        scenario: &str,
        seed: u64,
        (asked, needs): (u64, Needs),
        evidence: Evidence,
        mut problems: Vec<String>,
        faulty: Duration,
    ) -> Self {
        problems.extend(broken(&evidence, needs));
        problems.extend(vacuous(&evidence, asked, needs));
        Self { scenario: scenario.to_owned(), seed, asked, evidence, problems, faulty }
    }

    /// True if nothing is wrong.
    pub(crate) fn is_pass(&self) -> bool {
        self.problems.is_empty()
    }

    /// What became of the events.
    pub(crate) fn findings(&self) -> &Findings {
        &self.evidence.findings
    }

    /// What is wrong.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let Evidence { faults, findings, slowest, .. } = &self.evidence;
        let by_kind: BTreeMap<_, _> = slowest.iter().map(|(kind, took)| (kind, tenths(*took))).collect();
        json!({
            "scenario": self.scenario,
            "seed": self.seed,
            "verdict": if self.is_pass() { "pass" } else { "fail" },
            "why": self.problems,
            "faults_asked": self.asked,
            "faults": faults.count(),
            "faults_by_kind": faults.kinds(),
            "faults_with_commits_between": faults.with_commits_between(),
            "issued": findings.issued,
            "acknowledged": findings.acknowledged,
            "unanswered": findings.unanswered,
            "refused": findings.refused,
            "stored": findings.stored,
            "lost": findings.lost,
            "duplicated": findings.duplicated,
            "phantom": findings.phantom,
            "altered": findings.altered,
            "out_of_order": findings.out_of_order,
            "losses_reported": self.evidence.losses,
            "duplicates_refused": self.evidence.duplicates_refused,
            "continued": findings.continued,
            "rotations": self.evidence.rotations,
            "commits": self.evidence.commits,
            "handovers": self.evidence.handovers,
            "crashes": self.evidence.crashes,
            "checked": self.evidence.checked,
            "answers": self.evidence.answers,
            "answers_naming_lanes": self.evidence.answers_naming[0],
            "answers_naming_partitions": self.evidence.answers_naming[1],
            "inputs_audited": self.evidence.inputs_audited,
            "memory_peak_mib": self.evidence.memory_mib,
            "questions_unanswered": self.evidence.unanswered_questions,
            "slowest_recovery_s": slowest.values().copied().max().map_or(0.0, tenths),
            "slowest_recovery_s_by_kind": by_kind,
            "seconds": self.faulty.as_secs(),
            "examples": findings.examples,
        })
    }
}

/// Seconds, to a tenth.
fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// What breaks a promise.
fn broken(evidence: &Evidence, needs: Needs) -> Vec<String> {
    let found = &evidence.findings;
    let counts = [
        ("lost", if needs.losses { 0 } else { found.lost }),
        ("duplicated", found.duplicated),
        ("phantom", found.phantom),
        ("altered", found.altered),
        ("out of order", found.out_of_order),
    ];
    let mut broken: Vec<_> =
        counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    if evidence.losses != found.lost {
        broken.push(format!("{} lost, and {} are told in weir.gaps", found.lost, evidence.losses));
    }
    broken
}

/// Why a run without a finding would mean nothing.
fn vacuous(evidence: &Evidence, asked: u64, needs: Needs) -> Vec<String> {
    let (faults, found) = (&evidence.faults, &evidence.findings);
    let happened = faults.count();
    let mut why = Vec::new();
    let mut need = |what: &str, found: u64, least: u64| {
        if found < least {
            why.push(format!("too few to mean anything: {found} {what} of {least}"));
        }
    };
    need("faults", happened, asked.max(1));
    need("acknowledged events", found.acknowledged, EVENTS_MIN);
    need("answers", evidence.answers, ANSWERS_MIN);
    for table in Table::ALL.map(Table::rows) {
        let held = evidence.inputs_audited.get(table).copied().unwrap_or(0);
        need(&format!("inputs in answers about {table}"), held, 1);
    }
    if needs.commits {
        need(
            "faults with a commit before the next",
            faults.with_commits_between(),
            happened.saturating_sub(1) / 4,
        );
        need("commits", evidence.commits, 1);
    }
    if needs.resends {
        need("events that came again", evidence.duplicates_refused, 1);
    }
    if needs.losses {
        need("events that are lost", found.lost, 1);
    }
    if needs.rotations {
        need("rotations", evidence.rotations, happened);
    }
    if needs.cuts {
        need("rows that go on after a cut", found.continued, 1);
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::Holds;

    const NEEDS: Needs = Needs {
        commits: true,
        rotations: true,
        cuts: true,
        resends: true,
        losses: false,
        holds: Holds::Unsaid,
    };

    fn good() -> Evidence {
        let mut faults = Faults::default();
        (0..4).for_each(|commits| faults.over("kill", commits));
        Evidence {
            faults,
            findings: Findings { acknowledged: 5000, continued: 3, ..Findings::default() },
            rotations: 9,
            commits: 9,
            duplicates_refused: 1,
            answers: 99,
            inputs_audited: Table::ALL.map(|table| (table.rows(), 9)).into(),
            ..Evidence::default()
        }
    }

    fn verdict(evidence: Evidence, problems: &[&str]) -> Report {
        let problems = problems.iter().map(|text| (*text).to_owned()).collect();
        Report::new("x", 1, (4, NEEDS), evidence, problems, Duration::ZERO)
    }

    #[test]
    fn whatever_is_wrong_fails() {
        assert!(verdict(good(), &[]).is_pass());
        assert!(!verdict(good(), &["it crashed"]).is_pass());
        let check = |spoil: fn(&mut Evidence)| {
            let mut evidence = good();
            spoil(&mut evidence);
            let report = verdict(evidence, &[]);
            assert!(!report.is_pass() && report.json()["verdict"] == "fail", "{report:?}");
        };
        check(|of| (of.findings.lost, of.losses) = (1, 1));
        check(|of| of.findings.lost = 1);
        check(|of| of.losses = 1);
        check(|of| of.findings.duplicated = 1);
        check(|of| of.findings.phantom = 1);
        check(|of| of.findings.altered = 1);
        check(|of| of.findings.out_of_order = 1);
        check(|of| of.faults = Faults::default());
        check(|of| of.findings.acknowledged = 10);
        check(|of| of.answers = 0);
        check(|of| of.inputs_audited.retain(|table, _| *table != "spans"));
        check(|of| of.duplicates_refused = 0);
        check(|of| of.rotations = 3);
        check(|of| of.findings.continued = 0);
        check(|of| {
            of.faults = Faults::default();
            (0..5).for_each(|_| of.faults.over("kill", 7));
        });
    }

    #[test]
    fn where_losses_are_real_they_are_told() {
        let check = |lost: u64, losses: u64, is_pass: bool| {
            let needs = Needs { losses: true, ..NEEDS };
            let findings = Findings { lost, ..good().findings };
            let evidence = Evidence { findings, losses, ..good() };
            let report = Report::new("x", 1, (4, needs), evidence, Vec::new(), Duration::ZERO);
            assert_eq!(report.is_pass(), is_pass, "{lost} {losses}");
        };
        check(5, 5, true);
        check(5, 4, false);
        check(5, 6, false);
        check(0, 0, false);
    }
}
