//! Settles minutes as they become complete. Every query worker does; they find
//! what another has settled, and what two settle at once is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use weir_proto::model::TenantId;
use weir_proto::schema::{Table, span};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};
use weir_storage::catalog::{Catalog, SettledMinute, TimeRange};

use super::{MINUTE, count};
use crate::{Engine, QueryError, SqlRequest, literal};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(15);

/// How long a minute is left alone after it was complete, for spans that are
/// told late. A call that takes longer than this is linked by what is there.
const REST: i64 = MINUTE;

/// How far back a late span reopens its minute.
const REOPENS: i64 = 24 * 60 * MINUTE;

/// Minutes of one look: what was long unsettled is caught up in steps.
const MINUTES_MAX: usize = 60;

/// Settles minutes until told to end. `catalog` must be open for writing.
pub async fn settle(
    engine: Arc<Engine>,
    catalog: Arc<dyn Catalog>,
    handles: Handles,
) -> Result<(), TaskError> {
    let tenant = TenantId::default();
    loop {
        tokio::select! {
            () = handles.shutdown.begun() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        if let Err(error) = look(&engine, catalog.as_ref(), &tenant).await {
            tracing::warn!(
                error = error_chain(&error),
                "calls between services are not settled, trying again"
            );
        }
    }
}

/// Settles what is due.
async fn look(engine: &Engine, catalog: &dyn Catalog, tenant: &TenantId) -> Result<(), QueryError> {
    let now_micros = engine.clock().now_micros();
    let time = TimeRange { min_micros: super::floor(now_micros - REOPENS), max_micros: now_micros };
    let (counts, complete_until) = counts(engine, tenant, time).await?;
    let Some(complete_until) = complete_until else { return Ok(()) };
    settle_due(engine, catalog, tenant, time, &counts, complete_until).await
}

/// Settles those of the minutes that are due.
pub(super) async fn settle_due(
    engine: &Engine,
    catalog: &dyn Catalog,
    tenant: &TenantId,
    time: TimeRange,
    counts: &BTreeMap<i64, u64>,
    complete_until: i64,
) -> Result<(), QueryError> {
    let settled = catalog.settled(tenant, time).await.map_err(QueryError::Catalog)?;
    let settled: BTreeMap<i64, u64> =
        settled.iter().map(|minute| (minute.minute_micros, minute.spans)).collect();
    for minute in due(counts, &settled, complete_until).into_iter().take(MINUTES_MAX) {
        let of_minute = TimeRange { min_micros: minute, max_micros: minute + MINUTE - 1 };
        let counted = count::count(engine, tenant, of_minute).await?;
        let calls = counted.minutes.get(&minute).cloned().unwrap_or_default();
        let minute = SettledMinute {
            minute_micros: minute,
            spans: counts.get(&minute).copied().unwrap_or(0),
            settled_micros: engine.clock().now_micros(),
            edges: calls.edges(),
        };
        catalog.settle(tenant, &[minute]).await.map_err(QueryError::Catalog)?;
    }
    Ok(())
}

/// The minutes that are to be settled, in their order: those that are complete
/// and have more spans than when they were settled. Beside one that has more
/// now, its neighbours: their traces may reach into it.
fn due(counts: &BTreeMap<i64, u64>, settled: &BTreeMap<i64, u64>, complete_until: i64) -> BTreeSet<i64> {
    let mut due = BTreeSet::new();
    for (minute, count) in counts {
        if minute + MINUTE + REST > complete_until {
            continue;
        }
        match settled.get(minute) {
            None => drop(due.insert(*minute)),
            Some(known) if count > known => {
                due.insert(*minute);
                let beside = [minute - MINUTE, minute + MINUTE];
                due.extend(beside.into_iter().filter(|minute| settled.contains_key(minute)));
            }
            Some(_) => {}
        }
    }
    due
}

/// How many spans began in each minute, and until when that is all of them.
async fn counts(
    engine: &Engine,
    tenant: &TenantId,
    time: TimeRange,
) -> Result<(BTreeMap<i64, u64>, Option<i64>), QueryError> {
    let timestamp = span::column::TIMESTAMP;
    let query = format!(
        "SELECT date_trunc('minute', {timestamp}) AS minute, count(*) AS spans FROM {} WHERE {} GROUP BY 1",
        Table::Spans.name(),
        literal::within(time).join(" AND "),
    );
    let answer = engine.sql(SqlRequest { tenant: tenant.clone(), query }).await?;
    let complete_until = answer.completeness.complete_until_micros;
    let mut batches = answer.batches;
    let mut counts = BTreeMap::new();
    while let Some(batch) = batches.try_next().await? {
        let minutes = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
        let spans = batch.column(1).as_primitive_opt::<Int64Type>();
        let (Some(minutes), Some(spans)) = (minutes, spans) else {
            return Err(QueryError::internal("minutes are counted in other types"));
        };
        let pairs = minutes.values().iter().zip(spans.values());
        counts.extend(pairs.map(|(minute, spans)| (*minute, u64::try_from(*spans).unwrap_or(0))));
    }
    Ok((counts, complete_until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_minutes_are_due_once_and_again_when_they_grow() {
        let minutes = |pairs: &[(i64, u64)]| -> BTreeMap<i64, u64> {
            pairs.iter().map(|(minute, count)| (minute * MINUTE, *count)).collect()
        };
        let check = |counts: &[(i64, u64)], settled: &[(i64, u64)], complete: i64, expected: &[i64]| {
            let due = due(&minutes(counts), &minutes(settled), complete * MINUTE);
            assert_eq!(due.into_iter().map(|minute| minute / MINUTE).collect::<Vec<_>>(), expected);
        };
        check(&[(1, 5), (2, 5), (3, 5)], &[], 4, &[1, 2]);
        check(&[(1, 5), (2, 5), (3, 5)], &[(1, 5)], 5, &[2, 3]);
        check(&[(1, 5), (2, 5)], &[(1, 5), (2, 5)], 9, &[]);
        // A late span.
        check(&[(1, 5), (2, 6), (3, 5), (4, 5)], &[(1, 5), (2, 5), (3, 5), (4, 5)], 9, &[1, 2, 3]);
        // Retention took some: what was counted stays.
        check(&[(1, 2)], &[(1, 5)], 9, &[]);
    }
}
