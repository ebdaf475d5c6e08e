//! Containers' files as Docker's `json-file` driver keeps them: each line an object, a
//! long one in parts.

use anyhow::Result;
use rand::Rng;
use serde_json::json;

use super::{Place, Plan, Rotating};
use crate::event::Style;
use crate::ledger::{Fate, Ledger, Table};
use crate::worker::Worker;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32, plan: Plan) -> Result<Worker> {
    let name = format!("d{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Mixed);
    let mut file = Rotating::open(place, &name)?;
    let (mut random, tick) = (place.random(&name), place.tick);
    Ok(Worker::start(&name, move |stop| {
        while !stop.wait(tick) {
            let numbers = feed.issue(random.random_range(1..4));
            let mut text = String::new();
            for number in numbers.clone() {
                let line = feed.text(number);
                let is_cut = random.random_bool(0.1);
                let cut = if is_cut { random.random_range(1..line.len()) } else { 0 };
                text.push_str(&framed(&line, cut));
            }
            file.write(&text);
            feed.settle(numbers, Fate::Owed);
            if random.random_bool(plan.rotation) {
                file.rotate();
            }
        }
    }))
}

/// A line in one part, or cut in two: only the last one ends it.
fn framed(line: &str, cut: usize) -> String {
    let (part, rest) = line.split_at(cut);
    let rest = object(&format!("{rest}\n"));
    if part.is_empty() { rest } else { object(part) + &rest }
}

fn object(log: &str) -> String {
    let time = jiff::Timestamp::now().to_string();
    json!({ "log": log, "stream": "stdout", "time": time }).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_line_again() {
        let line = r#"{"msg":"a\"b"}"#;
        for cut in 0..line.len() {
            let framed = framed(line, cut);
            let parts = framed.lines().map(|part| {
                let part: serde_json::Value = serde_json::from_str(part).expect("an object");
                part["log"].as_str().map(str::to_owned).expect("text")
            });
            let parts: Vec<_> = parts.collect();
            assert_eq!(parts.len(), 1 + usize::from(cut > 0), "{parts:?}");
            assert_eq!(parts.concat(), format!("{line}\n"));
        }
    }
}
