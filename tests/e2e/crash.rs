//! Killed at any moment, nothing is lost and nothing is there twice.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{Node, Role, Scratch, append, eventually, seed, weir};

/// Kills of one run; the figure in the README comes from 50.
fn kills() -> u64 {
    std::env::var("WEIR_KILLS").map_or(12, |text| text.parse().expect("WEIR_KILLS is a number"))
}

/// Writes numbered lines to several files and rotates them, until told.
struct Writer {
    written: Arc<AtomicU64>,
    rotations: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(scratch: &Scratch, seed: u64) -> Self {
        let (written, rotations) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let paths: Vec<_> = (0..3).map(|n| scratch.input(&format!("w{n}.log"))).collect();
        let (lines, turns, told) = (written.clone(), rotations.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut random = SmallRng::seed_from_u64(seed);
            while !told.load(Ordering::SeqCst) {
                let path = &paths[random.random_range(0..paths.len())];
                let mut text = String::new();
                for _ in 0..random.random_range(1..200) {
                    let n = lines.fetch_add(1, Ordering::SeqCst);
                    let filler = "x".repeat(random.random_range(0..120));
                    if n % 2 == 0 {
                        text.push_str(&format!(
                            "{{\"level\":\"info\",\"msg\":\"line {n}\",\"f\":\"{filler}\"}}\n"
                        ));
                    } else {
                        text.push_str(&format!("line {n} {filler}\n"));
                    }
                }
                // Sometimes in two halves, so that an open line meets a kill.
                let cut = random.random_range(0..text.len());
                append(path, &text[..cut]);
                if random.random_bool(0.1) {
                    std::thread::sleep(Duration::from_millis(random.random_range(0..150)));
                }
                append(path, &text[cut..]);
                if random.random_bool(0.02) {
                    let turn = turns.fetch_add(1, Ordering::SeqCst);
                    fs::rename(path, path.with_extension(format!("log.{turn}"))).expect("rotated");
                }
                std::thread::sleep(Duration::from_millis(random.random_range(0..8)));
            }
        });
        Self { written, rotations, stop, thread }
    }

    fn finish(self) -> (u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writer ends well");
        (self.written.load(Ordering::SeqCst), self.rotations.load(Ordering::SeqCst))
    }
}

fn start(scratch: &Scratch) -> Node {
    Node::start_with(scratch, Role::All, |command| {
        // Short times make many flushes and many cuts fall between kills.
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "200ms").env("WEIR_AGENT_LINE_TIMEOUT", "50ms");
        command.env("WEIR_INGEST_STATE_INTERVAL", "1s");
    })
}

/// The rows of a source put where they belong, over newlines: the file again.
fn contents(node: &Node) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let question = "SELECT source_id, source_start, source_end, arrow_cast(line, 'Utf8') AS line \
                    FROM log_lines ORDER BY source_id, source_start";
    let answer = node.post_sql(question, "application/x-ndjson").map_err(|error| format!("{error:#}"))?;
    if answer.status != 200 {
        return Err(answer.text());
    }
    let mut sources: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for row in answer.text().lines() {
        let row: Value = serde_json::from_str(row).map_err(|error| error.to_string())?;
        let number = |name: &str| row[name].as_u64().expect("a number") as usize;
        let (start, end) = (number("source_start"), number("source_end"));
        let line = row["line"].as_str().expect("text").as_bytes();
        let text = sources.entry(row["source_id"].to_string()).or_default();
        assert!(text.len() <= start, "a row lies over another: {row}");
        text.resize(end, b'\n');
        text[start..start + line.len()].copy_from_slice(line);
    }
    Ok(sources)
}

/// Every file is there once, byte for byte, and nothing else is.
fn reconcile(node: &Node, scratch: &Scratch) {
    let mut files: Vec<Vec<u8>> = fs::read_dir(scratch.input(""))
        .expect("the input")
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("a file"))
        .filter(|text| !text.is_empty())
        .collect();
    files.sort_unstable();
    eventually("every byte is there once", || {
        let mut found: Vec<_> = contents(node)?.into_values().collect();
        found.sort_unstable();
        // A newline that came after its line was cut off by time has no row.
        for (text, file) in found.iter_mut().zip(&files) {
            if file.len() == text.len() + 1 && file.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        if found == files {
            return Ok(());
        }
        let lengths = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).collect::<Vec<_>>();
        Err(format!("sources {:?}, files {:?}", lengths(&found), lengths(&files)))
    });
    let gaps = node.rows("SELECT * FROM weir.gaps");
    assert!(gaps.is_empty(), "losses were counted: {gaps:?}");
}

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing() {
    let scratch = Scratch::new("kill");
    let seed = seed("kill_9_at_random_moments");
    let mut random = SmallRng::seed_from_u64(seed);
    let writer = Writer::start(&scratch, seed);
    let mut committed = HashSet::new();
    for _ in 0..kills() {
        let node = start(&scratch);
        std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
        if let Ok(rows) = node.try_rows("SELECT count(*) FROM weir.files") {
            committed.insert(rows[0][0].to_string());
        }
        node.kill();
    }
    let (written, rotations) = writer.finish();
    let node = start(&scratch);
    reconcile(&node, &scratch);
    // The faults really happened: there was load, rotation, and commits
    // between the kills.
    assert!(written > 1000, "only {written} lines were written");
    assert!(rotations > 0, "nothing was rotated");
    assert!(committed.len() > 2, "the kills fell between no commits: {committed:?}");
    println!("{} kills, {written} lines, {rotations} rotations: 0 lost, 0 duplicated", kills());
    assert!(node.terminate().success());
    let mut check = weir();
    let check = check.args(["check", "--rows", "--data"]).arg(scratch.data()).output().expect("weir check");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.contains(" 0 wrong"), "{said}");
}

#[test]
fn a_catalog_that_is_lost_is_made_again_from_the_objects() {
    let scratch = Scratch::new("rebuild");
    let seed = seed("a_catalog_that_is_lost");
    let mut random = SmallRng::seed_from_u64(seed);
    let writer = Writer::start(&scratch, seed);
    let mut files = 0;
    for round in 0..5 {
        let node = start(&scratch);
        std::thread::sleep(Duration::from_millis(random.random_range(500..3000)));
        node.kill();
        for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
            let gone = fs::rename(scratch.data().join(file), scratch.path(&format!("{round}-{file}")));
            assert!(gone.is_ok() || file != "catalog.db", "{gone:?}");
        }
        let run = |arguments: &[&str]| {
            let output = weir().args(arguments).arg("--data").arg(scratch.data()).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
            said
        };
        let said = run(&["rebuild-catalog"]);
        let count = said.split(' ').next().expect("a number").parse::<u64>().expect("a number");
        assert!(count >= files, "{said}, and {files} before");
        files = count;
        let said = run(&["check", "--rows"]);
        assert!(said.contains(" 0 wrong"), "{said}");
    }
    let (written, _) = writer.finish();
    let node = start(&scratch);
    reconcile(&node, &scratch);
    assert!(written > 1000 && files > 10, "too little to mean anything: {written} lines, {files} files");
    println!("5 lost catalogs, {written} lines, {files} files: 0 lost, 0 duplicated");
    assert!(node.terminate().success());
}

#[test]
fn a_kill_between_a_timed_out_half_and_its_rest_keeps_the_cut() {
    let scratch = Scratch::new("kill-cut");
    let seed = seed("a_kill_between_a_timed_out_half");
    let mut random = SmallRng::seed_from_u64(seed);
    let file = scratch.input("a.log");
    let mut expected = 0;
    for round in 0..6 {
        append(&file, format!("half {round}"));
        let node = start(&scratch);
        if random.random_bool(0.7) {
            node.wait_for_rows(expected + 1);
        } else {
            std::thread::sleep(Duration::from_millis(random.random_range(0..120)));
        }
        node.kill();
        append(&file, format!(" rest {round}\nwhole {round}\n"));
        let node = start(&scratch);
        eventually("the round is complete", || {
            let query = format!("SELECT count(*) FROM logs WHERE body = 'whole {round}'");
            match node.try_rows(&query) {
                Ok(rows) if rows[0][0] == 1 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        expected = node.number("SELECT count(*) FROM logs");
        node.kill();
    }
    let node = start(&scratch);
    node.wait_for_rows(expected);
    let rows = node.rows("SELECT body, source_start, source_end, flags FROM logs ORDER BY source_start");
    // Whatever was cut, the bodies put together are the file, and no byte is
    // there twice.
    let mut at = 0;
    let mut text = String::new();
    let mut cuts = 0;
    for row in &rows {
        assert_eq!(row[1].as_u64(), Some(at), "a hole or an overlap before {row:?}");
        at = row[2].as_u64().expect("an end");
        text.push_str(row[0].as_str().expect("a body"));
        let flags = row[3].as_i64().expect("flags");
        if flags & 4 == 0 {
            text.push('\n');
        } else {
            cuts += 1;
        }
    }
    assert_eq!(text, fs::read_to_string(&file).expect("the file"));
    assert!(cuts > 0, "no line was cut by time");
}
