//! From rows to a message.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::concat::concat_batches;

use super::{RowBatch, TableRows, stream_schema};
use crate::model::Source;
use crate::schema::Table;
use crate::wire::BatchHeader;
use crate::wire::batch::EncodedBatch;
use crate::wire::header::Content;
use crate::wire::ipc::write_stream;
use crate::wire::sources;

impl RowBatch {
    /// Writes a message. Entries of one table become one stream, in order. A
    /// batch without rows is how an idle lane says its mark.
    ///
    /// The caller keeps it below the limits of [`crate::limit`]: see
    /// [`super::split`].
    ///
    /// # Panics
    /// When rows and their places differ in number.
    pub fn encode(header: &BatchHeader, sources: &[Source], tables: &[TableRows]) -> EncodedBatch {
        let (payload, length) = header.codec.payload(|plain| write(plain, sources, tables));
        let headers = header.to_pairs(Content::Rows, length);
        EncodedBatch { headers, payload }
    }
}

fn write(plain: &mut Vec<u8>, sources: &[Source], tables: &[TableRows]) {
    sources::write(plain, sources);
    for table in Table::ALL {
        let entries: Vec<RecordBatch> =
            tables.iter().filter(|rows| rows.table == table).map(TableRows::to_stream).collect();
        let rows = match &entries[..] {
            [] => continue,
            [only] => only.clone(),
            several => concat_batches(&stream_schema(table), several).expect("batches of one schema join"),
        };
        if rows.num_rows() > 0 {
            write_stream(plain, &stream_schema(table), &rows);
        }
    }
}

impl TableRows {
    fn to_stream(&self) -> RecordBatch {
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(self.source.clone()), Arc::new(self.start.clone()), Arc::new(self.end.clone())];
        columns.extend(self.columns.columns().iter().cloned());
        RecordBatch::try_new(stream_schema(self.table), columns).expect("rows follow their table's schema")
    }
}
