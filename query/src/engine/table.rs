//! A table of events: files and live rows as one.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use weir_proto::schema::Table;

use super::rows::{Read, Rows};
use super::{bounds, scan};

/// The rows of one question as a table.
#[derive(Debug)]
pub(super) struct EventTable {
    table: Table,
    rows: Arc<Rows>,
}

impl EventTable {
    pub(super) fn new(table: Table, rows: Arc<Rows>) -> Self {
        Self { table, rows }
    }

    /// Which table it is.
    pub(super) fn table(&self) -> Table {
        self.table
    }
}

#[async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every filter is worth knowing and none is promised to be applied: the
    /// optimizer decides again when it sees the scans.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let internal = |what: &str| DataFusionError::Internal(what.to_owned());
        let read =
            self.rows.read(self.table).ok_or_else(|| internal("a table was scanned before its snapshot"))?;
        let time = bounds::of_all(filters);
        if !bounds::holds(read.time, time) {
            return Err(internal("a scan wants more time than the snapshot holds"));
        }
        let mut inputs = Vec::new();
        let files: Vec<_> = read.files.iter().filter(|file| file.time.overlaps(time)).collect();
        if !files.is_empty() {
            inputs.push(scan::files(session, self.table, &files, projection, !filters.is_empty(), limit)?);
        }
        if !read.live.batches.is_empty() {
            inputs.push(live(self.table, &read, projection)?);
        }
        match inputs.len() {
            0 => Ok(Arc::new(EmptyExec::new(projected(self.table, projection)?))),
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

fn live(table: Table, read: &Read, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
    let batches: Vec<_> = read.live.batches.iter().map(|batch| batch.rows.clone()).collect();
    let source = MemorySourceConfig::try_new_exec(&[batches], table.schema(), projection.cloned())?;
    Ok(source)
}

fn projected(table: Table, projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
    match projection {
        None => Ok(table.schema()),
        Some(columns) => Ok(Arc::new(table.schema().project(columns)?)),
    }
}
