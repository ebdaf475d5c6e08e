//! Python: the exception stands behind its frames.

use std::borrow::Cow;

use super::name::{self, Accept};
use super::{Exception, Lines, script};

/// How a trace begins.
pub(super) const TRACEBACK: &str = "Traceback (most recent call last):";

/// What leads from one exception to the next, which is the outer one.
const LINKS: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];

pub(super) fn is_frame(text: &str) -> bool {
    text.starts_with("File \"") && text.contains("\", line ")
}

pub(super) fn is_group(text: &str) -> bool {
    text.starts_with("+ Exception Group Traceback (most recent call last):")
}

pub(super) fn find<'a>(lines: &Lines<'a>, first: usize) -> Option<Exception<'a>> {
    let at = thrown(lines, first)?;
    let line = lines.all[at];
    let start = line.text.len() - unmargined(line.text).len();
    let Some(name) = name::name(line.text, start, Accept::Any) else {
        // Ruby can print its traces upside down, under the same head.
        return script::ruby(lines, lines.all.len() - 1)
            .map(|found| Exception { start: lines.all[first].start, ..found });
    };
    let is_end =
        |line: &str| is_link(line) || line.contains(TRACEBACK) || line.trim_start().starts_with("+-");
    let end = if start > 0 {
        at + 1
    } else {
        let after = lines.from(at + 1).iter().position(|line| is_end(line.text));
        after.map_or(lines.all.len(), |after| at + 1 + after)
    };
    let end = lines.end_before(end);
    let message = name.message.clone().and_then(|message| lines.message(line.start + message.start..end));
    let head = if lines.all[first].text.trim_start() == TRACEBACK || start > 0 || !is_traceback(lines, first)
    {
        line.start..line.start + line.text.trim_end().len()
    } else {
        // The log's own line is the head's.
        lines.all[first].start..lines.all[first].start + lines.all[first].text.len()
    };
    Some(Exception {
        kind: Some(Cow::Borrowed(&line.text[name.kind])),
        message,
        start: lines.all[first].start,
        head,
    })
}

fn is_traceback(lines: &Lines<'_>, at: usize) -> bool {
    lines.all[at].text.contains(TRACEBACK)
}

/// The line of the outermost exception: the last of a chain, the first of a
/// group.
fn thrown(lines: &Lines<'_>, first: usize) -> Option<usize> {
    let (mut found, mut is_outer, mut in_frames) = (None, true, true);
    for (after, line) in lines.from(first).iter().enumerate() {
        let text = unmargined(line.text);
        if text.contains(TRACEBACK) || is_group(line.text.trim_start()) {
            in_frames = true;
        } else if is_link(line.text) {
            is_outer = true;
        } else if in_frames && !text.is_empty() && !text.starts_with([' ', '\t', '+']) {
            in_frames = false;
            if is_outer {
                found = Some(first + after);
                is_outer = false;
            }
        }
    }
    found
}

/// Without the margin that a group has.
fn unmargined(line: &str) -> &str {
    let text = line.trim_start_matches(' ');
    if text == "|" {
        return "";
    }
    text.strip_prefix("| ").unwrap_or(line)
}

fn is_link(line: &str) -> bool {
    LINKS.iter().any(|link| line.starts_with(link))
}
