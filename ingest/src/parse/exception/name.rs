//! `Type: message`, at the beginning of a line or within it.

use std::ops::Range;

/// What was thrown, as positions in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Range<usize>,
    /// As far as it stands in the line.
    pub(super) message: Option<Range<usize>>,
    /// The message cannot go on in the next line.
    pub(super) is_whole: bool,
}

/// Which words are taken for a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    /// Those that end like one: `TypeError`, `java.io.IOException`, `Error`.
    Endings,
    /// The same with something before the ending.
    LongEndings,
    /// Those in a package or module: `com.shop.OutOfStock`.
    Qualified,
    /// Any: behind a word that announces it.
    Any,
}

const ENDINGS: [&str; 6] = ["Exception", "Error", "Throwable", "Failure", "Fault", "Panic"];

impl Accept {
    fn takes(self, kind: &str) -> bool {
        let ending = ENDINGS.iter().find(|ending| kind.ends_with(*ending));
        match self {
            Self::Endings => ending.is_some(),
            Self::LongEndings => ending.is_some_and(|ending| kind.len() > ending.len()),
            Self::Qualified => {
                let last = kind.rsplit(['.', ':', '\\', '$', '+']).next().unwrap_or(kind);
                // Java's dump of threads has its word for their state here.
                let is_type = kind != "java.lang.Thread.State";
                is_type && last.len() < kind.len() && last.starts_with(|first: char| first.is_uppercase())
            }
            Self::Any => true,
        }
    }
}

/// A name at the beginning of a line, behind blanks and colours.
pub(super) fn at_start(line: &str, accept: Accept) -> Option<Name> {
    let mut start = line.len() - line.trim_start_matches([' ', '\t']).len();
    // Colours of a terminal.
    while let Some(rest) = line[start..].strip_prefix("\x1b[") {
        start += 2 + rest.find('m')? + 1;
    }
    name(line, start, accept)
}

/// How far into a line a name is looked for: what names are looked for in may be
/// anything, and must not cost more than it is long.
const WITHIN_BYTES: usize = 1024;

/// A name anywhere in a line, the first.
pub(super) fn within(line: &str, accept: Accept) -> Option<Name> {
    let near = &line[..line.floor_char_boundary(WITHIN_BYTES)];
    let ends =
        |ending: &str| near.match_indices(ending).map(|(at, word)| at + word.len()).collect::<Vec<_>>();
    let mut ends: Vec<usize> = ENDINGS.into_iter().flat_map(ends).collect();
    ends.sort_unstable();
    ends.into_iter().find_map(|end| name(line, kind_start(line, end), accept))
}

/// Where the name begins that ends at `end`.
fn kind_start(line: &str, end: usize) -> usize {
    let bytes = line.as_bytes();
    let mut start = end;
    loop {
        start -= bytes[..start].iter().rev().take_while(|byte| is_part(**byte)).count();
        let goes_on =
            line[..start].strip_suffix("::").is_some_and(|rest| rest.bytes().last().is_some_and(is_part));
        if !goes_on {
            return start;
        }
        start -= 2;
    }
}

/// The name that begins at `start`.
pub(super) fn name(line: &str, start: usize, accept: Accept) -> Option<Name> {
    let kind = start..start + kind_length(&line[start..]);
    if kind.is_empty() || !accept.takes(&line[kind.clone()]) {
        return None;
    }
    let rest = &line[kind.end..];
    let open = |at: usize| Some(kind.end + at..line.len());
    let (message, is_whole) = if rest.is_empty() {
        (None, false)
    } else if let Some(message) = rest.strip_prefix(':') {
        if !message.is_empty() && !message.starts_with([' ', '\t']) {
            return None;
        }
        (open(1), false)
    } else if rest.starts_with(" [") {
        // Node: `TypeError [ERR_INVALID_ARG_TYPE]: message`.
        (open(rest.find("]: ")? + 2), false)
    } else if let Some(content) = rest.strip_prefix(" (").or_else(|| rest.strip_prefix('(')) {
        parenthesised(line, content)?
    } else {
        return None;
    };
    Some(Name { kind, message, is_whole })
}

/// `(0x80070020): message`, `(code: 0): message`, and Ruby's `(message):`.
fn parenthesised(line: &str, content: &str) -> Option<(Option<Range<usize>>, bool)> {
    let start = line.len() - content.len();
    if content.starts_with("0x") || content.starts_with("code: ") {
        return Some((Some(start + content.find("): ")? + 2..line.len()), false));
    }
    let end = content.trim_end().trim_end_matches(':').strip_suffix(')')?.len();
    Some((Some(start..start + end), true))
}

/// Bytes of a type's name: of Java, .NET (`Outer+Inner`, `Of`1`), Ruby
/// (`A::B`), PHP (`A\B`).
fn kind_length(text: &str) -> usize {
    if !text.starts_with(|first: char| first.is_alphabetic() || matches!(first, '_' | '\\')) {
        return 0;
    }
    let bytes = text.as_bytes();
    let mut length = 0;
    loop {
        length += bytes[length..].iter().take_while(|byte| is_part(**byte)).count();
        let goes_on =
            text[length..].starts_with("::") && bytes.get(length + 2).is_some_and(|byte| is_part(*byte));
        if !goes_on {
            return length;
        }
        length += 2;
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'\\' | b'+' | b'`') || byte >= 0x80
}
