//! Reads a line of a fixed shape from left to right.
//!
//! Every step takes what it names or nothing; the first that takes nothing
//! says that the line is not of that shape.

use super::field::Span;

#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Goes on by a number of bytes that end a character.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Takes a text.
    pub(super) fn take(&mut self, text: &str) -> Option<()> {
        self.rest().starts_with(text).then(|| self.at += text.len())
    }

    /// Takes as many spaces as there are.
    pub(super) fn spaces(&mut self) {
        self.run(|byte| byte == b' ');
    }

    /// Takes the ASCII characters that fit, one at least.
    pub(super) fn some(&mut self, fits: impl Fn(u8) -> bool) -> Option<Span> {
        let span = self.run(|byte| byte.is_ascii() && fits(byte));
        (span.len() > 0).then_some(span)
    }

    pub(super) fn digits(&mut self) -> Option<Span> {
        self.some(|byte| byte.is_ascii_digit())
    }

    /// Takes digits, or the dash that stands for none.
    pub(super) fn count(&mut self) -> Option<Span> {
        self.digits().or_else(|| {
            let start = self.at;
            self.take("-").map(|()| Span::new(start, self.at))
        })
    }

    /// Takes what stands before the next space or the end, one byte at least.
    pub(super) fn word(&mut self) -> Option<Span> {
        let length = memchr::memchr(b' ', self.rest().as_bytes()).unwrap_or(self.rest().len());
        self.at += length;
        (length > 0).then(|| Span::new(self.at - length, self.at))
    }

    /// Takes what stands before a byte of ASCII, and the byte.
    pub(super) fn until(&mut self, end: u8) -> Option<Span> {
        let length = memchr::memchr(end, self.rest().as_bytes())?;
        self.at += length + 1;
        Some(Span::new(self.at - length - 1, self.at - 1))
    }

    /// Takes a text in quotes in which a backslash escapes: its content, and
    /// whether anything is escaped.
    pub(super) fn quoted(&mut self) -> Option<(Span, bool)> {
        self.take("\"")?;
        let bytes = self.text.as_bytes();
        let (start, mut end, mut escaped) = (self.at, self.at, false);
        loop {
            end += memchr::memchr2(b'"', b'\\', &bytes[end..])?;
            if bytes[end] == b'"' {
                self.at = end + 1;
                return Some((Span::new(start, end), escaped));
            }
            // What is escaped may be of several bytes: no quote is among them.
            escaped = true;
            end += 2;
            if end > bytes.len() {
                return None;
            }
        }
    }

    /// Takes a text in quotes that escapes nothing: it ends at the first quote
    /// with a space or the line's end behind it.
    pub(super) fn quoted_raw(&mut self) -> Option<Span> {
        self.take("\"")?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let ends = |end: &usize| matches!(bytes.get(end + 1), None | Some(b' '));
        let end = memchr::memchr_iter(b'"', &bytes[start..]).map(|at| start + at).find(ends)?;
        self.at = end + 1;
        Some(Span::new(start, end))
    }

    fn run(&mut self, fits: impl Fn(u8) -> bool) -> Span {
        let start = self.at;
        self.at += self.rest().bytes().take_while(|byte| fits(*byte)).count();
        Span::new(start, self.at)
    }
}
