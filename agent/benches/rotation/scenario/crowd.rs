//! More files than may be open.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rand::Rng;

use super::Outcome;
use crate::bed::{Bed, Writer};

/// What is asked of a start, and of memory.
const START_MAX: Duration = Duration::from_secs(20);
const RSS_MIB_MAX: f64 = 400.0;

/// So many files of a few lines each; then some of them grow, are rotated and
/// are deleted. `measures`: the figures must be reached.
pub(crate) fn crowd(files: u32, descriptors: u64, measures: bool) -> Outcome {
    let mut bed = Bed::new(u64::from(files), Some(descriptors))?;
    let place = |number: u32| format!("pods/n_p{}_u/c{}", number / 1_000, number / 100 % 10);
    let name = |number: u32| format!("{}/{number}.log", place(number));
    let mut writers: Vec<_> = (0..files).map(|number| Writer::new(number, 250)).collect();
    for writer in &mut writers {
        if writer.number % 100 == 0 {
            fs::create_dir_all(bed.path(&place(writer.number)))?;
        }
        writer.append(&bed.path(&name(writer.number)), 3)?;
    }
    let began = Instant::now();
    bed.start()?;
    let all = u64::from(files) * 3;
    bed.wait("every file to be read", |judge| Ok(judge.lines >= all))?;
    let (took, cpu) = (began.elapsed(), bed.cpu_seconds());
    bed.note_rss();
    let rss = bed.rss_mib;
    std::thread::sleep(Duration::from_secs(1));
    let (open, limit) = (bed.metric("weir_agent_files_open"), bed.metric("weir_agent_files_open_max"));
    let parked = bed.metric("weir_agent_files_parked");
    ensure!(open <= limit && limit <= descriptors as f64, "{open} open of {limit}");
    ensure!(parked > 0.0 || u64::from(files) < descriptors, "none gave its descriptor up");
    let grown = Instant::now();
    for nth in 0..files.min(1_000) {
        let number = bed.random.random_range(0..files);
        let (path, writer) = (bed.path(&name(number)), &mut writers[number as usize]);
        writer.append(&path, 2)?;
        match bed.random.random_range(0..10) {
            0..3 => {
                fs::rename(&path, path.with_extension(format!("log.{nth}")))?;
                writer.append(&path, 1)?;
            }
            3 => {
                // Deleted once it was read: what nobody holds and nobody saw is gone.
                let last = writer.lines - 1;
                bed.wait("a line of a parked file", |judge| Ok(judge.times(number, last) > 0))?;
                fs::remove_file(&path)?;
            }
            _ => {}
        }
    }
    bed.settle(&writers)?;
    let grew = grown.elapsed();
    bed.must_be_clean(&writers)?;
    bed.stop()?;
    let began = Instant::now();
    bed.start()?;
    let number = files / 2;
    let path = bed.path(&name(number));
    writers[number as usize].append(&path, 1)?;
    bed.settle(&writers)?;
    let again = began.elapsed();
    bed.must_be_clean(&writers)?;
    bed.stop()?;
    if measures {
        ensure!(took <= START_MAX && rss <= RSS_MIB_MAX, "start {took:.1?}, {rss:.0} MiB");
    }
    Ok(format!(
        "{files} files with {descriptors} descriptors: read in {took:.1?} ({cpu:.1} s of CPU), {rss:.0} MiB, {open} open of {limit}, \
         {parked} parked; changes in {grew:.1?}, a restart in {again:.1?}, at most {:.0} MiB",
        bed.rss_mib
    ))
}
