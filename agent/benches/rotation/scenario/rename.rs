//! Rotation by renaming, with and without compression, as fast as anybody
//! would: the agent runs, is killed, or is down meanwhile.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;

use super::Outcome;
use crate::bed::{Bed, Writer};

/// How often the writers write.
const TICK: Duration = Duration::from_millis(5);

/// Many files, written to and renamed at a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renames {
    pub(crate) files: usize,
    pub(crate) renames: usize,
    /// Between two of them, whichever the file.
    pub(crate) interval: Duration,
    pub(crate) lines_per_second: usize,
    /// Generations that are kept.
    pub(crate) kept: usize,
    /// The generation that every second file is compressed as.
    pub(crate) compressed: usize,
    pub(crate) seed: u64,
}

/// A file that is rotated.
struct Rotated {
    writer: Writer,
    /// As which generation it is compressed, if it is.
    compressed: Option<usize>,
    kept: usize,
}

impl Rotated {
    fn name(&self, generation: usize) -> String {
        let number = self.writer.number;
        if generation == 0 { format!("{number}.log") } else { format!("{number}.log.{generation}") }
    }

    fn write(&mut self, bed: &Bed, lines: usize) -> Result<File> {
        let path = bed.path(&self.name(0));
        self.writer.append(&path, lines)
    }

    /// As logrotate does, with compression or without. Who
    /// writes has the file open still, and writes a last line to it.
    fn rotate(&mut self, bed: &Bed) -> Result<()> {
        let mut open = self.write(bed, 1)?;
        let late = self.writer.text(1);
        let at = |generation, ending: &str| bed.path(&(self.name(generation) + ending));
        for ending in ["", ".gz"] {
            let _ = fs::remove_file(at(self.kept, ending));
        }
        for generation in (0..self.kept).rev() {
            for ending in ["", ".gz"] {
                let from = at(generation, ending);
                if from.exists() {
                    fs::rename(from, at(generation + 1, ending))?;
                }
            }
        }
        open.write_all(late.as_bytes())?;
        let Some(generation) = self.compressed else { return Ok(()) };
        let older = at(generation, "");
        if older.exists() {
            let mut encoder = GzEncoder::new(File::create(at(generation, ".gz"))?, Compression::fast());
            encoder.write_all(&fs::read(&older)?)?;
            encoder.finish()?;
            fs::remove_file(older)?;
        }
        Ok(())
    }
}

fn rotated(files: usize, kept: usize, compressed: usize) -> Vec<Rotated> {
    let file = |number| {
        let compressed = (number % 2 == 1).then_some(compressed);
        Rotated { writer: Writer::new(number, 250), compressed, kept }
    };
    (0..u32::try_from(files).unwrap_or(1)).map(file).collect()
}

fn judged(bed: &mut Bed, files: Vec<Rotated>) -> Outcome {
    let writers: Vec<_> = files.into_iter().map(|file| file.writer).collect();
    bed.settle(&writers)?;
    let verdict = bed.must_be_clean(&writers)?;
    Ok(format!("{} lines, {} came again and were known", verdict.written, bed.judge.repeated))
}

/// Writes and renames; `meanwhile` is asked in between.
fn storm(
    bed: &mut Bed,
    renames: Renames,
    files: &mut [Rotated],
    mut meanwhile: impl FnMut(&mut Bed) -> Result<()>,
) -> Result<()> {
    let began = Instant::now();
    let (mut renamed, mut written) = (0, 0);
    while renamed < renames.renames {
        let elapsed = began.elapsed().as_secs_f64();
        let due = (elapsed * renames.lines_per_second as f64) as usize;
        let each = (due.saturating_sub(written) / files.len()).min(10_000);
        if each > 0 {
            for file in &mut *files {
                file.write(bed, each)?;
            }
            written += each * files.len();
        }
        let due = ((elapsed / renames.interval.as_secs_f64()) as usize).min(renames.renames);
        while renamed < due {
            let count = files.len();
            files[renamed % count].rotate(bed)?;
            renamed += 1;
        }
        meanwhile(bed)?;
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// The agent reads all the time.
pub(crate) fn rotation(renames: Renames) -> Outcome {
    let mut bed = Bed::new(renames.seed, None)?;
    let mut files = rotated(renames.files, renames.kept, renames.compressed);
    bed.start()?;
    storm(&mut bed, renames, &mut files, |_| Ok(()))?;
    let outcome = judged(&mut bed, files)?;
    let rotations = bed.metric("weir_agent_rotations_total");
    bed.stop()?;
    Ok(format!("{} renames ({rotations} seen), {outcome}, {:.0} MiB", renames.renames, bed.rss_mib))
}

/// The agent is killed all the time.
pub(crate) fn killed(renames: Renames, between: Duration) -> Outcome {
    let mut bed = Bed::new(renames.seed, None)?;
    let mut files = rotated(renames.files, renames.kept, renames.compressed);
    bed.start()?;
    let (mut kills, mut last) = (0, Instant::now());
    storm(&mut bed, renames, &mut files, |bed| {
        let wait = between.mul_f64(bed.random.random_range(0.5..1.5));
        if last.elapsed() >= wait {
            bed.kill()?;
            bed.start()?;
            kills += 1;
            last = Instant::now();
        }
        Ok(())
    })?;
    let outcome = judged(&mut bed, files)?;
    bed.stop()?;
    Ok(format!("{} renames, {kills} kills, {outcome}", renames.renames))
}

/// Files are rotated while the agent is down. None is deleted: an archive is
/// read once it is two seconds old, which is later than the next time down.
pub(crate) fn down(rounds: usize, seed: u64) -> Outcome {
    let mut bed = Bed::new(seed, None)?;
    let mut files = rotated(6, 2 * rounds + 2, 1);
    for round in 0..rounds {
        bed.start()?;
        for file in &mut files {
            file.write(&bed, 20)?;
        }
        // Known, and perhaps read: a file that comes and goes while nobody
        // looks is nobody's.
        for file in &files {
            let (number, last) = (file.writer.number, file.writer.lines - 1);
            bed.wait("a first line", |judge| Ok(judge.times(number, last) > 0))?;
        }
        for file in &mut files {
            file.write(&bed, 500)?;
        }
        if round % 2 == 0 {
            bed.kill()?;
        } else {
            bed.stop()?;
        }
        for file in &mut files {
            for _ in 0..bed.random.random_range(0..3) {
                file.rotate(&bed)?;
                file.write(&bed, 100)?;
            }
        }
    }
    bed.start()?;
    let outcome = judged(&mut bed, files)?;
    bed.stop()?;
    Ok(format!("{rounds} times down, {outcome}"))
}
