//! Which lines begin something, and which go on with it.
//!
//! A line that tells of an error is a [`Trace::Head`]: a trace may follow it.
//! Within a trace, lines that are indented go on with it, and so do the lines
//! that [`shape`] knows. What else does depends on the language.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use super::shape;
use crate::redact::KeyLine;

/// How far into a line a word that tells of an error is looked for.
const HEAD_BYTES: usize = 512;

/// The longest line that is taken for a line of source under Node's place.
const SOURCE_BYTES: usize = 400;

/// What an event is so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// Tells of an error; no trace has begun.
    Head,
    /// The same, then a blank line.
    HeadGap,
    /// In a trace whose further lines are indented or known by themselves.
    Frames,
    /// The same, then a blank line.
    FramesGap,
    /// Python: among the frames; the exception comes last.
    Python,
    /// Python: behind the exception.
    PythonEnd,
    /// The same, then a blank line.
    PythonGap,
    /// Python: behind the line that leads to another exception.
    PythonLink,
    /// Go: behind `panic:`, before the first goroutine.
    GoPanic,
    /// Go: among the frames of a goroutine.
    GoFrames,
    /// Go: between goroutines.
    GoGap,
    /// Rust: behind `panicked at`, whose message is in the next line.
    RustPanic,
    /// Rust: behind the message.
    RustMessage,
    /// Node: behind the place, before the line of source.
    NodePlace,
    /// Node: behind the line of source.
    NodeSource,
    /// Node: behind the caret, before the error.
    NodeCaret,
    /// Within a private key, which redaction must see as a whole.
    Key,
    /// Behind its last line.
    KeyEnd,
}

impl Trace {
    /// What a line begins, if lines may follow that belong to it.
    pub(super) fn begin(line: &[u8]) -> Option<Self> {
        let first = line.first()?;
        if shape::is_json(line) {
            return None;
        }
        if KeyLine::begins(line) {
            return Some(Self::Key);
        }
        if let b' ' | b'\t' = first {
            return Self::begin_inside(line);
        }
        match sign(&line[..line.len().min(HEAD_BYTES)]) {
            Some(Sign::Error) if shape::is_logfmt(line) => None,
            Some(Sign::Error) => Some(Self::of_error(line)),
            Some(Sign::RubyPlace) => shape::has_ruby_place(line).then_some(Self::Frames),
            None if shape::is_dotnet_head(line) || shape::is_frame(line) => Some(Self::Frames),
            None => shape::is_node_place(line).then_some(Self::NodePlace),
        }
    }

    /// What the first line seen of a trace begins that has lost its head.
    fn begin_inside(line: &[u8]) -> Option<Self> {
        if shape::is_python_group(line) {
            return Some(Self::Python);
        }
        if !shape::is_frame(line) {
            return None;
        }
        Some(match shape::trimmed(line).first() {
            Some(b'F') => Self::Python,
            Some(b'/') => Self::GoFrames,
            _ => Self::Frames,
        })
    }

    fn of_error(line: &[u8]) -> Self {
        if memmem::find(line, shape::TRACEBACK).is_some() {
            return Self::Python;
        }
        if line.starts_with(b"thread '") && memmem::find(line, b" panicked at ").is_some() {
            // Before Rust 1.73 the message stood in the same line.
            return if line.ends_with(b":") { Self::RustPanic } else { Self::RustMessage };
        }
        const GO: [&[u8]; 4] = [b"panic: ", b"fatal error: ", b"SIGQUIT: ", b"unexpected fault address "];
        if GO.iter().any(|start| line.starts_with(start))
            || memmem::find(line, b"http: panic serving ").is_some()
        {
            return Self::GoPanic;
        }
        if shape::is_goroutine(line) {
            return Self::GoFrames;
        }
        let is_thrown = shape::is_thrown(line) || shape::is_frame(line);
        if is_thrown { Self::Frames } else { Self::Head }
    }

    /// What the event is with this line at its end; nothing if the line does
    /// not belong to it.
    pub(super) fn next(self, line: &[u8]) -> Option<Self> {
        if shape::is_json(line) {
            return None;
        }
        if shape::is_blank(line) {
            return self.gap();
        }
        if self == Self::Key {
            return KeyLine::of(line).map(|line| if line == KeyLine::End { Self::KeyEnd } else { Self::Key });
        }
        let is_inside = shape::is_indented(line) || shape::is_frame(line);
        match self {
            Self::Head => self.after_head(line, is_inside),
            Self::HeadGap => match shape::is_goroutine(line) {
                true => Some(Self::GoFrames),
                false => (shape::is_frame(line) || shape::has_ruby_place(line)).then_some(Self::Frames),
            },
            Self::Frames => (is_inside || is_trailer(line)).then_some(Self::Frames),
            Self::FramesGap => {
                let begins = [b"Node.js v".as_slice(), b"Next "].iter().any(|start| line.starts_with(start));
                let goes_on = begins || shape::is_frame(line) || shape::has_ruby_place(line);
                goes_on.then_some(Self::Frames)
            }
            Self::Python if shape::is_python_start(line) => None,
            Self::Python if is_inside => Some(Self::Python),
            Self::Python => shape::is_exception(line).then_some(Self::PythonEnd),
            Self::PythonEnd | Self::PythonGap if shape::is_python_link(line) => Some(Self::PythonLink),
            Self::PythonEnd => (is_inside && !shape::is_python_start(line)).then_some(Self::PythonEnd),
            Self::PythonGap => None,
            Self::PythonLink => shape::is_python_start(line).then_some(Self::Python),
            Self::GoPanic if shape::is_goroutine(line) || line == b"runtime stack:" => Some(Self::GoFrames),
            Self::GoPanic => (is_inside || line.starts_with(b"panic: ")).then_some(Self::GoPanic),
            Self::GoFrames if is_go_end(line) => Some(Self::GoGap),
            Self::GoFrames if shape::is_goroutine(line) => None,
            Self::GoFrames => {
                let goes_on = is_inside || shape::is_go_function(line) || line.starts_with(b"...");
                goes_on.then_some(Self::GoFrames)
            }
            Self::GoGap if shape::is_goroutine(line) => Some(Self::GoFrames),
            Self::GoGap => is_go_end(line).then_some(Self::GoGap),
            Self::RustPanic => Some(Self::RustMessage),
            Self::RustMessage => (is_inside || line.starts_with(b"note: ")).then_some(Self::RustMessage),
            Self::NodePlace => (line.len() <= SOURCE_BYTES).then_some(Self::NodeSource),
            Self::NodeSource => shape::is_caret(line).then_some(Self::NodeCaret),
            Self::NodeCaret => Some(Self::Frames),
            Self::Key | Self::KeyEnd => None,
        }
    }

    /// With a blank line at its end.
    fn gap(self) -> Option<Self> {
        match self {
            Self::Head => Some(Self::HeadGap),
            Self::Frames => Some(Self::FramesGap),
            Self::PythonEnd => Some(Self::PythonGap),
            Self::GoFrames => Some(Self::GoGap),
            Self::Python | Self::PythonLink | Self::GoPanic | Self::GoGap | Self::NodeCaret | Self::Key => {
                Some(self)
            }
            Self::HeadGap
            | Self::FramesGap
            | Self::PythonGap
            | Self::RustPanic
            | Self::RustMessage
            | Self::NodePlace
            | Self::NodeSource
            | Self::KeyEnd => None,
        }
    }

    fn after_head(self, line: &[u8], is_inside: bool) -> Option<Self> {
        if shape::is_python_start(line) {
            return Some(Self::Python);
        }
        if shape::is_goroutine(line) {
            return Some(Self::GoFrames);
        }
        if is_inside {
            return Some(if shape::is_frame(line) { Self::Frames } else { Self::Head });
        }
        // What the line before announced.
        shape::is_thrown(line).then_some(Self::Frames)
    }
}

/// What a word in a line tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Error,
    RubyPlace,
}

/// Words that tell of an error, wherever they stand, and then those of a place
/// in Ruby.
const SIGNS: [&[u8]; 18] = [
    b"rror",
    b"RROR",
    b"xception",
    b"hrowable",
    b"Warn",
    b"WARN",
    b"atal",
    b"ATAL",
    b"SEVERE",
    b"CRIT",
    b"[ERR",
    b"[WRN",
    b"[FTL",
    b"panic",
    b"Traceback (",
    b"** (",
    b":in `",
    b":in '",
];

/// From here on, [`SIGNS`] are those of Ruby.
const RUBY_SIGNS: usize = 16;

/// Leftmost, because only that search is done by comparing many bytes at once:
/// a line of 250 bytes takes 70 ns instead of 1,100.
static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(SIGNS);
    searcher.expect("a few short words make a searcher")
});

fn sign(head: &[u8]) -> Option<Sign> {
    let mut found = None;
    for hit in SEARCH.find_iter(head) {
        if hit.pattern().as_usize() < RUBY_SIGNS {
            return Some(Sign::Error);
        }
        found = Some(Sign::RubyPlace);
    }
    found
}

/// What ends a trace, or goes on with it, without being indented: the brace of
/// an object that Node prints, what Laravel closes its context with, PHP's next
/// exception, Ruby's frames in Rails.
fn is_trailer(line: &[u8]) -> bool {
    matches!(line, b"}" | b"\"} " | b"\"}" | b"]")
        || line.starts_with(b"Next ")
        || shape::has_ruby_place(line)
}

/// `exit status 2`, `rax    0x0`: what Go prints behind the last goroutine.
fn is_go_end(line: &[u8]) -> bool {
    if line.starts_with(b"exit status ") {
        return true;
    }
    let name = line.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let value = line[name..].trim_ascii_start();
    let is_register = (2..=6).contains(&name) && line.get(name) == Some(&b' ');
    is_register && value.strip_prefix(b"0x").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}
