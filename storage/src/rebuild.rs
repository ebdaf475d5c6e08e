//! A catalog made again from the objects: from what the files say of themselves,
//! and from the newest state that was kept among them ([`crate::state`]).
//!
//! What the files alone tell: which of them were published (`rebuild/published.rs`), how far
//! each partition is stored, and what is covered of each source. What only a state
//! tells: losses, lanes, what was stored without a row, tombstones, and of what the
//! sources are. Of these, whatever came after the newest state is missing. What
//! is not stored according to the rebuilt catalog is read from the event log again,
//! and dropped where it is covered.

mod books;
mod published;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;
use weir_proto::model::FileId;
use weir_runtime::telemetry::error_chain;

use crate::catalog::{Catalog, CatalogError, Dump, FileEntry, LogPartition};
use crate::file::{self, FileFacts};
use crate::object::{ObjectEntry, Objects};
use crate::state::{self, StateError, is_state};
use crate::{FileError, ObjectError};

use books::Books;
use published::{Flush, published};

/// So much of a file's end holds its metadata, mostly.
const TAIL_BYTES: u64 = 64 << 10;

/// What came of it.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Files that were published, and are again.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Up to which offset each partition is stored.
    pub next_offsets: BTreeMap<LogPartition, u64>,
    /// When the state was kept that it starts from, microseconds.
    pub state_micros: Option<i64>,
    /// Files that were put and never published, by path: `weir check` removes them.
    pub unpublished: Vec<String>,
    /// Objects that are neither files nor states, by path.
    pub strangers: Vec<String>,
    /// Files and states that cannot be read, by path, and why: what they held is
    /// missing.
    pub damaged: Vec<(String, String)>,
}

/// The catalog could not be rebuilt. Nothing was written.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// The new catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The object store did not answer.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The newest state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Fills an empty catalog. No ingester may run meanwhile: what it published would
/// be missed.
///
/// # Errors
/// Nothing was written then.
pub async fn rebuild(
    catalog: &dyn Catalog,
    objects: &dyn Objects,
    now_micros: i64,
) -> Result<Rebuilt, RebuildError> {
    let there = objects.list().await?;
    let (state, damaged_states) = state::newest(objects, &there).await?;
    let mut rebuilt =
        Rebuilt { state_micros: state.as_ref().map(|state| state.at_micros), ..Rebuilt::default() };
    rebuilt.damaged.extend(damaged_states);
    let mut books = Books::of(state.unwrap_or_else(|| Dump::empty(now_micros)))?;
    let mut flushes: BTreeMap<FileId, Flush> = BTreeMap::new();
    for object in there.iter().filter(|object| !is_state(&object.path)) {
        let Some(id) = id_of(&object.path) else {
            rebuilt.strangers.push(object.path.clone());
            continue;
        };
        if books.given_up.contains(&object.path) {
            rebuilt.unpublished.push(object.path.clone());
            continue;
        }
        match facts(objects, object).await? {
            Ok(facts) => {
                let flush = facts.footer.part.map_or(id, |part| part.flush);
                flushes.entry(flush).or_default().add(entry(id, object, &facts), facts.footer);
            }
            Err(error) => rebuilt.damaged.push((object.path.clone(), error_chain(&error))),
        }
    }
    let (published, unpublished) = published(flushes);
    rebuilt.unpublished.extend(unpublished.iter().flat_map(Flush::paths));
    let mut files = Vec::new();
    for flush in published {
        books.add(&flush);
        files.extend(flush.files);
    }
    rebuilt.files = files.len() as u64;
    rebuilt.rows = files.iter().map(|file| file.rows).sum();
    let (dump, next_offsets) = books.finish()?;
    rebuilt.next_offsets = next_offsets;
    catalog.restore(&dump, &files, now_micros).await?;
    Ok(rebuilt)
}

/// The id in a path like `default/logs/2026-01-01/00/<ULID>.parquet`.
fn id_of(path: &str) -> Option<FileId> {
    path.rsplit('/').next()?.strip_suffix(".parquet")?.parse().ok()
}

async fn facts(
    objects: &dyn Objects,
    object: &ObjectEntry,
) -> Result<Result<FileFacts, FileError>, ObjectError> {
    let mut wanted = TAIL_BYTES;
    loop {
        let from = object.bytes.saturating_sub(wanted);
        let tail: Bytes = objects.read_range(&object.path, from..object.bytes).await?;
        match file::read_facts(&tail, object.bytes) {
            Ok(Ok(facts)) => return Ok(Ok(facts)),
            Ok(Err(needed)) if (needed as u64) > wanted && from > 0 => wanted = needed as u64,
            Ok(Err(_)) => return Ok(Err(FileError::Damaged { part: "metadata" })),
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn entry(id: FileId, object: &ObjectEntry, facts: &FileFacts) -> FileEntry {
    FileEntry {
        id,
        tenant: facts.footer.tenant.clone(),
        table: facts.footer.table.clone(),
        path: object.path.clone(),
        rows: facts.rows,
        bytes: object.bytes,
        time: facts.time,
        observed: facts.observed,
        level: 0,
        created_micros: object.modified_micros,
        // Of what was put nobody knows; what is there now proves nothing.
        crc32c: None,
    }
}
