//! The catalog and the object store that the configuration names.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use weir_storage::catalog::{self, Catalog};
use weir_storage::object::{self, Objects};

use crate::config::Config;

/// Opens the catalog for writing.
pub async fn catalog(config: &Config) -> Result<Arc<dyn Catalog>> {
    Ok(catalog::open(&catalog_url(config)).await?)
}

/// Opens the catalog for reading.
pub async fn catalog_read_only(config: &Config) -> Result<Arc<dyn Catalog>> {
    Ok(catalog::open_read_only(&catalog_url(config)).await?)
}

/// Removes the schema of a catalog in Postgres that has one of its own.
#[cfg(feature = "query")]
pub async fn remove_catalog(config: &Config) -> Result<()> {
    Ok(catalog::postgres::PostgresCatalog::open(&catalog_url(config)).await?.drop_schema().await?)
}

/// Opens the object store.
pub fn objects(config: &Config) -> Result<Arc<dyn Objects>> {
    let own = config.paths().objects();
    let url = if config.objects.is_empty() { text(&own)? } else { &config.objects };
    object::open(url, &config.s3).context("objects")
}

fn catalog_url(config: &Config) -> String {
    if config.catalog.is_empty() {
        config.paths().catalog().to_string_lossy().into_owned()
    } else {
        config.catalog.clone()
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is no valid text", path.display()))
}
