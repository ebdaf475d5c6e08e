//! The table `logs`: files and live rows as one.

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
use weir_proto::schema::log;

use super::rows::{Read, Rows};
use super::{bounds, scan};

/// The rows of one question as a table.
#[derive(Debug)]
pub(super) struct LogsTable {
    rows: Arc<Rows>,
}

impl LogsTable {
    pub(super) fn new(rows: Arc<Rows>) -> Self {
        Self { rows }
    }
}

#[async_trait]
impl TableProvider for LogsTable {
    fn schema(&self) -> SchemaRef {
        log::schema()
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
        let read = self.rows.read().ok_or_else(|| internal("logs were scanned before the snapshot"))?;
        let time = bounds::of_all(filters);
        if !bounds::holds(read.time, time) {
            return Err(internal("a scan wants more time than the snapshot holds"));
        }
        let mut inputs = Vec::new();
        let files: Vec<_> = read.files.iter().filter(|file| file.time.overlaps(time)).collect();
        if !files.is_empty() {
            inputs.push(scan::files(session, &files, projection, !filters.is_empty(), limit)?);
        }
        if !read.live.batches.is_empty() {
            inputs.push(live(read, projection)?);
        }
        match inputs.len() {
            0 => Ok(Arc::new(EmptyExec::new(projected(projection)?))),
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

fn live(read: &Read, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
    let batches: Vec<_> = read.live.batches.iter().map(|batch| batch.rows.clone()).collect();
    let source = MemorySourceConfig::try_new_exec(&[batches], log::schema(), projection.cloned())?;
    Ok(source)
}

fn projected(projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
    match projection {
        None => Ok(log::schema()),
        Some(columns) => Ok(Arc::new(log::schema().project(columns)?)),
    }
}
