//! One question: its rows, and the plans over them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement;
use weir_proto::model::{Signal, TenantId};
use weir_proto::schema::{Table, log};
use weir_storage::catalog::{Snapshot, TimeRange};
use weir_storage::live;

use super::failure::query_error;
use super::function::line::Layouts;
use super::rows::{Read, Rows};
use super::session::LOG_LINES;
use super::table::LogsTable;
use super::{Parts, bounds};
use crate::{Completeness, QueryError};

/// A lane that was not heard of for this long is named in every answer.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// A question whose live rows are pinned. Every plan made of it sees the same
/// rows.
pub(super) struct Question<'a> {
    parts: &'a Parts,
    rows: Arc<Rows>,
    /// Known once the snapshot is.
    completeness: OnceLock<Completeness>,
}

impl<'a> Question<'a> {
    /// Pins the live rows: the first step, before the catalog is read.
    pub(super) async fn pin(parts: &'a Parts, tenant: TenantId) -> Result<Self, QueryError> {
        let pinned = parts.live.pin(&tenant, &[Table::Logs]).await.map_err(QueryError::Live)?;
        Ok(Self { parts, rows: Rows::new(tenant, pinned), completeness: OnceLock::new() })
    }

    pub(super) fn completeness(&self) -> Completeness {
        self.completeness.get().cloned().unwrap_or_default()
    }

    /// Reads the catalog for a span of time, once; later plans must stay
    /// within it.
    pub(super) async fn read(&self, time: TimeRange) -> Result<&Read, QueryError> {
        if self.rows.read().is_none() {
            let catalog = &self.parts.catalog;
            let snapshot = catalog.snapshot(&self.rows.tenant, log::TABLE, time).await;
            let snapshot = snapshot.map_err(QueryError::Catalog)?;
            // A question that reads no events is judged by all of them.
            let signals = if time == bounds::NEVER { &Signal::ALL[..] } else { &[Signal::Logs] };
            self.judge(&snapshot, time, signals);
            self.rows.set_snapshot(snapshot, time);
        }
        self.rows.read().ok_or_else(|| QueryError::internal("the snapshot was not kept"))
    }

    fn judge(&self, snapshot: &Snapshot, window: TimeRange, signals: &[Signal]) {
        let made_of = live::Parts { pinned: self.rows.pinned(), snapshot, window };
        let now_micros = self.parts.clock.now_micros();
        let judged = Completeness::of(made_of, signals, now_micros, SILENT_AFTER);
        let _ = self.completeness.set(judged);
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
        self.read(time_of(&plan).map_err(query_error)?).await?;
        let planner = session.query_planner().clone();
        let plan = planner.create_physical_plan(&plan, &session).await.map_err(query_error)?;
        execute_stream(plan, session.task_ctx()).map_err(query_error)
    }

    /// Layouts are read for the view that needs them; for the others the view
    /// stands empty in the list of tables.
    async fn session(&self, statement: &Statement) -> Result<SessionState, QueryError> {
        let session = |layouts| self.parts.sessions.session(&self.rows, layouts, &self.parts.catalog);
        let plain = session(Layouts::default()).map_err(query_error)?;
        let tables = plain.resolve_table_references(statement).map_err(query_error)?;
        if tables.iter().any(|table| table.table() == LOG_LINES) {
            return session(self.layouts().await?).map_err(query_error);
        }
        Ok(plain)
    }
}

/// The second wall behind the gate.
fn only_questions() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// The span of time that all scans of `logs` in the plan want together.
fn time_of(plan: &LogicalPlan) -> datafusion::common::Result<TimeRange> {
    let mut wanted: Option<TimeRange> = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_logs(scan)
        {
            let time = bounds::of_all(&scan.filters);
            wanted = Some(wanted.map_or(time, |sum| bounds::hull(sum, time)));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(wanted.unwrap_or(bounds::NEVER))
}

fn is_logs(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|table| table.downcast_ref::<LogsTable>().is_some())
}
