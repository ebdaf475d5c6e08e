//! What alerting answers: `/api/v1/alerts` and `/api/v1/rules` as Prometheus
//! does, `/api/v1/notifications` for what became of messages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use weir_runtime::telemetry::error_chain;

use crate::book::Book;
use crate::instance::{Instance, Phase};
use crate::rule::{Condition, Rule, RuleSet};
use crate::time::rfc3339;

/// Messages that are listed.
const NOTIFICATIONS_MAX: u32 = 100;

#[derive(Clone)]
struct Shown {
    book: Arc<Book>,
    rules: Arc<RuleSet>,
}

/// The routes.
pub(crate) fn router(book: Arc<Book>, rules: Arc<RuleSet>) -> Router {
    Router::new()
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/rules", get(rules_of))
        .route("/api/v1/notifications", get(notifications))
        .with_state(Shown { book, rules })
}

async fn alerts(State(shown): State<Shown>) -> Json<Value> {
    let of_rule = |rule: &Rule| shown.book.page(&rule.id()).instances.into_values().map(|one| alert(&one));
    let alerts: Vec<_> = shown.rules.rules().iter().flat_map(of_rule).collect();
    Json(json!({"status": "success", "data": {"alerts": alerts}}))
}

async fn rules_of(State(shown): State<Shown>) -> Json<Value> {
    let mut groups: Vec<(String, String, Vec<Value>)> = Vec::new();
    for rule in shown.rules.rules() {
        let file = rule.file.display().to_string();
        let described = described(rule, &shown.book);
        match groups.iter_mut().find(|(name, of, _)| *name == rule.group && *of == file) {
            Some((_, _, rules)) => rules.push(described),
            None => groups.push((rule.group.clone(), file, vec![described])),
        }
    }
    let group = |(name, file, rules)| json!({"name": name, "file": file, "rules": rules});
    let groups: Vec<Value> = groups.into_iter().map(group).collect();
    Json(json!({"status": "success", "data": {"groups": groups}}))
}

async fn notifications(State(shown): State<Shown>) -> Response {
    let entries = match shown.book.store.newest(NOTIFICATIONS_MAX).await {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(error = error_chain(&error), "the outbox cannot be read");
            let body = json!({"error": {"code": "internal", "message": "the outbox cannot be read"}});
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response();
        }
    };
    let entry = |entry: crate::store::Entry| {
        let mut shown = json!({
            "id": entry.id,
            "receiver": entry.receiver,
            "integration": entry.integration,
            "status": entry.status,
            "alertname": entry.alertname,
            "summary": entry.summary,
            "created_at": rfc3339(entry.created_micros),
            "state": entry.state,
            "attempts": entry.attempts,
        });
        if let Some(at) = entry.delivered_micros {
            shown["delivered_at"] = rfc3339(at).into();
        }
        if let Some(error) = entry.last_error {
            shown["last_error"] = error.into();
        }
        shown
    };
    let entries: Vec<_> = entries.into_iter().map(entry).collect();
    Json(json!({"notifications": entries})).into_response()
}

fn alert(instance: &Instance) -> Value {
    json!({
        "labels": instance.labels,
        "annotations": instance.annotations,
        "state": instance.state(),
        "activeAt": rfc3339(instance.active_micros),
        "value": instance.value.to_string(),
    })
}

fn described(rule: &Rule, book: &Book) -> Value {
    let page = book.page(&rule.id());
    let phases: Vec<_> = page.instances.values().map(|instance| instance.phase).collect();
    let state = match (phases.contains(&Phase::Firing), phases.contains(&Phase::Pending)) {
        (true, _) => "firing",
        (false, true) => "pending",
        (false, false) => "inactive",
    };
    let health = match (&page.error, page.evaluated_micros) {
        (Some(_), _) => "err",
        (None, Some(_)) => "ok",
        (None, None) => "unknown",
    };
    json!({
        "type": "alerting",
        "name": rule.name,
        "kind": match rule.condition { Condition::Logs(_) => "logs", Condition::Sql(_) => "sql" },
        "query": rule.question(),
        "duration": rule.holds_for().as_secs_f64(),
        "keepFiringFor": rule.keep_firing_for.as_secs_f64(),
        "state": state,
        "health": health,
        "lastError": page.error.unwrap_or_default(),
        "lastEvaluation": page.evaluated_micros.map(rfc3339),
        "labels": rule.labels,
        "annotations": rule.annotations.keys().collect::<Vec<_>>(),
        "alerts": page.instances.values().map(alert).collect::<Vec<_>>(),
    })
}
