//! `weir agent tap`: lines as a running agent reads or sends them.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;
use weir_runtime::{HumanDuration, signal};

use super::sql::cell;
use super::top::agent_at;
use crate::cli::{TapArgs, TapStage};

/// Shows lines until the time is over, or Ctrl-C.
pub fn tap(args: &TapArgs) -> Result<ExitCode> {
    let path = path(args)?;
    super::block_on(async {
        let client = agent_at(args.url.as_deref()).await?;
        let mut rest = Vec::new();
        let showing = client.stream(&path, |piece| {
            rest.extend_from_slice(piece);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(true) };
            let whole: Vec<u8> = rest.drain(..=end).collect();
            show(args.json, &whole)
        });
        tokio::select! {
            shown = showing => shown?,
            _ = signal::terminated()? => {}
        }
        super::DONE
    })
}

/// What to ask for.
fn path(args: &TapArgs) -> Result<String> {
    let sample = args.sample.strip_suffix("/s").unwrap_or(&args.sample);
    let sample: u64 = sample.parse().with_context(|| {
        format!("--sample {:?} is no number of lines in a second: write 20 or 20/s", args.sample)
    })?;
    let watch_for: HumanDuration = args.watch_for.parse().context("--for")?;
    let stage = match args.stage {
        TapStage::Framed => "framed",
        TapStage::Batched => "batched",
    };
    let mut path =
        format!("/api/v1/agent/tap?stage={stage}&sample={sample}&for={}ms", watch_for.0.as_millis());
    let wanted = [("pod", &args.pod), ("service", &args.service), ("contains", &args.contains)];
    for (name, value) in wanted.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        path.push_str(&format!("&{name}={}", escaped(value)));
    }
    Ok(path)
}

/// Text as a part of a query.
pub(super) fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Prints whole lines. False: nobody reads them any more.
fn show(as_json: bool, lines: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    let printed = if as_json { out.write_all(lines) } else { write!(out, "{}", described(lines)) };
    match printed.and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// For people: who, and what. Nothing of a line reaches the terminal as control.
fn described(lines: &[u8]) -> String {
    let mut text = String::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
        if let Some(skipped) = value["skipped"].as_u64() {
            text.push_str(&format!("({skipped} more were not shown: this end is too slow)\n"));
            continue;
        }
        let who = ["namespace", "pod", "service"].map(|key| cell(&value[key]));
        let who = match &who {
            [namespace, pod, _] if !pod.is_empty() => format!("{namespace}/{pod}"),
            [_, _, service] => service.clone(),
        };
        let more = if value["cut"] == true { " ..." } else { "" };
        text.push_str(&format!("{who}  {}{more}\n", cell(&value["text"])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sample: &str) -> TapArgs {
        TapArgs {
            url: None,
            stage: TapStage::Framed,
            pod: Some("cart-*".to_owned()),
            service: None,
            contains: Some("a b&ü".to_owned()),
            sample: sample.to_owned(),
            watch_for: "1m".to_owned(),
            json: false,
        }
    }

    #[test]
    fn a_question_is_escaped_and_checked() {
        assert_eq!(
            path(&args("20/s")).unwrap(),
            "/api/v1/agent/tap?stage=framed&sample=20&for=60000ms&pod=cart-%2A&contains=a%20b%26%C3%BC"
        );
        assert!(path(&args("many")).unwrap_err().to_string().contains("write 20"));
        assert!(path(&TapArgs { watch_for: "ever".to_owned(), ..args("1") }).is_err());
    }

    #[test]
    fn a_line_is_shown_with_its_writer_and_cannot_steer_the_terminal() {
        let lines = concat!(
            r#"{"namespace":"shop","pod":"cart-1","service":"cart","text":"a\u001b[31m\nb","cut":false}"#,
            "\n",
            r#"{"skipped":7}"#,
            "\n",
            r#"{"namespace":null,"pod":null,"service":"web","text":"long","cut":true}"#,
            "\nbroken\n"
        );
        assert_eq!(
            described(lines.as_bytes()),
            "shop/cart-1  a\\u{1b}[31m\\nb\n(7 more were not shown: this end is too slow)\nweb  long ...\n"
        );
    }
}
