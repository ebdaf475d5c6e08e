//! Files that are rotated, cut off, deleted and replaced while an agent reads
//! them, and how many lines are lost by that: none may be, nor twice there,
//! unless it is told.
//!
//! `cargo bench -p weir-agent --bench rotation -- [NAME...]`, all of them in
//! about ten minutes. `--list` names them. `WEIR_ROTATION_DIR` says where the
//! files lie: on a disk, since a file system in memory gives no inode twice.
//! The same in seconds are tests: `agent/tests/rotation.rs`.

mod bed;
mod child;
mod judge;
mod scenario;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use scenario::{Outcome, Renames};

const RENAMES: Renames = Renames {
    files: 50,
    renames: 2_000,
    interval: Duration::from_millis(100),
    lines_per_second: 50_000,
    kept: 5,
    compressed: 2,
    seed: 1,
};

/// A name, what it is, and how it is run.
type Scenario = (&'static str, &'static str, fn() -> Outcome);

const SCENARIOS: [Scenario; 13] = [
    ("rotation", "2,000 renames, one each 100 ms, 50 files, 50,000 lines/s", || scenario::rotation(RENAMES)),
    ("storm", "2,000 renames, each file each 100 ms, 50 files, 50,000 lines/s", || {
        scenario::rotation(Renames {
            interval: Duration::from_millis(2),
            kept: 20,
            compressed: 10,
            ..RENAMES
        })
    }),
    ("killed", "the agent is killed each second, 500 renames", || {
        let renames = Renames { renames: 500, lines_per_second: 10_000, kept: 20, compressed: 10, ..RENAMES };
        scenario::killed(renames, Duration::from_secs(1))
    }),
    ("down", "rotated while the agent is down, 30 times", || scenario::down(30, 1)),
    ("reuse", "an inode is given to another file, 200 times", || scenario::reuse(200, 1)),
    ("copytruncate", "copied and cut off, 200 times", || scenario::copytruncate(200, 1)),
    ("giant", "a line of 4 GiB", || scenario::giant(4 << 30)),
    ("fragments", "a container's line of 64 MiB", || scenario::fragments(64 << 20)),
    ("pods", "300 pods that live for a second", || scenario::pods(300, Duration::from_secs(1))),
    ("deleted", "20 files of 25 MB, deleted while they are read", || scenario::deleted(20, 100_000)),
    ("crowd-small", "14,000 files, 1,024 descriptors", || scenario::crowd(14_000, 1_024, false)),
    ("crowd", "100,000 files, 1,024 descriptors", || scenario::crowd(100_000, 1_024, true)),
    ("crowd-wide", "100,000 files, 16,384 descriptors", || scenario::crowd(100_000, 16_384, true)),
];

fn main() -> Result<()> {
    if child::ran()? {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, about, _) in SCENARIOS {
            say(&format!("{name:<14} {about}"));
        }
        return Ok(());
    }
    let is_wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|wish| wish == name);
    if !SCENARIOS.iter().any(|(name, ..)| is_wanted(name)) {
        bail!("no such scenario: --list names them");
    }
    let mut failed = 0;
    for (name, _, run) in SCENARIOS.into_iter().filter(|(name, ..)| is_wanted(name)) {
        let began = Instant::now();
        let (word, text) = match run() {
            Ok(text) => ("ok", text),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        failed += usize::from(word != "ok");
        say(&format!("{name:<14} {word:<6} {:>6.1} s  {text}", began.elapsed().as_secs_f64()));
    }
    if failed > 0 {
        bail!("{failed} scenarios failed");
    }
    Ok(())
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
