//! The port to rows that are accepted and not yet in a file.
//!
//! A query pins the live batches first and reads the catalog second, then drops
//! pinned batches that the catalog already covers: nothing missing, nothing
//! double, whatever is flushed in between.
//!
//! Between processes the rows travel by [`wire`]: the query process keeps what
//! it has seen in a [`LiveCache`] and asks for what is newer.

mod cache;
mod completeness;
pub mod wire;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use weir_proto::model::{AgentId, LayoutId, TenantId};

use crate::catalog::{LogPartition, Snapshot};

pub use cache::LiveCache;
pub use completeness::Completeness;

/// The rows of one message of the event log.
#[derive(Clone, Debug)]
pub struct LiveBatch {
    /// The partition it came from.
    pub partition: LogPartition,
    /// Its offset there.
    pub offset: u64,
    /// Whose rows: a message has one tenant.
    pub tenant: TenantId,
    /// Rows in the table's schema.
    pub rows: RecordBatch,
}

/// How far one lane is known to be complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneMark {
    /// Whose lane.
    pub agent: AgentId,
    /// The partition it writes to.
    pub partition: LogPartition,
    /// Everything written before this time has arrived; microseconds.
    pub mark_micros: i64,
    /// When the lane was last heard of; microseconds.
    pub heard_micros: i64,
}

/// What a query holds on to. Dropping it lets go.
#[derive(Clone, Debug, Default)]
pub struct PinnedRows {
    /// Batches in order of partition and offset.
    pub batches: Vec<LiveBatch>,
    /// Every lane that has not retired.
    pub lanes: Vec<LaneMark>,
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

/// Gives out the live rows of a table.
#[async_trait]
pub trait LiveRows: Send + Sync {
    /// Pins the rows of `tenant` in `table` as of now.
    async fn pin(&self, tenant: &TenantId, table: &str) -> Result<PinnedRows, LiveError>;
}
