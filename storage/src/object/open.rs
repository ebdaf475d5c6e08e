//! Which object store a URL means.

use std::path::Path;
use std::sync::Arc;

use super::{BucketStore, LocalStore, Objects, S3Config};
use crate::ObjectError;

/// Opens the object store at `url`: a path or `file:///path` of a directory,
/// which is created, or `s3://bucket/prefix`.
///
/// # Errors
/// [`ObjectError::Open`] when it is none of these, or cannot be opened.
pub fn open(url: &str, s3: &S3Config) -> Result<Arc<dyn Objects>, ObjectError> {
    let refuse = |reason: &str| ObjectError::Open { root: url.into(), reason: reason.to_owned() };
    match url.split_once("://") {
        Some(("s3", rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(refuse("use s3://BUCKET/PREFIX"));
            }
            Ok(Arc::new(BucketStore::open(bucket, prefix.trim_matches('/'), s3)?))
        }
        Some(("file", path)) if path.starts_with('/') => Ok(Arc::new(LocalStore::open(Path::new(path))?)),
        Some(("file", _)) => Err(refuse("file:// is followed by an absolute path, with a third slash")),
        Some((scheme, _)) => Err(refuse(&format!("{scheme}:// is unknown; use a path, file:/// or s3://"))),
        None if url.is_empty() => Err(refuse("it is empty")),
        None => Ok(Arc::new(LocalStore::open(Path::new(url))?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_store_and_a_wrong_one_says_what_to_write() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("text");
        let s3 = S3Config { region: "eu-central-1".to_owned(), ..S3Config::default() };
        for good in [path, &format!("file://{path}"), "s3://bucket", "s3://bucket/a/b/"] {
            assert!(open(good, &s3).is_ok(), "{good}");
        }
        for (bad, advice) in [
            ("", "empty"),
            ("s3://", "s3://BUCKET/PREFIX"),
            ("file://here", "third slash"),
            ("gs://bucket", "gs:// is unknown"),
        ] {
            let error = open(bad, &s3).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(advice), "{bad}: {error}");
        }
    }
}
