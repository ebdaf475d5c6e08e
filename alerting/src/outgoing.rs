//! Messages: what changed of a rule, for each channel that is to be told. The
//! body is Alertmanager's webhook body, version 4, with what Weir knows beside
//! it below `weir`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use crate::evaluate::{News, Transition};
use crate::label::{Labels, fingerprint};
use crate::time::rfc3339;

/// What Alertmanager writes where an alert has no end.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// A message to one channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    /// The same in every attempt.
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) integration: &'static str,
    pub(crate) alertname: String,
    pub(crate) summary: String,
    pub(crate) body: Webhook,
}

/// Whether something fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Alertmanager's webhook body, version 4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    pub(crate) version: String,
    pub(crate) group_key: String,
    pub(crate) truncated_alerts: u32,
    pub(crate) status: Status,
    pub(crate) receiver: String,
    pub(crate) group_labels: Labels,
    pub(crate) common_labels: Labels,
    pub(crate) common_annotations: Labels,
    #[serde(rename = "externalURL")]
    pub(crate) external_url: String,
    pub(crate) alerts: Vec<Alert>,
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) status: Status,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) starts_at: String,
    pub(crate) ends_at: String,
    #[serde(rename = "generatorURL")]
    pub(crate) generator_url: String,
    pub(crate) fingerprint: String,
    pub(crate) weir: Detail,
}

/// What Weir knows beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) rule: String,
    pub(crate) query: String,
    pub(crate) value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_url: Option<String>,
    /// It was judged before its window was complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) incomplete: bool,
}

/// Who is to be told: one mailbox or address of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    /// `receiver/integration/number`.
    pub(crate) name: String,
    pub(crate) receiver: String,
    pub(crate) integration: &'static str,
    pub(crate) send_resolved: bool,
}

/// The rule that changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) rule: &'a str,
    pub(crate) alertname: &'a str,
    pub(crate) query: &'a str,
    pub(crate) is_search: bool,
    pub(crate) external_url: &'a str,
}

/// The message to a channel about these changes; none when it is not to hear
/// of them.
pub(crate) fn message(about: About<'_>, channel: &Channel, transitions: &[&Transition]) -> Option<Outgoing> {
    let is_told = |transition: &&&Transition| channel.send_resolved || transition.news != News::Resolved;
    let alerts: Vec<Alert> =
        transitions.iter().filter(is_told).map(|transition| alert(about, transition)).collect();
    let first = alerts.first()?;
    let is_firing = alerts.iter().any(|alert| alert.status == Status::Firing);
    let status = if is_firing { Status::Firing } else { Status::Resolved };
    let summary = first.annotations.get("summary").cloned().unwrap_or_else(|| describe(&first.labels));
    let name = about.alertname;
    let body = Webhook {
        version: "4".to_owned(),
        group_key: format!("{{}}:{{alertname={name:?}}}"),
        truncated_alerts: 0,
        status,
        receiver: channel.receiver.clone(),
        group_labels: Labels::from([("alertname".to_owned(), name.to_owned())]),
        common_labels: common(alerts.iter().map(|alert| &alert.labels)),
        common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
        external_url: about.external_url.to_owned(),
        alerts,
    };
    Some(Outgoing {
        id: Ulid::generate().to_string(),
        channel: channel.name.clone(),
        integration: channel.integration,
        alertname: name.to_owned(),
        summary,
        body,
    })
}

fn alert(about: About<'_>, transition: &Transition) -> Alert {
    let instance = &transition.instance;
    let base = about.external_url.trim_end_matches('/');
    let text = |key: &str| instance.sample.as_ref().and_then(|row| row.get(key)).and_then(Value::as_str);
    let trace = text("trace_id").filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let generator_url = match about.is_search {
        true => {
            let query: String = url::form_urlencoded::byte_serialize(about.query.as_bytes()).collect();
            // A minute before, so that what led to it is seen, too.
            let start = rfc3339(instance.active_micros - 60_000_000);
            format!("{base}/?query={query}&start={start}")
        }
        false => format!("{base}/alerts"),
    };
    Alert {
        status: match transition.news {
            News::Fired | News::Repeated => Status::Firing,
            News::Resolved => Status::Resolved,
        },
        labels: instance.labels.clone(),
        annotations: instance.annotations.clone(),
        starts_at: rfc3339(instance.starts_micros()),
        ends_at: transition.ends_micros.map_or_else(|| NO_END.to_owned(), rfc3339),
        generator_url,
        fingerprint: fingerprint(&instance.labels),
        weir: Detail {
            rule: about.rule.to_owned(),
            query: about.query.to_owned(),
            value: instance.value,
            trace_url: trace.map(|id| format!("{base}/trace/{id}")),
            sample: instance.sample.clone(),
            incomplete: instance.incomplete,
        },
    }
}

/// Labels as one line.
fn describe(labels: &Labels) -> String {
    let others = labels.iter().filter(|(name, _)| *name != "alertname");
    others.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// The pairs that all have.
fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = sets.next() else { return BTreeMap::new() };
    sets.fold(first.clone(), |mut common, set| {
        common.retain(|name, value| set.get(name) == Some(value));
        common
    })
}

#[cfg(test)]
mod tests;
