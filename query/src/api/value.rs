//! Values of Arrow columns as JSON.
//!
//! Whole numbers are numbers, times are RFC 3339 in UTC with microseconds,
//! maps are objects, bytes are base64. What JSON cannot say (NaN, infinities,
//! times outside the years 0 to 9999) is null. Everything else is the text
//! that Arrow makes of it.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::search::rfc3339;

/// The name of a type, as the list of columns says it.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".to_owned()
        }
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Map(..) => "map".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        other => other.to_string().to_lowercase(),
    }
}

/// Writes the values of one column.
pub(super) trait Column {
    /// True when the row has no value that JSON can say.
    fn is_null(&self, row: usize) -> bool;
    /// Appends the value as JSON.
    fn json(&self, row: usize, out: &mut Vec<u8>);
    /// Appends the value as plain text: a text as it is, others as in JSON
    /// without quotes around.
    fn text(&self, row: usize, out: &mut Vec<u8>) {
        self.json(row, out);
    }
}

/// A column in the type that is written for it: there are many ways to hold a
/// text, and one writer.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let plain = match array.data_type() {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => DataType::List(field.clone()),
        DataType::Dictionary(_, value) => return plain(&cast(array, value)?),
        _ => return Ok(array.clone()),
    };
    cast(array, &plain)
}

/// A writer for a [`plain`] column, chosen once for all its rows.
pub(super) fn column(array: &ArrayRef) -> Result<Box<dyn Column + '_>, ArrowError> {
    let wrong = || ArrowError::CastError("an array is not what its type says".to_owned());
    Ok(match array.data_type() {
        DataType::Null => Box::new(Null),
        DataType::Boolean => Box::new(Boolean(array.as_boolean())),
        DataType::Int8 => number::<Int8Type>(array),
        DataType::Int16 => number::<Int16Type>(array),
        DataType::Int32 => number::<Int32Type>(array),
        DataType::Int64 => number::<Int64Type>(array),
        DataType::UInt8 => number::<UInt8Type>(array),
        DataType::UInt16 => number::<UInt16Type>(array),
        DataType::UInt32 => number::<UInt32Type>(array),
        DataType::UInt64 => number::<UInt64Type>(array),
        DataType::Float32 => Box::new(Float32(array.as_primitive::<Float32Type>())),
        DataType::Float64 => Box::new(Float64(array.as_primitive::<Float64Type>())),
        DataType::Utf8 => Box::new(Text(array.as_string::<i32>())),
        DataType::Binary => Box::new(Bytes(array.as_binary::<i32>())),
        DataType::Timestamp(unit, _) => time(array, *unit),
        DataType::Map(..) => {
            let map = array.as_map_opt().ok_or_else(wrong)?;
            let keys = column(map.keys())?;
            Box::new(Map { map, keys, values: column(map.values())? })
        }
        DataType::Struct(_) => {
            let fields = array.as_struct();
            let columns = fields.columns().iter().map(column).collect::<Result<_, _>>()?;
            Box::new(Struct { fields, columns })
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Box::new(List { list, values: column(list.values())? })
        }
        _ => Box::new(Shown { array, shown: ArrayFormatter::try_new(array, &FORMAT)? }),
    })
}

const FORMAT: FormatOptions<'static> = FormatOptions::new();

struct Null;

impl Column for Null {
    fn is_null(&self, _: usize) -> bool {
        true
    }

    fn json(&self, _: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
}

/// Implements a column whose null is the array's null.
macro_rules! column {
    ($name:ident($array:ty), |$held:ident, $row:ident, $out:ident| $write:expr) => {
        struct $name<'a>(&'a $array);

        impl Column for $name<'_> {
            fn is_null(&self, row: usize) -> bool {
                self.0.is_null(row)
            }

            fn json(&self, $row: usize, $out: &mut Vec<u8>) {
                if self.0.is_null($row) {
                    return Null.json($row, $out);
                }
                let $held = self.0;
                $write;
            }
        }
    };
}

column!(Boolean(arrow_array::BooleanArray), |array, row, out| display(array.value(row), out));
column!(Bytes(arrow_array::BinaryArray), |array, row, out| {
    out.push(b'"');
    base64(array.value(row), out);
    out.push(b'"');
});

struct Text<'a>(&'a arrow_array::StringArray);

impl Column for Text<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.0.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.0.is_null(row) {
            return Null.json(row, out);
        }
        quoted(self.0.value(row), out);
    }

    fn text(&self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.value(row).as_bytes());
    }
}

struct Number<'a, T: ArrowPrimitiveType>(&'a arrow_array::PrimitiveArray<T>);

fn number<T: ArrowPrimitiveType>(array: &ArrayRef) -> Box<dyn Column + '_>
where
    T::Native: std::fmt::Display,
{
    Box::new(Number(array.as_primitive::<T>()))
}

impl<T: ArrowPrimitiveType> Column for Number<'_, T>
where
    T::Native: std::fmt::Display,
{
    fn is_null(&self, row: usize) -> bool {
        self.0.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Null.json(row, out);
        }
        display(self.0.value(row), out);
    }
}

macro_rules! float {
    ($name:ident, $array:ty) => {
        struct $name<'a>(&'a $array);

        impl Column for $name<'_> {
            fn is_null(&self, row: usize) -> bool {
                self.0.is_null(row) || !self.0.value(row).is_finite()
            }

            fn json(&self, row: usize, out: &mut Vec<u8>) {
                if self.is_null(row) {
                    return Null.json(row, out);
                }
                serde_json::to_writer(out, &self.0.value(row)).expect("writing to memory cannot fail");
            }
        }
    };
}

float!(Float32, arrow_array::Float32Array);
float!(Float64, arrow_array::Float64Array);

/// A time as microseconds, whatever its unit.
struct Time<'a, T: ArrowPrimitiveType<Native = i64>> {
    array: &'a arrow_array::PrimitiveArray<T>,
    micros: fn(i64) -> Option<i64>,
}

fn time(array: &ArrayRef, unit: TimeUnit) -> Box<dyn Column + '_> {
    match unit {
        TimeUnit::Second => {
            let micros = |value: i64| value.checked_mul(1_000_000);
            Box::new(Time { array: array.as_primitive::<TimestampSecondType>(), micros })
        }
        TimeUnit::Millisecond => {
            let micros = |value: i64| value.checked_mul(1_000);
            Box::new(Time { array: array.as_primitive::<TimestampMillisecondType>(), micros })
        }
        TimeUnit::Microsecond => {
            Box::new(Time { array: array.as_primitive::<TimestampMicrosecondType>(), micros: Some })
        }
        TimeUnit::Nanosecond => {
            let micros = |value: i64| Some(value.div_euclid(1_000));
            Box::new(Time { array: array.as_primitive::<TimestampNanosecondType>(), micros })
        }
    }
}

impl<T: ArrowPrimitiveType<Native = i64>> Time<'_, T> {
    fn shown(&self, row: usize) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        (self.micros)(self.array.value(row)).and_then(rfc3339)
    }
}

impl<T: ArrowPrimitiveType<Native = i64>> Column for Time<'_, T> {
    fn is_null(&self, row: usize) -> bool {
        self.shown(row).is_none()
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        match self.shown(row) {
            Some(text) => quoted(&text, out),
            None => Null.json(row, out),
        }
    }

    fn text(&self, row: usize, out: &mut Vec<u8>) {
        out.extend(self.shown(row).unwrap_or_default().bytes());
    }
}

struct Map<'a> {
    map: &'a arrow_array::MapArray,
    keys: Box<dyn Column + 'a>,
    values: Box<dyn Column + 'a>,
}

impl Column for Map<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.map.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Null.json(row, out);
        }
        let offsets = self.map.value_offsets();
        out.push(b'{');
        for (index, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
            separate(index, out);
            let mut key = Vec::new();
            self.keys.text(entry as usize, &mut key);
            quoted(&String::from_utf8_lossy(&key), out);
            out.push(b':');
            self.values.json(entry as usize, out);
        }
        out.push(b'}');
    }
}

struct Struct<'a> {
    fields: &'a StructArray,
    columns: Vec<Box<dyn Column + 'a>>,
}

impl Column for Struct<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.fields.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Null.json(row, out);
        }
        out.push(b'{');
        for (index, (field, column)) in self.fields.fields().iter().zip(&self.columns).enumerate() {
            separate(index, out);
            quoted(field.name(), out);
            out.push(b':');
            column.json(row, out);
        }
        out.push(b'}');
    }
}

struct List<'a> {
    list: &'a arrow_array::ListArray,
    values: Box<dyn Column + 'a>,
}

impl Column for List<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.list.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Null.json(row, out);
        }
        let offsets = self.list.value_offsets();
        out.push(b'[');
        for (index, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
            separate(index, out);
            self.values.json(entry as usize, out);
        }
        out.push(b']');
    }
}

/// What has no form in JSON, as the text that Arrow makes of it.
struct Shown<'a> {
    array: &'a ArrayRef,
    shown: ArrayFormatter<'a>,
}

impl Column for Shown<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return Null.json(row, out);
        }
        quoted(&self.shown.value(row).to_string(), out);
    }

    fn text(&self, row: usize, out: &mut Vec<u8>) {
        display(self.shown.value(row), out);
    }
}

/// A comma before every element but the first.
pub(super) fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

/// A text in quotes, escaped.
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

fn display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{value}").expect("writing to memory cannot fail");
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { letter } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests;
