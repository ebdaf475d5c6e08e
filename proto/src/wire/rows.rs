//! The batch of rows, version 1: `docs/formats/rows-v1.md`.
//!
//! What was pushed travels in the columns of its tables. The payload, before
//! compression, is Arrow IPC streams back to back: the sources, then one per
//! table. Lines travel otherwise: [`super::batch`].

mod decode;
mod encode;
mod split;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::FilterBuilder;

pub use split::{events, number, split};

use crate::model::{Source, TenantId};
use crate::schema::Table;
use crate::wire::BatchHeader;

/// Schema metadata that names a stream's table.
const TABLE_KEY: &str = "weir.table";

/// Columns that stand before those of the table.
const PLACE_COLUMNS: usize = 3;

/// A decoded batch.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBatch {
    /// What the headers said.
    pub header: BatchHeader,
    /// The sources, in the order that rows refer to.
    pub sources: Vec<Source>,
    /// The rows, one entry per table that has any.
    pub tables: Vec<TableRows>,
}

/// Rows of one table, and where each came from.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRows {
    /// Whose columns these are.
    pub table: Table,
    /// Row number in the batch's sources.
    pub source: Int32Array,
    /// First number of the source that the row covers.
    pub start: Int64Array,
    /// The number after it.
    pub end: Int64Array,
    /// The columns, in [`Table::payload_schema`].
    pub columns: RecordBatch,
}

impl TableRows {
    /// The rows as stored, in [`Table::schema`]: those that `keep` names, or
    /// nothing if it names none.
    ///
    /// # Panics
    /// When `keep` has another length than the rows, or a row names no source.
    pub fn finish(&self, tenant: &TenantId, sources: &[Source], keep: &[bool]) -> Option<RecordBatch> {
        let rows = self.columns.num_rows();
        assert_eq!(keep.len(), rows, "one answer per row");
        let kept = keep.iter().filter(|keep| **keep).count();
        if kept == 0 {
            return None;
        }
        let ids: Vec<String> = sources.iter().map(|source| source.id.to_string()).collect();
        let id_bytes = ids.first().map_or(0, String::len);
        let mut source_ids = StringBuilder::with_capacity(kept, kept * id_bytes);
        for (source, keep) in self.source.values().iter().zip(keep) {
            if *keep {
                source_ids.append_value(&ids[*source as usize]);
            }
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.num_columns() + 4);
        columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(tenant.as_str(), kept))));
        columns.extend(self.columns.columns().iter().cloned());
        let places: [ArrayRef; 2] = [Arc::new(self.start.clone()), Arc::new(self.end.clone())];
        columns.push(Arc::new(source_ids.finish()));
        columns.extend(places);
        if kept < rows {
            let filter = FilterBuilder::new(&BooleanArray::from(keep.to_vec())).optimize().build();
            for column in columns.iter_mut().filter(|column| column.len() == rows) {
                *column = filter.filter(column).expect("the filter has a bit per row");
            }
        }
        Some(RecordBatch::try_new(self.table.schema(), columns).expect("columns follow the schema"))
    }
}

/// The schema of a table's stream.
fn stream_schema(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<[SchemaRef; 5]> = LazyLock::new(|| {
        Table::ALL.map(|table| {
            let mut fields = vec![
                Arc::new(Field::new("source", DataType::Int32, false)),
                Arc::new(Field::new("start", DataType::Int64, false)),
                Arc::new(Field::new("end", DataType::Int64, false)),
            ];
            fields.extend(table.payload_schema().fields().iter().cloned());
            let metadata = [(TABLE_KEY.to_owned(), table.name().to_owned())].into();
            Arc::new(Schema::new_with_metadata(fields, metadata))
        })
    });
    SCHEMAS[table as usize].clone()
}
