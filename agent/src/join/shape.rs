//! How single lines look, whatever stands around them.

use memchr::{memchr, memmem};

/// How Python begins a trace.
pub(super) const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

/// The line without blanks before it.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_start()
}

/// Begins with a blank and is not blank.
pub(super) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) && !is_blank(line)
}

/// Holds nothing that can be seen.
pub(super) fn is_blank(line: &[u8]) -> bool {
    trimmed(line).is_empty()
}

/// A JSON object, as far as its first byte tells.
pub(super) fn is_json(line: &[u8]) -> bool {
    trimmed(line).first() == Some(&b'{')
}

/// `key=value` at its beginning: logfmt, which has one event per line.
pub(super) fn is_logfmt(line: &[u8]) -> bool {
    let key = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-@".contains(byte)).count();
    let value = line.get(key + 1);
    key > 0 && line.get(key) == Some(&b'=') && value.is_some_and(|byte| !matches!(byte, b' ' | b'='))
}

/// `ValueError: no`, `zlib.error: no`, `KeyError` alone: how Python ends a trace.
pub(super) fn is_exception(line: &[u8]) -> bool {
    let name = type_name(line);
    let is_type = line.first().is_some_and(|byte| !byte.is_ascii_lowercase()) || line[..name].contains(&b'.');
    name > 0 && is_type && matches!(line.get(name), None | Some(b':'))
}

/// `java.lang.IllegalStateException: no`, `NoMethodError (no):`,
/// `** (RuntimeError) no`, `Exception in thread "main" ...`: says which
/// exception was thrown, not only that there was an error.
pub(super) fn is_thrown(line: &[u8]) -> bool {
    if line.starts_with(b"Exception in thread ") || line.starts_with(b"** (") {
        return true;
    }
    const ENDINGS: [&[u8]; 5] = [b"Exception", b"Error", b"Throwable", b"Failure", b"Fault"];
    let name = type_name(line);
    let rest = &line[name..];
    let is_ended = rest.is_empty() || rest[0] == b':' || rest.starts_with(b" (");
    let is_type = |ending: &&[u8]| line[..name].ends_with(ending) && name > ending.len();
    is_ended && ENDINGS.iter().any(is_type)
}

/// The length of the name of a type at the beginning of the line.
fn type_name(line: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$".contains(byte) || *byte >= 0x80;
    if !line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') {
        return 0;
    }
    let mut length = 0;
    loop {
        length += line[length..].iter().take_while(|byte| is_part(byte)).count();
        // `ActiveRecord::RecordNotFound`
        let goes_on = line[length..].starts_with(b"::") && line.get(length + 2).is_some_and(is_part);
        if !goes_on {
            return length;
        }
        length += 2;
    }
}

/// A line that stands in a trace and hardly anywhere else, in any language.
pub(super) fn is_frame(line: &[u8]) -> bool {
    let text = trimmed(line);
    let is_indented = text.len() < line.len();
    match text.first() {
        None => false,
        Some(b'a') => is_indented && text.starts_with(b"at "),
        Some(b'f') => is_indented && text.starts_with(b"from ") && has_ruby_place(text),
        Some(b'F') => {
            is_indented && text.starts_with(b"File \"") && memmem::find(text, b"\", line ").is_some()
        }
        Some(b'.') => is_indented && is_elision(text),
        Some(b'/') => is_indented && has_go_place(text),
        Some(b'#') => is_numbered(text),
        Some(_) => is_link(text) || is_goroutine(text),
    }
}

/// `... 12 more`, `... 12 common frames omitted`.
fn is_elision(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"... ") else { return false };
    let digits = digits(rest);
    digits > 0 && (rest[digits..].starts_with(b" more") || rest[digits..].starts_with(b" common frames"))
}

/// `#0 /app/index.php(7): run()`, `#1      main (file:///app/main.dart:3:5)`.
fn is_numbered(text: &[u8]) -> bool {
    let digits = digits(&text[1..]);
    (1..=5).contains(&digits) && text.get(1 + digits) == Some(&b' ')
}

/// What joins one trace to the next: causes, and what runtimes write between.
fn is_link(text: &[u8]) -> bool {
    const LINKS: [&[u8]; 18] = [
        // Java; anyhow and eyre write the first without anything behind it.
        b"Caused by:",
        b"Suppressed: ",
        b"Wrapped by: ",
        // .NET
        b"--- End of ",
        b"---> ",
        // PHP
        b"Stack trace:",
        b"PHP Stack trace:",
        b"PHP   ",
        b"[stacktrace]",
        b"[previous exception]",
        b"thrown in ",
        // Go
        b"created by ",
        b"[signal ",
        // Rust
        b"stack backtrace:",
        b"Stack backtrace:",
        b"note: run with `RUST_BACKTRACE",
        b"note: Some details are omitted, run with `RUST_BACKTRACE",
        b"Location:",
    ];
    LINKS.iter().any(|link| text.starts_with(link))
}

/// Begins a trace of Python's.
pub(super) fn is_python_start(line: &[u8]) -> bool {
    line.starts_with(TRACEBACK) || is_python_group(line)
}

/// Begins the trace of a group of exceptions.
pub(super) fn is_python_group(line: &[u8]) -> bool {
    trimmed(line).starts_with(b"+ Exception Group Traceback (most recent call last):")
}

/// Leads from one exception to the next.
pub(super) fn is_python_link(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception, another exception occurred:")
        || line.starts_with(b"The above exception was the direct cause of the following exception:")
}

/// `goroutine 1 [running]:`
pub(super) fn is_goroutine(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"goroutine ") else { return false };
    let digits = digits(rest);
    digits > 0 && rest[digits..].starts_with(b" ") && text.ends_with(b":")
}

/// `main.(*Server).handle(0xc000010000, {0x1, 0x2})`.
pub(super) fn is_go_function(line: &[u8]) -> bool {
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-*()[]%:,~".contains(byte) || *byte >= 0x80;
    let begins = line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    // The last group of parentheses holds the arguments; a receiver's stands
    // before it, and neither has a blank in the name.
    let name_end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let name = &line[..name_end];
    let open = memchr(b'(', name);
    begins && line.ends_with(b")") && open.is_some_and(|at| name[..at].iter().all(is_name))
}

/// `/app/main.go:10 +0x1d`, `/usr/lib/go/src/runtime/asm_amd64.s:1650`.
fn has_go_place(text: &[u8]) -> bool {
    memmem::find(text, b".go:").is_some() || memmem::find(text, b".s:").is_some()
}

/// `app/models/cart.rb:12:in 'total'`, also with a backquote before the name.
pub(super) fn has_ruby_place(text: &[u8]) -> bool {
    let Some(at) = memmem::find(text, b":in ") else { return false };
    let is_quoted = matches!(text.get(at + 4), Some(b'`' | b'\''));
    is_quoted && text[..at].last().is_some_and(u8::is_ascii_digit)
}

/// `/app/index.js:3`, `file:///app/index.mjs:3`, `node:internal/modules/cjs:936`:
/// how Node begins to tell of what nobody caught.
pub(super) fn is_node_place(line: &[u8]) -> bool {
    let is_path = line.starts_with(b"/") || line.starts_with(b"file:///") || line.starts_with(b"node:");
    if !is_path {
        return false;
    }
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let Some(path) = line[..line.len() - digits].strip_suffix(b":") else { return false };
    const SCRIPTS: [&[u8]; 4] = [b".js", b".mjs", b".cjs", b".ts"];
    let is_script = path.starts_with(b"node:") || SCRIPTS.iter().any(|ending| path.ends_with(ending));
    (1..=7).contains(&digits) && is_script
}

/// `     ^^^^` under a line of source.
pub(super) fn is_caret(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    !text.is_empty() && text.iter().all(|byte| *byte == b'^' || *byte == b'~')
}

/// `info: Program[0]`: .NET's console logger writes the message into the next
/// line, indented.
pub(super) fn is_dotnet_head(line: &[u8]) -> bool {
    const LEVELS: [&[u8]; 6] = [b"trce: ", b"dbug: ", b"info: ", b"warn: ", b"fail: ", b"crit: "];
    line.ends_with(b"]") && LEVELS.iter().any(|level| line.starts_with(level))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
