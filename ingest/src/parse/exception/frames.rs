//! Java, Kotlin, Scala, .NET and Node: frames that begin with `at`.

use std::borrow::Cow;

use super::name::{self, Accept, Name};
use super::{Exception, Line, Lines};

/// How far before the frames the exception is looked for.
const HEAD_LINES: usize = 64;

pub(super) fn find<'a>(lines: &Lines<'a>, frame: usize) -> Option<Exception<'a>> {
    let (first, name) = thrown(lines.before(frame))?;
    let exception = exception(lines, first, &name, frame);
    // logback can print the root cause first.
    let prefix = "Wrapped by: ";
    let wrapper = lines.from(frame).iter().rposition(|line| line.text.starts_with(prefix));
    let outer = wrapper.and_then(|at| {
        let at = frame + at;
        let name = name::name(lines.all[at].text, prefix.len(), Accept::Any)?;
        let end = lines.from(at + 1).iter().position(|line| super::sign(line.text).is_some())?;
        Some(Exception { start: exception.start, ..self::exception(lines, at, &name, at + 1 + end) })
    });
    Some(outer.unwrap_or(exception))
}

/// The line before the frames that says what was thrown.
fn thrown(before: &[Line<'_>]) -> Option<(usize, Name)> {
    let skipped = before.len().saturating_sub(HEAD_LINES);
    let near = &before[skipped..];
    let at_start = |accept| {
        let mut lines = near.iter().enumerate();
        lines.find_map(|(at, line)| Some((at, name::at_start(line.text, accept)?)))
    };
    let within = |accept| {
        let mut lines = near.iter().enumerate().rev();
        lines.find_map(|(at, line)| Some((at, name::within(line.text, accept)?)))
    };
    let last_at_start = |accept| {
        let mut lines = near.iter().enumerate().rev();
        lines.find_map(|(at, line)| Some((at, name::at_start(line.text, accept)?)))
    };
    let found = at_start(Accept::Endings)
        .or_else(|| within(Accept::LongEndings))
        .or_else(|| within(Accept::Endings))
        .or_else(|| last_at_start(Accept::Qualified))?;
    Some((skipped + found.0, found.1))
}

/// The exception that line `at` names; its message ends before line `end`.
fn exception<'a>(lines: &Lines<'a>, at: usize, name: &Name, end: usize) -> Exception<'a> {
    let line = lines.all[at];
    // Node shows the place and its source before an error that nobody caught.
    let is_caret =
        |line: &Line<'_>| line.text.contains('^') && line.text.trim_matches([' ', '^', '~']).is_empty();
    let is_node = lines.before(at).iter().any(is_caret);
    let end = (at + 1..end).find(|at| ends_message(lines.all[*at].text)).unwrap_or(end);
    let end = if name.is_whole { line.start + line.text.len() } else { lines.end_before(end) };
    let message = name.message.clone().and_then(|message| {
        let end = if name.is_whole { line.start + message.end } else { end };
        lines.message(line.start + message.start..end)
    });
    // .NET has the inner one in the same line, or in the next.
    let message = message.map(|message| message.split(" ---> ").next().unwrap_or(message));
    Exception {
        kind: Some(Cow::Borrowed(&line.text[name.kind.clone()])),
        message,
        start: if is_node { 0 } else { line.start },
        head: line.start..end,
    }
}

/// A line before the first frame that is no longer the message.
fn ends_message(line: &str) -> bool {
    const STARTS: [&str; 5] = ["--->", "--- End of ", "(Coroutine boundary)", "Caused by:", "Suppressed: "];
    let text = line.trim_start();
    STARTS.iter().any(|start| text.starts_with(start))
}
