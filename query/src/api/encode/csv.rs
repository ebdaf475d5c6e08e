//! Comma-separated values, RFC 4180 with plain line ends.
//!
//! A null is an empty field, an empty text is `""`. Texts are written as they
//! are: guarding a spreadsheet against formulas is the exporter's business,
//! here it would change the lines.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::{Encode, each_row};
use crate::api::value::separate;

/// Writes a head and a line per row.
pub(super) struct Csv {
    schema: SchemaRef,
    field: Vec<u8>,
}

impl Csv {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, field: Vec::new() }
    }
}

impl Encode for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        for (index, field) in self.schema.fields().iter().enumerate() {
            separate(index, out);
            escape(field.name().as_bytes(), out);
        }
        out.push(b'\n');
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let field = &mut self.field;
        each_row(batch, |columns, row| {
            for (index, column) in columns.iter().enumerate() {
                separate(index, out);
                if !column.is_null(row) {
                    field.clear();
                    column.text(row, field);
                    escape(field, out);
                }
            }
            out.push(b'\n');
        })
    }

    fn end(&mut self, _: bool, _: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}

fn escape(field: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'"' | b',' | b'\n' | b'\r');
    if !field.is_empty() && !field.iter().any(special) {
        return out.extend_from_slice(field);
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
