//! The tables themselves: created once, checked at each start. The caller
//! begins the transaction and keeps out others that start at the same time.

use sqlx::AssertSqlSafe;

use super::{Connection, DIALECT};
use crate::catalog::{CatalogError, failed, sql};

/// Creates all tables, where there are none.
pub(super) async fn create(connection: &mut Connection) -> Result<(), CatalogError> {
    for statement in sql::create_tables(DIALECT) {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .map_err(failed("create tables"))?;
    }
    sqlx::query(sql::FORMAT_INSERT)
        .bind(sql::FORMAT_VERSION)
        .execute(connection)
        .await
        .map_err(failed("write format version"))?;
    Ok(())
}

/// Adds the tables and columns that an earlier build did not have.
pub(super) async fn add_later(connection: &mut Connection) -> Result<(), CatalogError> {
    for statement in sql::LATER_TABLES {
        sqlx::query(*statement).execute(&mut *connection).await.map_err(failed("add tables"))?;
    }
    for column in &sql::LATER_COLUMNS {
        if !has_column(connection, column).await? {
            sqlx::query(AssertSqlSafe(column.add()))
                .execute(&mut *connection)
                .await
                .map_err(failed("add columns"))?;
        }
    }
    Ok(())
}

/// Refuses a catalog that this build cannot read, before anything is read.
pub(super) async fn check(connection: &mut Connection) -> Result<(), CatalogError> {
    check_version(connection).await?;
    for name in sql::LATER_NAMES {
        if !has_table(connection, name).await? {
            return Err(CatalogError::Older(name));
        }
    }
    for column in &sql::LATER_COLUMNS {
        if !has_column(connection, column).await? {
            return Err(CatalogError::Older(column.label));
        }
    }
    Ok(())
}

pub(super) async fn check_version(connection: &mut Connection) -> Result<(), CatalogError> {
    let refuse = |found, advice| CatalogError::Version { found, expected: sql::FORMAT_VERSION, advice };
    if !has_table(connection, "weir_format").await? {
        return Err(refuse(
            0,
            "this is no catalog of Weir, or none yet; check the place, start ingest first",
        ));
    }
    let found: Option<i64> = sqlx::query_scalar(sql::FORMAT_READ)
        .fetch_optional(connection)
        .await
        .map_err(failed("read format version"))?;
    match found {
        Some(found) if found == sql::FORMAT_VERSION => Ok(()),
        Some(found) if found > sql::FORMAT_VERSION => {
            Err(refuse(found, "a newer Weir wrote it; start that version again, nothing was changed"))
        }
        Some(found) => Err(refuse(found, "no version of Weir wrote this; restore it from a backup")),
        None => Err(CatalogError::Damaged("the format version is missing".to_owned())),
    }
}

pub(super) async fn has_table(connection: &mut Connection, name: &str) -> Result<bool, CatalogError> {
    let tables: i64 = sqlx::query_scalar(DIALECT.table_of_name())
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(failed("find tables"))?;
    Ok(tables > 0)
}

async fn has_column(connection: &mut Connection, column: &sql::LaterColumn) -> Result<bool, CatalogError> {
    let columns: i64 = sqlx::query_scalar(DIALECT.column_of_name())
        .bind(column.table)
        .bind(column.name)
        .fetch_one(connection)
        .await
        .map_err(failed("find columns"))?;
    Ok(columns > 0)
}
