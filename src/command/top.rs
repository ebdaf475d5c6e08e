//! `weir top`: how a running agent stands, again and again.

mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use weir_runtime::{HumanDuration, signal};

use super::sql::complaint;
use crate::cli::TopArgs;
use crate::http::Client;
use view::View;

/// Where an agent of this host serves: alone, and with all other roles.
pub(crate) const AGENTS_HERE: [&str; 2] = ["http://127.0.0.1:9701", "http://127.0.0.1:9700"];

/// Only an agent answers here.
pub(crate) const AGENT_STATUS: &str = "/api/v1/agent/status";

/// Shows the agent until told to end.
pub fn top(args: &TopArgs) -> Result<ExitCode> {
    let interval: HumanDuration = args.interval.parse().context("--interval")?;
    if interval.0 < Duration::from_millis(100) {
        bail!("--interval {}: 100ms is the shortest", args.interval);
    }
    super::block_on(async {
        let client = agent_at(args.url.as_deref()).await?;
        let told = signal::terminated()?;
        tokio::select! {
            ended = watch(args, &client, interval.0) => ended?,
            _ = told => {}
        }
        super::DONE
    })
}

/// The agent at `url`; this host's, where none is named.
pub(super) async fn agent_at(url: Option<&str>) -> Result<Client> {
    if let Some(url) = url {
        return Client::new(url);
    }
    for url in AGENTS_HERE {
        let client = Client::new(url)?;
        if client
            .get(AGENT_STATUS, "application/json")
            .await
            .is_ok_and(|response| response.status.is_success())
        {
            return Ok(client);
        }
    }
    bail!("no agent answers on this host at {}: name one with --url", AGENTS_HERE.join(" or "))
}

async fn watch(args: &TopArgs, client: &Client, interval: Duration) -> Result<()> {
    let mut before = status(client).await?;
    let mut at = Instant::now();
    let mut screen = Screen::open(!args.once && !args.json);
    loop {
        tokio::time::sleep(interval).await;
        let now = status(client).await?;
        let view = View::between(&before, &now, at.elapsed(), args.by, args.sort);
        at = Instant::now();
        let text = if args.json { format!("{}\n", view.json(args.rows)) } else { view.table(args.rows) };
        if !screen.show(&text)? || args.once {
            return Ok(());
        }
        before = now;
    }
}

async fn status(client: &Client) -> Result<Value> {
    let response = client.get(AGENT_STATUS, "application/json").await?;
    if response.status == hyper::StatusCode::NOT_FOUND {
        bail!("{} is no agent: name one with --url, for example http://HOST:9701", client.authority());
    }
    if !response.status.is_success() {
        bail!("{}", complaint(&response));
    }
    response.json()
}

/// Where the table stands: in one place on a terminal, one after the other
/// elsewhere. Dropping it gives the terminal back as it was.
struct Screen {
    is_held: bool,
}

impl Screen {
    fn open(may_hold: bool) -> Self {
        let is_held = may_hold && io::stdout().is_terminal();
        if is_held {
            // The other screen, and no cursor.
            let _ = write!(io::stdout(), "\x1b[?1049h\x1b[?25l");
        }
        Self { is_held }
    }

    /// False: nobody looks any more.
    fn show(&mut self, text: &str) -> Result<bool> {
        let mut out = io::stdout().lock();
        let shown = if self.is_held {
            // To the first place; each line is cleared behind its end, then all below.
            write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\r\n"))
        } else {
            write!(out, "{text}")
        };
        match shown.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_held {
            let mut out = io::stdout();
            let _ = write!(out, "\x1b[?25h\x1b[?1049l").and_then(|()| out.flush());
        }
    }
}
