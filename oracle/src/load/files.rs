//! Plain files: every format of a line, halves of lines, rotation by renaming.

use anyhow::Result;
use rand::Rng;
use rand::rngs::SmallRng;

use super::{Place, Plan, Rotating, TICK};
use crate::event::Style;
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::{Stop, Worker};

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32, plan: Plan) -> Result<Worker> {
    let name = format!("p{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Mixed);
    let mut file = Rotating::open(place, &name)?;
    let (mut random, tick) = (place.random(&name), place.tick);
    let mean = (plan.file_rate * TICK.as_millis() as u64 / 1000).max(1);
    Ok(Worker::start(&name, move |stop| {
        while !stop.wait(tick) {
            let count = random.random_range(1..=2 * mean);
            lines(&feed, &mut file, &mut random, count, stop);
            if random.random_bool(plan.rotation) {
                file.rotate();
            }
        }
    }))
}

/// Sometimes in two halves, so that an open line meets a fault, or is cut by time.
fn lines(feed: &Feed, file: &mut Rotating, random: &mut SmallRng, count: u64, stop: &Stop) {
    let numbers = feed.issue(count);
    let text: String = numbers.clone().map(|number| feed.text(number) + "\n").collect();
    let cut = random.random_range(0..text.len());
    let (first, rest) = text.split_at(cut);
    file.write(first);
    if random.random_bool(0.05) {
        stop.wait(std::time::Duration::from_millis(random.random_range(0..150)));
    }
    file.write(rest);
    feed.settle(numbers, Fate::Owed);
}
