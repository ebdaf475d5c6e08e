//! The catalog's own tables: `weir.files`, `weir.gaps`, `weir.delivery`,
//! `weir.lanes`, `weir.service_edges`.

mod delivery;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use weir_proto::model::{SourceId, TenantId, is_declared};
use weir_proto::schema::{Table, log};
use weir_runtime::Clock;
use weir_storage::catalog::{
    Catalog, FileEntry, Gap, LaneState, LaneStatus, ServiceEdge, SettledMinute, TimeRange,
};

use super::rows::Rows;
use crate::QueryError;

/// A table that is read from the catalog when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Every file of every table.
    Files,
    /// Every loss that was noticed.
    Gaps,
    /// How far every source is stored, and what is missing of it.
    Delivery,
    /// How far every lane had come when its partition was last stored.
    Lanes,
    /// Who called whom, a row for each settled minute.
    ServiceEdges,
}

impl Report {
    pub(super) const ALL: [Self; 5] =
        [Self::Files, Self::Gaps, Self::Delivery, Self::Lanes, Self::ServiceEdges];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Gaps => "gaps",
            Self::Delivery => "delivery",
            Self::Lanes => "lanes",
            Self::ServiceEdges => "service_edges",
        }
    }

    fn schema(self) -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let number = |name| Field::new(name, DataType::Int64, false);
        let maybe_number = |name| Field::new(name, DataType::Int64, true);
        let time = |name| Field::new(name, log::timestamp_type(), false);
        let fields = match self {
            Self::Files => vec![
                text("tenant"),
                text("table"),
                text("file_id"),
                text("path"),
                number("rows"),
                number("bytes"),
                time("time_min"),
                time("time_max"),
                time("observed_min"),
                time("observed_max"),
                number("level"),
                time("created_at"),
            ],
            Self::Gaps => vec![
                text("tenant"),
                text("source_id"),
                number("start"),
                number("end"),
                maybe_number("count"),
                maybe_number("messages"),
                text("reason"),
                Field::new("declared", DataType::Boolean, false),
                time("noticed_at"),
            ],
            Self::Delivery => return delivery::schema(),
            Self::Lanes => vec![
                text("agent"),
                text("partition"),
                Field::new("mark", log::timestamp_type(), true),
                time("heard"),
                text("status"),
                Field::new("estimated", DataType::Boolean, false),
            ],
            Self::ServiceEdges => vec![
                text("tenant"),
                time("minute"),
                text("parent"),
                text("child"),
                number("calls"),
                number("errors"),
                time("settled_at"),
            ],
        };
        Arc::new(Schema::new(fields))
    }

    async fn read(self, rows: &Rows, catalog: &dyn Catalog, now_micros: i64) -> Result<RecordBatch> {
        let tenant = &rows.tenant;
        let away = |error| DataFusionError::External(Box::new(QueryError::Catalog(error)));
        let columns = match self {
            Self::Files => {
                let mut found = Vec::new();
                for table in Table::ALL {
                    let snapshot = catalog.snapshot(tenant, table.name(), TimeRange::ALL).await;
                    found.extend(snapshot.map_err(away)?.files);
                }
                files(&found)
            }
            Self::Gaps => gaps(&catalog.gaps(tenant).await.map_err(away)?),
            Self::Delivery => {
                // The sources first: what is known of their lanes may only be newer.
                let sources = catalog.delivery(tenant).await.map_err(away)?;
                let snapshot = catalog.snapshot(tenant, Table::Logs.name(), TimeRange::NEVER).await;
                let snapshot = snapshot.map_err(away)?;
                let marks = delivery::Marks::new(rows.pinned(), &snapshot, now_micros);
                delivery::columns(&sources, &marks)?
            }
            Self::Lanes => {
                let snapshot = catalog.snapshot(tenant, Table::Logs.name(), TimeRange::NEVER).await;
                lanes(&snapshot.map_err(away)?.lanes)
            }
            Self::ServiceEdges => {
                edges(tenant, &catalog.settled(tenant, TimeRange::ALL).await.map_err(away)?)
            }
        };
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

fn texts<T>(rows: &[T], text: impl Fn(&T) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(text)))
}

/// Counts and offsets; SQL has no unsigned integer that others could read.
fn numbers<T>(rows: &[T], number: impl Fn(&T) -> u64) -> ArrayRef {
    let signed = |row| i64::try_from(number(row)).unwrap_or(i64::MAX);
    Arc::new(Int64Array::from_iter_values(rows.iter().map(signed)))
}

fn maybe_numbers<T>(rows: &[T], number: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    let signed = |row| number(row).map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter(rows.iter().map(signed)))
}

fn times<T>(rows: &[T], micros: impl Fn(&T) -> i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(micros)).with_timezone("UTC"))
}

fn files(rows: &[FileEntry]) -> Vec<ArrayRef> {
    vec![
        texts(rows, |file| file.tenant.to_string()),
        texts(rows, |file| file.table.clone()),
        texts(rows, |file| file.id.to_string()),
        texts(rows, |file| file.path.clone()),
        numbers(rows, |file| file.rows),
        numbers(rows, |file| file.bytes),
        times(rows, |file| file.time.min_micros),
        times(rows, |file| file.time.max_micros),
        times(rows, |file| file.observed.min_micros),
        times(rows, |file| file.observed.max_micros),
        numbers(rows, |file| u64::from(file.level)),
        times(rows, |file| file.created_micros),
    ]
}

fn gaps(rows: &[Gap]) -> Vec<ArrayRef> {
    vec![
        texts(rows, |gap| gap.tenant.to_string()),
        texts(rows, |gap| gap.source.clone()),
        numbers(rows, |gap| gap.range.start),
        numbers(rows, |gap| gap.range.end),
        maybe_numbers(rows, |gap| gap.count),
        maybe_numbers(rows, messages),
        texts(rows, |gap| gap.reason.clone()),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|gap| Some(is_declared(&gap.reason))))),
        times(rows, |gap| gap.noticed_micros),
    ]
}

/// Messages that a gap in the event log is of. What they held is told of the
/// sources that go on behind it.
fn messages(gap: &Gap) -> Option<u64> {
    gap.source.parse::<SourceId>().is_err().then(|| gap.range.len())
}

fn lanes(rows: &[LaneState]) -> Vec<ArrayRef> {
    let status = |lane: &LaneState| match lane.status {
        LaneStatus::Live => "live",
        LaneStatus::Goodbye => "goodbye",
        LaneStatus::Retired => "retired",
    };
    let marks = TimestampMicrosecondArray::from_iter(rows.iter().map(|lane| lane.mark_micros));
    vec![
        texts(rows, |lane| lane.agent.to_string()),
        texts(rows, |lane| lane.partition.to_string()),
        Arc::new(marks.with_timezone("UTC")),
        times(rows, |lane| lane.heard_micros),
        texts(rows, |lane| status(lane).to_owned()),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|lane| Some(lane.is_estimated)))),
    ]
}

fn edges(tenant: &TenantId, minutes: &[SettledMinute]) -> Vec<ArrayRef> {
    let mut rows: Vec<(&SettledMinute, &ServiceEdge)> = Vec::new();
    for minute in minutes {
        rows.extend(minute.edges.iter().map(|edge| (minute, edge)));
    }
    vec![
        texts(&rows, |_| tenant.to_string()),
        times(&rows, |(minute, _)| minute.minute_micros),
        texts(&rows, |(_, edge)| edge.parent.clone()),
        texts(&rows, |(_, edge)| edge.child.clone()),
        numbers(&rows, |(_, edge)| edge.calls),
        numbers(&rows, |(_, edge)| edge.errors),
        times(&rows, |(minute, _)| minute.settled_micros),
    ]
}

/// A report as a table.
pub(super) struct ReportTable {
    report: Report,
    rows: Arc<Rows>,
    catalog: Arc<dyn Catalog>,
    clock: Clock,
}

impl ReportTable {
    pub(super) fn new(report: Report, rows: Arc<Rows>, catalog: Arc<dyn Catalog>, clock: Clock) -> Self {
        Self { report, rows, catalog, clock }
    }
}

impl std::fmt::Debug for ReportTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReportTable({})", self.report.name())
    }
}

#[async_trait]
impl TableProvider for ReportTable {
    fn schema(&self) -> SchemaRef {
        self.report.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let now_micros = self.clock.now_micros();
        let rows = self.report.read(&self.rows, self.catalog.as_ref(), now_micros).await?;
        let scan = MemorySourceConfig::try_new_exec(&[vec![rows]], self.schema(), projection.cloned())?;
        Ok(scan)
    }
}
