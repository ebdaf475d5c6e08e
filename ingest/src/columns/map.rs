//! A growing column of `Map<Utf8, Utf8>`.

use std::sync::Arc;

use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use weir_proto::schema::log::map_entry_fields;

use super::TextColumn;

/// Keys and values of many rows, and where each row's end.
#[derive(Debug)]
pub(crate) struct MapColumn {
    pub(crate) keys: TextColumn,
    pub(crate) values: TextColumn,
    offsets: Vec<i32>,
}

impl MapColumn {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            keys: TextColumn::with_capacity(rows * 4, bytes / 2),
            values: TextColumn::with_capacity(rows * 4, bytes / 2),
            offsets,
        }
    }

    /// Ends the row: the entries since the last one are its.
    pub(crate) fn end_row(&mut self) {
        let entries = self.values.len();
        assert_eq!(self.keys.len(), entries, "keys and values are appended in pairs");
        self.offsets.push(i32::try_from(entries).expect("a message's columns are bounded far below 2 GiB"));
    }

    /// The entries since the last row's end.
    pub(crate) fn open_entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let start = self.offsets.last().map_or(0, |end| *end as usize);
        let entry = |index| Some((self.keys.get(index)?, self.values.get(index)?));
        (start..self.values.len()).filter_map(entry)
    }

    pub(crate) fn finish(self) -> MapArray {
        let fields = map_entry_fields();
        let columns: Vec<ArrayRef> = vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::new(fields.clone(), columns, None);
        let field = Field::new("entries", DataType::Struct(fields), false);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        MapArray::new(Arc::new(field), offsets, entries, None, false)
    }
}
