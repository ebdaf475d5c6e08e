//! An Arrow IPC stream.

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema};

use super::Encode;

/// Writes the stream into memory and hands it on batch by batch.
pub(super) struct Arrow(StreamWriter<Vec<u8>>);

impl Arrow {
    pub(super) fn new(schema: &Schema) -> Result<Self, ArrowError> {
        StreamWriter::try_new(Vec::new(), schema).map(Self)
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        out.append(self.0.get_mut());
    }
}

impl Encode for Arrow {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.take(out);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.0.write(batch)?;
        self.take(out);
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.0.finish()?;
        self.take(out);
        Ok(())
    }
}
