//! Answers as bytes, batch by batch.

mod arrow;
mod csv;
mod json;
mod ndjson;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::accept::Format;
use super::value::{Column, column, plain, quoted, separate};
use crate::Completeness;

/// How the rows of a JSON answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `columns` once and `rows` as lists: the shape of SQL answers.
    Table,
    /// `logs` as objects without their nulls: the shape of search answers.
    Logs,
}

/// What an answer says beside its rows.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// How rows are written.
    pub(super) shape: Shape,
    /// The columns of every batch.
    pub(super) schema: SchemaRef,
    /// How complete the answer is.
    pub(super) completeness: Completeness,
    /// The statement, when it was asked for.
    pub(super) statement: Option<String>,
}

/// Writes one answer: the beginning, batches, the end.
pub(super) trait Encode: Send {
    /// What comes before the rows.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError>;
    /// Some rows.
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError>;
    /// What comes after the rows; `truncated` when there were more.
    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), ArrowError>;
}

/// The encoder of a format.
pub(super) fn encoder(format: Format, frame: Frame) -> Result<Box<dyn Encode>, ArrowError> {
    Ok(match format {
        Format::Json => Box::new(json::Json::new(frame)),
        Format::NdJson => Box::new(ndjson::NdJson::new(&frame)),
        Format::Csv => Box::new(csv::Csv::new(frame.schema)),
        Format::Arrow => Box::new(arrow::Arrow::new(&frame.schema)?),
    })
}

/// Rows as objects, one after the other.
struct Objects {
    /// The names as JSON, with their colon.
    keys: Vec<Vec<u8>>,
    nulls: bool,
}

impl Objects {
    fn new(schema: &Schema, shape: Shape) -> Self {
        let key = |name: &str| {
            let mut key = Vec::new();
            quoted(name, &mut key);
            key.push(b':');
            key
        };
        let keys = schema.fields().iter().map(|field| key(field.name())).collect();
        Self { keys, nulls: shape == Shape::Table }
    }

    fn write(&self, columns: &[Box<dyn Column + '_>], row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut written = 0;
        for (key, column) in self.keys.iter().zip(columns) {
            if self.nulls || !column.is_null(row) {
                separate(written, out);
                out.extend_from_slice(key);
                column.json(row, out);
                written += 1;
            }
        }
        out.push(b'}');
    }
}

/// The rows as objects, for answers that hold more than rows.
pub(super) fn values(batch: &RecordBatch) -> Result<Vec<serde_json::Value>, ArrowError> {
    let objects = Objects::new(&batch.schema(), Shape::Table);
    let mut rows = Vec::with_capacity(batch.num_rows());
    each_row(batch, |columns, row| {
        let mut text = Vec::new();
        objects.write(columns, row, &mut text);
        rows.push(text);
    })?;
    let value = |text: &Vec<u8>| {
        serde_json::from_slice(text).map_err(|error| ArrowError::from_external_error(error.into()))
    };
    rows.iter().map(value).collect()
}

/// Calls `write` for every row with the writers of its columns.
fn each_row(
    batch: &RecordBatch,
    mut write: impl FnMut(&[Box<dyn Column + '_>], usize),
) -> Result<(), ArrowError> {
    let arrays = batch.columns().iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    let columns = arrays.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        write(&columns, row);
    }
    Ok(())
}
