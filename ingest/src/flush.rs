//! From a take to files: sort, part by hour, write, put.

use arrow_array::RecordBatch;
use weir_proto::model::{FileId, TenantId};
use weir_proto::schema::Table;
use weir_runtime::failpoint;
use weir_storage::catalog::FileEntry;
use weir_storage::file::{
    FlushPart, Footer, HOUR_BYTES_MIN, WriteOptions, WrittenFile, sort, split_by_hour, write_batches,
};
use weir_storage::object::{Objects, path_of};
use weir_storage::{FileError, ObjectError};

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
    let mut part = FlushPart { flush: FileId::generate(), number: 0, is_last: false };
    let mut tables = take.tables.iter().peekable();
    while let Some(((tenant, table), taken)) = tables.next() {
        let table = *table;
        let footer = footer(tenant, table, taken, take);
        let mut chunks = chunks(&taken.batches).into_iter().peekable();
        while let Some(batches) = chunks.next() {
            let rows = batches.iter().map(RecordBatch::num_rows).sum();
            part.is_last = tables.peek().is_none() && chunks.peek().is_none();
            let footer = Footer { part: Some(part), ..footer.clone() };
            // Sorting and compressing hold a thread for as long as it takes.
            let work = tokio::task::spawn_blocking(move || files(table, &batches, footer));
            let files = work
                .await
                .map_err(|source| FlushError::BrokenOff { rows, source })?
                .map_err(|source| FlushError::File { rows, source })?;
            part.number += u32::try_from(files.len()).unwrap_or(u32::MAX);
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
    let put = async {
        reach("ingest.put.before", &path)?;
        objects.put_new(&path, file.bytes).await?;
        reach("ingest.put.after", &path)
    };
    put.await.map_err(|source| FlushError::Object { path: path.clone(), source })?;
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
        crc32c: Some(file.crc32c),
    })
}

/// A place where a test makes a put fail as the store would.
fn reach(place: &'static str, path: &str) -> Result<(), ObjectError> {
    failpoint::reach(place).map_err(|failed| ObjectError::Disk {
        step: "put",
        path: path.into(),
        source: failed.into(),
    })
}

/// `footer` is that of the first file; if it is the last chunk's, the last of them
/// is the flush's last.
fn files(table: Table, batches: &[RecordBatch], mut footer: Footer) -> Result<Vec<WrittenFile>, FileError> {
    let sorted = sort(table, batches)?;
    let files = split_by_hour(&sorted, HOUR_BYTES_MIN)?;
    drop(sorted);
    let count = files.len();
    let is_last_chunk = footer.part.is_some_and(|part| part.is_last);
    let mut written = Vec::with_capacity(count);
    for (index, batches) in files.into_iter().enumerate() {
        if let Some(part) = &mut footer.part {
            part.is_last = is_last_chunk && index + 1 == count;
        }
        written.push(write_batches(&batches, &footer, &WriteOptions::default())?);
        if let Some(part) = &mut footer.part {
            part.number += 1;
        }
    }
    Ok(written)
}

fn footer(tenant: &TenantId, table: Table, taken: &TableTake, take: &Take) -> Footer {
    let mut footer = Footer::new(table.name(), tenant.clone());
    footer.offsets = take.spans.clone();
    footer.ranges = take.ranges.clone();
    for ranges in &mut footer.ranges {
        ranges.tenants.retain(|_, of| of != tenant);
    }
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
