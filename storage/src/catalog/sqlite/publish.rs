//! What changes the catalog's tables of files: a flush, all of it or nothing,
//! and the tombstone that bars a path from ever being committed.

use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::failed;
use crate::catalog::row::to_column;
use crate::catalog::sql::{self, ManyRows, ROWS_PER_STATEMENT};
use crate::catalog::{Advance, CatalogError, Commit, FileEntry, Gap, SourceCover};

pub(super) async fn publish(pool: &SqlitePool, commit: &Commit) -> Result<i64, CatalogError> {
    commit.check()?;
    // Immediate: the write lock is taken before the first comparison, so that
    // nothing compared can change before the commit.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))?;
    for advance in &commit.advances {
        check_lease(&mut transaction, advance).await?;
        advance_offset(&mut transaction, advance).await?;
    }
    let id: i64 = sqlx::query_scalar(sql::COMMIT_INSERT)
        .bind(commit.now_micros)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed("number the commit"))?;
    for file in &commit.files {
        insert_file(&mut transaction, file, id).await?;
    }
    replace_covered(&mut transaction, &commit.covered, commit.now_micros).await?;
    insert_gaps(&mut transaction, &commit.gaps).await?;
    insert_layouts(&mut transaction, commit).await?;
    end(transaction).await?;
    Ok(id)
}

pub(super) async fn tombstone(pool: &SqlitePool, path: &str, now_micros: i64) -> Result<(), CatalogError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))?;
    let files: i64 = sqlx::query_scalar(sql::FILE_OF_PATH)
        .bind(path)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed("find path"))?;
    if files > 0 {
        return Err(CatalogError::PathInUse(path.to_owned()));
    }
    sqlx::query(sql::TOMBSTONE_INSERT)
        .bind(path)
        .bind(now_micros)
        .execute(&mut *transaction)
        .await
        .map_err(failed("insert tombstone"))?;
    end(transaction).await
}

/// The one statement whose failure leaves the outcome open.
async fn end(transaction: Transaction<'_, Sqlite>) -> Result<(), CatalogError> {
    transaction.commit().await.map_err(|source| CatalogError::CommitUnknown { source })
}

async fn check_lease(connection: &mut SqliteConnection, advance: &Advance) -> Result<(), CatalogError> {
    let partition = &advance.partition;
    let held = sqlx::query(sql::LEASE_CHECK)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .bind(advance.epoch)
        .execute(&mut *connection)
        .await
        .map_err(failed("check lease"))?;
    if held.rows_affected() == 1 {
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

async fn advance_offset(connection: &mut SqliteConnection, advance: &Advance) -> Result<(), CatalogError> {
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
    if moved.rows_affected() == 1 {
        return Ok(());
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

async fn insert_file(
    connection: &mut SqliteConnection,
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
        .execute(&mut *connection)
        .await
        .map_err(failed("insert file"))?;
    if given_up > 0 || inserted.rows_affected() == 0 {
        return Err(CatalogError::PathInUse(file.path.clone()));
    }
    Ok(())
}

async fn replace_covered(
    connection: &mut SqliteConnection,
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

async fn insert_gaps(connection: &mut SqliteConnection, gaps: &[Gap]) -> Result<(), CatalogError> {
    for gaps in gaps.chunks(ROWS_PER_STATEMENT) {
        let mut insert = many(&sql::GAPS_INSERT, gaps.len());
        for gap in gaps {
            insert = insert
                .bind(gap.tenant.as_str())
                .bind(&gap.source)
                .bind(to_column("range start", gap.range.start)?)
                .bind(to_column("range end", gap.range.end)?)
                .bind(to_column("event count", gap.count)?)
                .bind(&gap.reason)
                .bind(gap.noticed_micros);
        }
        insert.execute(&mut *connection).await.map_err(failed("insert gaps"))?;
    }
    Ok(())
}

async fn insert_layouts(connection: &mut SqliteConnection, commit: &Commit) -> Result<(), CatalogError> {
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

/// A statement over several rows. Its text varies with their number, so only
/// that of a full chunk is worth keeping prepared.
fn many(
    statement: &ManyRows,
    rows: usize,
) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(AssertSqlSafe(statement.text(rows))).persistent(rows == ROWS_PER_STATEMENT)
}
