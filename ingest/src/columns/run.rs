//! Columns that are the same for every row of a source.

use weir_proto::model::Source;

use super::{MapColumn, TextColumn};

/// Which source each row belongs to, as runs: lines of one source come
/// together.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<(usize, usize)>);

impl Runs {
    pub(super) fn push(&mut self, source: usize) {
        match self.0.last_mut() {
            Some((last, count)) if *last == source => *count += 1,
            _ => self.0.push((source, 1)),
        }
    }

    /// A column with a text of each row's source.
    pub(super) fn text<'a>(
        &self,
        sources: &'a [Source],
        value: impl Fn(&'a Source) -> Option<&'a str>,
    ) -> TextColumn {
        let mut column = self.column();
        for (source, count) in &self.0 {
            column.push_run(value(&sources[*source]), *count);
        }
        column
    }

    /// The same for a text that has to be made.
    pub(super) fn text_of(
        &self,
        sources: &[Source],
        value: impl Fn(&Source) -> Option<String>,
    ) -> TextColumn {
        let mut column = self.column();
        for (source, count) in &self.0 {
            column.push_run(value(&sources[*source]).as_deref(), *count);
        }
        column
    }

    /// A column with entries of each row's source.
    pub(super) fn map<'a, I>(&self, sources: &'a [Source], entries: impl Fn(&'a Source) -> I) -> MapColumn
    where
        I: Iterator<Item = (&'a str, &'a str)>,
    {
        let mut column = MapColumn::with_capacity(self.rows(), 0);
        for (source, count) in &self.0 {
            let entries: Vec<_> = entries(&sources[*source]).collect();
            for _ in 0..*count {
                for (key, value) in &entries {
                    column.keys.push(key);
                    column.values.push(value);
                }
                column.end_row();
            }
        }
        column
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn column(&self) -> TextColumn {
        TextColumn::with_capacity(self.rows(), 0)
    }
}
