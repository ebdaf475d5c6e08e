//! Which flushes were published: told from the files alone.
//!
//! A flush takes a stretch of each of its partitions, from where the catalog stood,
//! and is published whole or not at all. So of two that took the same offset of the
//! same log, at most one was. It is the later one: a new owner, with a higher epoch,
//! reads on from what is published, and an owner tries again only what it knows not
//! to be. A flush whose last file is missing was never ready to be published.
//!
//! The last flush of a partition may have been put and not published. It is taken for
//! published: its rows are right, and what the log holds from there on comes next.

use std::collections::{BTreeMap, BTreeSet};

use weir_proto::model::FileId;

use crate::catalog::{FileEntry, LogPartition};
use crate::file::{Footer, LogSpan};

/// The files of one flush.
#[derive(Debug, Default)]
pub(super) struct Flush {
    pub(super) files: Vec<FileEntry>,
    /// As every file of it has it, but for the table's own.
    pub(super) footers: Vec<Footer>,
}

impl Flush {
    pub(super) fn add(&mut self, file: FileEntry, footer: Footer) {
        self.files.push(file);
        self.footers.push(footer);
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(|file| file.path.clone())
    }

    pub(super) fn spans(&self) -> &[LogSpan] {
        self.footers.first().map_or(&[], |footer| &footer.offsets)
    }

    /// Files are put one after the other: with the last, all are there. Those of
    /// builds that did not say are taken one by one.
    fn is_whole(&self) -> bool {
        let parts: Vec<_> = self.footers.iter().filter_map(|footer| footer.part).collect();
        let last = parts.iter().find(|part| part.is_last).map(|part| u64::from(part.number));
        parts.is_empty() || last.is_some_and(|last| last + 1 == parts.len() as u64)
    }
}

/// Those that were published, oldest first, and those that were not.
pub(super) fn published(flushes: BTreeMap<FileId, Flush>) -> (Vec<Flush>, Vec<Flush>) {
    let mut refused: BTreeSet<FileId> = BTreeSet::new();
    let mut stretches: BTreeMap<(&LogPartition, u64), Vec<(&LogSpan, FileId)>> = BTreeMap::new();
    for (id, flush) in &flushes {
        if !flush.is_whole() {
            refused.insert(*id);
            continue;
        }
        for span in flush.spans() {
            stretches.entry((&span.partition, span.generation)).or_default().push((span, *id));
        }
    }
    for mut stretches in stretches.into_values() {
        stretches.sort_by_key(|(span, id)| (span.from, span.epoch, *id));
        let mut last: Option<(&LogSpan, FileId)> = None;
        for (span, id) in stretches {
            match last {
                Some((held, of)) if span.from < held.to => {
                    if (held.epoch, of) < (span.epoch, id) {
                        refused.insert(of);
                        last = Some((span, id));
                    } else {
                        refused.insert(id);
                    }
                }
                _ => last = Some((span, id)),
            }
        }
    }
    let (mut published, mut unpublished) = (Vec::new(), Vec::new());
    for (id, flush) in flushes {
        if refused.contains(&id) { unpublished.push(flush) } else { published.push(flush) }
    }
    (published, unpublished)
}
