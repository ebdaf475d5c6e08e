//! Holds the objects against the catalog: every committed file is there, whole,
//! once, and what it says of itself is what the catalog says.
//!
//! Safe beside a running ingester: the catalog is read first, and an object is
//! put before it is committed, so that whatever the catalog named is there. An
//! object that it does not name may be about to be: it is called an orphan once
//! it is [`ORPHAN_AGE`] old.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_runtime::telemetry::error_chain;

use crate::catalog::{Catalog, CatalogError, FileEntry, TimeRange};
use crate::object::{ObjectEntry, Objects};
use crate::state::is_state;
use crate::{FileError, ObjectError, file};

/// How old an object is at least of which nobody has heard: far longer than a
/// flush takes from its first object to its commit, and shorter than nobody
/// would notice.
pub const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At names and sizes.
    Sizes,
    /// At every byte and row: each file is read, held to its checksum, and decoded.
    Rows,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Found {
    /// Committed files.
    pub files: u64,
    /// What the catalog says that they hold, bytes.
    pub bytes: u64,
    /// And rows.
    pub rows: u64,
    /// What does not fit, by path.
    pub problems: Vec<Problem>,
    /// Objects that no commit names and that are old enough to be left over.
    pub orphans: Vec<ObjectEntry>,
    /// Objects that no commit names yet.
    pub young: u64,
}

/// A committed file that is not what it should be.
#[derive(Debug)]
pub struct Problem {
    /// Its object path.
    pub path: String,
    /// What is wrong with it.
    pub what: Wrong,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Wrong {
    /// There is no such object.
    Missing,
    /// It is as long as this, bytes, and not as long as the catalog says.
    Size {
        /// What is there.
        found: u64,
        /// What the catalog says.
        expected: u64,
    },
    /// It has so many rows, and not as many as the catalog says.
    Rows {
        /// What is there.
        found: u64,
        /// What the catalog says.
        expected: u64,
    },
    /// It has not the bytes that were put: CRC-32C.
    Checksum {
        /// Of what is there.
        found: u32,
        /// What the catalog says.
        expected: u32,
    },
    /// Its rows are of other times than the catalog says: queries pass it over, or read it
    /// in vain.
    Times,
    /// It is of another table or tenant.
    Another {
        /// What it says, `tenant/table`.
        found: String,
    },
    /// The catalog names it so many times.
    Repeated(usize),
    /// The catalog names it, and no table holds it.
    OfNoTable,
    /// It cannot be read.
    Unreadable(FileError),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such object"),
            Self::Size { found, expected } => write!(f, "{found} bytes, the catalog says {expected}"),
            Self::Rows { found, expected } => write!(f, "{found} rows, the catalog says {expected}"),
            Self::Checksum { found, expected } => {
                write!(f, "CRC-32C {found:08x}, the catalog says {expected:08x}: other bytes than were put")
            }
            Self::Times => f.write_str("its rows are of other times than the catalog says"),
            Self::Another { found } => write!(f, "it says that it is of {found}"),
            Self::Repeated(times) => write!(f, "the catalog names it {times} times"),
            Self::OfNoTable => f.write_str("the catalog names it, and no table that this build knows"),
            Self::Unreadable(error) => f.write_str(&error_chain(error)),
        }
    }
}

/// The check could not be made.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The catalog did not answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The object store did not answer.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Looks at everything.
///
/// # Errors
/// Catalog or object store did not answer: nothing is known then.
pub async fn check(
    catalog: &dyn Catalog,
    objects: &dyn Objects,
    depth: Depth,
    now_micros: i64,
) -> Result<Found, CheckError> {
    let entries = entries(catalog).await?;
    let there: BTreeMap<String, ObjectEntry> =
        objects.list().await?.into_iter().map(|object| (object.path.clone(), object)).collect();
    let mut found = Found::default();
    for (path, held) in &entries {
        if held.len() > 1 {
            found.wrong(path, Wrong::Repeated(held.len()));
        }
        let Some(entry) = held.first() else {
            found.wrong(path, Wrong::OfNoTable);
            continue;
        };
        found.files += 1;
        found.bytes += entry.bytes;
        found.rows += entry.rows;
        match there.get(path) {
            None => found.wrong(path, Wrong::Missing),
            Some(object) if object.bytes != entry.bytes => {
                found.wrong(path, Wrong::Size { found: object.bytes, expected: entry.bytes });
            }
            Some(_) if depth == Depth::Rows => {
                if let Some(what) = look_into(&objects.read(path).await?, entry) {
                    found.wrong(path, what);
                }
            }
            Some(_) => {}
        }
    }
    // What was committed meanwhile is none of them.
    let committed: BTreeSet<String> = catalog.paths().await?.into_iter().collect();
    let age = i64::try_from(ORPHAN_AGE.as_micros()).unwrap_or(i64::MAX);
    let is_unnamed = |object: &ObjectEntry| !committed.contains(&object.path) && !is_state(&object.path);
    for object in there.into_values().filter(is_unnamed) {
        if now_micros.saturating_sub(object.modified_micros) >= age {
            found.orphans.push(object);
        } else {
            found.young += 1;
        }
    }
    Ok(found)
}

/// Deletes what [`check`] found to be orphans. Each is given up in the catalog
/// first, so that a commit that comes late fails instead of naming what is
/// gone. Answers with how many were deleted.
///
/// # Errors
/// Catalog or object store did not answer; what was deleted stays deleted.
pub async fn remove_orphans(
    catalog: &dyn Catalog,
    objects: &dyn Objects,
    orphans: &[ObjectEntry],
    now_micros: i64,
) -> Result<u64, CheckError> {
    let mut removed = 0;
    for orphan in orphans {
        match catalog.tombstone(&orphan.path, now_micros).await {
            Ok(()) => {}
            // It was committed after all.
            Err(CatalogError::PathInUse(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        objects.delete(&orphan.path).await?;
        removed += 1;
    }
    Ok(removed)
}

impl Found {
    fn wrong(&mut self, path: &str, what: Wrong) {
        self.problems.push(Problem { path: path.to_owned(), what });
    }
}

/// What the catalog says of each path; nothing of one that no table holds.
async fn entries(catalog: &dyn Catalog) -> Result<BTreeMap<String, Vec<FileEntry>>, CheckError> {
    let mut entries: BTreeMap<String, Vec<FileEntry>> = BTreeMap::new();
    let mut tenants = BTreeSet::new();
    for path in catalog.paths().await? {
        // The first part of a path is its tenant.
        tenants.extend(path.split('/').next().map(str::to_owned));
        entries.entry(path).or_default();
    }
    for tenant in tenants.into_iter().filter_map(|tenant| TenantId::new(tenant).ok()) {
        for table in Table::ALL {
            let snapshot = catalog.snapshot(&tenant, table.name(), TimeRange::ALL).await?;
            for entry in snapshot.files {
                entries.entry(entry.path.clone()).or_default().push(entry);
            }
        }
    }
    Ok(entries)
}

fn look_into(content: &Bytes, entry: &FileEntry) -> Option<Wrong> {
    let found = crc32c::crc32c(content);
    if let Some(expected) = entry.crc32c.filter(|expected| *expected != found) {
        return Some(Wrong::Checksum { found, expected });
    }
    let facts = match file::read_facts(content, content.len() as u64) {
        Ok(Ok(facts)) => facts,
        Ok(Err(_)) => return Some(Wrong::Unreadable(FileError::Damaged { part: "metadata" })),
        Err(error) => return Some(Wrong::Unreadable(error)),
    };
    let footer = &facts.footer;
    if footer.table != entry.table || footer.tenant != entry.tenant {
        return Some(Wrong::Another { found: format!("{}/{}", footer.tenant, footer.table) });
    }
    if (facts.time, facts.observed) != (entry.time, entry.observed) {
        return Some(Wrong::Times);
    }
    match file::read(content) {
        Err(error) => Some(Wrong::Unreadable(error)),
        Ok(batches) => {
            let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            (rows != entry.rows).then_some(Wrong::Rows { found: rows, expected: entry.rows })
        }
    }
}

#[cfg(test)]
mod tests;
