//! Fields of a JSON object as the protocol spells their types. A field that is
//! absent or null has the type's default.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Number, Value};

/// Base64 with or without padding, as protobuf's JSON allows it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What could not be read, and where.
#[derive(Debug)]
pub(super) struct Fault {
    path: String,
    reason: String,
}

pub(super) type Read<T> = Result<T, Fault>;

impl Fault {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }

    fn expected(what: &str, found: &Value) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Self::new(format!("expected {what}, found {found}"))
    }

    fn within(self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{step}{dot}{}", self.path), reason: self.reason }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => write!(f, "{}", self.reason),
            path => write!(f, "{path}: {}", self.reason),
        }
    }
}

/// An object that is read once, field by field; what is never asked for is
/// ignored.
pub(super) struct Object(Map<String, Value>);

impl Object {
    pub(super) fn of(value: Value) -> Read<Self> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            other => Err(Fault::expected("an object", &other)),
        }
    }

    /// A field, if it is there.
    pub(super) fn optional<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Read<Option<T>> {
        match self.0.get_mut(name).map(Value::take) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).map_err(|fault| fault.within(name)),
        }
    }

    pub(super) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<Option<T>> {
        self.optional(name, |value| read(&mut Self::of(value)?))
    }

    pub(super) fn list<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.values(name, |value| read(&mut Self::of(value)?))
    }

    pub(super) fn values<T>(&mut self, name: &str, read: impl Fn(Value) -> Read<T>) -> Read<Vec<T>> {
        let values = self.optional(name, |value| match value {
            Value::Array(values) => Ok(values),
            other => Err(Fault::expected("a list", &other)),
        })?;
        let read =
            |(index, value)| read(value).map_err(|fault| fault.within(&format!("[{index}]")).within(name));
        values.unwrap_or_default().into_iter().enumerate().map(read).collect()
    }

    pub(super) fn text(&mut self, name: &str) -> Read<String> {
        Ok(self.optional(name, text)?.unwrap_or_default())
    }

    pub(super) fn bool(&mut self, name: &str) -> Read<bool> {
        Ok(self.optional(name, bool)?.unwrap_or_default())
    }

    pub(super) fn u32(&mut self, name: &str) -> Read<u32> {
        Ok(self.optional(name, unsigned)?.unwrap_or_default())
    }

    pub(super) fn u64(&mut self, name: &str) -> Read<u64> {
        Ok(self.optional(name, unsigned)?.unwrap_or_default())
    }

    pub(super) fn i32(&mut self, name: &str) -> Read<i32> {
        Ok(self.optional(name, signed)?.unwrap_or_default())
    }

    pub(super) fn f64(&mut self, name: &str) -> Read<f64> {
        Ok(self.optional(name, double)?.unwrap_or_default())
    }

    /// An enum's number; its name is not allowed.
    pub(super) fn enumeration(&mut self, name: &str) -> Read<i32> {
        let read = |value| match value {
            Value::Number(_) => signed(value),
            other => Err(Fault::expected("an enum's number", &other)),
        };
        Ok(self.optional(name, read)?.unwrap_or_default())
    }

    /// An id in hexadecimal digits of either case.
    pub(super) fn id(&mut self, name: &str) -> Read<Vec<u8>> {
        let read = |value| {
            let digits = text(value)?;
            hexadecimal(&digits).ok_or_else(|| Fault::new("expected pairs of hexadecimal digits"))
        };
        Ok(self.optional(name, read)?.unwrap_or_default())
    }
}

pub(super) fn text(value: Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Fault::expected("a string", &other)),
    }
}

pub(super) fn bool(value: Value) -> Read<bool> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(Fault::expected("a boolean", &other)),
    }
}

pub(super) fn bytes(value: Value) -> Read<Vec<u8>> {
    let digits = text(value)?.replace('-', "+").replace('_', "/");
    BASE64.decode(digits).map_err(|error| Fault::new(format!("expected base64: {error}")))
}

/// A number, or a string that spells one or none of the finite ones.
pub(super) fn double(value: Value) -> Read<f64> {
    match value {
        Value::Number(number) => number.as_f64().ok_or_else(|| Fault::new(format!("{number} is no double"))),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            text => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| Fault::new(format!("{text:?} is no number"))),
        },
        other => Err(Fault::expected("a number", &other)),
    }
}

/// An integer that fits, as a number or a string.
pub(super) fn signed<T: TryFrom<i64>>(value: Value) -> Read<T> {
    integer(value, Number::as_i64)
}

/// An integer that fits and is not negative, as a number or a string.
pub(super) fn unsigned<T: TryFrom<u64>>(value: Value) -> Read<T> {
    integer(value, Number::as_u64)
}

/// `1.0` and `1e3` are integers in JSON; above 2^53 they are not exact.
fn integer<I: FromStr, T: TryFrom<I>>(value: Value, exact: fn(&Number) -> Option<I>) -> Read<T> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: &Number| {
        let number = number.as_f64().filter(|number| number.trunc() == *number && number.abs() <= EXACT)?;
        format!("{number:.0}").parse().ok()
    };
    match value {
        Value::Number(number) => fit(exact(&number).or_else(|| whole(&number)), &number),
        Value::String(text) => fit(text.parse().ok(), &format_args!("{text:?}")),
        other => Err(Fault::expected("an integer", &other)),
    }
}

fn fit<I, T: TryFrom<I>>(found: Option<I>, sent: &dyn fmt::Display) -> Read<T> {
    let found = found.ok_or_else(|| Fault::new(format!("{sent} is not an integer, or out of range")))?;
    T::try_from(found).map_err(|_| Fault::new(format!("{sent} is out of range")))
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
