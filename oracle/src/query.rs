//! Asks Weir as anybody does: SQL over HTTP at the public port.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http;
use crate::judge::Row;
use crate::ledger::Table;

/// Longer than Weir lets a question take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of an answer, some 150 bytes each.
const ROWS_AT_ONCE: u64 = 20_000;

/// A query service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query(SocketAddr);

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) rows: Vec<Vec<Value>>,
    /// Everything that was written before is in it; microseconds since 1970.
    pub(crate) complete_until: Option<i64>,
    /// Who it says holds it back.
    pub(crate) held_by: Vec<String>,
}

impl Query {
    /// The service at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self(address)
    }

    /// The answer to a statement.
    ///
    /// # Errors
    /// No answer, or one that is no table.
    pub(crate) fn ask(&self, statement: &str) -> Result<Reply> {
        let body = self.post(statement, "application/json")?;
        let answer: Value = serde_json::from_slice(&body)?;
        if answer["truncated"] == true {
            bail!("the answer was cut");
        }
        let rows = answer["rows"].as_array().context("an answer without rows")?;
        let rows = rows.iter().map(|row| row.as_array().cloned().context("a row that is none"));
        let complete_until = answer["complete_until"].as_str().map(micros).transpose()?;
        let held_by = answer["held_by"].as_array().context("an answer without held_by")?;
        let name = |name: &Value| name.as_str().map(str::to_owned).context("a name that is none");
        let held_by = held_by.iter().map(name).collect::<Result<_>>()?;
        Ok(Reply { rows: rows.collect::<Result<_>>()?, complete_until, held_by })
    }

    /// What a path answers.
    ///
    /// # Errors
    /// No answer, or one that is no JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let answer = http::request(self.0, ("GET", path), &[], b"", PATIENCE)?;
        if !answer.is_success() {
            bail!("{path}: {}: {}", answer.status, answer.text());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// All rows of a service.
    ///
    /// # Errors
    /// No answer, or half of one.
    pub(crate) fn rows(&self, table: Table, service: &str) -> Result<Vec<Row>> {
        let (table, text) = match table {
            Table::Lines => ("log_lines", "arrow_cast(line, 'Utf8')"),
            Table::Spans => ("spans", "concat(name, ' ', attributes['pad'])"),
            Table::Metrics => ("metric_samples", "concat('ev.', service_name, '.', value_int, '.')"),
        };
        let of_service = format!("FROM {table} WHERE service_name = '{service}'");
        let count = self.ask(&format!("SELECT count(*) {of_service}"))?;
        let count = count.rows.first().and_then(|row| row.first()?.as_u64()).context("no count")?;
        // An answer has a limit.
        let parts = count / ROWS_AT_ONCE + 1;
        let mut rows = Vec::new();
        for part in 0..parts {
            let statement = format!(
                "SELECT source_id, source_start, flags, {text} AS text {of_service} AND source_start % {parts} = {part}"
            );
            let body = self.post(&statement, "application/x-ndjson")?;
            for line in std::str::from_utf8(&body)?.lines() {
                rows.push(row(&serde_json::from_str(line)?)?);
            }
        }
        Ok(rows)
    }

    fn post(&self, statement: &str, accept: &str) -> Result<Vec<u8>> {
        let headers = [("content-type", "text/plain"), ("accept", accept)];
        let to = ("POST", "/api/v1/sql");
        let answer = http::request(self.0, to, &headers, statement.as_bytes(), PATIENCE)?;
        if !answer.is_success() {
            bail!("{}: {}", answer.status, answer.text());
        }
        Ok(answer.body)
    }
}

fn row(value: &Value) -> Result<Row> {
    let number = |name: &str| value[name].as_u64().with_context(|| format!("no {name} in {value}"));
    let text = |name: &str| value[name].as_str().with_context(|| format!("no {name} in {value}"));
    Ok(Row {
        source: text("source_id")?.to_owned(),
        start: number("source_start")?,
        flags: number("flags")?,
        text: text("text")?.to_owned(),
    })
}

/// An RFC 3339 time in UTC as microseconds since 1970.
fn micros(text: &str) -> Result<i64> {
    let time: jiff::Timestamp = text.parse().with_context(|| format!("{text:?} is no time"))?;
    Ok(time.as_microsecond())
}
