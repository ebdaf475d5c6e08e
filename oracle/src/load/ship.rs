//! Lines through a pipe: `weir ship` again and again, each a stream of its own. It
//! is the client of `POST /api/v1/lines`, and repeats what was not answered: a
//! message says which bytes it covers, so a repeat is stored once. Its exit code
//! says that all was taken.

use std::io::Write;
use std::process::{Command, Stdio};

use rand::Rng;
use rand::rngs::SmallRng;

use super::{AWAY, Place};
use crate::event::Style;
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::{Stop, Worker};

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("s{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Mixed);
    let (place, mut random) = (place.clone(), place.random(&name));
    Worker::start(&name, move |stop| {
        while !stop.wait(place.tick) {
            if !pipe(&place, &feed, &mut random, stop) {
                stop.wait(AWAY);
            }
        }
    })
}

/// One stream; true if all of it was taken.
fn pipe(place: &Place, feed: &Feed, random: &mut SmallRng, stop: &Stop) -> bool {
    let mut command = Command::new(&place.binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(["ship", "--service", feed.name(), "--wait", "2m"]);
    command.arg("--url").arg(format!("http://{}", place.agent));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary under test starts");
    let mut pipe = child.stdin.take().expect("it was asked for");
    let first = feed.issue(0).start;
    let mut is_written = true;
    for _ in 0..random.random_range(20..120) {
        let numbers = feed.issue(random.random_range(1..12));
        let text: String = numbers.map(|number| feed.text(number) + "\n").collect();
        // Who has ended takes no more: what it took, it will not say.
        is_written = pipe.write_all(text.as_bytes()).is_ok();
        if !is_written || stop.wait(place.tick) {
            break;
        }
    }
    drop(pipe);
    let is_taken = child.wait().is_ok_and(|status| status.success()) && is_written;
    if is_taken {
        feed.settle(first..feed.issue(0).start, Fate::Owed);
    }
    is_taken
}
