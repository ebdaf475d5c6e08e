//! A container's log as a runtime writes it below `/var/log/pods`: CRI lines,
//! long ones in parts, renamed when it has grown.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::SmallRng;

/// A log is renamed at this size; small, so that a short demo rotates too.
const ROTATE_BYTES: u64 = 512 * 1024;

/// Renamed logs that are kept. Who reads a log has them all open long before.
const KEPT: usize = 20;

/// A container runtime splits lines at its buffer's size.
const PART_BYTES: usize = 16 * 1024;

/// Which of its two streams a line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Lines, each with a number of its own.
    pub lines: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files renamed.
    pub rotations: u64,
}

impl AddAssign for Emitted {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.rotations += other.rotations;
    }
}

/// A time as a container runtime writes it: RFC 3339, nanoseconds, UTC.
pub fn cri_time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.9}")
}

/// The directory of a new pod of a service: `NAMESPACE_POD_UID`.
pub(super) fn pod(service: &str, random: &mut SmallRng) -> String {
    let hex = format!("{:032x}", random.random::<u128>());
    let uid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("shop_{service}-{:08x}_{uid}", random.random::<u32>())
}

/// One container's log, as a runtime writes it.
#[derive(Debug)]
pub(super) struct ContainerLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotated: VecDeque<PathBuf>,
}

impl ContainerLog {
    /// Begins a log.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let dir = path.parent().context("a log lies in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let file = create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, file, bytes: 0, rotated: VecDeque::new() })
    }

    /// Writes one line, and renames the log when it has grown enough.
    pub(super) fn write(&mut self, stream: Stream, line: &str, now_micros: i64) -> std::io::Result<Emitted> {
        let time = cri_time(now_micros);
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let mut text = Vec::with_capacity(line.len() + 64);
        let mut parts = line.as_bytes().chunks(PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            let tag = if parts.peek().is_some() { 'P' } else { 'F' };
            write!(text, "{time} {stream} {tag} ")?;
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        let mut wrote = Emitted { lines: 1, bytes: text.len() as u64, rotations: 0 };
        if self.bytes >= ROTATE_BYTES {
            self.rotate(now_micros)?;
            wrote.rotations = 1;
        }
        Ok(wrote)
    }

    /// Renames the log and begins the next; the oldest renamed ones go, as a
    /// node's kubelet lets them go.
    fn rotate(&mut self, now_micros: i64) -> std::io::Result<()> {
        let time: String = cri_time(now_micros).chars().filter(char::is_ascii_digit).collect();
        let mut renamed = self.path.as_os_str().to_owned();
        renamed.push(format!(".{}-{}", &time[..8], &time[8..]));
        fs::rename(&self.path, &renamed)?;
        self.file = create(&self.path)?;
        self.bytes = 0;
        self.rotated.push_back(renamed.into());
        while self.rotated.len() > KEPT {
            if let Some(oldest) = self.rotated.pop_front() {
                fs::remove_file(oldest)?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_a_runtime_writes_them() {
        assert_eq!(cri_time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(cri_time(1_709_210_096_000_007), "2024-02-29T12:34:56.000007000Z");
    }
}
