//! Building blocks of columns that several protocols fill.

mod attributes;
mod budget;
mod list;
mod span;

pub(super) use attributes::{AttributeSet, MapColumn, hash_text};
pub(super) use budget::{Budget, cut};
pub(super) use list::{RowList, number_list};
pub(super) use span::{Endpoint, SpanColumns};

use arrow_array::builder::{StringBuilder, TimestampMicrosecondBuilder};

use crate::schema::timestamp_type;

/// A point in time as the tables hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time {
    /// Microseconds since 1970.
    pub(super) micros: i64,
    /// The rest, 0-999.
    pub(super) nanos: i16,
}

impl Time {
    /// Every `u64` of nanoseconds fits.
    pub(super) fn of_nanos(nanos: u64) -> Self {
        Self { micros: (nanos / 1000) as i64, nanos: (nanos % 1000) as i16 }
    }

    pub(super) const fn of_micros(micros: i64) -> Self {
        Self { micros, nanos: 0 }
    }
}

pub(super) fn time_column(rows: usize) -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(timestamp_type())
}

/// Appends text; empty text is null, as protobuf cannot tell the two apart.
pub(super) fn append_text(column: &mut StringBuilder, text: &str) {
    if text.is_empty() { column.append_null() } else { column.append_value(text) }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes in lower-case hexadecimal.
pub(super) fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 0xf)]));
    }
}
