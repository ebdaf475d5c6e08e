//! Objects: whole files under names that are never reused.
//!
//! [`Objects`] is the seam between a directory, [`LocalStore`], and a bucket,
//! [`BucketStore`]; [`open()`] takes either by its URL. An object is put once,
//! completely and durably, or not at all; nothing ever replaces one.

mod bucket;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod local;
mod open;
mod path;
#[cfg(any(test, feature = "conformance"))]
pub mod s3_server;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore;

use crate::ObjectError;

pub use bucket::{BucketStore, S3Config};
pub use local::LocalStore;
pub use open::open;
pub use path::path_of;

/// The scheme and host under which a query engine registers
/// [`Objects::object_store`]; catalog paths follow after a `/`.
pub const STORE_URL: &str = "weir://objects";

/// An object as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its path in the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, microseconds.
    pub modified_micros: i64,
}

/// Keeps objects.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Stores a new object. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`ObjectError::Exists`] when the path is taken; the object there stays.
    /// After any other error there is no object of that name.
    async fn put_new(&self, path: &str, content: Bytes) -> Result<(), ObjectError>;

    /// Removes an object; one that does not exist is removed already.
    async fn delete(&self, path: &str) -> Result<(), ObjectError>;

    /// True when there is an object of that path.
    async fn exists(&self, path: &str) -> Result<bool, ObjectError>;

    /// Every object, sorted by path. Unfinished ones are not among them.
    async fn list(&self) -> Result<Vec<ObjectEntry>, ObjectError>;

    /// The bytes of an object.
    async fn read(&self, path: &str) -> Result<Bytes, ObjectError>;

    /// Some bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::BeyondEnd`] rather than fewer bytes than were asked for.
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// The same objects for a query engine, by the same paths. For reading:
    /// what is written through it is not durable.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
}
