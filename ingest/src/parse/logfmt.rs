//! logfmt lines: `key=value key="two words"`.
//!
//! A line counts as logfmt only when all of it is pairs, two at least: one free
//! word more often means prose than a flag, and prose must stay searchable as
//! one body.

use weir_proto::limit::{FIELD_NAME_BYTES_MAX, FIELDS_MAX};

use super::field::{Field, Kind, Span};

/// Lists the fields; none when the line is not logfmt. `Some(true)`: there were
/// more, or longer names, than the limits allow, and those are left out.
pub(super) fn scan(line: &[u8], fields: &mut Vec<Field>) -> Option<bool> {
    fields.clear();
    let mut limited = false;
    let mut at = space(line, 0);
    while at < line.len() {
        let key_end = at + line[at..].iter().position(|byte| !is_key(*byte))?;
        if key_end == at || line[key_end] != b'=' || !starts_key(line[at]) {
            return None;
        }
        let key = Span::new(at, key_end);
        let (value, kind, escaped, after) = value(line, key_end + 1)?;
        if fields.len() < FIELDS_MAX && key.len() <= FIELD_NAME_BYTES_MAX {
            fields.push(Field { key, key_escaped: false, value, kind, escaped });
        } else {
            limited = true;
        }
        at = space(line, after);
        if at == after && at < line.len() {
            return None;
        }
    }
    (fields.len() >= 2).then_some(limited)
}

pub(super) fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'@' | b':') || byte >= 0x80
}

fn starts_key(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'@') || byte >= 0x80
}

fn space(line: &[u8], at: usize) -> usize {
    at + line[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Span, kind, whether there are escapes, and where the value's text ends.
fn value(line: &[u8], at: usize) -> Option<(Span, Kind, bool, usize)> {
    if line.get(at) != Some(&b'"') {
        let length = line[at..].iter().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
        let word = &line[at..at + length];
        let is_word = !word.iter().any(|byte| matches!(byte, b'"' | b'=') || byte.is_ascii_control());
        return is_word.then(|| (Span::new(at, at + length), Kind::Word, false, at + length));
    }
    let start = at + 1;
    let mut end = start;
    let mut escaped = false;
    loop {
        end += memchr::memchr2(b'"', b'\\', &line[end..])?;
        if line[end] == b'"' {
            return Some((Span::new(start, end), Kind::Quoted, escaped, end + 1));
        }
        escaped = true;
        end += 2;
        if end > line.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let mut fields = Vec::new();
            assert_eq!(scan(line.as_bytes(), &mut fields), Some(false), "{line}");
            let found: Vec<_> =
                fields.iter().map(|field| (field.key.of(line), field.value.of(line))).collect();
            assert_eq!(found, expected, "{line}");
        };
        check("a=1 b=2", &[("a", "1"), ("b", "2")]);
        check("  a=1\t b=  ", &[("a", "1"), ("b", "")]);
        check(r#"msg="say \"hi\"" k.v-x/y@z=é"#, &[("msg", r#"say \"hi\""#), ("k.v-x/y@z", "é")]);
        check(r#"a="" b="\\""#, &[("a", ""), ("b", r"\\")]);
    }

    #[test]
    fn prose_is_not_logfmt() {
        for line in [
            "",
            "a=1",
            "a=1 b",
            "a b=1 c=2",
            "user logged in a=1 b=2",
            "a=1 =2",
            "a=1 b=\"x",
            "a=1 b=\"x\"y",
            "a=1 b=x\"y",
            "a=1 b=\"x\\",
            "a=b=c d=e",
            "1=2 3=4",
            "https://a.b/?c=1 d=2",
            "a=1\nb=2",
        ] {
            assert_eq!(scan(line.as_bytes(), &mut Vec::new()), None, "{line}");
        }
    }

    #[test]
    fn limits_leave_fields_out() {
        let line: String = (0..=FIELDS_MAX).map(|n| format!("k{n}={n} ")).collect();
        let mut fields = Vec::new();
        assert_eq!(scan(line.as_bytes(), &mut fields), Some(true));
        assert_eq!(fields.len(), FIELDS_MAX);
    }
}
