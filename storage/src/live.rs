//! The port to rows that are accepted and not yet in a file.
//!
//! A query pins the live batches first and reads the catalog second, then drops
//! pinned batches that the catalog already covers: nothing missing, nothing
//! double, whatever is flushed in between.
//!
//! Between processes the rows travel over Arrow Flight ([`flight`], [`wire`]):
//! the query process keeps what it has seen in a [`LiveCache`] and asks for
//! what is newer.

mod cache;
mod completeness;
pub mod flight;
pub mod wire;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use weir_proto::model::{LayoutId, TenantId};
use weir_proto::schema::Table;

use crate::catalog::{LaneState, LogPartition, Snapshot};

pub use cache::LiveCache;
pub use completeness::{Completeness, Parts};

/// The rows that one message of the event log brought to a table.
#[derive(Clone, Debug)]
pub struct LiveBatch {
    /// The partition it came from.
    pub partition: LogPartition,
    /// Its offset there.
    pub offset: u64,
    /// Whose rows: a message has one tenant.
    pub tenant: TenantId,
    /// Which table's rows.
    pub table: Table,
    /// Rows in the table's schema.
    pub rows: RecordBatch,
}

/// Which offsets of a partition are live: all of `floor..next`, each with its
/// rows or known to have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRange {
    /// Which partition.
    pub partition: LogPartition,
    /// The epoch of the lease under which it was read.
    pub epoch: i64,
    /// What lies below is stored.
    pub floor: u64,
    /// What lies below is accepted.
    pub next: u64,
    /// Under this lease the log was read up to its end at least once. Before
    /// that, lanes may exist of which nobody here has heard.
    pub is_caught_up: bool,
}

/// What a query holds on to. Dropping it lets go.
#[derive(Clone, Debug, Default)]
pub struct PinnedRows {
    /// Batches in order of partition and offset.
    pub batches: Vec<LiveBatch>,
    /// The lanes of each range, as of its `next`.
    pub lanes: Vec<LaneState>,
    /// Of each partition whose rows could be had, which those are.
    pub ranges: Vec<LiveRange>,
    /// Every partition that an ingester has leased. Those without a range are
    /// missing.
    pub leased: Vec<LogPartition>,
    /// The layouts that the rows' `layout_id` may name and no file holds yet,
    /// as JSON.
    pub layouts: BTreeMap<LayoutId, String>,
}

impl PinnedRows {
    /// Drops what `snapshot` already holds as files. Call it with a snapshot
    /// that was read after the rows were pinned.
    pub fn drop_stored(&mut self, snapshot: &Snapshot) {
        self.batches.retain(|batch| batch.offset >= snapshot.next_offset(&batch.partition));
    }
}

/// The live rows could not be had; an answer without them would be incomplete.
#[derive(Debug, Error)]
#[error("live rows are unavailable: {reason}")]
pub struct LiveError {
    /// What failed.
    pub reason: String,
}

/// Gives out the live rows of tables.
#[async_trait]
pub trait LiveRows: Send + Sync {
    /// Pins the rows of `tenant` in `tables` as of now.
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError>;
}
