//! Settled minutes. The caller begins the transaction.

use std::collections::BTreeMap;

use weir_proto::model::TenantId;

use super::Connection;
use crate::catalog::row::{from_column, to_column};
use crate::catalog::{CatalogError, ServiceEdge, SettledMinute, TimeRange, failed, sql};

/// Replaces minutes, but for those that somebody has counted with more spans.
pub(super) async fn settle(
    connection: &mut Connection,
    tenant: &TenantId,
    minutes: &[SettledMinute],
) -> Result<(), CatalogError> {
    for minute in minutes {
        let replaced = sqlx::query(sql::MINUTE_UPSERT)
            .bind(tenant.as_str())
            .bind(minute.minute_micros)
            .bind(to_column("a number of spans", minute.spans)?)
            .bind(minute.settled_micros)
            .execute(&mut *connection)
            .await
            .map_err(failed("settle a minute"))?;
        if replaced.rows_affected() == 0 {
            continue;
        }
        sqlx::query(sql::EDGES_DELETE)
            .bind(tenant.as_str())
            .bind(minute.minute_micros)
            .execute(&mut *connection)
            .await
            .map_err(failed("replace calls"))?;
        for edge in &minute.edges {
            sqlx::query(sql::EDGE_INSERT)
                .bind(tenant.as_str())
                .bind(minute.minute_micros)
                .bind(&edge.parent)
                .bind(&edge.child)
                .bind(to_column("a number of calls", edge.calls)?)
                .bind(to_column("a number of errors", edge.errors)?)
                .execute(&mut *connection)
                .await
                .map_err(failed("store calls"))?;
        }
    }
    Ok(())
}

/// The settled minutes that begin within a span of time, in order.
pub(super) async fn settled(
    connection: &mut Connection,
    tenant: &TenantId,
    time: TimeRange,
) -> Result<Vec<SettledMinute>, CatalogError> {
    let minutes: Vec<(i64, i64, i64)> = sqlx::query_as(sql::MINUTES)
        .bind(tenant.as_str())
        .bind(time.min_micros)
        .bind(time.max_micros)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read settled minutes"))?;
    let edges: Vec<(i64, String, String, i64, i64)> = sqlx::query_as(sql::EDGES)
        .bind(tenant.as_str())
        .bind(time.min_micros)
        .bind(time.max_micros)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read calls"))?;
    let mut by_minute: BTreeMap<i64, Vec<ServiceEdge>> = BTreeMap::new();
    for (minute, parent, child, calls, errors) in edges {
        let calls = from_column("a number of calls", calls)?;
        let errors = from_column("a number of errors", errors)?;
        by_minute.entry(minute).or_default().push(ServiceEdge { parent, child, calls, errors });
    }
    let minute = |(minute_micros, spans, settled_micros)| {
        Ok(SettledMinute {
            minute_micros,
            spans: from_column("a number of spans", spans)?,
            settled_micros,
            edges: by_minute.remove(&minute_micros).unwrap_or_default(),
        })
    };
    minutes.into_iter().map(minute).collect()
}
