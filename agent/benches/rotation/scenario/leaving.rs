//! Files that are gone before they are read.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Outcome;
use crate::bed::{Bed, Writer};

/// Pods that live for a second, some at a time.
pub(crate) fn pods(count: u32, life: Duration) -> Outcome {
    let mut bed = Bed::new(0, None)?;
    fs::create_dir_all(bed.path("pods"))?;
    bed.start()?;
    let mut alive = std::collections::VecDeque::new();
    let mut ended: Vec<Writer> = Vec::new();
    let directory = |number: u32| format!("pods/shop_p{number}_u");
    let mut number = 0;
    while number < count || !alive.is_empty() {
        if number < count {
            fs::create_dir_all(bed.path(&(directory(number) + "/c")))?;
            alive.push_back((Instant::now(), Writer::new(number, 100)));
            number += 1;
        }
        for (_, writer) in &mut alive {
            let path = bed.path(&(directory(writer.number) + "/c/0.log"));
            // No container runtime's format: lines as they are.
            writer.append(&path, 5)?;
        }
        while alive.front().is_some_and(|(born, _)| born.elapsed() >= life) {
            let Some((_, writer)) = alive.pop_front() else { break };
            fs::remove_dir_all(bed.path(&directory(writer.number)))?;
            ended.push(writer);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bed.settle(&ended)?;
    let verdict = bed.must_be_clean(&ended)?;
    bed.stop()?;
    Ok(format!("{count} pods, {} lines", verdict.written))
}

/// Large files, deleted as soon as reading has begun.
pub(crate) fn deleted(files: u32, lines: usize) -> Outcome {
    let mut bed = Bed::new(0, None)?;
    let mut writers: Vec<_> = (0..files).map(|number| Writer::new(number, 250)).collect();
    for writer in &mut writers {
        writer.append(&bed.path(&format!("{}.log", writer.number)), lines)?;
    }
    bed.start()?;
    bed.wait("some lines", |judge| Ok(judge.lines > 0))?;
    for writer in &writers {
        fs::remove_file(bed.path(&format!("{}.log", writer.number)))?;
    }
    bed.judge.read()?;
    let before = bed.judge.lines;
    bed.settle(&writers)?;
    let verdict = bed.must_be_clean(&writers)?;
    ensure!((before as usize) < verdict.written, "all was read before it was deleted");
    bed.stop()?;
    Ok(format!("{files} files deleted after {before} of {} lines", verdict.written))
}
