//! A circuit breaker: after too many failures nobody is called for a while,
//! then one call is let through to see.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Calls that are looked back on, and how many there must be to judge.
const WINDOW: usize = 10;
const CALLS_MIN: usize = 5;

/// The share of failures that opens it, percent.
const FAILURES_PERCENT: usize = 50;

/// How long nobody is called.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Open,
    HalfOpen,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "opened",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The breaker of one dependency.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    since: Instant,
    outcomes: VecDeque<bool>,
    /// A trial call is under way.
    is_tried: bool,
    opened: u64,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Closed, since: now, outcomes: VecDeque::new(), is_tried: false, opened: 0 }
    }

    /// Whether a call may be made, and the state if this changed it.
    pub(super) fn permit(&mut self, now: Instant) -> (bool, Option<State>) {
        match self.state {
            State::Closed => (true, None),
            State::Open if now.duration_since(self.since) >= OPEN_FOR => {
                self.is_tried = true;
                (true, Some(self.turn(State::HalfOpen, now)))
            }
            State::HalfOpen if !self.is_tried => {
                self.is_tried = true;
                (true, None)
            }
            State::Open | State::HalfOpen => (false, None),
        }
    }

    /// How a permitted call ended; the state if that changed it.
    pub(super) fn ended(&mut self, is_fine: bool, now: Instant) -> Option<State> {
        match self.state {
            State::HalfOpen => {
                self.is_tried = false;
                self.outcomes.clear();
                Some(self.turn(if is_fine { State::Closed } else { State::Open }, now))
            }
            // A call from before it opened.
            State::Open => None,
            State::Closed => {
                self.outcomes.push_back(is_fine);
                if self.outcomes.len() > WINDOW {
                    self.outcomes.pop_front();
                }
                let failures = self.outcomes.iter().filter(|is_fine| !**is_fine).count();
                let is_too_much = self.outcomes.len() >= CALLS_MIN
                    && failures * 100 >= self.outcomes.len() * FAILURES_PERCENT;
                is_too_much.then(|| self.turn(State::Open, now))
            }
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// How often it opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    fn turn(&mut self, state: State, now: Instant) -> State {
        self.opened += u64::from(state == State::Open);
        self.state = state;
        self.since = now;
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` a call that is fine, `-` one that fails, `w` waiting until it may
    /// be tried. Answers with the states that it went through; `.` is a call
    /// that was not permitted.
    fn states(steps: &str) -> String {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        let mut seen = String::new();
        let letter = |state: Option<State>| match state {
            None => "",
            Some(State::Closed) => "C",
            Some(State::Open) => "O",
            Some(State::HalfOpen) => "H",
        };
        for step in steps.chars() {
            if step == 'w' {
                now += OPEN_FOR;
                continue;
            }
            let (is_permitted, changed) = breaker.permit(now);
            seen.push_str(letter(changed));
            if !is_permitted {
                seen.push('.');
                continue;
            }
            seen.push_str(letter(breaker.ended(step == '+', now)));
        }
        seen
    }

    #[test]
    fn it_opens_and_closes() {
        let check = |steps: &str, expected: &str| assert_eq!(states(steps), expected, "{steps}");
        check("++++++++++", "");
        check("----", "");
        check("-----", "O");
        check("+++++-----", "O");
        check("++++++----", "");
        check("-----++", "O..");
        check("-----w+", "OHC");
        check("-----w-", "OHO");
        check("-----w-+w+-", "OHO.HC");
    }

    #[test]
    fn one_call_at_a_time_tries() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..CALLS_MIN {
            breaker.permit(now);
            breaker.ended(false, now);
        }
        assert_eq!(breaker.permit(now + OPEN_FOR), (true, Some(State::HalfOpen)));
        assert_eq!(breaker.permit(now + OPEN_FOR), (false, None));
        assert_eq!(breaker.opened(), 1);
    }
}
