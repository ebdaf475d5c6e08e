//! Containers' files as a kubelet keeps them: standard output and error beside each
//! other, lines in parts, and stack traces whose rest comes after the agent has
//! given up waiting for it.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::rngs::SmallRng;

use super::{Halves, Place, Plan, Rotating};
use crate::event::{Style, TRACE_LINES};
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::{Stop, Worker};

/// Around `agent.multiline_timeout` as runs set it: sometimes a rest is in time.
const LATE: std::ops::Range<u64> = 50..400;

struct Container {
    file: Rotating,
    out: Feed,
    error: Feed,
    random: SmallRng,
    halves: Halves,
}

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32, plan: Plan) -> Result<Worker> {
    let service = format!("c{n}");
    let out = ledger.open(&format!("c{n}o"), &service, Table::Lines, Style::Mixed);
    let error = ledger.open(&format!("c{n}e"), &service, Table::Lines, Style::Trace);
    let (file, random, tick) = (Rotating::open(place, &service)?, place.random(&service), place.tick);
    let mut container = Container { file, out, error, random, halves: place.halves.clone() };
    Ok(Worker::start(&service, move |stop| {
        while !stop.wait(tick) {
            let count = container.random.random_range(1..8);
            container.output(count);
            if container.random.random_bool(0.2) {
                container.trace(stop);
            }
            if container.random.random_bool(plan.rotation) {
                container.file.rotate();
            }
        }
    }))
}

impl Container {
    /// Whole lines and lines in two parts, of standard output.
    fn output(&mut self, count: u64) {
        let numbers = self.out.issue(count);
        let mut text = String::new();
        for number in numbers.clone() {
            let line = self.out.text(number);
            let cut = if self.random.random_bool(0.1) { self.random.random_range(1..line.len()) } else { 0 };
            let (part, rest) = line.split_at(cut);
            if cut > 0 {
                text.push_str(&framed("stdout", 'P', part));
            }
            text.push_str(&framed("stdout", 'F', rest));
        }
        self.file.write(&text);
        self.out.settle(numbers, Fate::Owed);
    }

    /// A stack trace on standard error, with output between its lines, and
    /// sometimes a silence.
    fn trace(&mut self, stop: &Stop) {
        let numbers = self.error.issue(TRACE_LINES);
        let silent_before = self.random.random_range(0..2 * TRACE_LINES);
        for number in numbers.clone() {
            if number % TRACE_LINES == silent_before {
                self.halves.begin();
                stop.wait(Duration::from_millis(self.random.random_range(LATE)));
                self.halves.end();
            }
            let line = framed("stderr", 'F', &self.error.text(number));
            self.file.write(&line);
            if self.random.random_bool(0.3) {
                self.output(1);
            }
        }
        self.error.settle(numbers, Fate::Owed);
    }
}

fn framed(stream: &str, tag: char, text: &str) -> String {
    format!("{} {stream} {tag} {text}\n", jiff::Timestamp::now())
}
