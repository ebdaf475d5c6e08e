//! Which catalog a URL means.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Catalog, CatalogError, PostgresCatalog, SqliteCatalog};

/// Opens the catalog at `url` for writing, and creates it when there is none:
/// `postgres://user:password@host/database`, `sqlite:///path` or a plain path.
///
/// # Errors
/// [`CatalogError::Url`] when it is none of these; else those of the catalog.
pub async fn open(url: &str) -> Result<Arc<dyn Catalog>, CatalogError> {
    Ok(match Kind::of(url)? {
        Kind::Postgres => Arc::new(PostgresCatalog::open(url).await?),
        Kind::Sqlite(path) => Arc::new(SqliteCatalog::open(&path).await?),
    })
}

/// Opens an existing catalog for reading, by the same URLs.
///
/// # Errors
/// As [`open`], and when there is none yet.
pub async fn open_read_only(url: &str) -> Result<Arc<dyn Catalog>, CatalogError> {
    Ok(match Kind::of(url)? {
        Kind::Postgres => Arc::new(PostgresCatalog::open_read_only(url).await?),
        Kind::Sqlite(path) => Arc::new(SqliteCatalog::open_read_only(&path).await?),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Postgres,
    Sqlite(PathBuf),
}

impl Kind {
    fn of(url: &str) -> Result<Self, CatalogError> {
        let refuse = |reason: &str| CatalogError::Url { reason: reason.to_owned() };
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            Some(("sqlite", path)) if path.starts_with('/') => Ok(Self::Sqlite(path.into())),
            Some(("sqlite", _)) => {
                Err(refuse("sqlite:// is followed by an absolute path, with a third slash"))
            }
            Some((scheme, _)) if scheme.chars().all(|letter| letter.is_ascii_alphanumeric()) => {
                Err(refuse(&format!("{scheme}:// is unknown; use postgres://, sqlite:/// or a path")))
            }
            _ if url.is_empty() => Err(refuse("it is empty")),
            _ => Ok(Self::Sqlite(url.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_catalog() {
        let check = |url: &str, expected: Kind| assert_eq!(Kind::of(url).unwrap(), expected);
        check("postgres://weir@db/weir", Kind::Postgres);
        check("postgresql://db", Kind::Postgres);
        check("sqlite:///var/lib/weir/catalog.db", Kind::Sqlite("/var/lib/weir/catalog.db".into()));
        check("/var/lib/weir/catalog.db", Kind::Sqlite("/var/lib/weir/catalog.db".into()));
        check("data/catalog.db", Kind::Sqlite("data/catalog.db".into()));
        let refused = |url: &str, expected: &str| {
            let error = Kind::of(url).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("", "empty");
        refused("sqlite://catalog.db", "third slash");
        refused("mysql://secret@db", "mysql:// is unknown");
        assert!(!Kind::of("mysql://secret@db").unwrap_err().to_string().contains("secret"));
    }
}
