//! A growing column of text or bytes.

use arrow_array::{BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

/// Text, with or without nulls.
#[derive(Debug)]
pub(crate) struct TextColumn {
    text: String,
    ends: Ends,
}

/// Bytes, with or without nulls.
#[derive(Debug)]
pub(crate) struct BytesColumn {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where values end, and which are null.
#[derive(Debug)]
struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Ends::with_capacity(rows) }
    }

    pub(crate) fn push(&mut self, value: &str) {
        self.text.push_str(value);
        self.ends.push(self.text.len(), true);
    }

    pub(crate) fn push_optional(&mut self, value: Option<&str>) {
        self.text.push_str(value.unwrap_or_default());
        self.ends.push(self.text.len(), value.is_some());
    }

    /// Appends the value that `write` adds to the text.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len(), true);
    }

    /// Appends the same value `count` times.
    pub(crate) fn push_run(&mut self, value: Option<&str>, count: usize) {
        let text = value.unwrap_or_default();
        self.text.reserve(text.len() * count);
        for _ in 0..count {
            self.text.push_str(text);
            self.ends.push(self.text.len(), value.is_some());
        }
    }

    /// The last value that was appended; none when it is null.
    pub(crate) fn last(&self) -> Option<&str> {
        self.get(self.len().checked_sub(1)?)
    }

    /// A value that was appended; none when it is null.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let [start, end] = self.ends.offsets.get(index..index + 2)? else { return None };
        self.ends.nulls.is_valid(index).then(|| &self.text[*start as usize..*end as usize])
    }

    /// Values that were appended.
    pub(crate) fn len(&self) -> usize {
        self.ends.offsets.len() - 1
    }

    pub(crate) fn finish(mut self) -> StringArray {
        self.text.shrink_to_fit();
        let nulls = self.ends.nulls.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends.offsets));
        StringArray::new(offsets, Buffer::from_vec(self.text.into_bytes()), nulls)
    }
}

impl BytesColumn {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Ends::with_capacity(rows) }
    }

    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len(), value.is_some());
    }

    pub(crate) fn finish(mut self) -> BinaryArray {
        self.bytes.shrink_to_fit();
        let nulls = self.ends.nulls.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends.offsets));
        BinaryArray::new(offsets, Buffer::from_vec(self.bytes), nulls)
    }
}

impl Ends {
    fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, nulls: NullBufferBuilder::new(rows) }
    }

    fn push(&mut self, end: usize, is_valid: bool) {
        self.offsets.push(i32::try_from(end).expect("a message's columns are bounded far below 2 GiB"));
        self.nulls.append(is_valid);
    }
}
