//! What changes the catalog's tables of files: a flush, all of it or nothing,
//! and the tombstone that bars a path from ever being committed. The caller
//! begins the transaction and commits it.

use sqlx::AssertSqlSafe;
use weir_proto::model::{AgentId, ByteRange, Counted, TenantId, drop_reason};
use weir_runtime::planted;

use super::{Arguments, Connection, DIALECT, Database};
use crate::catalog::row::{self, to_column};
use crate::catalog::sql::{self, ManyRows, ROWS_PER_STATEMENT};
use crate::catalog::{
    Advance, CatalogError, Commit, FileEntry, Filled, Gap, LaneState, LaneStatus, LogPartition, SourceCover,
    failed, reach,
};

/// Locks and compares, then writes: a row that was compared cannot change
/// before the transaction ends. Answers with the number of the commit.
pub(super) async fn publish(connection: &mut Connection, commit: &Commit) -> Result<i64, CatalogError> {
    commit.check()?;
    reach("storage.begin.after").map_err(failed("begin"))?;
    let mut advances: Vec<_> = commit.advances.iter().collect();
    // One order for everybody: two that lock the same partitions crosswise
    // would wait for each other.
    advances.sort_by_key(|advance| &advance.partition);
    for advance in advances {
        check_lease(connection, advance).await?;
        advance_offset(connection, advance).await?;
    }
    let id: i64 = sqlx::query_scalar(sql::COMMIT_INSERT)
        .bind(commit.now_micros)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("number the commit"))?;
    bar_paths(connection, DIALECT.bar_tombstones()).await?;
    for file in &commit.files {
        insert_file(connection, file, id).await?;
    }
    replace_covered(connection, &commit.covered, commit.now_micros).await?;
    upsert_tallies(connection, &commit.covered).await?;
    insert_gaps(connection, &commit.gaps).await?;
    // After both: what is covered now was perhaps noticed by the same commit.
    close_holes(connection, &commit.filled).await?;
    upsert_lanes(connection, &commit.lanes).await?;
    // Last, for two commits may bring the same layout, and the second then
    // waits for the first to end.
    insert_layouts(connection, commit).await?;
    reach("storage.commit.before").map_err(failed("commit"))?;
    Ok(id)
}

pub(super) async fn tombstone(
    connection: &mut Connection,
    path: &str,
    now_micros: i64,
) -> Result<(), CatalogError> {
    bar_paths(connection, DIALECT.bar_commits()).await?;
    let files: i64 = sqlx::query_scalar(sql::FILE_OF_PATH)
        .bind(path)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("find path"))?;
    if files > 0 {
        return Err(CatalogError::PathInUse(path.to_owned()));
    }
    sqlx::query(sql::TOMBSTONE_INSERT)
        .bind(path)
        .bind(now_micros)
        .execute(&mut *connection)
        .await
        .map_err(failed("insert tombstone"))?;
    Ok(())
}

/// Forgets an agent's retired lanes.
pub(super) async fn dismiss(connection: &mut Connection, agent: AgentId) -> Result<u64, CatalogError> {
    let delete =
        sqlx::query(sql::LANES_DISMISS).bind(agent.to_string()).bind(row::status(LaneStatus::Retired));
    let dismissed = delete.execute(connection).await.map_err(failed("dismiss lanes"))?;
    Ok(dismissed.rows_affected())
}

/// What was the next offset of a topic's partitions, all or some, is forgotten,
/// with who has them; what was lost of each becomes a gap.
pub(super) async fn restart(
    connection: &mut Connection,
    topic: &str,
    partitions: Option<&[u32]>,
    now_micros: i64,
) -> Result<Vec<(LogPartition, u64)>, CatalogError> {
    let offsets: Vec<(i64, i64)> = sqlx::query_as(sql::OFFSETS_OF_TOPIC)
        .bind(topic)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read next offsets"))?;
    let mut restarted = Vec::new();
    for (number, next) in offsets {
        let partition = row::partition(topic.to_owned(), number)?;
        if partitions.is_some_and(|wanted| !wanted.contains(&partition.partition)) {
            continue;
        }
        for statement in [sql::RESTART_LEASE, sql::RESTART_OFFSET, sql::RESTART_ANCHOR] {
            let statement = sqlx::query(statement).bind(topic).bind(number);
            statement.execute(&mut *connection).await.map_err(failed("restart partition"))?;
        }
        restarted.push((partition, row::from_column("a next offset", next)?));
    }
    let gap = |(partition, next): &(LogPartition, u64)| Gap {
        tenant: TenantId::default(),
        source: partition.to_string(),
        range: ByteRange::new(*next, *next),
        count: None,
        reason: drop_reason::LOG_REPLACED.to_owned(),
        noticed_micros: now_micros,
    };
    insert_gaps(connection, &restarted.iter().map(gap).collect::<Vec<_>>()).await?;
    Ok(restarted)
}

/// Keeps the other of commit and tombstone out until the transaction ends:
/// each looks for what the other writes, and must not miss it.
async fn bar_paths(connection: &mut Connection, lock: Option<&'static str>) -> Result<(), CatalogError> {
    if let Some(lock) = lock {
        sqlx::query(lock).execute(connection).await.map_err(failed("lock paths"))?;
    }
    Ok(())
}

async fn check_lease(connection: &mut Connection, advance: &Advance) -> Result<(), CatalogError> {
    let partition = &advance.partition;
    let held = sqlx::query(sql::LEASE_CHECK)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .bind(advance.epoch)
        .execute(&mut *connection)
        .await
        .map_err(failed("check lease"))?;
    if held.rows_affected() == 1 || planted::is("no-fence") {
        return Ok(());
    }
    let lease: Option<(String, i64, i64)> = sqlx::query_as(sql::LEASE_READ)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read lease"))?;
    let found = match lease {
        None => "no lease".to_owned(),
        Some((owner, epoch, _)) if owner.is_empty() => format!("epoch {epoch}, released"),
        Some((owner, epoch, _)) => format!("epoch {epoch} of {owner}"),
    };
    Err(CatalogError::Fenced {
        partition: partition.clone(),
        expected: format!("epoch {}", advance.epoch),
        found,
    })
}

async fn advance_offset(connection: &mut Connection, advance: &Advance) -> Result<(), CatalogError> {
    let partition = &advance.partition;
    let to = to_column("offset", advance.to)?;
    let statement = match advance.from {
        Some(from) => sqlx::query(sql::OFFSET_ADVANCE)
            .bind(&partition.topic)
            .bind(i64::from(partition.partition))
            .bind(to_column("offset", from)?)
            .bind(to),
        None => sqlx::query(sql::OFFSET_FIRST)
            .bind(&partition.topic)
            .bind(i64::from(partition.partition))
            .bind(to),
    };
    let moved = statement.execute(&mut *connection).await.map_err(failed("advance offset"))?;
    if moved.rows_affected() == 1 || planted::is("no-fence") {
        return keep_anchor(connection, advance).await;
    }
    let found: Option<i64> = sqlx::query_scalar(sql::OFFSET_READ)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read next offset"))?;
    let say = |offset: Option<String>| offset.map_or("no offset yet".to_owned(), |at| format!("offset {at}"));
    Err(CatalogError::Fenced {
        partition: partition.clone(),
        expected: say(advance.from.map(|at| at.to_string())),
        found: say(found.map(|at| at.to_string())),
    })
}

async fn keep_anchor(connection: &mut Connection, advance: &Advance) -> Result<(), CatalogError> {
    let Some(anchor) = advance.anchor else { return Ok(()) };
    sqlx::query(sql::ANCHOR_UPSERT)
        .bind(&advance.partition.topic)
        .bind(i64::from(advance.partition.partition))
        .bind(to_column("offset", anchor.offset)?)
        .bind(anchor.fingerprint.cast_signed())
        .execute(&mut *connection)
        .await
        .map_err(failed("keep anchor"))?;
    Ok(())
}

pub(super) async fn insert_file(
    connection: &mut Connection,
    file: &FileEntry,
    commit: i64,
) -> Result<(), CatalogError> {
    let given_up: i64 = sqlx::query_scalar(sql::TOMBSTONE_OF_PATH)
        .bind(&file.path)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("find tombstone"))?;
    let inserted = sqlx::query(sql::FILE_INSERT)
        .bind(file.id.to_string())
        .bind(file.tenant.as_str())
        .bind(&file.table)
        .bind(&file.path)
        .bind(to_column("row count", file.rows)?)
        .bind(to_column("byte count", file.bytes)?)
        .bind(file.time.min_micros)
        .bind(file.time.max_micros)
        .bind(file.observed.min_micros)
        .bind(file.observed.max_micros)
        .bind(i64::from(file.level))
        .bind(file.created_micros)
        .bind(commit)
        .bind(file.crc32c.map(i64::from))
        .execute(&mut *connection)
        .await
        .map_err(failed("insert file"))?;
    if given_up > 0 || inserted.rows_affected() == 0 {
        return Err(CatalogError::PathInUse(file.path.clone()));
    }
    Ok(())
}

async fn replace_covered(
    connection: &mut Connection,
    covered: &[SourceCover],
    now_micros: i64,
) -> Result<(), CatalogError> {
    for covers in covered.chunks(ROWS_PER_STATEMENT) {
        let mut upsert = many(&sql::SOURCES_UPSERT, covers.len());
        let mut delete = many(&sql::COVERED_DELETE, covers.len());
        for cover in covers {
            let resource = serde_json::to_string(&cover.resource)
                .map_err(|error| CatalogError::Invalid(format!("resource of {}: {error}", cover.source)))?;
            upsert = upsert
                .bind(&cover.partition.topic)
                .bind(i64::from(cover.partition.partition))
                .bind(cover.source.to_string())
                .bind(cover.tenant.as_str())
                .bind(resource)
                .bind(cover.last_observed_micros)
                .bind(now_micros);
            delete = delete
                .bind(&cover.partition.topic)
                .bind(i64::from(cover.partition.partition))
                .bind(cover.source.to_string());
        }
        upsert.execute(&mut *connection).await.map_err(failed("insert sources"))?;
        delete.execute(&mut *connection).await.map_err(failed("delete covered ranges"))?;
    }
    let ranges: Vec<_> = covered
        .iter()
        .flat_map(|cover| cover.ranges.ranges().iter().map(move |range| (cover, *range)))
        .collect();
    for ranges in ranges.chunks(ROWS_PER_STATEMENT) {
        let mut insert = many(&sql::COVERED_INSERT, ranges.len());
        for (cover, range) in ranges {
            insert = insert
                .bind(&cover.partition.topic)
                .bind(i64::from(cover.partition.partition))
                .bind(cover.source.to_string())
                .bind(to_column("range start", range.start)?)
                .bind(to_column("range end", range.end)?);
        }
        insert.execute(&mut *connection).await.map_err(failed("insert covered ranges"))?;
    }
    Ok(())
}

async fn upsert_tallies(connection: &mut Connection, covered: &[SourceCover]) -> Result<(), CatalogError> {
    for covers in covered.chunks(ROWS_PER_STATEMENT) {
        let mut upsert = many(&sql::TALLIES_UPSERT, covers.len());
        for SourceCover { partition, source, tally, .. } in covers {
            let counted = |of: fn(Counted) -> u64| {
                tally.counted.map(|counted| to_column("a count of events", of(counted))).transpose()
            };
            upsert = upsert
                .bind(&partition.topic)
                .bind(i64::from(partition.partition))
                .bind(source.to_string())
                .bind(tally.agent.map(|agent| agent.to_string()))
                .bind(tally.appended_micros)
                .bind(tally.event_micros)
                .bind(to_column("event count", tally.events)?)
                .bind(to_column("duplicate count", tally.duplicates)?)
                .bind(counted(|counted| counted.from)?)
                .bind(counted(|counted| counted.to)?)
                .bind(counted(|counted| counted.events)?);
        }
        upsert.execute(&mut *connection).await.map_err(failed("upsert tallies"))?;
    }
    Ok(())
}

/// Takes what came after all out of the holes that were told.
async fn close_holes(connection: &mut Connection, filled: &[Filled]) -> Result<(), CatalogError> {
    for Filled { source, range, events } in filled {
        let source = source.to_string();
        for statement in [sql::HOLE_FILLED, sql::HOLE_SHRINKS] {
            sqlx::query(statement)
                .bind(&source)
                .bind(drop_reason::HOLE)
                .bind(to_column("range start", range.start)?)
                .bind(to_column("range end", range.end)?)
                .bind(to_column("event count", *events)?)
                .execute(&mut *connection)
                .await
                .map_err(failed("shrink holes"))?;
        }
        let covered = sqlx::query(sql::HOLES_COVERED).bind(&source).bind(drop_reason::HOLE);
        covered.execute(&mut *connection).await.map_err(failed("close holes"))?;
    }
    Ok(())
}

/// Forgets gaps whose events are there after all.
pub(super) async fn close_gaps(
    connection: &mut Connection,
    source: &str,
    range: ByteRange,
) -> Result<u64, CatalogError> {
    let delete = sqlx::query(sql::GAPS_WITHIN)
        .bind(source)
        .bind(to_column("range start", range.start)?)
        .bind(to_column("range end", range.end)?);
    let closed = delete.execute(connection).await.map_err(failed("close gaps"))?;
    Ok(closed.rows_affected())
}

async fn insert_gaps(connection: &mut Connection, gaps: &[Gap]) -> Result<(), CatalogError> {
    let losses: Vec<_> = gaps.iter().filter(|gap| gap.count != Some(0)).collect();
    for gaps in losses.chunks(ROWS_PER_STATEMENT) {
        let mut insert = many(&sql::GAPS_INSERT, gaps.len());
        for gap in gaps {
            insert = insert
                .bind(gap.tenant.as_str())
                .bind(&gap.source)
                .bind(to_column("range start", gap.range.start)?)
                .bind(to_column("range end", gap.range.end)?)
                .bind(to_column("event count", gap.count.unwrap_or(row::UNKNOWN))?)
                .bind(&gap.reason)
                .bind(gap.noticed_micros);
        }
        insert.execute(&mut *connection).await.map_err(failed("insert gaps"))?;
    }
    Ok(())
}

async fn insert_layouts(connection: &mut Connection, commit: &Commit) -> Result<(), CatalogError> {
    let layouts: Vec<_> = commit.layouts.iter().collect();
    for layouts in layouts.chunks(ROWS_PER_STATEMENT) {
        let mut insert = many(&sql::LAYOUTS_INSERT, layouts.len());
        for (id, layout) in layouts {
            insert = insert.bind(id.0).bind(layout.as_str());
        }
        insert.execute(&mut *connection).await.map_err(failed("insert layouts"))?;
    }
    Ok(())
}

async fn upsert_lanes(connection: &mut Connection, lanes: &[LaneState]) -> Result<(), CatalogError> {
    for lanes in lanes.chunks(ROWS_PER_STATEMENT) {
        let mut upsert = many(&sql::LANES_UPSERT, lanes.len());
        for lane in lanes {
            upsert = upsert
                .bind(&lane.partition.topic)
                .bind(i64::from(lane.partition.partition))
                .bind(lane.agent.to_string())
                .bind(lane.mark_micros)
                .bind(lane.heard_micros)
                .bind(row::status(lane.status))
                .bind(i64::from(lane.is_estimated));
        }
        upsert.execute(&mut *connection).await.map_err(failed("upsert lanes"))?;
    }
    Ok(())
}

/// A statement over several rows. Its text varies with their number, so only
/// that of a full chunk is worth keeping prepared.
fn many(statement: &ManyRows, rows: usize) -> sqlx::query::Query<'static, Database, Arguments> {
    sqlx::query(AssertSqlSafe(statement.text(rows))).persistent(rows == ROWS_PER_STATEMENT)
}
