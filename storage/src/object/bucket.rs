//! Objects in a bucket of S3, or of what speaks its protocol.
//!
//! The store's acknowledgement is the durability: it answers after the object
//! is safe. Small objects are put on condition that there is none of the name;
//! large ones in parts, which become the object all at once. Requests that meet
//! a 5xx, a 429 or a broken connection are repeated for a while.
//!
//! A put whose answer got lost may be done. It is looked for by name and size;
//! if it was repeated and met itself, it counts as a name that is taken: the
//! caller puts the rows again under another one, and the first is an orphan.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig, WriteMultipart,
};
use serde::{Deserialize, Serialize};

use super::{ObjectEntry, Objects};
use crate::ObjectError;

/// Objects above this travel in parts: a connection that breaks then costs a
/// part and not the object.
const PART_BYTES: usize = 16 << 20;

/// Parts on their way at a time. More would only hold memory.
const PARTS_AT_ONCE: usize = 4;

/// How long a request is repeated. The ingester goes on trying afterwards; a
/// query has a deadline of its own.
const REPEATED_FOR: Duration = Duration::from_secs(30);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// How a bucket is reached. What is empty is taken from the usual `AWS_*`
/// variables, or from the role of the instance or pod.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// Where the store is, for one that is not Amazon's: `https://HOST:PORT`.
    pub endpoint: String,
    /// The bucket's region.
    pub region: String,
    /// The access key's name.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: String,
    /// Allow an endpoint without TLS.
    pub allow_http: bool,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, region, access_key_id, allow_http, .. } = self;
        f.debug_struct("S3Config")
            .field("endpoint", endpoint)
            .field("region", region)
            .field("access_key_id", access_key_id)
            .field("allow_http", allow_http)
            .finish_non_exhaustive()
    }
}

/// Objects below a prefix of a bucket. Cloning shares.
#[derive(Clone, Debug)]
pub struct BucketStore {
    store: Arc<dyn ObjectStore>,
}

impl BucketStore {
    /// The objects at `s3://bucket/prefix`. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`ObjectError::Open`] when the settings cannot work.
    pub fn open(bucket: &str, prefix: &str, config: &S3Config) -> Result<Self, ObjectError> {
        let failed = |error: object_store::Error| ObjectError::Open {
            root: format!("s3://{bucket}/{prefix}").into(),
            reason: error.to_string(),
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(
                ClientOptions::new().with_timeout(REQUEST).with_allow_http(config.allow_http),
            )
            .with_retry(RetryConfig { retry_timeout: REPEATED_FOR, ..RetryConfig::default() });
        if !config.endpoint.is_empty() {
            builder = builder.with_endpoint(&config.endpoint);
        }
        if !config.region.is_empty() {
            builder = builder.with_region(&config.region);
        }
        if !config.access_key_id.is_empty() {
            builder = builder.with_access_key_id(&config.access_key_id);
        }
        if !config.secret_access_key.is_empty() {
            builder = builder.with_secret_access_key(&config.secret_access_key);
        }
        let bucket = builder.build().map_err(failed)?;
        let store: Arc<dyn ObjectStore> =
            if prefix.is_empty() { Arc::new(bucket) } else { Arc::new(PrefixStore::new(bucket, prefix)) };
        Ok(Self { store })
    }

    async fn put(&self, path: &Path, content: Bytes) -> Result<(), object_store::Error> {
        if content.len() <= PART_BYTES {
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.store.put_opts(path, PutPayload::from_bytes(content), create).await?;
            return Ok(());
        }
        if self.size(path).await?.is_some() {
            return Err(object_store::Error::AlreadyExists {
                path: path.to_string(),
                source: "it is there".into(),
            });
        }
        let upload = self.store.put_multipart(path).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        for start in (0..content.len()).step_by(PART_BYTES) {
            parts.wait_for_capacity(PARTS_AT_ONCE).await?;
            parts.put(content.slice(start..content.len().min(start + PART_BYTES)));
        }
        // Aborts by itself when a part or the completion fails.
        parts.finish().await?;
        Ok(())
    }

    async fn size(&self, path: &Path) -> Result<Option<u64>, object_store::Error> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Objects for BucketStore {
    async fn put_new(&self, path: &str, content: Bytes) -> Result<(), ObjectError> {
        let place = parse(path)?;
        let bytes = content.len() as u64;
        let error = match self.put(&place, content).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match (&error, self.size(&place).await) {
            (object_store::Error::AlreadyExists { .. }, _) => Err(ObjectError::Exists(path.to_owned())),
            (_, Ok(Some(found))) if found == bytes => Ok(()),
            _ => Err(ObjectError::Store { step: "put", path: path.to_owned(), source: error }),
        }
    }

    async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        match self.store.delete(&parse(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ObjectError::Store { step: "delete", path: path.to_owned(), source }),
        }
    }

    async fn exists(&self, path: &str) -> Result<bool, ObjectError> {
        let size = self.size(&parse(path)?).await;
        Ok(size.map_err(failed("look for", path))?.is_some())
    }

    async fn list(&self) -> Result<Vec<ObjectEntry>, ObjectError> {
        let found: Vec<_> = self.store.list(None).try_collect().await.map_err(failed("list", ""))?;
        let entry = |object: object_store::ObjectMeta| ObjectEntry {
            path: object.location.to_string(),
            bytes: object.size,
            modified_micros: object.last_modified.timestamp_micros(),
        };
        let mut entries: Vec<_> = found.into_iter().map(entry).collect();
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    async fn read(&self, path: &str) -> Result<Bytes, ObjectError> {
        let found = self.store.get(&parse(path)?).await.map_err(failed("read", path))?;
        found.bytes().await.map_err(failed("read", path))
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let place = parse(path)?;
        let bytes = self.size(&place).await.map_err(failed("read", path))?;
        let bytes = bytes.ok_or_else(|| ObjectError::Missing(path.to_owned()))?;
        if range.end > bytes {
            return Err(ObjectError::BeyondEnd { path: path.to_owned(), bytes, end: range.end });
        }
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        self.store.get_range(&place, range).await.map_err(failed("read", path))
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }
}

fn parse(path: &str) -> Result<Path, ObjectError> {
    let is_plain = path.split('/').all(|name| !name.is_empty() && !name.starts_with('.'));
    match Path::parse(path) {
        Ok(place) if is_plain => Ok(place),
        _ => Err(ObjectError::BadPath(path.to_owned())),
    }
}

fn failed(step: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> ObjectError {
    let path = path.to_owned();
    move |source| match source {
        object_store::Error::NotFound { .. } => ObjectError::Missing(path),
        source => ObjectError::Store { step, path, source },
    }
}
