//! A corpus of JSON lines for measurements: 12 fields, about 300 bytes, values
//! by Zipf's law, ids from a large space.
//!
//! Lines are rendered once with holes of a fixed width; writing one copies it
//! and fills the holes, so that the generator is never what limits.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use super::container::cri_time;

/// Lines rendered in advance.
const RENDERED: usize = 16 * 1024;

/// Bytes written at once.
const BLOCK_BYTES: usize = 4 << 20;

/// The first line's time, 2026-01-01; lines are a little under a millisecond apart.
const START_MICROS: i64 = 1_767_225_600_000_000;
const STEP_MICROS: i64 = 743;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A line with holes: where its time, trace id and number go.
struct Template {
    text: Vec<u8>,
    time: usize,
    trace: Option<usize>,
    number: usize,
}

/// Writes at least `bytes` bytes of whole lines; answers with how many lines.
pub fn write(path: &Path, bytes: u64, seed: u64) -> io::Result<u64> {
    let mut random = SmallRng::seed_from_u64(seed);
    let templates: Vec<_> = (0..RENDERED).map(|_| template(&mut random)).collect();
    let mut file = File::create(path)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES + 8192);
    let (mut written, mut lines) = (0u64, 0u64);
    let mut clock = Clock::default();
    while written < bytes {
        block.clear();
        while block.len() < BLOCK_BYTES && written + (block.len() as u64) < bytes {
            let choice = random.next_u32() as usize % RENDERED;
            append(&mut block, &templates[choice], lines, &mut clock, &mut random);
            lines += 1;
        }
        file.write_all(&block)?;
        written += block.len() as u64;
    }
    file.sync_all()?;
    Ok(lines)
}

/// Renders a time once a second and only its microseconds for each line.
#[derive(Default)]
struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    fn write(&mut self, micros: i64, hole: &mut [u8]) {
        if self.text.is_empty() || micros / 1_000_000 != self.second {
            self.second = micros / 1_000_000;
            self.text = cri_time(self.second * 1_000_000);
        }
        hole[..20].copy_from_slice(&self.text.as_bytes()[..20]);
        digits(&mut hole[20..26], (micros % 1_000_000) as u64);
    }
}

fn append(block: &mut Vec<u8>, template: &Template, line: u64, clock: &mut Clock, random: &mut SmallRng) {
    let at = block.len();
    block.extend_from_slice(&template.text);
    let text = &mut block[at..];
    clock.write(START_MICROS + line as i64 * STEP_MICROS, &mut text[template.time..template.time + 26]);
    digits(&mut text[template.number..template.number + 10], line);
    if let Some(trace) = template.trace {
        for half in text[trace..trace + 32].chunks_exact_mut(16) {
            let mut id = random.next_u64();
            for byte in half {
                *byte = HEX[(id & 15) as usize];
                id >>= 4;
            }
        }
    }
}

/// Decimal, with leading zeros, as wide as the hole.
fn digits(hole: &mut [u8], mut number: u64) {
    for byte in hole.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn template(random: &mut SmallRng) -> Template {
    let skewed = |random: &mut SmallRng, count: f64| (count.powf(random.random()) - 1.0) as u32;
    let level = match random.random_range(0..100) {
        0..2 => "ERROR",
        2..8 => "WARN",
        8..90 => "INFO",
        _ => "DEBUG",
    };
    let service = skewed(random, 50.0);
    let message = match skewed(random, 12.0) {
        0 => format!("request for /api/v1/items/{} served from cache", skewed(random, 1e6)),
        1 => format!("order {} accepted", skewed(random, 1e6)),
        2 => format!(
            "connection to 10.{}.{}.7:5432 reset by peer",
            random.random::<u8>(),
            random.random::<u8>()
        ),
        3 => format!("user session {:016x} refreshed", random.random::<u64>()),
        4 => format!("retry {} of 5 after {} ms", random.random_range(1..5), skewed(random, 1e4)),
        5 => format!("slow query: select item from stock where sku = {}", skewed(random, 1e5)),
        6 => "health check passed".to_owned(),
        7 => format!("queue depth is {} and growing", skewed(random, 1e5)),
        8 => format!("payment {:012x} declined by issuer", random.random::<u64>() >> 16),
        _ => format!("worker {} finished batch {}", random.random_range(0..64), skewed(random, 1e6)),
    };
    let mut text = String::from("{\"ts\":\"");
    let time = text.len();
    text.push_str("0000-00-00T00:00:00.000000Z\",\"level\":\"");
    text.push_str(&format!(
        "{level}\",\"service\":\"svc-{service:02}\",\"pod\":\"svc-{service:02}-{:05x}\"",
        skewed(random, 10.0)
    ));
    text.push_str(&format!(",\"msg\":\"{message}\""));
    let trace = random.random_bool(0.4).then(|| {
        text.push_str(",\"trace_id\":\"");
        let at = text.len();
        text.push_str(&"0".repeat(32));
        text.push('"');
        at
    });
    let status = [200, 200, 200, 204, 302, 404, 500][skewed(random, 7.0) as usize];
    text.push_str(&format!(
        ",\"status\":{status},\"duration_ms\":{}.{:03},\"user\":\"u{}\",\"ip\":\"10.{}.{}.{}\",\"region\":\"eu-{}\",\"seq\":\"",
        skewed(random, 2000.0),
        random.random_range(0..1000),
        skewed(random, 1e5),
        random.random::<u8>(),
        random.random::<u8>(),
        random.random::<u8>(),
        random.random_range(1..4),
    ));
    let number = text.len();
    text.push_str("0000000000\"}\n");
    Template { text: text.into_bytes(), time, trace, number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_json_numbered_and_the_same_for_a_seed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let lines = write(&a, 1 << 20, 3).unwrap();
        write(&b, 1 << 20, 3).unwrap();
        let text = std::fs::read_to_string(&a).unwrap();
        assert_eq!(text, std::fs::read_to_string(&b).unwrap());
        assert_eq!(text.lines().count() as u64, lines);
        for (number, line) in text.lines().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["seq"], format!("{number:010}"));
        }
    }
}
