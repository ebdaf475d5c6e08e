//! What arrived: the event log read as ingest reads it. A row whose start is
//! below the covered end of its source came before; every other row counts.
//!
//! A line says of itself which it is: `NUMBER SERIAL ...`, where the number is
//! the writer's. Whatever else arrives is strange, unless it is cut.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use weir_proto::model::{RangeSet, SourceId, drop_reason, flags};
use weir_proto::wire::batch::LineBatch;
use weir_stream::disk::DiskReader;
use weir_stream::{Offset, Partition, ReadError, ReadLimit, Subscribe, Topic};

use crate::child::TOPIC;

/// Reads the log as far as it goes, again and again.
pub(crate) struct Judge {
    runtime: tokio::runtime::Runtime,
    reader: DiskReader,
    partition: Partition,
    next: Offset,
    covered: HashMap<SourceId, RangeSet>,
    /// How often each line of each writer came.
    seen: HashMap<u32, Vec<u8>>,
    /// Rows that came again and are dropped.
    pub(crate) repeated: u64,
    /// Lines that no writer wrote.
    pub(crate) strange: Vec<String>,
    /// Lines that were cut short.
    pub(crate) truncated: u64,
    /// Bytes told as dropped, by reason.
    pub(crate) told: HashMap<String, u64>,
    /// Lines that came.
    pub(crate) lines: u64,
    /// Lines of writers that came at least once.
    pub(crate) distinct: usize,
}

impl Judge {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            reader: DiskReader::open(directory.join("log")),
            partition: Partition::new(Topic::new(TOPIC)?, 0),
            next: Offset(0),
            covered: HashMap::new(),
            seen: HashMap::new(),
            repeated: 0,
            strange: Vec::new(),
            truncated: 0,
            told: HashMap::new(),
            lines: 0,
            distinct: 0,
        })
    }

    /// Reads what is new. True when there was something.
    pub(crate) fn read(&mut self) -> Result<bool> {
        let mut any = false;
        loop {
            let limit = ReadLimit { bytes: 8 << 20, wait: Duration::ZERO };
            let read = self.runtime.block_on(self.reader.read(&self.partition, self.next, limit));
            let records = match read {
                Ok(records) => records,
                // The agent has not made it yet.
                Err(ReadError::NoPartition(_) | ReadError::NoTopic(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let Some(last) = records.last() else { return Ok(any) };
            self.next = Offset(last.offset.0 + 1);
            for record in &records {
                let batch = LineBatch::decode(&record.record.headers, &record.record.payload)?;
                any |= !batch.is_empty() || batch.sources.iter().any(|source| !source.drops.is_empty());
                self.take(&batch)?;
            }
        }
    }

    fn take(&mut self, batch: &LineBatch) -> Result<()> {
        for line in batch.lines() {
            let source = batch.sources[line.source].id;
            let covered = self.covered.entry(source).or_default();
            if covered.contains(line.range.start) {
                ensure!(line.range.end <= covered.end(), "a row straddles what is covered");
                self.repeated += 1;
                continue;
            }
            self.lines += 1;
            if line.flags & flags::TRUNCATED != 0 {
                self.truncated += 1;
                continue;
            }
            match parse(line.text) {
                Some((number, serial)) => {
                    let seen = self.seen.entry(number).or_default();
                    if seen.len() <= serial {
                        seen.resize(serial + 1, 0);
                    }
                    self.distinct += usize::from(seen[serial] == 0);
                    seen[serial] = seen[serial].saturating_add(1);
                }
                None => self.strange.push(String::from_utf8_lossy(line.text).chars().take(80).collect()),
            }
        }
        for source in &batch.sources {
            let covered = self.covered.entry(source.id).or_default();
            if let Some(hole) = covered.hole_before(source.covered) {
                bail!("a hole {hole:?} before {:?}", source.covered);
            }
            for drop in source.drops.iter().filter(|drop| !covered.contains(drop.range.start)) {
                *self.told.entry(drop.reason.clone()).or_default() += drop.range.len();
            }
            covered.insert(source.covered);
        }
        Ok(())
    }

    /// How often a line came.
    pub(crate) fn times(&self, number: u32, serial: usize) -> u8 {
        self.seen.get(&number).and_then(|seen| seen.get(serial)).copied().unwrap_or(0)
    }

    /// Of the first lines of a writer: those that never came, and how often
    /// others came too often.
    pub(crate) fn compare(&self, number: u32, lines: usize) -> (Vec<usize>, u64) {
        let times = |serial| self.times(number, serial);
        let lost = (0..lines).filter(|serial| times(*serial) == 0).collect();
        let twice = (0..lines).map(|serial| u64::from(times(serial).saturating_sub(1))).sum();
        (lost, twice)
    }

    /// Bytes told as cut off before they were read.
    pub(crate) fn told_truncated(&self) -> u64 {
        self.told.get(drop_reason::TRUNCATED_UNREAD).copied().unwrap_or(0)
    }
}

fn parse(text: &[u8]) -> Option<(u32, usize)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let (number, serial, rest) = (words.next()?, words.next()?, words.next()?);
    let whole = rest.ends_with('.');
    Some((number.parse().ok()?, serial.parse().ok()?)).filter(|_| whole)
}
