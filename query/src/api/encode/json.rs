//! One JSON document.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use super::{Encode, Frame, Objects, Shape, each_row};
use crate::Completeness;
use crate::api::value::{quoted, separate, type_name};
use crate::search::rfc3339;

/// Writes `{"columns":[...],"rows":[...],"complete_until":...,"held_by":[...]}`
/// or `{"logs":[...],...}`. What is known only at the end stands at the end.
pub(super) struct Json {
    frame: Frame,
    objects: Objects,
    rows: usize,
}

impl Json {
    pub(super) fn new(frame: Frame) -> Self {
        Self { objects: Objects::new(&frame.schema, frame.shape), frame, rows: 0 }
    }
}

impl Json {
    /// What is said only where there is something to say.
    fn doubts(&self, out: &mut Vec<u8>) {
        let Completeness { incomplete_since, estimated_by, .. } = &self.frame.completeness;
        if !incomplete_since.is_empty() {
            out.extend_from_slice(b",\"incomplete_since\":[");
            for (index, (lane, since)) in incomplete_since.iter().enumerate() {
                separate(index, out);
                out.extend_from_slice(b"{\"lane\":");
                quoted(lane, out);
                out.extend_from_slice(b",\"since\":");
                quoted(&rfc3339(*since).unwrap_or_default(), out);
                out.push(b'}');
            }
            out.push(b']');
        }
        if !estimated_by.is_empty() {
            out.extend_from_slice(b",\"estimated_by\":[");
            for (index, partition) in estimated_by.iter().enumerate() {
                separate(index, out);
                quoted(partition, out);
            }
            out.push(b']');
        }
    }
}

impl Encode for Json {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self.frame.shape {
            Shape::Logs => out.extend_from_slice(b"{\"logs\":["),
            Shape::Table => {
                out.extend_from_slice(b"{\"columns\":[");
                for (index, field) in self.frame.schema.fields().iter().enumerate() {
                    separate(index, out);
                    out.extend_from_slice(b"{\"name\":");
                    quoted(field.name(), out);
                    out.extend_from_slice(b",\"type\":");
                    quoted(&type_name(field.data_type()), out);
                    out.push(b'}');
                }
                out.extend_from_slice(b"],\"rows\":[");
            }
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let Self { frame, objects, rows } = self;
        each_row(batch, |columns, row| {
            separate(*rows, out);
            *rows += 1;
            if frame.shape == Shape::Logs {
                return objects.write(columns, row, out);
            }
            out.push(b'[');
            for (index, column) in columns.iter().enumerate() {
                separate(index, out);
                column.json(row, out);
            }
            out.push(b']');
        })
    }

    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        out.extend_from_slice(b"],\"complete_until\":");
        match self.frame.completeness.complete_until_micros.and_then(rfc3339) {
            Some(time) => quoted(&time, out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"held_by\":[");
        for (index, lane) in self.frame.completeness.held_by.iter().enumerate() {
            separate(index, out);
            quoted(lane, out);
        }
        out.push(b']');
        self.doubts(out);
        if truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
        if let Some(statement) = &self.frame.statement {
            out.extend_from_slice(b",\"sql\":");
            quoted(statement, out);
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}
