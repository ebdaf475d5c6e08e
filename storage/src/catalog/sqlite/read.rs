//! What the catalog answers. Each answer comes from one read transaction.

use std::collections::BTreeMap;

use sqlx::SqlitePool;
use weir_proto::model::{LayoutId, TenantId};

use super::failed;
use crate::catalog::row::{self, CoveredRow, FileRow, GapRow, SourceRow};
use crate::catalog::{CatalogError, Delivery, Gap, LogPartition, Progress, Snapshot, TimeRange, sql};

pub(super) async fn progress(pool: &SqlitePool, of: &LogPartition) -> Result<Progress, CatalogError> {
    let mut transaction = pool.begin().await.map_err(failed("begin"))?;
    let next: Option<i64> = sqlx::query_scalar(sql::OFFSET_READ)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed("read next offset"))?;
    let covered: Vec<(String, i64, i64)> = sqlx::query_as(sql::COVERED_OF_PARTITION)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("read covered ranges"))?;
    let mut progress = Progress::default();
    if let Some(next) = next {
        progress.next_offset = Some(row::from_column("a next offset", next)?);
    }
    for (source, start, end) in covered {
        let range = row::range(&source, start, end)?;
        progress.covered.entry(row::source_id(&source)?).or_default().insert(range);
    }
    Ok(progress)
}

pub(super) async fn snapshot(
    pool: &SqlitePool,
    tenant: &TenantId,
    table: &str,
    time: TimeRange,
) -> Result<Snapshot, CatalogError> {
    // One transaction for both: files of one commit with the offsets of
    // another would show rows twice or not at all.
    let mut transaction = pool.begin().await.map_err(failed("begin"))?;
    let files: Vec<FileRow> = sqlx::query_as(sql::FILES_OF_TIME)
        .bind(tenant.as_str())
        .bind(table)
        .bind(time.min_micros)
        .bind(time.max_micros)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("read files"))?;
    let offsets: Vec<(String, i64, i64)> = sqlx::query_as(sql::OFFSETS)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("read next offsets"))?;
    let mut snapshot = Snapshot::default();
    for file in files {
        snapshot.files.push(row::file_entry(file)?);
    }
    for (topic, number, next) in offsets {
        let next = row::from_column("a next offset", next)?;
        snapshot.next_offsets.insert(row::partition(topic, number)?, next);
    }
    Ok(snapshot)
}

pub(super) async fn gaps(pool: &SqlitePool, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
    let rows: Vec<GapRow> = sqlx::query_as(sql::GAPS_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(pool)
        .await
        .map_err(failed("read gaps"))?;
    rows.into_iter().map(|gap| row::gap(tenant, gap)).collect()
}

pub(super) async fn delivery(pool: &SqlitePool, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError> {
    let mut transaction = pool.begin().await.map_err(failed("begin"))?;
    let sources: Vec<SourceRow> = sqlx::query_as(sql::SOURCES_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("read sources"))?;
    let covered: Vec<CoveredRow> = sqlx::query_as(sql::COVERED_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed("read covered ranges"))?;
    row::deliveries(tenant, sources, covered)
}

pub(super) async fn layouts(pool: &SqlitePool) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as(sql::LAYOUTS).fetch_all(pool).await.map_err(failed("read layouts"))?;
    Ok(rows.into_iter().map(|(id, layout)| (LayoutId(id), layout)).collect())
}

pub(super) async fn paths(pool: &SqlitePool) -> Result<Vec<String>, CatalogError> {
    sqlx::query_scalar(sql::PATHS).fetch_all(pool).await.map_err(failed("read paths"))
}
