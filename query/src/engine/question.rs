//! One question: its rows, and the plans over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use weir_proto::model::{Signal, TenantId};
use weir_proto::schema::Table;
use weir_storage::catalog::{Snapshot, TimeRange};
use weir_storage::live;

use super::failure::query_error;
use super::function::line::Layouts;
use super::rows::{Read, Rows};
use super::table::EventTable;
use super::view::{self, LOG_LINES};
use super::{Parts, bounds};
use crate::{Completeness, QueryError};

/// A lane that was not heard of for this long is named in every answer.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// A question whose live rows are pinned. Every plan made of it sees the same
/// rows.
pub(super) struct Question<'a> {
    parts: &'a Parts,
    rows: Arc<Rows>,
    /// How complete each signal is, known once a snapshot of it is.
    judged: Mutex<BTreeMap<Signal, Completeness>>,
}

impl<'a> Question<'a> {
    /// Pins the live rows of `tables`: the first step, before the catalog is
    /// read. No plan can read another table.
    pub(super) async fn pin(
        parts: &'a Parts,
        tenant: TenantId,
        tables: &[Table],
    ) -> Result<Self, QueryError> {
        let pinned = parts.live.pin(&tenant, tables).await.map_err(QueryError::Live)?;
        Ok(Self { parts, rows: Rows::new(tenant, pinned), judged: Mutex::default() })
    }

    /// The stored tables that a statement needs pinned.
    pub(super) fn tables(parts: &Parts, statement: &Statement) -> Result<Vec<Table>, QueryError> {
        let named = parts.sessions.named(statement).map_err(query_error)?;
        let stored: BTreeSet<_> =
            named.iter().flat_map(|table| view::stored(table.table())).copied().collect();
        Ok(stored.into_iter().collect())
    }

    pub(super) fn completeness(&self) -> Completeness {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.values().cloned().reduce(Completeness::and).unwrap_or_default()
    }

    /// Reads the catalog for a span of time of a table, once; later plans must
    /// stay within it.
    pub(super) async fn read(&self, table: Table, time: TimeRange) -> Result<Arc<Read>, QueryError> {
        if let Some(read) = self.rows.read(table) {
            return Ok(read);
        }
        let catalog = &self.parts.catalog;
        let snapshot = catalog.snapshot(&self.rows.tenant, table.name(), time).await;
        let snapshot = snapshot.map_err(QueryError::Catalog)?;
        self.judge(&snapshot, time, &[table.signal()]);
        Ok(self.rows.set_snapshot(table, snapshot, time))
    }

    fn judge(&self, snapshot: &Snapshot, window: TimeRange, signals: &[Signal]) {
        let made_of = live::Parts { pinned: self.rows.pinned(), snapshot, window };
        let now_micros = self.parts.clock.now_micros();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        for signal in signals {
            let judge = || Completeness::of(made_of, &[*signal], now_micros, SILENT_AFTER);
            judged.entry(*signal).or_insert_with(judge);
        }
    }

    /// A question that reads no events is judged by all of them.
    async fn judge_by_all(&self) -> Result<(), QueryError> {
        let (catalog, time) = (&self.parts.catalog, TimeRange::NEVER);
        let snapshot = catalog.snapshot(&self.rows.tenant, Table::Logs.name(), time).await;
        self.judge(&snapshot.map_err(QueryError::Catalog)?, time, &Signal::ALL);
        Ok(())
    }

    /// Every layout that a row of the question may name.
    pub(super) async fn layouts(&self) -> Result<Layouts, QueryError> {
        let stored = self.parts.catalog.layouts().await.map_err(QueryError::Catalog)?;
        Ok(Layouts::read(stored.iter().chain(&self.rows.pinned().layouts)))
    }

    /// Plans a checked statement and begins to run it.
    pub(super) async fn plan(&self, statement: Statement) -> Result<SendableRecordBatchStream, QueryError> {
        let session = self.session(&statement).await?;
        let plan = session.statement_to_plan(statement).await.map_err(query_error)?;
        only_questions().verify_plan(&plan).map_err(query_error)?;
        let plan = session.optimize(&plan).map_err(query_error)?;
        let times = times_of(&plan).map_err(query_error)?;
        if times.is_empty() {
            self.judge_by_all().await?;
        }
        for (table, time) in times {
            self.read(table, time).await?;
        }
        let planner = session.query_planner().clone();
        let plan = planner.create_physical_plan(&plan, &session).await.map_err(query_error)?;
        execute_stream(plan, session.task_ctx()).map_err(query_error)
    }

    /// The span that a statement of two times answers with; none without a row.
    pub(super) async fn span_of(&self, sql: &str) -> Result<Option<TimeRange>, QueryError> {
        let mut rows = self.plan(crate::gate::check(sql)?).await?;
        let mut span = None;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(query_error)?;
            let time = |column: usize| {
                let times = batch.column(column).as_primitive_opt::<TimestampMicrosecondType>()?;
                times.iter().next().flatten()
            };
            if let (Some(min_micros), Some(max_micros)) = (time(0), time(1)) {
                span = Some(TimeRange { min_micros, max_micros });
            }
        }
        Ok(span)
    }

    /// Layouts are read for the view that needs them; for the others the view
    /// stands empty in the list of tables.
    async fn session(&self, statement: &Statement) -> Result<SessionState, QueryError> {
        let Parts { sessions, catalog, clock, .. } = self.parts;
        let session = |layouts| sessions.session(&self.rows, layouts, catalog, clock);
        let plain = session(Layouts::default()).map_err(query_error)?;
        let named = self.parts.sessions.named(statement).map_err(query_error)?;
        if named.iter().any(|table| table.table() == LOG_LINES) {
            return session(self.layouts().await?).map_err(query_error);
        }
        Ok(plain)
    }
}

/// The second wall behind the gate.
fn only_questions() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// The span of time that all scans of a table in the plan want together, for
/// each table that it scans.
fn times_of(plan: &LogicalPlan) -> datafusion::common::Result<BTreeMap<Table, TimeRange>> {
    let mut wanted = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = table_of(scan)
        {
            let time = bounds::of_all(&scan.filters);
            let sum = wanted.entry(table).or_insert(time);
            *sum = bounds::hull(*sum, time);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(wanted)
}

fn table_of(scan: &TableScan) -> Option<Table> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<EventTable>().map(EventTable::table)
}
