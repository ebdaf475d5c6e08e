//! What is to be told, and what became of it. Messages of one channel go out in
//! their order: an end must not overtake its beginning.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{Store, failed};
use crate::error::StoreError;
use crate::outgoing::{Outgoing, Webhook};

/// A message that waits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) body: Webhook,
    pub(crate) created_micros: i64,
    pub(crate) attempts: u32,
    pub(crate) next_micros: i64,
}

/// A message and what became of it, for people.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) receiver: String,
    pub(crate) integration: String,
    pub(crate) status: String,
    pub(crate) alertname: String,
    pub(crate) summary: String,
    pub(crate) created_micros: i64,
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) delivered_micros: Option<i64>,
    pub(crate) last_error: Option<String>,
}

pub(super) async fn insert(
    begun: &mut Transaction<'_, Sqlite>,
    outgoing: &[Outgoing],
    now_micros: i64,
) -> Result<(), StoreError> {
    for message in outgoing {
        let damaged = |source| StoreError::Damaged { what: format!("message {}", message.id), source };
        let body = serde_json::to_string(&message.body).map_err(damaged)?;
        let insert = "INSERT INTO outbox (id, channel, receiver, integration, status, alertname, summary,
                      body, created_micros, state, attempts, next_micros)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?)";
        let insert = sqlx::query(insert)
            .bind(&message.id)
            .bind(&message.channel)
            .bind(&message.body.receiver)
            .bind(message.integration)
            .bind(message.body.status.as_str())
            .bind(&message.alertname)
            .bind(&message.summary)
            .bind(body)
            .bind(now_micros)
            .bind(now_micros);
        insert.execute(&mut **begun).await.map_err(failed("outbox"))?;
    }
    Ok(())
}

impl Store {
    /// The oldest message of a channel that waits.
    pub(crate) async fn waiting(&self, channel: &str) -> Result<Option<Waiting>, StoreError> {
        let select = "SELECT id, body, created_micros, attempts, next_micros FROM outbox
                      WHERE channel = ? AND state = 'pending' ORDER BY number LIMIT 1";
        let row = sqlx::query(select).bind(channel).fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(failed("outbox"))? else { return Ok(None) };
        let (id, body): (String, String) = (row.get(0), row.get(1));
        let damaged = |source| StoreError::Damaged { what: format!("message {id}"), source };
        let body = serde_json::from_str(&body).map_err(damaged)?;
        Ok(Some(Waiting {
            id,
            body,
            created_micros: row.get(2),
            attempts: row.get::<i64, _>(3).try_into().unwrap_or(u32::MAX),
            next_micros: row.get(4),
        }))
    }

    /// It was taken.
    pub(crate) async fn delivered(&self, id: &str, now_micros: i64) -> Result<(), StoreError> {
        let update = "UPDATE outbox SET state = 'delivered', attempts = attempts + 1,
                      delivered_micros = ?, last_error = NULL WHERE id = ?";
        let update = sqlx::query(update).bind(now_micros).bind(id);
        update.execute(&self.pool).await.map(drop).map_err(failed("delivered"))
    }

    /// It was not taken, and is tried again at this time.
    pub(crate) async fn postponed(&self, id: &str, next_micros: i64, error: &str) -> Result<(), StoreError> {
        let update =
            "UPDATE outbox SET attempts = attempts + 1, next_micros = ?, last_error = ? WHERE id = ?";
        let update = sqlx::query(update).bind(next_micros).bind(error).bind(id);
        update.execute(&self.pool).await.map(drop).map_err(failed("postponed"))
    }

    /// It was refused, or tried for too long.
    pub(crate) async fn given_up(&self, id: &str, error: &str) -> Result<(), StoreError> {
        let update = "UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = ? WHERE id = ?";
        let update = sqlx::query(update).bind(error).bind(id);
        update.execute(&self.pool).await.map(drop).map_err(failed("given up"))
    }

    /// The newest messages, newest first.
    pub(crate) async fn newest(&self, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let select = "SELECT id, receiver, integration, status, alertname, summary, created_micros, state,
                      attempts, delivered_micros, last_error FROM outbox ORDER BY number DESC LIMIT ?";
        let rows = sqlx::query(select).bind(i64::from(limit)).fetch_all(&self.pool).await;
        let entry = |row: SqliteRow| Entry {
            id: row.get(0),
            receiver: row.get(1),
            integration: row.get(2),
            status: row.get(3),
            alertname: row.get(4),
            summary: row.get(5),
            created_micros: row.get(6),
            state: row.get(7),
            attempts: row.get::<i64, _>(8).try_into().unwrap_or(u32::MAX),
            delivered_micros: row.get(9),
            last_error: row.get(10),
        };
        Ok(rows.map_err(failed("newest"))?.into_iter().map(entry).collect())
    }
}
