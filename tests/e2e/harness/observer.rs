//! A load of numbered lines, and somebody who asks all the time and holds every
//! answer to what it says of itself: nothing twice, nothing that was not
//! written, and nothing missing of what was written before `complete_until`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use weir::http::Client;

use super::append;

/// Numbered lines, written to a few files at a steady rate until told.
pub(crate) struct Lines {
    written: Arc<Written>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How far the writer is: after each `write` the time, and the lines so far.
#[derive(Default)]
struct Written {
    count: AtomicU64,
    history: Mutex<Vec<(i64, u64)>>,
}

impl Written {
    /// Lines whose `write` had returned before this time.
    fn before(&self, micros: i64) -> u64 {
        let history = self.history.lock().expect("not poisoned");
        let count = history.partition_point(|(at, _)| *at < micros);
        count.checked_sub(1).map_or(0, |last| history[last].1)
    }
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 290000")
}

impl Lines {
    /// Starts to write `rate` lines a second, in turn to each of the files.
    pub(crate) fn start(files: Vec<PathBuf>, rate: u64) -> Self {
        const TICK: Duration = Duration::from_millis(20);
        let (written, stop) = (Arc::new(Written::default()), Arc::new(AtomicBool::new(false)));
        let (counted, told) = (written.clone(), stop.clone());
        let each = (rate * TICK.as_millis() as u64 / 1000).max(1);
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let first = counted.count.load(Ordering::SeqCst);
                let text: String = (first..first + each)
                    .map(|n| format!("{{\"level\":\"info\",\"msg\":\"line {n}\"}}\n"))
                    .collect();
                // Counted before it is written, so that no answer can hold
                // more than was counted.
                counted.count.store(first + each, Ordering::SeqCst);
                append(&files[turn % files.len()], text);
                counted.history.lock().expect("not poisoned").push((now_micros(), first + each));
                std::thread::sleep(TICK);
            }
        });
        Self { written, stop, thread }
    }

    /// Lines written so far.
    pub(crate) fn count(&self) -> u64 {
        self.written.count.load(Ordering::SeqCst)
    }

    /// Ends the writing and says how many lines were written.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writer ends well");
        self.written.count.load(Ordering::SeqCst)
    }

    /// Begins to ask.
    pub(crate) fn observe(&self) -> Observer {
        Observer::start(self.written.clone())
    }
}

/// Asks whoever it was told of, in turn, and judges each answer.
pub(crate) struct Observer {
    clients: Arc<Mutex<Vec<Client>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

/// What an observer saw.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Answers that were judged, and right.
    pub(crate) answers: u64,
    /// Questions without an answer: a node that was just killed, or a 503.
    pub(crate) refused: u64,
    /// The first answer that was wrong.
    pub(crate) wrong: Option<String>,
    /// The longest that `complete_until` lay behind the clock.
    pub(crate) behind: Duration,
    /// Answers that named somebody who holds them back.
    pub(crate) held: u64,
}

impl Observer {
    fn start(written: Arc<Written>) -> Self {
        let clients: Arc<Mutex<Vec<Client>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, told) = (clients.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let mut observed = Observed::default();
            for turn in 0_usize.. {
                if told.load(Ordering::SeqCst) || observed.wrong.is_some() {
                    break;
                }
                let client = {
                    let clients = asked.lock().expect("not poisoned");
                    (!clients.is_empty()).then(|| clients[turn % clients.len()].clone())
                };
                if let Some(client) = client {
                    runtime.block_on(judge(&client, &written, &mut observed));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            observed
        });
        Self { clients, stop, thread }
    }

    /// Whom to ask from now on.
    pub(crate) fn ask(&self, clients: Vec<Client>) {
        *self.clients.lock().expect("not poisoned") = clients;
    }

    /// Ends the asking.
    pub(crate) fn finish(self) -> Observed {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the observer ends well")
    }
}

async fn judge(client: &Client, written: &Written, observed: &mut Observed) {
    const QUESTION: &str = "SELECT count(*), count(DISTINCT body) FROM logs";
    let answer = client.sql(QUESTION, "application/json").await;
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer.json(),
        _ => {
            observed.refused += 1;
            return;
        }
    };
    let judged = answer.and_then(|answer| {
        let count = |column: usize| answer["rows"][0][column].as_u64().context("a count");
        let (rows, distinct) = (count(0)?, count(1)?);
        let most = written.count.load(Ordering::SeqCst);
        if rows != distinct {
            bail!("{rows} rows, {distinct} of them distinct: {answer}");
        }
        if rows > most {
            bail!("{rows} rows of {most} lines: {answer}");
        }
        let until = answer["complete_until"].as_str().map(micros).transpose()?;
        if let Some(until) = until {
            let least = written.before(until);
            if rows < least {
                bail!("{rows} rows, of the {least} lines that were written before it says that it is complete: {answer}");
            }
        }
        Ok((until, answer["held_by"].as_array().is_some_and(|held| !held.is_empty())))
    });
    match judged {
        Ok((until, is_held)) => {
            observed.answers += 1;
            observed.held += u64::from(is_held);
            // Before the first line there is nothing to be behind with.
            if let Some(until) = until.filter(|until| *until > 0) {
                let behind = now_micros().saturating_sub(until).max(0).unsigned_abs();
                observed.behind = observed.behind.max(Duration::from_micros(behind));
            }
        }
        Err(error) => observed.wrong = Some(format!("{error:#}")),
    }
}

/// An RFC 3339 time in UTC as microseconds.
fn micros(text: &str) -> Result<i64> {
    let time: jiff::Timestamp = text.parse().with_context(|| format!("{text:?} is no time"))?;
    Ok(time.as_microsecond())
}
