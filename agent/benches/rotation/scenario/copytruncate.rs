//! logrotate's `copytruncate`: the file is copied, then cut off. What was
//! written in between is in no copy.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Outcome;
use crate::bed::{Bed, Writer};

/// Generations that are kept.
const KEPT: usize = 4;

/// The agent looks at sizes this often, and then some.
const SEEN: Duration = Duration::from_millis(600);

/// More than fits into memory while the event log does not answer.
const BACKLOG_LINES: usize = 6_000;

/// So many times. Each tenth time the event log does not answer meanwhile, so
/// that nothing is read: what is between copy and cut is lost, and must be told
/// to the byte. Else it is read in time.
pub(crate) fn copytruncate(times: usize, seed: u64) -> Outcome {
    let mut bed = Bed::new(seed, None)?;
    let mut writer = Writer::noisy(1, 2_000, &mut bed.random);
    bed.start()?;
    let path = bed.path("1.log");
    let mut stalled = 0;
    for round in 0..times {
        writer.append(&path, 1 + round % 7)?;
        arrive(&mut bed, &writer)?;
        let stalls = round % 10 == 9;
        if stalls {
            bed.stall(true)?;
            writer.append(&path, BACKLOG_LINES)?;
            std::thread::sleep(SEEN);
        } else {
            // Copied while it is read.
            writer.append(&path, round % 50)?;
        }
        copy(&bed)?;
        writer.append(&path, 1 + round % 20)?;
        if stalls {
            std::thread::sleep(SEEN);
            stalled += 1;
        } else {
            arrive(&mut bed, &writer)?;
        }
        OpenOptions::new().write(true).open(&path)?.set_len(0)?;
        writer.append(&path, round % 3)?;
        if stalls {
            bed.stall(false)?;
            bed.quiet(Duration::from_millis(700))?;
        }
    }
    writer.append(&path, 1)?;
    arrive(&mut bed, &writer)?;
    bed.quiet(Duration::from_millis(1_500))?;
    let writers = [writer];
    let verdict = bed.verdict(&writers);
    let told = bed.judge.told_truncated();
    ensure!(verdict.twice == 0 && verdict.strange == 0, "{verdict:?}");
    ensure!(verdict.lost_bytes == told, "{} bytes lost, {told} told: {verdict:?}", verdict.lost_bytes);
    ensure!(stalled == 0 || told > 0, "nothing was lost while nothing was read");
    let copies = bed.metric("weir_agent_copies_total");
    ensure!(copies as usize >= times - 1, "only {copies} copies were known as such");
    bed.stop()?;
    Ok(format!(
        "{times} times ({stalled} unread), {} lines, {} lost and told ({told} B)",
        verdict.written, verdict.lost
    ))
}

fn arrive(bed: &mut Bed, writer: &Writer) -> Result<()> {
    let (number, last) = (writer.number, writer.lines - 1);
    bed.wait("the last line", |judge| Ok(judge.times(number, last) > 0))
}

fn copy(bed: &Bed) -> Result<()> {
    let at = |generation: usize| bed.path(&format!("1.log.{generation}"));
    let _ = fs::remove_file(at(KEPT));
    for generation in (1..KEPT).rev() {
        if at(generation).exists() {
            fs::rename(at(generation), at(generation + 1))?;
        }
    }
    fs::copy(bed.path("1.log"), at(1))?;
    Ok(())
}
