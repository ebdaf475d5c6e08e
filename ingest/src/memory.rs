//! What rows cost in memory.
//!
//! The columns of a message that came as rows are parts of one buffer, the
//! message's; its tables share it, too. Adding up what each array holds would
//! count that buffer a hundred times.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use arrow_data::ArrayData;

/// Bytes that would be free if these rows were gone and nobody else had them.
pub(crate) fn held_bytes<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> usize {
    let mut buffers = BTreeMap::new();
    for column in batches.into_iter().flat_map(RecordBatch::columns) {
        add(&column.to_data(), &mut buffers);
    }
    buffers.into_values().sum()
}

/// Bytes of the values themselves.
pub(crate) fn row_bytes(rows: &RecordBatch) -> usize {
    let bytes = |column: &dyn Array| column.to_data().get_slice_memory_size().unwrap_or(0);
    rows.columns().iter().map(|column| bytes(column)).sum()
}

/// Notes each allocation once, by where it begins.
fn add(data: &ArrayData, buffers: &mut BTreeMap<usize, usize>) {
    let nulls = data.nulls().map(arrow_buffer::NullBuffer::buffer);
    for buffer in data.buffers().iter().chain(nulls) {
        buffers.insert(buffer.data_ptr().as_ptr() as usize, buffer.capacity());
    }
    data.child_data().iter().for_each(|child| add(child, buffers));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_buffer_that_columns_share_counts_once() {
        let whole = Int64Array::from_iter_values(0..1000);
        let part = |at: usize| Arc::new(whole.slice(at, 100)) as ArrayRef;
        let rows =
            |at: usize| RecordBatch::try_from_iter([("a", part(at)), ("b", part(at + 100))]).expect("rows");
        let one = held_bytes([&rows(0)]);
        assert!((8000..10_000).contains(&one), "{one}");
        assert_eq!(held_bytes([&rows(0), &rows(500)]), one);
        assert_eq!(row_bytes(&rows(0)), 1600);
    }
}
