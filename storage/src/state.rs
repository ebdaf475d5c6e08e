//! What the catalog knows beside its files, kept as an object among them, so that
//! a lost catalog can be made again: `docs/formats/state-v1.md`.
//!
//! One ingester of all writes it now and then; the one before is deleted once the
//! next is there.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use weir_proto::model::FileId;

use crate::ObjectError;
use crate::catalog::{Catalog, CatalogError, Dump};
use crate::object::{ObjectEntry, Objects};

/// Where states lie. No tenant has this name: theirs are lower case.
const PREFIX: &str = "CATALOG/";

/// It is written often and read hardly ever.
const ZSTD_LEVEL: i32 = 3;

/// A state could not be kept or read.
#[derive(Debug, Error)]
pub enum StateError {
    /// The catalog did not answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The object store did not answer.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// It is damaged.
    #[error("the state at {path} cannot be read: {reason}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is of a newer Weir.
    #[error("the state at {path} has version {found}, this build reads {expected}: use a newer Weir")]
    Version {
        /// The object.
        path: String,
        /// What it says.
        found: u32,
        /// What this build reads.
        expected: u32,
    },
}

/// True for an object that is a state and not a file.
pub fn is_state(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Keeps the catalog's state, if the last one is older than `interval` and nobody
/// else is at it. Answers with where.
///
/// # Errors
/// Nothing is kept; the next interval has another try.
pub async fn keep(
    catalog: &dyn Catalog,
    objects: &dyn Objects,
    now_micros: i64,
    interval: Duration,
) -> Result<Option<String>, StateError> {
    let path = format!("{PREFIX}{}.json.zst", FileId::generate());
    let Some(last) = catalog.claim_state(&path, now_micros, interval).await? else { return Ok(None) };
    let dump = catalog.dump(now_micros).await?;
    let packed = pack(&dump).map_err(|reason| StateError::Damaged { path: path.clone(), reason })?;
    objects.put_new(&path, packed).await?;
    if let Some(last) = last {
        objects.delete(&last).await?;
    }
    Ok(Some(path))
}

/// The newest of the states among these objects that is whole, and those that are
/// not, with why.
///
/// # Errors
/// [`StateError::Version`]: an older state in its place would be a step back.
pub async fn newest(
    objects: &dyn Objects,
    there: &[ObjectEntry],
) -> Result<(Option<Dump>, Vec<(String, String)>), StateError> {
    let mut damaged = Vec::new();
    // Their names grow with time.
    let mut paths: Vec<_> = there.iter().map(|object| &object.path).filter(|path| is_state(path)).collect();
    paths.sort();
    for path in paths.into_iter().rev() {
        match unpack(path, &objects.read(path).await?) {
            Ok(dump) => return Ok((Some(dump), damaged)),
            Err(StateError::Damaged { path, reason }) => damaged.push((path, reason)),
            Err(error) => return Err(error),
        }
    }
    Ok((None, damaged))
}

fn pack(dump: &Dump) -> Result<Bytes, String> {
    let mut packed = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(|error| error.to_string())?;
    packed.include_checksum(true).map_err(|error| error.to_string())?;
    serde_json::to_writer(&mut packed, dump).map_err(|error| error.to_string())?;
    packed.finish().map(Bytes::from).map_err(|error| error.to_string())
}

fn unpack(path: &str, packed: &[u8]) -> Result<Dump, StateError> {
    let damaged = |reason: String| StateError::Damaged { path: path.to_owned(), reason };
    let json = zstd::decode_all(packed).map_err(|error| damaged(error.to_string()))?;
    let dump: Dump = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    if dump.version == Dump::VERSION {
        return Ok(dump);
    }
    Err(StateError::Version { path: path.to_owned(), found: dump.version, expected: Dump::VERSION })
}
