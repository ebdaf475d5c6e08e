//! From a take to files: sort, part by hour, write, put.

use std::sync::Arc;

use arrow_array::RecordBatch;
use weir_proto::model::{FileId, TenantId};
use weir_proto::schema::Table;
use weir_runtime::failpoint;
use weir_storage::FileError;
use weir_storage::catalog::FileEntry;
use weir_storage::file::{
    Footer, HOUR_BYTES_MIN, WriteOptions, WrittenFile, sort, split_by_hour, write_batches,
};
use weir_storage::object::{Objects, path_of};

use crate::error::FlushError;
use crate::live::{TableTake, Take};
use crate::memory::row_bytes;

/// Rows sorted at once. Sorting holds them a second time, so this and not the
/// size of a flush is what it costs; a flush beyond it becomes several files.
const SORT_BYTES: usize = 96 << 20;

/// Stores the rows of a take as objects that no commit names yet. `stored`
/// lists what was put, also when a later step fails.
pub(crate) async fn store(
    take: &Take,
    objects: &dyn Objects,
    now_micros: i64,
    stored: &mut Vec<FileEntry>,
) -> Result<(), FlushError> {
    for ((tenant, table), taken) in &take.tables {
        let table = *table;
        let footer = Arc::new(footer(tenant, table, taken, take));
        for batches in chunks(&taken.batches) {
            let rows = batches.iter().map(RecordBatch::num_rows).sum();
            let footer = footer.clone();
            // Sorting and compressing hold a thread for as long as it takes.
            let work = tokio::task::spawn_blocking(move || files(table, &batches, &footer));
            let files = work
                .await
                .map_err(|_| FlushError::Ending)?
                .map_err(|source| FlushError::File { rows, source })?;
            for file in files {
                stored.push(put(tenant, table, file, objects, now_micros).await?);
            }
        }
    }
    Ok(())
}

async fn put(
    tenant: &TenantId,
    table: Table,
    file: WrittenFile,
    objects: &dyn Objects,
    now_micros: i64,
) -> Result<FileEntry, FlushError> {
    let id = FileId::generate();
    let path = path_of(tenant, table.name(), file.time.min_micros, id);
    let bytes = file.bytes.len() as u64;
    drop(failpoint::reach("ingest.put.before"));
    objects
        .put_new(&path, file.bytes)
        .await
        .map_err(|source| FlushError::Object { path: path.clone(), source })?;
    drop(failpoint::reach("ingest.put.after"));
    Ok(FileEntry {
        id,
        tenant: tenant.clone(),
        table: table.name().to_owned(),
        path,
        rows: file.rows,
        bytes,
        time: file.time,
        observed: file.observed,
        level: 0,
        created_micros: now_micros,
    })
}

fn files(table: Table, batches: &[RecordBatch], footer: &Footer) -> Result<Vec<WrittenFile>, FileError> {
    let sorted = sort(table, batches)?;
    let files = split_by_hour(&sorted, HOUR_BYTES_MIN)?;
    drop(sorted);
    let write = |batches: Vec<RecordBatch>| write_batches(&batches, footer, &WriteOptions::default());
    files.into_iter().map(write).collect()
}

fn footer(tenant: &TenantId, table: Table, taken: &TableTake, take: &Take) -> Footer {
    let mut footer = Footer::new(table.name(), tenant.clone());
    footer.offsets = take.spans.clone();
    footer.ranges = take.ranges.clone();
    footer.layouts = taken.layouts.iter().map(|(id, json)| (*id, json.to_string())).collect();
    footer
}

/// Batches in groups of about [`SORT_BYTES`].
fn chunks(batches: &[RecordBatch]) -> Vec<Vec<RecordBatch>> {
    let mut chunks: Vec<Vec<RecordBatch>> = Vec::new();
    let mut bytes = SORT_BYTES;
    for batch in batches {
        if bytes >= SORT_BYTES {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += row_bytes(batch);
        if let Some(last) = chunks.last_mut() {
            last.push(batch.clone());
        }
    }
    chunks
}
