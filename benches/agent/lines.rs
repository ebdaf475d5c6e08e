//! Lines for the agent: JSON of 250 bytes, no two alike, made fast enough never
//! to be what limits.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// Bytes of a line, its newline included; the framing comes before.
const LINE_BYTES: usize = 250;

/// Bytes written at once.
const BLOCK_BYTES: u64 = 1 << 20;

const WORDS: [&str; 16] = [
    "order", "placed", "payment", "declined", "cart", "emptied", "shipment", "created", "customer",
    "returned", "stock", "reserved", "invoice", "sent", "coupon", "applied",
];

/// What stands before a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Plain,
    /// As Kubernetes' container runtimes write it.
    Cri,
}

/// What was written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// A stream of lines.
pub(crate) struct Lines {
    framing: Framing,
    number: u64,
    random: u64,
}

impl Lines {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, number: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Writes about so many bytes, evenly over the files.
    pub(crate) fn write_files(&mut self, paths: &[PathBuf], bytes: u64) -> io::Result<Written> {
        let mut sum = Written::default();
        for path in paths {
            let mut file = File::create(path)?;
            let written = self.append(&mut file, (bytes / paths.len() as u64).max(1))?;
            sum = Written { lines: sum.lines + written.lines, bytes: sum.bytes + written.bytes };
        }
        Ok(sum)
    }

    /// Writes at least so many bytes of whole lines.
    pub(crate) fn append(&mut self, file: &mut File, bytes: u64) -> io::Result<Written> {
        let mut written = Written::default();
        let mut block = Vec::new();
        while written.bytes < bytes {
            block.clear();
            while (block.len() as u64) < BLOCK_BYTES.min(bytes - written.bytes) {
                self.line(&mut block)?;
                written.lines += 1;
            }
            file.write_all(&block)?;
            written.bytes += block.len() as u64;
        }
        Ok(written)
    }

    fn line(&mut self, block: &mut Vec<u8>) -> io::Result<()> {
        self.number += 1;
        let (micros, random) = (self.number % 1_000_000, self.random());
        if self.framing == Framing::Cri {
            write!(block, "2026-01-01T00:00:00.{micros:06}789Z stdout F ")?;
        }
        let at = block.len();
        let word = |shift: u32| WORDS[(random >> shift) as usize % WORDS.len()];
        write!(
            block,
            r#"{{"ts":"2026-01-01T00:00:00.{micros:06}Z","level":"info","service":"shop-{}","trace_id":"{:016x}{random:016x}","msg":"{} {} {} {} in {} ms","path":"/api/v1/{}/{}","status":200,"seq":{:010},"fill":""#,
            random % 7,
            self.random(),
            word(0),
            word(4),
            word(8),
            word(12),
            random % 997,
            word(16),
            random % 100_003,
            self.number,
        )?;
        let end = at + LINE_BYTES - 3;
        while block.len() < end {
            block.push(b'a' + (block.len() % 23) as u8);
        }
        block.truncate(end);
        block.extend_from_slice(b"\"}\n");
        Ok(())
    }

    /// Marsaglia's xorshift: the same lines in every run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
