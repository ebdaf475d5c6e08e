//! What a build with failpoints does at them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Injected;
use crate::HumanDuration;

/// The exit status of a process that ended at a place.
const EXIT_STATUS: i32 = 86;

/// What happens at a place, and when.
#[derive(Debug)]
struct Plan {
    name: String,
    action: Action,
    turn: Turn,
    passed: AtomicU64,
    taken: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Panic,
    Error,
    Stall(Duration),
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Always,
    Nth(u64),
    Every(u64),
}

/// The process comes by a place.
///
/// # Errors
/// A test asked for one here.
///
/// # Panics
/// When a test asked for that, or `FAILPOINTS` cannot be read.
#[expect(
    clippy::print_stderr,
    clippy::exit,
    reason = "the process is to end here, and its test to know where"
)]
pub fn reach(name: &'static str) -> Result<(), Injected> {
    let Some(action) = plans().iter().find(|plan| plan.name == name).and_then(Plan::next) else {
        return Ok(());
    };
    eprintln!("failpoint {name}: {action:?}");
    match action {
        Action::Panic => panic!("failpoint {name}"),
        Action::Error => Err(Injected(name)),
        Action::Stall(time) => {
            std::thread::sleep(time);
            Ok(())
        }
        Action::Exit => std::process::exit(EXIT_STATUS),
    }
}

/// How often each place was passed and each action was taken.
pub fn counts() -> String {
    let line = |plan: &Plan| {
        let [passed, taken] = [&plan.passed, &plan.taken].map(|count| count.load(Ordering::SeqCst));
        format!("{} {passed} {taken}\n", plan.name)
    };
    plans().iter().map(line).collect()
}

fn plans() -> &'static [Plan] {
    static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
    PLANS.get_or_init(|| {
        let text = std::env::var("FAILPOINTS").unwrap_or_default();
        parse(&text).unwrap_or_else(|wrong| panic!("FAILPOINTS: {wrong}"))
    })
}

impl Plan {
    /// The action, if it is due this time.
    fn next(&self) -> Option<Action> {
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let is_due = match self.turn {
            Turn::Always => true,
            Turn::Nth(nth) => passed == nth,
            Turn::Every(nth) => passed.is_multiple_of(nth),
        };
        if !is_due {
            return None;
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(self.action)
    }
}

fn parse(text: &str) -> Result<Vec<Plan>, String> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(plan).collect()
}

fn plan(part: &str) -> Result<Plan, String> {
    let (name, what) = part.split_once('=').ok_or_else(|| format!("{part:?} is no NAME=ACTION"))?;
    let (what, turn) = match what.split_once(['@', '%']) {
        None => (what, Turn::Always),
        Some((before, number)) => {
            let number = number.parse().ok().filter(|number| *number > 0);
            let number =
                number.ok_or_else(|| format!("{part:?}: what follows @ or % is a number from 1 on"))?;
            (before, if what.contains('@') { Turn::Nth(number) } else { Turn::Every(number) })
        }
    };
    let action = match what.split_once(':') {
        Some(("stall", time)) => {
            let time: HumanDuration = time.parse().map_err(|error| format!("{part:?}: {error}"))?;
            Action::Stall(time.0)
        }
        None if what == "panic" => Action::Panic,
        None if what == "error" => Action::Error,
        None if what == "exit" => Action::Exit,
        _ => return Err(format!("{part:?}: an action is panic, error, stall:TIME or exit")),
    };
    let (passed, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    Ok(Plan { name: name.trim().to_owned(), action, turn, passed, taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_what_is_none_is_told() {
        let plans = parse("a.b=error; c=stall:500ms%3;d=exit@2;").expect("plans");
        let seen: Vec<_> = plans.iter().map(|plan| (plan.name.as_str(), plan.action, plan.turn)).collect();
        let stall = Action::Stall(Duration::from_millis(500));
        assert_eq!(
            seen,
            [
                ("a.b", Action::Error, Turn::Always),
                ("c", stall, Turn::Every(3)),
                ("d", Action::Exit, Turn::Nth(2))
            ]
        );
        for wrong in ["a", "a=boom", "a=stall", "a=stall:soon", "a=error@0", "a=error@x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_action_is_taken_when_it_is_due() {
        let check = |text, expected: &[bool]| {
            let plans = parse(text).expect("a plan");
            let taken: Vec<_> = (0..expected.len()).map(|_| plans[0].next().is_some()).collect();
            assert_eq!(taken, expected, "{text}");
        };
        check("a=error", &[true, true]);
        check("a=error@2", &[false, true, false, false]);
        check("a=error%2", &[false, true, false, true]);
    }
}
