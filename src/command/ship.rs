//! `COMMAND | weir ship`: lines of standard input to an agent.

use std::io::{ErrorKind, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use weir_runtime::HumanDuration;

use crate::cli::ShipArgs;
use crate::shell::{Full, Heard, Outbox, Sender, Stream, Target, deliver, lines, resource, say};

/// Messages that wait for their answer; then the pipe is the buffer.
const OUTBOX_BYTES: usize = 4 << 20;

/// When told to end: how long the last words of whoever writes are waited for.
/// A terminal's Ctrl-C tells both at the same time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Sends standard input until it ends, and waits until all is taken.
pub fn ship(args: &ShipArgs) -> Result<ExitCode> {
    let wait: HumanDuration = args.wait.parse().context("--wait")?;
    let target = Target::new(args.sent.url.as_deref())?;
    let resource = resource(&args.service, &args.sent.attribute)?;
    let outbox = Arc::new(Outbox::new(OUTBOX_BYTES));
    let stream = Arc::new(Stream::new(resource, &outbox, Full::HoldBack));
    let ends = Ends { stream: Arc::clone(&stream), outbox: Arc::clone(&outbox) };
    hear(ends.clone()).context("signals cannot be heard")?;
    let reading = std::thread::Builder::new().name("read".to_owned());
    reading.spawn(move || ends.read()).context("cannot read standard input")?;

    let sender = Sender::new("ship", true, target, &outbox);
    let sent = super::block_on(async move { Ok(deliver(&[stream], sender, wait.0).await) })?;
    let account = outbox.account();
    match sent {
        Ok(()) => {
            if args.verbose {
                say("ship", &format!("{} taken", lines(account.taken)));
            }
            super::DONE
        }
        Err(why) => {
            let (left, taken) = (lines(account.lost()), lines(account.taken));
            say("ship", &format!("{left} not taken, {taken} taken: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The two ways in which the input ends.
#[derive(Clone)]
struct Ends {
    stream: Arc<Stream>,
    outbox: Arc<Outbox>,
}

impl Ends {
    fn read(&self) {
        let mut input = std::io::stdin().lock();
        let mut block = vec![0; 64 * 1024];
        loop {
            match input.read(&mut block) {
                Ok(0) => break,
                Ok(read) => {
                    if !self.stream.push(block.get(..read).unwrap_or_default()) {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    say("ship", &format!("standard input cannot be read: {error}"));
                    break;
                }
            }
        }
        self.end();
    }

    fn end(&self) {
        self.stream.finish();
        self.outbox.close();
    }
}

/// A first signal ends the input, a second the waiting.
fn hear(ends: Ends) -> std::io::Result<()> {
    let told = AtomicU32::new(0);
    Heard::hear(&Heard::ENDING, move |_| match told.fetch_add(1, Ordering::SeqCst) {
        0 => {
            let ends = ends.clone();
            // Beside the thread that hears the second.
            let waiting = std::thread::Builder::new().spawn(move || {
                std::thread::sleep(LAST_WORDS);
                ends.end();
            });
            if waiting.is_err() {
                std::process::exit(1);
            }
        }
        _ => ends.outbox.hurry(),
    })
}
