//! Keys and values: one event's, and a column of them.

use std::hash::Hasher;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::{Budget, cut};
use crate::limit::FIELD_NAME_BYTES_MAX;
use crate::schema::map_entry_fields;

/// Attributes in one buffer, so that an event's cost no allocation each.
#[derive(Debug, Default)]
pub(in crate::wire) struct AttributeSet {
    text: String,
    entries: Vec<Entry>,
    order: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: usize,
    value: usize,
    end: usize,
    has_value: bool,
}

impl AttributeSet {
    pub(in crate::wire) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    /// Bytes of text.
    pub(in crate::wire) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(in crate::wire) fn push(&mut self, key: &str, value: &str, budget: &mut Budget) -> bool {
        self.push_with(key, budget, |out, _| {
            out.push_str(value);
            true
        })
    }

    /// Adds an entry whose value `write` writes; a value is null if it answers
    /// false. Answers whether the entry found place.
    pub(in crate::wire) fn push_with(
        &mut self,
        key: &str,
        budget: &mut Budget,
        write: impl FnOnce(&mut String, &mut Budget) -> bool,
    ) -> bool {
        if !budget.take_field() {
            return false;
        }
        let name = cut(key, FIELD_NAME_BYTES_MAX);
        if name.len() < key.len() {
            budget.limit();
        }
        let start = self.text.len();
        self.text.push_str(budget.take_text(name));
        let value = self.text.len();
        let has_value = write(&mut self.text, budget);
        let kept = budget.take_text(&self.text[value..]).len();
        self.text.truncate(value + kept);
        self.entries.push(Entry { key: start, value, end: self.text.len(), has_value });
        true
    }

    pub(in crate::wire) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.entries.iter().map(|entry| self.entry(entry))
    }

    fn entry(&self, entry: &Entry) -> (&str, Option<&str>) {
        let value = entry.has_value.then(|| &self.text[entry.value..entry.end]);
        (&self.text[entry.key..entry.value], value)
    }

    /// Hashes the entries, whatever their order: their number, then each key and
    /// value in the order of keys.
    pub(in crate::wire) fn hash(&mut self, hasher: &mut impl Hasher) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..self.entries.len() as u32);
        order.sort_unstable_by_key(|index| self.entry(&self.entries[*index as usize]));
        hasher.write(&(order.len() as u32).to_le_bytes());
        for index in &order {
            let (key, value) = self.entry(&self.entries[*index as usize]);
            hash_text(hasher, Some(key));
            hash_text(hasher, value);
        }
        self.order = order;
    }
}

/// Hashes a text behind its length, so that no two lists of texts look alike;
/// null has a length of its own.
pub(in crate::wire) fn hash_text(hasher: &mut impl Hasher, text: Option<&str>) {
    let length = text.map_or(u32::MAX, |text| text.len() as u32);
    hasher.write(&length.to_le_bytes());
    hasher.write(text.unwrap_or_default().as_bytes());
}

/// A `Map<Utf8, Utf8>` column.
#[derive(Debug)]
pub(in crate::wire) struct MapColumn {
    offsets: Vec<i32>,
    keys: StringBuilder,
    values: StringBuilder,
}

impl MapColumn {
    pub(in crate::wire) fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, keys: StringBuilder::new(), values: StringBuilder::new() }
    }

    /// Adds a row that holds all entries of all sets.
    pub(in crate::wire) fn append(&mut self, sets: &[&AttributeSet]) {
        self.append_if(sets, |_| true);
    }

    /// Adds a row that holds the entries whose key passes.
    pub(in crate::wire) fn append_if(&mut self, sets: &[&AttributeSet], pass: impl Fn(&str) -> bool) {
        for (key, value) in sets.iter().flat_map(|set| set.iter()).filter(|(key, _)| pass(key)) {
            self.keys.append_value(key);
            self.values.append_option(value);
        }
        self.offsets.push(self.keys.len() as i32);
    }

    pub(in crate::wire) fn finish(mut self) -> ArrayRef {
        let fields = map_entry_fields();
        let columns: Vec<ArrayRef> = vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::new(fields.clone(), columns, None);
        let field = Field::new("entries", DataType::Struct(fields), false);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Arc::new(MapArray::new(Arc::new(field), offsets, entries, None, false))
    }
}
