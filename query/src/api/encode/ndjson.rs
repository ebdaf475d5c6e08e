//! A JSON object on each line.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use super::{Encode, Frame, Objects, each_row};

/// Writes one object per row.
pub(super) struct NdJson {
    objects: Objects,
}

impl NdJson {
    pub(super) fn new(frame: &Frame) -> Self {
        Self { objects: Objects::new(&frame.schema, frame.shape) }
    }
}

impl Encode for NdJson {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        each_row(batch, |columns, row| {
            self.objects.write(columns, row, out);
            out.push(b'\n');
        })
    }

    fn end(&mut self, _: bool, _: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}
