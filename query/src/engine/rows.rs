//! What one question reads: pinned live rows and one snapshot of each table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_storage::catalog::{FileEntry, Snapshot, TimeRange};
use weir_storage::live::PinnedRows;

/// The rows of one question. Those of every table it names are pinned at once;
/// a table's snapshot follows when the plan has told which span of time is
/// wanted of it, and holds for every scan of the table, so that a self-join
/// sees one table and not two.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) tenant: TenantId,
    pinned: PinnedRows,
    read: Mutex<BTreeMap<Table, Arc<Read>>>,
}

/// A snapshot of a table, and what it leaves of the pinned rows.
#[derive(Debug)]
pub(super) struct Read {
    /// The span of time that the snapshot was asked for.
    pub(super) time: TimeRange,
    /// Files of the span, newest first.
    pub(super) files: Vec<FileEntry>,
    /// Live rows that no file holds.
    pub(super) live: PinnedRows,
}

impl Rows {
    pub(super) fn new(tenant: TenantId, pinned: PinnedRows) -> Arc<Self> {
        Arc::new(Self { tenant, pinned, read: Mutex::default() })
    }

    pub(super) fn pinned(&self) -> &PinnedRows {
        &self.pinned
    }

    /// Takes the snapshot of a table, which must have been read after the rows
    /// were pinned. Only the tenant's files and batches stay. The first one
    /// stays: a later one would be another table.
    pub(super) fn set_snapshot(&self, table: Table, snapshot: Snapshot, time: TimeRange) -> Arc<Read> {
        let mut live = self.pinned.clone();
        live.drop_stored(&snapshot);
        live.batches.retain(|batch| batch.table == table && batch.tenant == self.tenant);
        let mut files = snapshot.files;
        files.retain(|file| file.tenant == self.tenant);
        self.reads().entry(table).or_insert_with(|| Arc::new(Read { time, files, live })).clone()
    }

    /// What the plan reads of a table; none before its snapshot.
    pub(super) fn read(&self, table: Table) -> Option<Arc<Read>> {
        self.reads().get(&table).cloned()
    }

    fn reads(&self) -> MutexGuard<'_, BTreeMap<Table, Arc<Read>>> {
        // Nothing panics while it holds the lock.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
