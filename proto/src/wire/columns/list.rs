//! Columns of lists.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};

/// Where the rows' lists begin and end in columns that hold their entries.
#[derive(Debug)]
pub(in crate::wire) struct RowList {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl RowList {
    pub(in crate::wire) fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, nulls: NullBufferBuilder::new(rows) }
    }

    /// Ends a row; `entries` is how many the columns hold by now.
    pub(in crate::wire) fn end_row(&mut self, entries: usize) {
        self.offsets.push(entries as i32);
        self.nulls.append_non_null();
    }

    /// Adds a row that has no list.
    pub(in crate::wire) fn append_null(&mut self) {
        self.offsets.push(self.offsets[self.offsets.len() - 1]);
        self.nulls.append_null();
    }

    pub(in crate::wire) fn finish(mut self, fields: Fields, columns: Vec<ArrayRef>) -> ArrayRef {
        let entries = StructArray::new(fields.clone(), columns, None);
        let item = Field::new("item", DataType::Struct(fields), false);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Arc::new(ListArray::new(Arc::new(item), offsets, Arc::new(entries), self.nulls.finish()))
    }
}

/// A column of lists of numbers.
pub(in crate::wire) fn number_list<T: ArrowPrimitiveType>() -> ListBuilder<PrimitiveBuilder<T>> {
    ListBuilder::new(PrimitiveBuilder::new()).with_field(Field::new("item", T::DATA_TYPE, false))
}
