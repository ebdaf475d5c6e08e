//! What the catalog answers. The caller begins the transaction: each answer is
//! of one instant.

use std::collections::BTreeMap;

use weir_proto::model::{LayoutId, TenantId};

use super::Connection;
use crate::catalog::row::{
    self, CountedRow, CoveredRow, FileRow, GapRow, LaneRow, LossesRow, SourceRow, TallyRow,
};
use crate::catalog::{CatalogError, Delivery, Gap, LogPartition, Progress, Snapshot, TimeRange, failed, sql};

pub(super) async fn progress(
    connection: &mut Connection,
    of: &LogPartition,
) -> Result<Progress, CatalogError> {
    let next: Option<i64> = sqlx::query_scalar(sql::OFFSET_READ)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read next offset"))?;
    let covered: Vec<(String, i64, i64)> = sqlx::query_as(sql::COVERED_OF_PARTITION)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read covered ranges"))?;
    let counted: Vec<CountedRow> = sqlx::query_as(sql::COUNTED_OF_PARTITION)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read counts of events"))?;
    let lanes: Vec<LaneRow> = sqlx::query_as(sql::LANES_OF_PARTITION)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read lanes"))?;
    let anchor: Option<(i64, Option<i64>, Option<i64>)> = sqlx::query_as(sql::ANCHOR_READ)
        .bind(&of.topic)
        .bind(i64::from(of.partition))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read anchor"))?;
    let mut progress = Progress::default();
    if let Some((generation, offset, fingerprint)) = anchor {
        progress.generation = row::from_column("a generation", generation)?;
        progress.anchor = row::anchor(offset, fingerprint)?;
    }
    if let Some(next) = next {
        progress.next_offset = Some(row::from_column("a next offset", next)?);
    }
    for (source, start, end) in covered {
        let range = row::range(&source, start, end)?;
        progress.covered.entry(row::source_id(&source)?).or_default().insert(range);
    }
    for (source, from, to, events) in counted {
        progress.counted.insert(row::source_id(&source)?, row::counted(from, to, events)?);
    }
    progress.lanes = lanes.into_iter().map(row::lane).collect::<Result<_, _>>()?;
    Ok(progress)
}

pub(super) async fn snapshot(
    connection: &mut Connection,
    tenant: &TenantId,
    table: &str,
    time: TimeRange,
) -> Result<Snapshot, CatalogError> {
    // One transaction for all: files of one commit with the offsets of another
    // would show rows twice or not at all.
    let files: Vec<FileRow> = sqlx::query_as(sql::FILES_OF_TIME)
        .bind(tenant.as_str())
        .bind(table)
        .bind(time.min_micros)
        .bind(time.max_micros)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read files"))?;
    let offsets: Vec<(String, i64, i64)> = sqlx::query_as(sql::OFFSETS)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read next offsets"))?;
    let lanes: Vec<LaneRow> =
        sqlx::query_as(sql::LANES).fetch_all(&mut *connection).await.map_err(failed("read lanes"))?;
    let mut snapshot = Snapshot::default();
    for file in files {
        snapshot.files.push(row::file_entry(file)?);
    }
    for (topic, number, next) in offsets {
        let next = row::from_column("a next offset", next)?;
        snapshot.next_offsets.insert(row::partition(topic, number)?, next);
    }
    snapshot.lanes = lanes.into_iter().map(row::lane).collect::<Result<_, _>>()?;
    Ok(snapshot)
}

pub(super) async fn gaps(connection: &mut Connection, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
    let rows: Vec<GapRow> = sqlx::query_as(sql::GAPS_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(connection)
        .await
        .map_err(failed("read gaps"))?;
    rows.into_iter().map(|gap| row::gap(tenant, gap)).collect()
}

pub(super) async fn delivery(
    connection: &mut Connection,
    tenant: &TenantId,
) -> Result<Vec<Delivery>, CatalogError> {
    let sources: Vec<SourceRow> = sqlx::query_as(sql::SOURCES_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read sources"))?;
    let covered: Vec<CoveredRow> = sqlx::query_as(sql::COVERED_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read covered ranges"))?;
    let tallies: Vec<TallyRow> = sqlx::query_as(sql::TALLIES_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read tallies"))?;
    let losses: Vec<LossesRow> = sqlx::query_as(sql::LOSSES_OF_TENANT)
        .bind(tenant.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("sum gaps"))?;
    row::deliveries(tenant, sources, covered, tallies, losses)
}

pub(super) async fn layouts(connection: &mut Connection) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as(sql::LAYOUTS).fetch_all(connection).await.map_err(failed("read layouts"))?;
    Ok(rows.into_iter().map(|(id, layout)| (LayoutId(id), layout)).collect())
}

pub(super) async fn paths(connection: &mut Connection) -> Result<Vec<String>, CatalogError> {
    sqlx::query_scalar(sql::PATHS).fetch_all(connection).await.map_err(failed("read paths"))
}
