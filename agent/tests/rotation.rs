//! The scenarios of `cargo bench -p weir-agent --bench rotation`, short.

#[path = "../benches/rotation/bed.rs"]
mod bed;
#[path = "../benches/rotation/child.rs"]
mod child;
#[path = "../benches/rotation/judge.rs"]
mod judge;
#[path = "../benches/rotation/scenario.rs"]
mod scenario;

use std::time::Duration;

use scenario::{Outcome, Renames};

const RENAMES: Renames = Renames {
    files: 6,
    renames: 120,
    interval: Duration::from_millis(20),
    lines_per_second: 2_000,
    kept: 40,
    compressed: 1,
    seed: 1,
};

/// Not a test: the agent of the others, which start it by this name.
#[test]
fn child() {
    child::ran().expect("the agent");
}

fn check(outcome: Outcome) {
    outcome.expect("a clean outcome");
}

#[test]
fn nothing_is_lost_when_files_are_renamed_and_compressed_all_the_time() {
    check(scenario::rotation(RENAMES));
}

#[test]
fn nothing_is_lost_when_the_agent_is_killed_meanwhile() {
    check(scenario::killed(
        Renames { renames: 60, kept: 60, compressed: 1, seed: 2, ..RENAMES },
        Duration::from_millis(300),
    ));
}

#[test]
fn nothing_is_lost_when_files_are_rotated_while_the_agent_is_down() {
    check(scenario::down(4, 3));
}

#[test]
fn a_file_with_the_inode_of_another_is_another() {
    check(scenario::reuse(8, 4));
}

#[test]
fn what_copytruncate_loses_is_told_to_the_byte() {
    check(scenario::copytruncate(11, 5));
}

#[test]
fn a_line_of_no_end_takes_no_memory() {
    check(scenario::giant(256 << 20));
    check(scenario::fragments(8 << 20));
}

#[test]
fn pods_that_live_for_a_moment_are_read() {
    check(scenario::pods(10, Duration::from_millis(500)));
}

#[test]
fn what_is_deleted_while_it_is_read_is_read() {
    check(scenario::deleted(4, 20_000));
}

#[test]
fn more_files_than_descriptors_are_read() {
    check(scenario::crowd(500, 128, false));
}
