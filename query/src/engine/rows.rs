//! What one question reads: pinned live rows and one snapshot of the catalog.

use std::sync::{Arc, OnceLock};

use weir_proto::model::TenantId;
use weir_storage::catalog::{FileEntry, Snapshot, TimeRange};
use weir_storage::live::PinnedRows;

/// The rows of one question. Pinned at once; the snapshot follows when the
/// plan has told which span of time is wanted, and holds for every scan of the
/// plan, so that a self-join sees one table and not two.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) tenant: TenantId,
    pinned: PinnedRows,
    read: OnceLock<Read>,
}

/// The snapshot, and what it leaves of the pinned rows.
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
        Arc::new(Self { tenant, pinned, read: OnceLock::new() })
    }

    pub(super) fn pinned(&self) -> &PinnedRows {
        &self.pinned
    }

    /// Takes the snapshot, which must have been read after the rows were
    /// pinned. Only the tenant's files and batches stay.
    pub(super) fn set_snapshot(&self, snapshot: Snapshot, time: TimeRange) {
        let mut live = self.pinned.clone();
        live.drop_stored(&snapshot);
        live.batches.retain(|batch| batch.tenant == self.tenant);
        let mut files = snapshot.files;
        files.retain(|file| file.tenant == self.tenant);
        let _ = self.read.set(Read { time, files, live });
    }

    /// What the plan reads; none before the snapshot.
    pub(super) fn read(&self) -> Option<&Read> {
        self.read.get()
    }
}
