//! Go: panics and fatal errors, before the goroutines.

use std::borrow::Cow;

use super::{Exception, Line, Lines};

/// The type of what the runtime panics with.
const RUNTIME_ERROR: &str = "runtime.Error";

/// The type of other panics: Go prints their value alone.
const PANIC: &str = "panic";

/// `goroutine 1 [running]:`
pub(super) fn is_goroutine(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("goroutine ") else { return false };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    rest.starts_with(" [") && rest.contains("]:")
}

pub(super) fn find<'a>(lines: &Lines<'a>, goroutine: usize) -> Option<Exception<'a>> {
    let before = lines.before(goroutine);
    let first = before.iter().position(|line| panicked(line.text).is_some() || fatal(line.text).is_some())?;
    let start = before[first].start;
    // What a deferred function panics with again comes last.
    let last = before.iter().rposition(|line| panicked(line.text).is_some());
    if let Some(last) = last {
        let line = before[last];
        let value = panicked(line.text)?;
        let end = end_of_message(before, last);
        let message = lines.message(line.start + value..lines.end_before(end))?;
        let message = message.split(" [recovered").next().unwrap_or(message);
        let (kind, message) = typed(message);
        return Some(Exception { kind: Some(kind), message: Some(message), start, head: head(line) });
    }
    let line = before[first];
    let (kind, value) = fatal(line.text)?;
    let message = lines.message(line.start + value..line.start + line.text.len());
    Some(Exception { kind: Some(Cow::Borrowed(kind)), message, start, head: head(line) })
}

fn head(line: Line<'_>) -> std::ops::Range<usize> {
    line.start..line.start + line.text.len()
}

/// Where the value of a panic begins in a line: the runtime's own, net/http's,
/// and those that recovered ones are logged with.
fn panicked(line: &str) -> Option<usize> {
    if let Some(at) = line.find("panic serving ") {
        let address = at + "panic serving ".len();
        return Some(address + line[address..].find(": ")? + 2);
    }
    ["panic: ", "panic recovered: ", "panic recovered:"]
        .iter()
        .find_map(|word| Some(line.find(word)? + word.len()))
}

/// `fatal error: all goroutines are asleep - deadlock!`, `SIGQUIT: quit`
fn fatal(line: &str) -> Option<(&'static str, usize)> {
    const WORDS: [&str; 3] = ["fatal error", "SIGQUIT", "SIGABRT"];
    let word = WORDS.iter().find(|word| line.starts_with(**word) && line[word.len()..].starts_with(": "))?;
    Some((word, word.len() + 2))
}

/// The line that ends the value of a panic in line `at`.
fn end_of_message(before: &[Line<'_>], at: usize) -> usize {
    let ends = |line: &Line<'_>| line.text.is_empty() || line.text.starts_with("[signal ");
    before[at + 1..].iter().position(ends).map_or(before.len(), |after| at + 1 + after)
}

/// `runtime error: ...` and `(main.Failure) {...}` tell their type.
fn typed(message: &str) -> (Cow<'_, str>, &str) {
    if message.contains("runtime error: ") {
        return (Cow::Borrowed(RUNTIME_ERROR), message);
    }
    let typed = message.strip_prefix('(').and_then(|rest| rest.split_once(") "));
    let is_type =
        |kind: &str| kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./*".contains(&byte));
    match typed.filter(|(kind, _)| is_type(kind)) {
        Some((kind, value)) => (Cow::Borrowed(kind), value),
        None => (Cow::Borrowed(PANIC), message),
    }
}
