//! Objects in a bucket of S3, or of what speaks its protocol.
//!
//! The store's acknowledgement is the durability: it answers after the object
//! is safe. Small objects are put on condition that there is none of the name;
//! large ones in parts, which become the object all at once. Requests that meet
//! a 5xx, a 429 or a broken connection are repeated for a while.
//!
//! A put whose answer got lost may be done, and a second attempt then finds the
//! name taken, by itself: names are drawn once, so an object of that name and
//! size is the one. Hence the put on condition is repeated here, where that is
//! known, and not by the client below.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
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

/// Between attempts: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

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
    /// The same, and it repeats nothing.
    once: Arc<dyn ObjectStore>,
}

impl BucketStore {
    /// The objects at `s3://bucket/prefix`. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`ObjectError::Open`] when the settings cannot work.
    pub fn open(bucket: &str, prefix: &str, config: &S3Config) -> Result<Self, ObjectError> {
        let failed = |error: Error| ObjectError::Open {
            root: format!("s3://{bucket}/{prefix}").into(),
            reason: error.to_string(),
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(
                ClientOptions::new().with_timeout(REQUEST).with_allow_http(config.allow_http),
            );
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
        let build = |retry: RetryConfig| -> Result<Arc<dyn ObjectStore>, ObjectError> {
            let bucket = builder.clone().with_retry(retry).build().map_err(failed)?;
            Ok(if prefix.is_empty() { Arc::new(bucket) } else { Arc::new(PrefixStore::new(bucket, prefix)) })
        };
        Ok(Self {
            store: build(RetryConfig { retry_timeout: REPEATED_FOR, ..RetryConfig::default() })?,
            once: build(RetryConfig { max_retries: 0, ..RetryConfig::default() })?,
        })
    }

    async fn put(&self, path: &Path, content: Bytes) -> Result<(), Error> {
        if content.len() <= PART_BYTES {
            self.put_whole(path, content).await
        } else {
            self.put_parts(path, content).await
        }
    }

    async fn put_whole(&self, path: &Path, content: Bytes) -> Result<(), Error> {
        let started = Instant::now();
        let mut pause = PAUSE_MIN;
        let mut may_be_done = false;
        loop {
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let error = match self.once.put_opts(path, PutPayload::from_bytes(content.clone()), create).await
            {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if matches!(error, Error::AlreadyExists { .. }) {
                let is_ours = may_be_done && self.size(path).await? == Some(content.len() as u64);
                return if is_ours { Ok(()) } else { Err(error) };
            }
            if !is_passing(&error) || started.elapsed() + pause > REPEATED_FOR {
                return Err(error);
            }
            may_be_done = true;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    async fn put_parts(&self, path: &Path, content: Bytes) -> Result<(), Error> {
        if self.size(path).await?.is_some() {
            return Err(Error::AlreadyExists { path: path.to_string(), source: "it is there".into() });
        }
        let mut upload = self.store.put_multipart(path).await?;
        let starts = (0..content.len()).step_by(PART_BYTES);
        let slice = |start: usize| content.slice(start..content.len().min(start + PART_BYTES));
        let parts: Vec<_> = starts.map(|start| upload.put_part(slice(start).into())).collect();
        let sent = stream::iter(parts).buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await;
        let outcome = match sent {
            Ok(()) => upload.complete().await.map(drop),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // Parts that stay are paid for. An upload that was completed after
            // all is refused this, and stays.
            let _ = upload.abort().await;
        }
        outcome
    }

    async fn size(&self, path: &Path) -> Result<Option<u64>, Error> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
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
            Err(Error::AlreadyExists { .. }) => return Err(ObjectError::Exists(path.to_owned())),
            Err(error) => error,
        };
        match self.size(&place).await {
            Ok(Some(found)) if found == bytes => Ok(()),
            _ => Err(ObjectError::Store { step: "put", path: path.to_owned(), source: error }),
        }
    }

    async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        match self.store.delete(&parse(path)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
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
        if range.end > bytes || range.start > range.end {
            return Err(ObjectError::BeyondEnd { path: path.to_owned(), bytes, end: range.end });
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.store.get_range(&place, range).await.map_err(failed("read", path))
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }
}

/// True when the same request may succeed later.
fn is_passing(error: &Error) -> bool {
    // What the store refuses for good has a kind of its own.
    matches!(error, Error::Generic { .. })
}

fn parse(path: &str) -> Result<Path, ObjectError> {
    let is_plain = path.split('/').all(|name| !name.is_empty() && !name.starts_with('.'));
    match Path::parse(path) {
        Ok(place) if is_plain => Ok(place),
        _ => Err(ObjectError::BadPath(path.to_owned())),
    }
}

fn failed(step: &'static str, path: &str) -> impl FnOnce(Error) -> ObjectError {
    let path = path.to_owned();
    move |source| match source {
        Error::NotFound { .. } => ObjectError::Missing(path),
        source => ObjectError::Store { step, path, source },
    }
}

#[cfg(test)]
mod tests;
