//! The tables that questions see, and which stored tables each reads.
//!
//! `logs`, `spans` and `metric_samples` are as stored. Three are views:
//! `log_lines` rebuilds lines; `metric_series` shows each series once, though
//! it is stored once per batch; `metrics` is samples beside what their series
//! says.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions_aggregate::expr_fn::{first_value, max, min};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlanBuilder};
use datafusion::prelude::ident;
use weir_proto::schema::metric::series;
use weir_proto::schema::{Table, log};

use super::function::line::{Layouts, line};
use super::rows::Rows;
use super::table::EventTable;

/// The view that adds the exact line to the columns of `logs`.
pub(super) const LOG_LINES: &str = "log_lines";

/// The view that joins samples and series.
const METRICS: &str = "metrics";

/// What makes a series: the hash that is its id covers all of it. A condition
/// on one of these columns reaches the stored rows; one on what is aggregated
/// would not.
const IDENTITY: [&str; 10] = [
    series::column::TENANT,
    series::column::SERIES_ID,
    series::column::METRIC,
    series::column::KIND,
    series::column::UNIT,
    series::column::TEMPORALITY,
    series::column::IS_MONOTONIC,
    series::column::SERVICE_NAME,
    series::column::SCOPE_NAME,
    series::column::SCOPE_VERSION,
];

/// The time of a series' newest point.
const LAST_TIMESTAMP: &str = "last_timestamp";

/// What `metrics` takes from the series; the rest is in the samples already.
const OF_SERIES: [&str; 6] = [
    series::column::UNIT,
    series::column::DESCRIPTION,
    series::column::LABELS,
    series::column::RESOURCE_ATTRIBUTES,
    series::column::SCOPE_NAME,
    series::column::SCOPE_VERSION,
];

/// The stored tables that the table of this name reads; none when there is no
/// such table.
pub(super) fn stored(name: &str) -> &'static [Table] {
    match name {
        LOG_LINES => &[Table::Logs],
        METRICS => &[Table::MetricSamples, Table::MetricSeries],
        name => match Table::of_name(name) {
            Some(Table::Logs) => &[Table::Logs],
            Some(Table::Spans) => &[Table::Spans],
            Some(Table::MetricSamples) => &[Table::MetricSamples],
            Some(Table::MetricSeries) => &[Table::MetricSeries],
            Some(Table::Matches) => &[Table::Matches],
            None => &[],
        },
    }
}

/// Every table of events, by name.
pub(super) fn tables(
    rows: &Arc<Rows>,
    layouts: Layouts,
) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let stored = |table| -> Arc<dyn TableProvider> { Arc::new(EventTable::new(table, rows.clone())) };
    let (logs, samples) = (stored(Table::Logs), stored(Table::MetricSamples));
    let series = grouped(stored(Table::MetricSeries))?;
    Ok(vec![
        (LOG_LINES, log_lines(logs.clone(), layouts)?),
        (Table::Logs.name(), logs),
        (Table::Spans.name(), stored(Table::Spans)),
        (METRICS, metrics(series.clone(), samples.clone())?),
        (Table::MetricSamples.name(), samples),
        (Table::MetricSeries.name(), series),
    ])
}

/// The tables of events that stand among the reports, as `weir.NAME`: what
/// Weir itself has made of events.
pub(super) fn derived(rows: &Arc<Rows>) -> Vec<(&'static str, Arc<dyn TableProvider>)> {
    vec![(Table::Matches.name(), Arc::new(EventTable::new(Table::Matches, rows.clone())))]
}

/// `logs` with the column `line`. A plan that does not select it does not
/// compute it, for the optimizer drops columns that nobody reads.
fn log_lines(logs: Arc<dyn TableProvider>, layouts: Layouts) -> Result<Arc<dyn TableProvider>> {
    let mut columns: Vec<_> = log::schema().fields().iter().map(|field| ident(field.name())).collect();
    columns.push(line(layouts).alias("line"));
    view(LogicalPlanBuilder::scan(log::TABLE, provider_as_source(logs), None)?.project(columns)?)
}

/// A row for each series. Maps are taken from any of its rows: they are equal,
/// and comparing them for each row would cost more than all else.
fn grouped(stored: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    use series::column::{DESCRIPTION, FIRST_TIMESTAMP, LABELS, RESOURCE_ATTRIBUTES, TIMESTAMP};
    let of = |name: &str| ident(name);
    // By an order, though any would do: without one DataFusion 55 merges partial results
    // as slices that count, and hold, the whole batch for each series.
    let any = |name: &str| first_value(of(name), vec![of(TIMESTAMP).sort(true, false)]).alias(name);
    view(LogicalPlanBuilder::scan(Table::MetricSeries.name(), provider_as_source(stored), None)?.aggregate(
        IDENTITY.iter().map(|name| of(name)).collect::<Vec<Expr>>(),
        vec![
            max(of(DESCRIPTION)).alias(DESCRIPTION),
            any(LABELS),
            any(RESOURCE_ATTRIBUTES),
            min(of(FIRST_TIMESTAMP)).alias(FIRST_TIMESTAMP),
            max(of(TIMESTAMP)).alias(LAST_TIMESTAMP),
        ],
    )?)
}

/// The series stand on the left, the side that is held in memory: there are
/// few, and which they are is told to the scan of the samples.
fn metrics(
    series: Arc<dyn TableProvider>,
    samples: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>> {
    let keys = [series::column::METRIC, series::column::SERIES_ID];
    let key = |side: &'static str| keys.map(|name| Column::new(Some(side), name)).to_vec();
    let (left, right) = (Table::MetricSeries.name(), Table::MetricSamples.name());
    let of = |side: &'static str, name: &str| Expr::Column(Column::new(Some(side), name));
    let samples_schema = samples.schema();
    let columns = samples_schema.fields().iter().map(|field| of(right, field.name()));
    let columns = columns.chain(OF_SERIES.iter().map(|name| of(left, name))).collect::<Vec<_>>();
    let samples = LogicalPlanBuilder::scan(right, provider_as_source(samples), None)?.build()?;
    view(
        LogicalPlanBuilder::scan(left, provider_as_source(series), None)?
            .join(samples, JoinType::Inner, (key(left), key(right)), None)?
            .project(columns)?,
    )
}

fn view(plan: LogicalPlanBuilder) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(ViewTable::new(plan.build()?, None)))
}
