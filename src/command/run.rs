//! `weir run -- COMMAND`: a command as it is, with its output sent to an agent,
//! too.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use weir_runtime::{ByteSize, HumanDuration};

use crate::cli::RunArgs;
use crate::shell::{Full, Heard, Outbox, Sender, Stream, Target, Tee, deliver, die_of, lines, resource, say};

/// What others hold open of the command's output is read on for so long after
/// they last wrote, once the command has ended.
const QUIET: Duration = Duration::from_secs(1);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// As shells say that a command is not there, and that it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Who is to get the signals.
#[derive(Debug)]
enum Phase {
    /// Nobody yet: they are kept for the command.
    Before(Vec<Heard>),
    Runs(Pid),
    /// Its number may be another's now.
    Ended,
}

type Running = Arc<Mutex<Phase>>;

/// Runs the command, and ends as it ended.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let wait: HumanDuration = args.wait.parse().context("--wait")?;
    let buffer: ByteSize = args.buffer.parse().context("--buffer")?;
    let target = Target::new(args.sent.url.as_deref())?;
    let Some((program, arguments)) = args.command.split_first() else {
        anyhow::bail!("no command: write weir run -- COMMAND");
    };
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let mut known = resource(args.service.as_deref().unwrap_or(&name), &args.sent.attribute)?;
    let outbox = Arc::new(Outbox::new(buffer.as_usize()));

    // Before there is a command: none of its signals may end this process first.
    let running = Arc::new(Mutex::new(Phase::Before(Vec::new())));
    hear(&running, &outbox).context("signals cannot be heard")?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            say("run", &format!("cannot run {}: {error}", program.to_string_lossy()));
            let is_absent = error.kind() == ErrorKind::NotFound;
            return Ok(ExitCode::from(if is_absent { NOT_FOUND } else { NOT_RUNNABLE }));
        }
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the command has no number")?;
    if let Phase::Before(early) = change(&running, Phase::Runs(pid)) {
        early.into_iter().for_each(|heard| heard.forward(pid));
    }
    known.push(("process.pid".to_owned(), child.id().to_string()));
    known.push(("process.executable.name".to_owned(), name));

    let stream = |iostream: &str| {
        let mut known = known.clone();
        known.push(("log.iostream".to_owned(), iostream.to_owned()));
        Arc::new(Stream::new(known, &outbox, Full::Drop))
    };
    let streams = [stream("stdout"), stream("stderr")];
    let sender = Sender::new("run", args.verbose, target, &outbox);
    let trouble = sender.trouble();
    let ended = super::block_on(async {
        let (status, sent) =
            tokio::join!(watch(child, pid, &running, &streams, &outbox), deliver(&streams, sender, wait.0));
        Ok((status?, sent))
    });
    let (status, sent) = ended?;
    let account = outbox.account();
    if account.lost() > 0 {
        let full = || {
            trouble.text().unwrap_or_else(|| {
                format!("they came faster than the agent took them, and {buffer} were full")
            })
        };
        let why = sent.err().unwrap_or_else(full);
        say("run", &format!("{} of the output were not shipped: {why}", lines(account.lost())));
    } else if args.verbose {
        say("run", &format!("{} shipped", lines(account.taken)));
    }
    Ok(end_like(status))
}

/// Shows and ships the output, until the command and its output have ended.
async fn watch(
    mut child: Child,
    pid: Pid,
    running: &Running,
    streams: &[Arc<Stream>; 2],
    outbox: &Outbox,
) -> Result<ExitStatus> {
    let [out, err] = streams;
    let mut tees = Vec::with_capacity(2);
    if let Some(from) = child.stdout.take() {
        tees.push(Tee::start(from, std::io::stdout(), out).context("cannot show standard output")?);
    }
    if let Some(from) = child.stderr.take() {
        tees.push(Tee::start(from, std::io::stderr(), err).context("cannot show standard error")?);
    }
    let running = Arc::clone(running);
    let ending = tokio::task::spawn_blocking(move || {
        // It keeps its number until it is asked how it ended.
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        change(&running, Phase::Ended);
        child.wait()
    });
    let status = ending.await.context("the command cannot be waited for")?;
    tees.iter().for_each(|tee| tee.touch());
    while !tees.iter().all(|tee| tee.is_over(QUIET)) {
        tokio::time::sleep(LOOK).await;
    }
    streams.iter().for_each(|stream| stream.finish());
    outbox.close();
    status.context("the command cannot be waited for")
}

/// What the command is told; once it has ended, who waits is told to hurry.
fn hear(running: &Running, outbox: &Arc<Outbox>) -> std::io::Result<()> {
    let (running, outbox) = (Arc::clone(running), Arc::clone(outbox));
    Heard::hear(&Heard::ALL, move |heard| {
        // In the lock: the number is the command's for as long as it is held.
        match &mut *running.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Before(early) => early.push(heard),
            Phase::Runs(pid) => heard.forward(*pid),
            Phase::Ended if heard.asks_to_end() => outbox.hurry(),
            Phase::Ended => {}
        }
    })
}

fn change(running: &Running, to: Phase) -> Phase {
    std::mem::replace(&mut *running.lock().unwrap_or_else(PoisonError::into_inner), to)
}

/// Ends this process as the command ended.
fn end_like(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        die_of(signal);
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
