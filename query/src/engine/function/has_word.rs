//! `has_word(text, 'word')`: whether a text holds a word or a phrase.
//!
//! Upper and lower case are the same. A word does not match inside a longer
//! word: where it begins or ends with a letter or digit, the text must not go
//! on with one. `has_word(body, 'time')` finds "Time: 5" and "time-out", not
//! "timeout" and not "daytime".
//!
//! For a map, it is whether one of its values holds the word.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, MapArray, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function's name in SQL.
pub(crate) const NAME: &str = "has_word";

/// The function.
pub(in crate::engine) fn has_word() -> ScalarUDF {
    ScalarUDF::new_from_impl(HasWord { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HasWord {
    signature: Signature,
}

impl ScalarUDFImpl for HasWord {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let wrong = || {
            let text = "has_word takes a text or a map of texts, and a word: has_word(body, 'timeout')";
            DataFusionError::Plan(text.to_owned())
        };
        let [text, word] = types else { return Err(wrong()) };
        if !(word.is_string() || word.is_null()) {
            return Err(wrong());
        }
        match text {
            DataType::Map(entries, _) if holds_text(entries.data_type()) => {
                Ok(vec![text.clone(), DataType::Utf8])
            }
            text if text.is_string() || text.is_null() => Ok(vec![DataType::Utf8, DataType::Utf8]),
            _ => Err(wrong()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, word] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("has_word was called with other arguments".to_owned()));
        };
        let word = match word {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(word))) => Word::new(word),
            ColumnarValue::Scalar(_) => return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None))),
            ColumnarValue::Array(_) => {
                return Err(DataFusionError::Plan("the word of has_word must be a constant".to_owned()));
            }
        };
        let text = text.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(find(&text, &word)?)))
    }
}

fn holds_text(entries: &DataType) -> bool {
    matches!(entries, DataType::Struct(fields) if fields.len() == 2 && fields[1].data_type() == &DataType::Utf8)
}

fn find(text: &ArrayRef, word: &Word) -> Result<BooleanArray> {
    if let Some(text) = text.as_string_opt::<i32>() {
        return Ok(BooleanArray::new(in_texts(text, word), text.nulls().cloned()));
    }
    let map = text.as_map_opt();
    let found = map.and_then(|map| in_values(map, word));
    let found = found.ok_or_else(|| DataFusionError::Internal("has_word got another type".to_owned()))?;
    Ok(BooleanArray::new(found, text.nulls().cloned()))
}

fn in_texts(texts: &StringArray, word: &Word) -> BooleanBuffer {
    BooleanBuffer::collect_bool(texts.len(), |row| word.is_in(texts.value(row)))
}

fn in_values(map: &MapArray, word: &Word) -> Option<BooleanBuffer> {
    let values = map.values().as_string_opt::<i32>()?;
    let mut found = BooleanBufferBuilder::new(map.len());
    for span in map.value_offsets().windows(2) {
        let mut entries = span[0] as usize..span[1] as usize;
        found.append(entries.any(|entry| values.is_valid(entry) && word.is_in(values.value(entry))));
    }
    Some(found.finish())
}

/// A word or phrase to look for, lower-cased once.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    lower: String,
    /// Where in `lower` the byte stands that is looked for first, with its
    /// other case.
    anchor: usize,
    bytes: [u8; 2],
}

/// From common to rare in text; what is not named is rarer still.
const COMMON: &[u8] = b" etaoinsrhldcumfpgwyb,.v0k1-_=:/\"2345678x9jqz";

impl Word {
    pub(crate) fn new(word: &str) -> Self {
        let lower = word.to_lowercase();
        let rarity = |byte: u8| COMMON.iter().position(|common| *common == byte).unwrap_or(COMMON.len());
        let rarest = lower.bytes().enumerate().max_by_key(|(_, byte)| rarity(*byte));
        let (anchor, byte) = rarest.unwrap_or((0, b' '));
        Self { anchor, bytes: [byte, byte.to_ascii_uppercase()], lower }
    }

    /// True when `text` holds the word.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if self.lower.is_empty() {
            return true;
        }
        if !self.lower.is_ascii() {
            return holds(&text.to_lowercase(), &self.lower);
        }
        let bytes = text.as_bytes();
        memchr::memchr2_iter(self.bytes[0], self.bytes[1], bytes).any(|at| {
            let Some(start) = at.checked_sub(self.anchor) else { return false };
            let end = start + self.lower.len();
            bytes.get(start..end).is_some_and(|found| found.eq_ignore_ascii_case(self.lower.as_bytes()))
                && stands_alone(text, start, end)
        })
    }
}

/// The slow way, for words that are not plain ASCII.
fn holds(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, found)| stands_alone(text, start, start + found.len()))
}

/// True when the text does not go on with a letter or digit where the found
/// part itself begins or ends with one.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let (before, found, after) = (&text[..start], &text[start..end], &text[end..]);
    let joins_before = word(before.chars().next_back()) && word(found.chars().next());
    let joins_after = word(found.chars().next_back()) && word(after.chars().next());
    !joins_before && !joins_after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words() {
        let check = |word: &str, text: &str, expected: bool| {
            assert_eq!(Word::new(word).is_in(text), expected, "{word:?} in {text:?}");
        };
        check("time", "Time: 5", true);
        check("time", "time-out", true);
        check("time", "timeout", false);
        check("time", "daytime", false);
        check("TIME", "a time", true);
        check("time", "timetime time", true);
        check("connection refused", "dial: Connection REFUSED.", true);
        check("connection refused", "connection  refused", false);
        check("/api/v1", "GET /api/v1/users", true);
        check("/api/v1", "GET /api/v10", false);
        check("10.0.0.1", "from 10.0.0.1:80", true);
        check("10.0.0.1", "from 110.0.0.1", false);
        check("größe", "GRÖSSE Größe", true);
        check("größe", "Größen", false);
        check("é", "caf\u{e9}s", false);
        check("x", "éx", false);
        check("=", "a=b", true);
        check("", "anything", true);
        check("word", "", false);
    }

    proptest! {
        #[test]
        fn the_fast_way_equals_the_slow_way(word in "[a-cA-C.é]{1,4}", text in "[a-cA-C. é]{0,24}") {
            let slow = holds(&text.to_lowercase(), &word.to_lowercase());
            prop_assert_eq!(Word::new(&word).is_in(&text), slow);
        }
    }
}
