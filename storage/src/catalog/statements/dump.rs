//! The catalog as rows, out of one database and into another. The caller begins
//! the transaction.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::{Arguments, Connection, Database};
use crate::catalog::dump::{Cell, Dump, Rows, TABLES, Table};
use crate::catalog::sql::{self, ROWS_PER_STATEMENT};
use crate::catalog::{CatalogError, FileEntry, failed};

/// Every row of every table that is dumped.
pub(super) async fn dump(connection: &mut Connection, now_micros: i64) -> Result<Dump, CatalogError> {
    let mut dumped = Dump::empty(now_micros);
    for table in &TABLES {
        let select = format!("SELECT {} FROM {}", table.names(), table.name);
        let found = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *connection).await;
        let found = found.map_err(failed("dump a table"))?;
        let columns = table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rows = found.iter().map(|row| cells(table, row)).collect::<Result<_, _>>();
        let rows = rows.map_err(failed("dump a table"))?;
        dumped.tables.insert(table.name.to_owned(), Rows { columns, rows });
    }
    Ok(dumped)
}

fn cells(table: &Table, row: &<Database as sqlx::Database>::Row) -> Result<Vec<Cell>, sqlx::Error> {
    let cell = |(index, (_, is_text)): (usize, &(&str, bool))| {
        Ok(if *is_text {
            row.try_get::<Option<String>, _>(index)?.map_or(Cell::Null, Cell::Text)
        } else {
            row.try_get::<Option<i64>, _>(index)?.map_or(Cell::Null, Cell::Number)
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// Fills an empty catalog: with what was dumped, and with files.
pub(super) async fn restore(
    connection: &mut Connection,
    dumped: &Dump,
    files: &[FileEntry],
    now_micros: i64,
) -> Result<(), CatalogError> {
    let held: i64 =
        sqlx::query_scalar(sql::HELD).fetch_one(&mut *connection).await.map_err(failed("look for rows"))?;
    if held > 0 {
        let why = "it holds something already: what is restored goes into an empty catalog";
        return Err(CatalogError::Invalid(why.to_owned()));
    }
    for table in &TABLES {
        for rows in dumped.rows(table.name)?.chunks(ROWS_PER_STATEMENT) {
            insert(connection, table, rows).await?;
        }
    }
    let id: i64 = sqlx::query_scalar(sql::COMMIT_INSERT)
        .bind(now_micros)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("number the commit"))?;
    for file in files {
        super::publish::insert_file(connection, file, id).await?;
    }
    Ok(())
}

async fn insert(connection: &mut Connection, table: &Table, rows: &[Vec<&Cell>]) -> Result<(), CatalogError> {
    let mut text = format!("INSERT INTO {} ({}) VALUES ", table.name, table.names());
    let width = table.columns.len();
    for row in 0..rows.len() {
        text.push_str(if row == 0 { "(" } else { ",(" });
        let places: Vec<_> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
        text.push_str(&places.join(","));
        text.push(')');
    }
    let mut query: sqlx::query::Query<'_, Database, Arguments> = sqlx::query(AssertSqlSafe(text));
    for row in rows {
        for (cell, (name, is_text)) in row.iter().zip(table.columns) {
            query = match (cell, is_text) {
                (Cell::Null, true) => query.bind(None::<String>),
                (Cell::Null, false) => query.bind(None::<i64>),
                (Cell::Text(text), true) => query.bind(text.clone()),
                (Cell::Number(number), false) => query.bind(*number),
                (cell, _) => {
                    let what = format!("{} of {} is {cell:?} in the dump", name, table.name);
                    return Err(CatalogError::Damaged(what));
                }
            };
        }
    }
    query.persistent(false).execute(connection).await.map_err(failed("restore a table"))?;
    Ok(())
}

/// Writes down that a state is about to be kept at `path`, if the last one is
/// older than `interval`; answers with where that one is, if there is one.
pub(super) async fn claim_state(
    connection: &mut Connection,
    path: &str,
    now_micros: i64,
    interval: Duration,
) -> Result<Option<Option<String>>, CatalogError> {
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
    let last: Option<String> = sqlx::query_scalar(sql::STATE_READ)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("find the last state"))?;
    let claimed = sqlx::query(sql::STATE_CLAIM)
        .bind(path)
        .bind(now_micros)
        .bind(now_micros.saturating_sub(interval))
        .execute(connection)
        .await
        .map_err(failed("claim the state"))?;
    Ok((claimed.rows_affected() == 1).then_some(last))
}
