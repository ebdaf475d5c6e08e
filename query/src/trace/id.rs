//! Trace ids as Zipkin spells them.

use crate::QueryError;

/// Digits of a 64-bit id.
const SHORT: usize = 16;

/// Digits of a 128-bit id.
const LONG: usize = 32;

/// A trace id of 16 or 32 lower-case hexadecimal digits; a long one that fits
/// into 64 bits is written short.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TraceKey(String);

impl TraceKey {
    /// Reads what a person or a program wrote.
    ///
    /// # Errors
    /// [`QueryError::Refused`] in Zipkin's words.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        if text.is_empty() {
            return Err(QueryError::refused("traceId is empty"));
        }
        if text.len() > LONG {
            return Err(QueryError::refused("traceId.length > 32"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(QueryError::refused(format!("{text} should be lower-hex encoded with no prefix")));
        }
        let key = Self::of_row(text);
        if key.0.bytes().all(|byte| byte == b'0') {
            return Err(QueryError::refused("traceId is all zeros"));
        }
        Ok(key)
    }

    /// The key of an id as a row has it.
    pub(crate) fn of_row(id: &str) -> Self {
        let digits = id.trim_start_matches('0');
        let width = if digits.len() > SHORT { LONG } else { SHORT };
        Self(format!("{:0>width$}", digits.to_ascii_lowercase()))
    }

    /// The right 64 bits, which are all that some tracers pass on.
    pub(crate) fn low(&self) -> &str {
        let start = self.0.len() - SHORT;
        self.0.get(start..).unwrap_or(&self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// True for an id of 128 bits.
    pub(crate) fn is_long(&self) -> bool {
        self.0.len() == LONG
    }

    /// Every way in which a row may spell the id.
    pub(crate) fn spellings(&self) -> Vec<String> {
        match self.is_long() {
            true => vec![self.0.clone()],
            false => vec![self.0.clone(), format!("{:0>LONG$}", self.0)],
        }
    }
}

impl std::fmt::Display for TraceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_normalised_as_zipkin_does() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = TraceKey::parse(text).map(|key| key.0).map_err(|error| error.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("a", Ok("000000000000000a"));
        check("48485A3953BB6124", Ok("48485a3953bb6124"));
        check("148485a3953bb6124", Ok("000000000000000148485a3953bb6124"));
        check("463ac35c9f6413ad48485a3953bb6124", Ok("463ac35c9f6413ad48485a3953bb6124"));
        check("000000000000000048485a3953bb6124", Ok("48485a3953bb6124"));
        check("", Err("traceId is empty"));
        check("0", Err("traceId is all zeros"));
        check(&"0".repeat(32), Err("traceId is all zeros"));
        check(&"a".repeat(33), Err("traceId.length > 32"));
        check("0x1", Err("0x1 should be lower-hex encoded with no prefix"));
        check("' OR 1=1 --", Err("' OR 1=1 -- should be lower-hex encoded with no prefix"));
        check("ä", Err("ä should be lower-hex encoded with no prefix"));
    }

    #[test]
    fn a_short_id_has_two_spellings() {
        let key = TraceKey::parse("48485a3953bb6124").expect("an id");
        assert_eq!(key.spellings(), ["48485a3953bb6124", "000000000000000048485a3953bb6124"]);
        let key = TraceKey::parse("463ac35c9f6413ad48485a3953bb6124").expect("an id");
        assert_eq!(key.spellings(), ["463ac35c9f6413ad48485a3953bb6124"]);
        assert_eq!(key.low(), "48485a3953bb6124");
    }
}
