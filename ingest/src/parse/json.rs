//! JSON lines: where their fields lie.
//!
//! One pass over the bytes, no tree and no recursion: a field costs one entry
//! of a reused list, and a line of any depth costs no stack. The grammar is
//! RFC 8259's without leniency: what does not fit it is plain text.

use weir_proto::limit::{FIELD_NAME_BYTES_MAX, FIELDS_MAX, JSON_DEPTH_MAX};

use super::field::{Field, Kind, Span};

/// Why a line is not taken as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not one JSON object.
    Syntax,
    /// It is deeper than [`JSON_DEPTH_MAX`].
    TooDeep,
}

// The kinds of the open containers are bits of one word.
const _: () = assert!(JSON_DEPTH_MAX <= 64);

/// Lists the fields of a line that is one object. True: there were more fields,
/// or longer names, than the limits allow, and those are left out.
pub(super) fn scan(line: &[u8], fields: &mut Vec<Field>) -> Result<bool, Refused> {
    fields.clear();
    let mut cursor = Cursor { bytes: line, at: 0 };
    let mut limited = false;
    cursor.space();
    cursor.expect(b'{')?;
    cursor.space();
    if !cursor.take(b'}') {
        loop {
            cursor.expect(b'"')?;
            let (key, key_escaped) = cursor.string()?;
            cursor.colon()?;
            let (value, kind, escaped) = cursor.value()?;
            if fields.len() < FIELDS_MAX && key.len() <= FIELD_NAME_BYTES_MAX {
                fields.push(Field { key, key_escaped, value, kind, escaped });
            } else {
                limited = true;
            }
            cursor.space();
            match cursor.next()? {
                b',' => cursor.space(),
                b'}' => break,
                _ => return Err(Refused::Syntax),
            }
        }
    }
    cursor.space();
    if cursor.at == line.len() { Ok(limited) } else { Err(Refused::Syntax) }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, Refused> {
        self.bytes.get(self.at).copied().ok_or(Refused::Syntax)
    }

    fn next(&mut self) -> Result<u8, Refused> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.take(byte) { Ok(()) } else { Err(Refused::Syntax) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn colon(&mut self) -> Result<(), Refused> {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// The value of a field: its span, its kind, and whether it holds escapes.
    fn value(&mut self) -> Result<(Span, Kind, bool), Refused> {
        let start = self.at;
        let kind = match self.peek()? {
            b'"' => {
                self.at += 1;
                let (span, escaped) = self.string()?;
                return Ok((span, Kind::Quoted, escaped));
            }
            b'{' | b'[' => {
                self.nested()?;
                Kind::Other
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Kind::Number
            }
            b'n' => {
                self.literal(b"null")?;
                Kind::Null
            }
            _ => {
                self.boolean()?;
                Kind::Other
            }
        };
        Ok((Span::new(start, self.at), kind, false))
    }

    /// An object or array, to its end. `kinds` has a bit for each container
    /// that is open, the innermost lowest: 1 for an object.
    fn nested(&mut self) -> Result<(), Refused> {
        let mut kinds = 0u64;
        // The line's own object is open.
        let mut depth = 1;
        'value: loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == JSON_DEPTH_MAX {
                        return Err(Refused::TooDeep);
                    }
                    self.at += 1;
                    self.space();
                    let is_object = open == b'{';
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        depth += 1;
                        kinds = kinds << 1 | u64::from(is_object);
                        if is_object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                }
                b'"' => {
                    self.at += 1;
                    self.string()?;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b'n' => self.literal(b"null")?,
                _ => self.boolean()?,
            }
            while depth > 1 {
                self.space();
                match (self.next()?, kinds & 1) {
                    (b',', is_object) => {
                        self.space();
                        if is_object == 1 {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    (b'}', 1) | (b']', 0) => {
                        kinds >>= 1;
                        depth -= 1;
                    }
                    _ => return Err(Refused::Syntax),
                }
            }
            return Ok(());
        }
    }

    fn key(&mut self) -> Result<(), Refused> {
        self.expect(b'"')?;
        self.string()?;
        self.colon()
    }

    /// A string whose opening quote was taken: its content, and whether it
    /// holds escapes.
    fn string(&mut self) -> Result<(Span, bool), Refused> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = special(self.bytes, self.at).ok_or(Refused::Syntax)?;
            match self.next()? {
                b'"' => return Ok((Span::new(start, self.at - 1), escaped)),
                b'\\' => {
                    escaped = true;
                    match self.next()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            for _ in 0..4 {
                                if !self.next()?.is_ascii_hexdigit() {
                                    return Err(Refused::Syntax);
                                }
                            }
                        }
                        _ => return Err(Refused::Syntax),
                    }
                }
                _ => return Err(Refused::Syntax),
            }
        }
    }

    fn number(&mut self) -> Result<(), Refused> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Refused::Syntax) }
    }

    fn boolean(&mut self) -> Result<(), Refused> {
        self.literal(if self.peek()? == b't' { b"true" } else { b"false" })
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Refused> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Refused::Syntax)
        }
    }
}

/// The next quote, backslash or control character at or after `at`, eight
/// bytes at a step. Each test marks the high bit of bytes that fit; a borrow
/// may mark bytes above the first that fits, never below it.
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let equal = |byte: u8| zero(word ^ (ONES * u64::from(byte)));
        let found = equal(b'"') | equal(b'\\') | control;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    rest.map(|position| at + position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(line: &str) -> Result<Vec<(String, String)>, Refused> {
        let mut fields = Vec::new();
        scan(line.as_bytes(), &mut fields)?;
        let text = |field: &Field| (field.key.of(line).to_owned(), field.value.of(line).to_owned());
        Ok(fields.iter().map(text).collect())
    }

    #[test]
    fn fields_are_found() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(keys(line), Ok(expected), "{line}");
        };
        check("{}", &[]);
        check(" { } ", &[]);
        check(r#"{"a":"b"}"#, &[("a", "b")]);
        check(r#"{"a" : -0.5e+10 , "":null}"#, &[("a", "-0.5e+10"), ("", "null")]);
        check(
            r#"{"a":{"b":[1,{},[],{"c":"}"}]},"d":true}"#,
            &[("a", r#"{"b":[1,{},[],{"c":"}"}]}"#), ("d", "true")],
        );
        check(r#"{"a":1,"a":2}"#, &[("a", "1"), ("a", "2")]);
        check(r#"{"a\"b":"c\\"}"#, &[("a\\\"b", "c\\\\")]);
        check(r#"{"n":1E400}"#, &[("n", "1E400")]);
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for line in [
            "",
            " ",
            "{",
            "[]",
            "{}x",
            "{} {}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":+1}"#,
            r#"{"a":.5}"#,
            r#"{"a":1e}"#,
            r#"{"a":[1}"#,
            r#"{"a":{"b":1]"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[,]}"#,
            r#"{"a":{,}}"#,
            r#"{"a":tru}"#,
            r#"{"a":nul"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12g4"}"#,
            "{\"a\":\"\t\"}",
            "{\"a\":\"b",
            "{'a':1}",
            "{\"a\":NaN}",
        ] {
            assert_eq!(keys(line), Err(Refused::Syntax), "{line}");
        }
    }

    #[test]
    fn depth_ends_at_the_limit_and_costs_no_stack() {
        let line = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!("{{\"a\":{open}{close}}}")
        };
        assert!(keys(&line(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(keys(&line(JSON_DEPTH_MAX + 1)), Err(Refused::TooDeep));
        assert_eq!(keys(&line(100_000)), Err(Refused::TooDeep));
        let objects = format!("{{\"a\":{}", "{\"a\":".repeat(100_000));
        assert_eq!(keys(&objects), Err(Refused::TooDeep));
    }

    #[test]
    fn limits_leave_fields_out() {
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("\"k{n}\":{n}")).collect();
        let line = format!("{{{}}}", many.join(","));
        let mut fields = Vec::new();
        assert_eq!(scan(line.as_bytes(), &mut fields), Ok(true));
        assert_eq!(fields.len(), FIELDS_MAX);
        let long = format!("{{\"{}\":1,\"b\":2}}", "k".repeat(FIELD_NAME_BYTES_MAX + 1));
        assert_eq!(scan(long.as_bytes(), &mut fields), Ok(true));
        assert_eq!(fields.len(), 1);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_json_parser(value in json(), cut in any::<prop::sample::Index>(), junk in any::<u8>()) {
            let mut line = serde_json::to_vec(&value).unwrap();
            let ours = |line: &[u8]| scan(line, &mut Vec::new()).is_ok();
            let theirs = |line: &[u8]| serde_json::from_slice::<serde_json::Map<_, _>>(line).is_ok();
            prop_assert_eq!(ours(&line), theirs(&line));
            // One byte replaced: both must agree on what is still JSON. Bytes
            // beyond ASCII are left out: the scanner reads text.
            let at = cut.index(line.len());
            if line[at].is_ascii() {
                line[at] = junk & 0x7f;
                if std::str::from_utf8(&line).is_ok() {
                    let lone = serde_json::from_slice::<serde_json::Map<_, _>>(&line)
                        .is_err_and(|error| error.to_string().contains("surrogate") || error.to_string().contains("hex escape") || error.to_string().contains("out of range"));
                    prop_assert!(lone || ours(&line) == theirs(&line), "{}", String::from_utf8_lossy(&line));
                }
            }
        }

        #[test]
        fn the_word_at_a_time_search_finds_what_a_byte_search_finds(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let simple = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            prop_assert_eq!(special(&bytes, 0), simple);
        }
    }
}
