//! `weir redact`: what an agent would replace in the lines of standard input.
//!
//! A line is read, redacted and written before the next: what is piped through
//! may be endless, and one line takes no more memory than one of an agent's.

use std::io::{self, BufRead, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use weir_agent::{Change, KeyLine, Outcome, RedactConfig, Redaction, Redactor, Scratch};
use weir_proto::limit::LINE_BYTES_MAX;

use super::sql::harmless;
use crate::cli::RedactArgs;
use crate::config::Config;

/// A piece of a longer line ends at a blank, if one is that near to its end.
const BLANK_WITHIN: usize = 4096;

/// Of longer lines only what surrounds a find is shown.
const SHOWN_BYTES: usize = 400;

/// What is shown before and after a find then.
const AROUND_BYTES: usize = 60;

/// Redacts standard input.
pub fn redact(args: &RedactArgs) -> Result<ExitCode> {
    let redactor = redactor(args)?;
    let input = io::stdin().lock();
    let out = io::stdout();
    let is_colored = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = BufWriter::new(out.lock());
    let done = if args.dry_run {
        let marks = if is_colored { Marks::COLORED } else { Marks::PLAIN };
        preview(redactor.as_deref(), input, &mut out, &marks)
    } else {
        filter(redactor.as_deref(), input, &mut out, &mut io::stderr())
    };
    match done.and_then(|()| out.flush()) {
        // Nobody reads on.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard input or output"),
        _ => super::DONE,
    }
}

/// What holds by the file, by `--rules`, or by default.
fn redactor(args: &RedactArgs) -> Result<Option<Arc<Redactor>>> {
    let config = match &args.config {
        Some(file) => of_file(file)?,
        None => RedactConfig { rules: vec!["default".to_owned()], ..RedactConfig::default() },
    };
    let redaction = Redaction::open(&config)?;
    if !args.rules.is_empty() {
        return redaction.only(&args.rules).map_err(anyhow::Error::msg).context("--rules");
    }
    let base = redaction.base();
    if base.is_none() {
        let _ = writeln!(
            io::stderr(),
            "weir: the file has nothing redacted; set `agent.redact.rules`, for example to [default], or use --rules"
        );
    }
    Ok(base)
}

fn of_file(file: &Path) -> Result<RedactConfig> {
    let config: Config = weir_runtime::config::load(Some(file), std::iter::empty(), "WEIR_")?;
    Ok(config.agent.redact)
}

/// Writes the lines as they would be sent.
fn filter(
    redactor: Option<&Redactor>,
    input: impl BufRead,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<()> {
    let mut lines = Lines::new(input);
    let mut scratch = Scratch::default();
    let mut left_out = 0_u64;
    while let Some(Line { text, ending, .. }) = lines.next()? {
        let outcome = redactor.map_or(Outcome::Clean, |redactor| redactor.redact(text, true, &mut scratch));
        match outcome {
            Outcome::Clean => out.write_all(text)?,
            Outcome::Changed(changed) => out.write_all(changed)?,
            Outcome::Dropped => {
                left_out += 1;
                continue;
            }
        }
        out.write_all(ending)?;
    }
    if left_out > 0 {
        writeln!(errors, "weir: {left_out} {} left out", lines_word(left_out))?;
    }
    Ok(())
}

/// Shows what would change: each line before and after, then how often each rule
/// found something.
fn preview(
    redactor: Option<&Redactor>,
    input: impl BufRead,
    out: &mut impl Write,
    marks: &Marks,
) -> io::Result<()> {
    let mut lines = Lines::new(input);
    let mut scratch = Scratch::default();
    let (mut changed, mut left_out) = (0_u64, 0_u64);
    while let Some(Line { number, text, .. }) = lines.next()? {
        let Some(redactor) = redactor else { continue };
        let is_dropped = match redactor.redact(text, true, &mut scratch) {
            Outcome::Clean => continue,
            Outcome::Changed(_) => false,
            Outcome::Dropped => true,
        };
        changed += 1;
        let changes: Vec<Change<'_>> = redactor.changes(text, &scratch).collect();
        let before =
            side(text, &changes, marks.found, |change| text.get(change.found.clone()).unwrap_or_default());
        writeln!(out, "{number} - {before}")?;
        if is_dropped {
            left_out += 1;
            let rules: Vec<_> = changes.iter().map(|change| change.rule).collect();
            writeln!(out, "{number} + (left out: {})", rules.join(", "))?;
        } else {
            writeln!(out, "{number} + {}", side(text, &changes, marks.written, |change| &change.written))?;
        }
    }
    let counts: Vec<_> = redactor.into_iter().flat_map(Redactor::counts).collect();
    let width = counts.iter().map(|(rule, _)| rule.len()).max().unwrap_or(0);
    if changed > 0 {
        writeln!(out)?;
    }
    for (rule, count) in &counts {
        writeln!(out, "{rule:<width$} {count:>8}")?;
    }
    let all = lines.number;
    writeln!(out, "{changed} of {all} {} would change, {left_out} of them be left out", lines_word(all))
}

fn lines_word(count: u64) -> &'static str {
    if count == 1 { "line" } else { "lines" }
}

/// What stands around a find, and around what is written instead.
struct Marks {
    found: [&'static str; 2],
    written: [&'static str; 2],
}

impl Marks {
    /// As in a diff of words.
    const PLAIN: Self = Self { found: ["[-", "-]"], written: ["{+", "+}"] };
    const COLORED: Self = Self { found: ["\u{1b}[31m", "\u{1b}[0m"], written: ["\u{1b}[32m", "\u{1b}[0m"] };
}

/// One side of the comparison, harmless for a terminal.
fn side<'a>(
    text: &'a [u8],
    changes: &'a [Change<'_>],
    [open, close]: [&str; 2],
    part: impl Fn(&'a Change<'_>) -> &'a [u8],
) -> String {
    let shown = |bytes: &[u8]| harmless(&String::from_utf8_lossy(bytes));
    let mut line = String::new();
    let mut from = 0;
    for change in changes {
        line += &shown(&between(text, from, change.found.start));
        line += open;
        line += &shown(part(change));
        line += close;
        from = change.found.end;
    }
    line + &shown(&between(text, from, text.len()))
}

/// What stands between two finds, shortened where the line is long.
fn between(text: &[u8], from: usize, to: usize) -> Vec<u8> {
    let whole = text.get(from..to).unwrap_or_default();
    if text.len() <= SHOWN_BYTES || whole.len() <= 2 * AROUND_BYTES {
        return whole.to_vec();
    }
    let head = if from == 0 { &[][..] } else { whole.get(..AROUND_BYTES).unwrap_or_default() };
    let tail =
        if to == text.len() { &[][..] } else { whole.get(whole.len() - AROUND_BYTES..).unwrap_or_default() };
    [head, b" ... ", tail].concat()
}

/// Reads lines, those that are longer than an agent's in pieces.
struct Lines<R> {
    input: R,
    /// The piece at hand, with what comes after it.
    held: Vec<u8>,
    /// Where the piece ends, its ending included.
    end: usize,
    /// The line's number, from 1.
    number: u64,
    /// Lines that the piece has beside its first.
    more: u64,
    is_inside: bool,
}

/// One of them.
struct Line<'a> {
    /// From 1.
    number: u64,
    text: &'a [u8],
    ending: &'a [u8],
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, held: Vec::new(), end: 0, number: 0, more: 0, is_inside: false }
    }

    /// The next line. The lines of a private key are one.
    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.held.drain(..self.end);
        self.number += std::mem::take(&mut self.more);
        if !self.held.contains(&b'\n') {
            self.read()?;
        }
        if self.held.is_empty() {
            return Ok(None);
        }
        self.number += u64::from(!self.is_inside);
        let is_whole = self.held.last() == Some(&b'\n');
        self.is_inside = !is_whole;
        let is_piece = !is_whole && self.held.len() >= LINE_BYTES_MAX;
        self.end = if is_piece { piece(&self.held) } else { self.held.len() };
        if is_whole && KeyLine::begins(&self.held) {
            self.read_key()?;
        }
        let line = self.held.get(..self.end).unwrap_or_default();
        let text = line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
        let (text, ending) = line.split_at(text.len());
        Ok(Some(Line { number: self.number, text, ending }))
    }

    fn read(&mut self) -> io::Result<()> {
        let room = LINE_BYTES_MAX.saturating_sub(self.held.len()) as u64;
        self.input.by_ref().take(room).read_until(b'\n', &mut self.held).map(drop)
    }

    /// Takes the lines that belong to the key whose first is held.
    fn read_key(&mut self) -> io::Result<()> {
        loop {
            self.read()?;
            let line = self.held.get(self.end..).unwrap_or_default();
            let Some(part) = KeyLine::of(line).filter(|_| line.ends_with(b"\n")) else { return Ok(()) };
            self.end = self.held.len();
            self.more += 1;
            if part == KeyLine::End {
                return Ok(());
            }
        }
    }
}

/// How much of a long line is looked at by itself.
fn piece(held: &[u8]) -> usize {
    let from = held.len().saturating_sub(BLANK_WITHIN);
    let blank = held.get(from..).and_then(|tail| tail.iter().rposition(u8::is_ascii_whitespace));
    blank.map_or(held.len(), |blank| from + blank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(rules: &[&str]) -> Arc<Redactor> {
        let rules: Vec<_> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let redaction = Redaction::open(&RedactConfig::default()).expect("valid");
        redaction.only(&rules).expect("known").expect("some")
    }

    fn filtered(redactor: &Redactor, input: &[u8]) -> Vec<u8> {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        filter(Some(redactor), input, &mut out, &mut errors).expect("written");
        out
    }

    #[test]
    fn lines_are_redacted_and_their_endings_stay() {
        let input = b"bob@example.org\r\n\nplain\nlast bob@example.org";
        let expected = b"[redacted:email]\r\n\nplain\nlast [redacted:email]";
        assert_eq!(filtered(&redactor(&["email"]), input), expected);
    }

    #[test]
    fn a_long_line_is_redacted_in_pieces_and_counted_once() {
        let redactor = redactor(&["email"]);
        let mut line = b"word bob@example.org ".repeat(3 * LINE_BYTES_MAX / 21);
        line.extend(b"\nlast\n");
        let changed = filtered(&redactor, &line);
        assert_eq!(
            changed,
            b"word [redacted:email] "
                .repeat(3 * LINE_BYTES_MAX / 21)
                .into_iter()
                .chain(*b"\nlast\n")
                .collect::<Vec<_>>()
        );
        let mut out = Vec::new();
        preview(Some(&redactor), &b"x".repeat(2 * LINE_BYTES_MAX)[..], &mut out, &Marks::PLAIN)
            .expect("written");
        let shown = String::from_utf8(out).expect("text");
        assert!(shown.ends_with("0 of 1 line would change, 0 of them be left out\n"), "{shown}");
    }

    #[test]
    fn a_key_over_several_lines_is_one_find_and_lines_are_numbered_as_they_are() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIE\nabcd\n-----END PRIVATE KEY-----";
        let input = format!("a\n{key}\nb bob@example.org\n-----BEGIN PRIVATE KEY-----\nMIIE\nnot of it: x\n");
        let redactor = redactor(&["email", "private_key"]);
        let changed = String::from_utf8(filtered(&redactor, input.as_bytes())).expect("text");
        assert_eq!(
            changed,
            "a\n[redacted:private_key]\nb [redacted:email]\n[redacted:private_key]\nnot of it: x\n"
        );
        let mut out = Vec::new();
        preview(Some(&redactor), input.as_bytes(), &mut out, &Marks::PLAIN).expect("written");
        let shown = String::from_utf8(out).expect("text");
        assert!(shown.contains("\n6 - b [-bob@example.org-]\n") && shown.contains("\n7 - [-----"), "{shown}");
        assert!(shown.contains("3 of 9 lines would change"), "{shown}");
    }

    #[test]
    fn a_preview_marks_what_is_found_and_counts() {
        let input = "fine\nto \u{1b}bob@example.org, eve@example.org\n4111111111111111\n";
        let mut out = Vec::new();
        preview(Some(&redactor(&["email", "card"])), input.as_bytes(), &mut out, &Marks::PLAIN)
            .expect("written");
        let expected = concat!(
            "2 - to \\u{1b}[-bob@example.org-], [-eve@example.org-]\n",
            "2 + to \\u{1b}{+[redacted:email]+}, {+[redacted:email]+}\n",
            "3 - [-4111111111111111-]\n",
            "3 + {+[redacted:card]+}\n",
            "\nemail        2\ncard         1\n",
            "2 of 3 lines would change, 0 of them be left out\n"
        );
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn of_a_long_line_only_what_surrounds_a_find_is_shown() {
        let input = format!("{} bob@example.org {}\n", "a".repeat(500), "b".repeat(500));
        let mut out = Vec::new();
        preview(Some(&redactor(&["email"])), input.as_bytes(), &mut out, &Marks::PLAIN).expect("written");
        let shown = String::from_utf8(out).expect("text");
        let first = shown.lines().next().expect("a line");
        assert!(first.starts_with("1 -  ... aaaa") && first.contains("aa [-bob@example.org-] bb"), "{first}");
        assert!(first.len() < 250, "{first}");
    }

    #[test]
    fn what_is_dropped_is_left_out_and_said() {
        let config = RedactConfig { rules: vec!["card".to_owned()], ..RedactConfig::default() };
        let config = RedactConfig { action: weir_agent::RedactAction::Drop, ..config };
        let redactor = Redaction::open(&config).expect("valid").base().expect("some");
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        filter(Some(&redactor), &b"a\n4111111111111111\nb\n"[..], &mut out, &mut errors).expect("written");
        assert_eq!((&out[..], &errors[..]), (&b"a\nb\n"[..], &b"weir: 1 line left out\n"[..]));
        let mut out = Vec::new();
        preview(Some(&redactor), &b"4111111111111111\n"[..], &mut out, &Marks::PLAIN).expect("written");
        assert!(String::from_utf8(out).expect("text").contains("1 + (left out: card)\n"));
    }
}
