//! Ruby, PHP, Dart, Elixir and Rust: each has its own way to say it.

use std::borrow::Cow;
use std::ops::Range;

use super::name::{self, Accept};
use super::{Exception, Line, Lines, sign};

fn range(line: Line<'_>) -> Range<usize> {
    line.start..line.start + line.text.len()
}

/// Where `:in` with its quote stands behind a line's number: `app.rb:3:in 'x'`.
pub(super) fn ruby_place(text: &str) -> Option<usize> {
    [":in `", ":in '"].iter().find_map(|word| {
        let at = text.find(word)?;
        text[..at].ends_with(|digit: char| digit.is_ascii_digit()).then_some(at)
    })
}

/// `app.rb:3:in 'divide': divided by 0 (ZeroDivisionError)`, or the line before
/// the places: `NoMethodError (undefined method 'total'):`.
pub(super) fn ruby<'a>(lines: &Lines<'a>, at: usize) -> Option<Exception<'a>> {
    let line = *lines.all.get(at)?;
    if let Some(place) = ruby_place(line.text)
        && let Some(value) = line.text[place..].find("': ").map(|quote| place + quote + "': ".len())
        && let Some((message, kind)) =
            line.text[value..].trim_end().strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("))
    {
        let kind = Some(Cow::Borrowed(kind));
        let message = Some(message).filter(|message| !message.is_empty());
        return Some(Exception { kind, message, start: line.start, head: range(line) });
    }
    let (head, line) =
        lines.before(at).iter().enumerate().rev().find(|(_, line)| !line.text.trim().is_empty())?;
    let name = name::at_start(line.text, Accept::Endings)
        .or_else(|| name::at_start(line.text, Accept::Qualified))
        .or_else(|| name::within(line.text, Accept::LongEndings))?;
    let end = if name.is_whole { None } else { Some(lines.end_before(head + 1)) };
    let message = name.message.clone().and_then(|message| {
        lines.message(line.start + message.start..end.unwrap_or(line.start + message.end))
    });
    let kind = Some(Cow::Borrowed(&line.text[name.kind]));
    Some(Exception { kind, message, start: line.start, head: range(*line) })
}

/// `PHP Fatal error:  Uncaught RuntimeException: no stock in /app/Stock.php:9`,
/// the exceptions in a context that Laravel and Monolog log, and `Next ...`,
/// which is the outer one.
pub(super) fn php<'a>(lines: &Lines<'a>, trace: usize) -> Option<Exception<'a>> {
    let before = lines.before(trace);
    let (first, name) = before.iter().enumerate().find_map(|(at, line)| Some((at, php_name(line.text)?)))?;
    let start = before[first].start;
    let next = lines.from(trace).iter().rposition(|line| line.text.starts_with("Next ")).and_then(|at| {
        let at = trace + at;
        let name = name::name(lines.all[at].text, "Next ".len(), Accept::Any)?;
        let end = lines.from(at + 1).iter().position(|line| sign(line.text).is_some())?;
        Some((at, name, at + 1 + end))
    });
    let head = range(before[first]);
    let (at, name, end) = next.unwrap_or((first, name, trace));
    let line = lines.all[at];
    let message = name.message.clone().and_then(|message| {
        lines.message(line.start + message.start..lines.end_before(end)).map(without_place)
    });
    // In a context of JSON, backslashes are doubled.
    let kind = line.text[name.kind].trim_start_matches('\\');
    let kind =
        if kind.contains("\\\\") { Cow::Owned(kind.replace("\\\\", "\\")) } else { Cow::Borrowed(kind) };
    Some(Exception { kind: Some(kind), message: message.filter(|message| !message.is_empty()), start, head })
}

fn php_name(line: &str) -> Option<name::Name> {
    for word in ["[object] (", "Uncaught PHP Exception ", "Uncaught "] {
        if let Some(at) = line.find(word)
            && let Some(name) = name::name(line, at + word.len(), Accept::Any)
        {
            return Some(name);
        }
    }
    name::at_start(line, Accept::Endings).or_else(|| name::within(line, Accept::LongEndings))
}

/// A message without ` in FILE:LINE` or ` at FILE:LINE)` behind it.
fn without_place(message: &str) -> &str {
    let at = [" in ", " at "].iter().filter_map(|word| message.rfind(word)).max();
    match at {
        Some(at) if is_file(&message[at + 4..]) => &message[..at],
        _ => message,
    }
}

fn is_file(place: &str) -> bool {
    let place = place.trim_end_matches(')');
    place
        .rsplit_once(':')
        .is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `Unhandled exception:`, then the exception as it prints itself.
pub(super) fn dart<'a>(lines: &Lines<'a>, trace: usize) -> Option<Exception<'a>> {
    let at = lines.before(trace).iter().position(|line| line.text == "Unhandled exception:")?;
    let thrown = lines.all.get(at + 1).filter(|_| at + 1 < trace)?;
    let end = lines.end_before(trace);
    let name = name::at_start(thrown.text, Accept::Endings);
    let kind = name.as_ref().map(|name| Cow::Borrowed(&thrown.text[name.kind.clone()]));
    let from = name.and_then(|name| name.message).map_or(0, |message| message.start);
    let message = lines.message(thrown.start + from..end);
    Some(Exception { kind, message, start: lines.all[at].start, head: thrown.start..end })
}

/// `** (RuntimeError) boom`
pub(super) fn elixir<'a>(lines: &Lines<'a>, at: usize) -> Option<Exception<'a>> {
    let line = *lines.all.get(at)?;
    let open = line.text.find("** (")? + "** (".len();
    let close = open + line.text[open..].find(')')?;
    let frame = |line: &Line<'_>| line.text.starts_with("    ");
    let end = lines.from(at + 1).iter().position(frame).map_or(lines.all.len(), |after| at + 1 + after);
    let message = lines.message(line.start + close + 1..lines.end_before(end));
    let kind = Some(Cow::Borrowed(&line.text[open..close]));
    Some(Exception { kind, message, start: line.start, head: range(line) })
}

/// `thread 'main' panicked at src/main.rs:4:5:` and the message in the next
/// lines; before Rust 1.73 `panicked at 'message', src/main.rs:2:10`.
pub(super) fn rust<'a>(lines: &Lines<'a>, at: usize) -> Option<Exception<'a>> {
    let line = *lines.all.get(at)?;
    let word = " panicked at ";
    let place = line.text.find(word)? + word.len();
    let end = lines.from(at + 1).iter().position(|line| ends_rust_message(line.text));
    let end = lines.end_before(end.map_or(lines.all.len(), |after| at + 1 + after));
    let old = line.text[place..].strip_prefix('\'').and_then(|rest| rest.rsplit_once("', "));
    let message = match old {
        Some((message, _)) => Some(message),
        None => lines.message(line.start + line.text.len()..end),
    };
    let head = line.start..end.max(line.start + line.text.len());
    Some(Exception { kind: Some(Cow::Borrowed("panic")), message, start: line.start, head })
}

fn ends_rust_message(line: &str) -> bool {
    ["note: ", "stack backtrace:"].iter().any(|start| line.starts_with(start))
}

/// anyhow and eyre: `Error: cannot read`, a blank line, `Caused by:`.
pub(super) fn causes<'a>(lines: &Lines<'a>, at: usize) -> Option<Exception<'a>> {
    let line = *lines.before(at).iter().rev().find(|line| !line.text.trim().is_empty())?;
    let name = name::at_start(line.text, Accept::Endings)?;
    let message = name
        .message
        .clone()
        .and_then(|message| lines.message(line.start + message.start..line.start + message.end));
    let kind = Some(Cow::Borrowed(&line.text[name.kind]));
    Some(Exception { kind, message, start: line.start, head: range(line) })
}
