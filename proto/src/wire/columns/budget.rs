//! How much one event may hold.

use crate::limit::FIELDS_MAX;

/// What is left for one event. Once it is used up, the rest is left out and the
/// event marked.
#[derive(Debug)]
pub(in crate::wire) struct Budget {
    bytes: usize,
    bytes_left: usize,
    fields_left: usize,
    limited: bool,
}

/// What an entry costs beside its text, so that many empty ones end, too.
const ENTRY_BYTES: usize = 16;

impl Budget {
    pub(in crate::wire) fn new(bytes: usize) -> Self {
        Self { bytes, bytes_left: bytes, fields_left: FIELDS_MAX, limited: false }
    }

    /// True when something was left out.
    pub(in crate::wire) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Marks that something was left out.
    pub(in crate::wire) fn limit(&mut self) {
        self.limited = true;
    }

    /// Bytes taken.
    pub(in crate::wire) fn used(&self) -> usize {
        self.bytes - self.bytes_left
    }

    /// Takes the place of one attribute, if there is one.
    pub(super) fn take_field(&mut self) -> bool {
        if self.fields_left == 0 {
            self.limited = true;
            return false;
        }
        self.fields_left -= 1;
        self.take_entry()
    }

    /// Takes the place of one entry of a list, if there is one.
    pub(in crate::wire) fn take_entry(&mut self) -> bool {
        if self.bytes_left < ENTRY_BYTES {
            self.limited = true;
            return false;
        }
        self.bytes_left -= ENTRY_BYTES;
        true
    }

    /// Takes the bytes of a text, or of its beginning if the rest does not fit.
    pub(in crate::wire) fn take_text<'a>(&mut self, text: &'a str) -> &'a str {
        let kept = cut(text, self.bytes_left);
        self.limited |= kept.len() < text.len();
        self.bytes_left -= kept.len();
        kept
    }
}

/// The longest beginning of at most `bytes` bytes that ends between characters.
pub(in crate::wire) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
