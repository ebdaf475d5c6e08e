//! Nanoseconds a line costs from text to columns, by format.
//!
//! `cargo bench -p weir-ingest --bench parse -- [FORMAT...]`. The last column is
//! the same in units of checking and copying the line's bytes in the same run:
//! it can be compared between runs and machines, nanoseconds cannot.

// What is measured is private to the crate: it is compiled into the benchmark,
// with its tests, which nothing runs here.
#![allow(dead_code, unused_imports)]

#[path = "../src"]
mod source {
    pub(crate) mod columns;
    pub(crate) mod parse;
}

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use source::{columns, parse};
use weir_proto::model::ByteRange;
use weir_proto::wire::batch::Line;

/// Lines of a corpus; a batch has about as many.
const LINES: u64 = 2_000;

/// Runs over a corpus. The fastest tenth counts: what is slower was disturbed.
const RUNS: usize = 200;

/// What makes a line of a number and something random.
type Format = fn(n: u64, random: u64) -> String;

const FORMATS: [(&str, Format); 8] = [
    ("json", json),
    ("logfmt", logfmt),
    ("plain", plain),
    ("prose", prose),
    ("klog", klog),
    ("access", access),
    ("istio", istio),
    ("trace", trace),
];

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut out = std::io::stdout();
    writeln!(out, "{:8} {:>6} {:>8} {:>8} {:>8}", "format", "bytes", "ns", "copy ns", "ratio")?;
    for (name, format) in FORMATS {
        if !arguments.is_empty() && !arguments.iter().any(|wish| wish == name) {
            continue;
        }
        let lines = corpus(format);
        let bytes: usize = lines.iter().map(String::len).sum();
        let mut parser = parse::LineParser::default();
        let (mut parsed, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            parsed.push(timed(|| run(&mut parser, &lines, bytes)));
            copied.push(timed(|| copy(&lines, bytes)));
        }
        let per_line = |times| fastest(times).as_secs_f64() * 1e9 / lines.len() as f64;
        let (parsed, copied) = (per_line(parsed), per_line(copied));
        let each = bytes / lines.len();
        writeln!(out, "{name:8} {each:>6} {parsed:>8.0} {copied:>8.1} {:>8.1}", parsed / copied)?;
    }
    Ok(())
}

fn run(parser: &mut parse::LineParser, lines: &[String], bytes: usize) {
    let mut columns = columns::Columns::with_capacity(lines.len(), bytes);
    let mut at = 0;
    for text in lines {
        let range = ByteRange::new(at, at + text.len() as u64 + 1);
        at = range.end;
        let line = Line {
            source: 0,
            range,
            observed_micros: 1_773_144_000_000_000,
            timestamp_nanos: None,
            flags: 0,
            text: text.as_bytes(),
        };
        parser.parse(&line, parse::Parser::Auto, &mut columns);
    }
    black_box((columns.rows(), parser.take_layouts()));
}

/// The least that can be done with a line.
fn copy(lines: &[String], bytes: usize) {
    let mut column = String::with_capacity(bytes);
    for line in lines {
        column.push_str(std::str::from_utf8(black_box(line.as_bytes())).unwrap_or_default());
    }
    black_box(column);
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The mean of the fastest tenth.
fn fastest(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let count = times.len() / 10;
    times.iter().take(count).sum::<Duration>() / u32::try_from(count).unwrap_or(u32::MAX)
}

fn corpus(format: Format) -> Vec<String> {
    // xorshift: the same lines in every run.
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..LINES).map(|n| format(n, random())).collect()
}

fn clock(n: u64) -> String {
    format!("12:{:02}:{:02}", n / 60 % 60, n % 60)
}

fn json(n: u64, r: u64) -> String {
    let (order, user, level) = (r % 100_000, r % 5_000, ["info", "warn", "debug"][n as usize % 3]);
    format!(
        r#"{{"ts":"2026-03-10T{}.{:03}Z","level":"{level}","msg":"order {order} was placed","service":"checkout","user":"u-{user}","sku":"sku-{}","trace_id":"{:016x}{r:016x}","span_id":"{:016x}","duration_ms":{user},"status":200}}"#,
        clock(n),
        n % 1000,
        user * 7,
        r | 1,
        r | 3,
    )
}

fn logfmt(n: u64, r: u64) -> String {
    let (order, user) = (r % 100_000, r % 5_000);
    format!(
        "ts=2026-03-10T{}.{:03}Z level=info msg=\"order {order} was placed\" service=checkout user=u-{user} sku=sku-{} duration_ms={user} status=200 region=eu-1 path=/api/v1/orders/{order} method=POST",
        clock(n),
        n % 1000,
        user * 7,
    )
}

fn plain(n: u64, r: u64) -> String {
    format!(
        "2026-03-10 {},{:03} INFO  [http-nio-8080-exec-{}] com.shop.cart.CartController: order {} of user {} was placed, and this line goes on with some more words, so that it is as long as lines usually are: {r:x}",
        clock(n),
        n % 1000,
        n % 50,
        r % 100_000,
        r % 5_000,
    )
}

fn prose(n: u64, r: u64) -> String {
    format!(
        "the order {} of user {} was placed after {} tries and then something else happened that nobody had thought of before, {r:x} and so on, until two hundred and fifty bytes are reached by this line of ordinary words",
        r % 100_000,
        r % 5_000,
        n % 9,
    )
}

fn klog(n: u64, r: u64) -> String {
    format!(
        "I0310 {}.{:06} {:7} controller.go:{}] order {} of user {} was placed",
        clock(n),
        r % 1_000_000,
        n % 3_000,
        r % 900 + 100,
        r % 100_000,
        r % 5_000,
    )
}

fn access(n: u64, r: u64) -> String {
    format!(
        r#"10.0.{}.{} - - [10/Mar/2026:{} +0000] "GET /api/cart/{}?user={} HTTP/1.1" 200 {} "https://shop.example/cart" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36""#,
        n % 255,
        r % 255,
        clock(n),
        r % 100_000,
        r % 5_000,
        r % 9_000,
    )
}

fn istio(n: u64, r: u64) -> String {
    format!(
        r#"[2026-03-10T{}.{:03}Z] "GET /api/cart/{} HTTP/1.1" 200 - via_upstream - "-" 0 {} 3 1 "-" "curl/7.73.0" "84961386-6d84-929d-98bd-{:012x}" "cart:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:{} outbound_.8000_._.cart default"#,
        clock(n),
        n % 1000,
        r % 100_000,
        r % 5_000,
        r >> 16,
        r % 5_000 + 30_000,
    )
}

fn trace(n: u64, r: u64) -> String {
    format!(
        "2026-03-10 {},{:03} ERROR [main] cart - cannot place order {}\njava.lang.IllegalStateException: no stock of {}{}",
        clock(n),
        n % 1000,
        r % 100_000,
        r % 5_000,
        "\n\tat com.shop.cart.CartService.place(CartService.java:118)".repeat(20),
    )
}
