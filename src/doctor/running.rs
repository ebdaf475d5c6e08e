//! A Weir that runs here already, and how it is.

use std::net::SocketAddr;

use serde_json::Value;

use super::Finding;
use crate::config::Config;
use crate::http::Client;

/// The port of an agent alone; a node with all roles has 9700.
pub(super) const AGENT_PORT: u16 = 9701;

/// What answers at the address that is configured, and at the usual ones.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) seen: Vec<Seen>,
}

#[derive(Debug)]
pub(super) struct Seen {
    pub(super) address: SocketAddr,
    /// `/healthz` says that it is alive, as Weir does.
    is_alive: bool,
    /// What `/readyz` says is missing; none: it is ready.
    missing: Option<String>,
    /// `/api/v1/agent/status`, where there is an agent.
    agent: Option<Value>,
}

pub(super) async fn look(config: &Config) -> Running {
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut addresses = vec![here(AGENT_PORT), here(9700)];
    if let Ok(own) = config.listen_address(AGENT_PORT) {
        let own = if own.ip().is_unspecified() { here(own.port()) } else { own };
        addresses.retain(|address| *address != own);
        addresses.insert(0, own);
    }
    let mut running = Running::default();
    for address in addresses {
        running.seen.extend(see(address).await);
    }
    running
}

/// Nothing, where nobody speaks HTTP.
async fn see(address: SocketAddr) -> Option<Seen> {
    let client = Client::new(&format!("http://{address}")).ok()?;
    let alive = client.get("/healthz", "*/*").await.ok()?;
    let ready = client.get("/readyz", "application/json").await.ok()?;
    let missing = (!ready.status.is_success()).then(|| missing(ready.json().ok().as_ref()));
    let status = client.get("/api/v1/agent/status", "application/json").await.ok()?;
    let agent = if status.status.is_success() { status.json().ok() } else { None };
    Some(Seen { address, is_alive: alive.status.is_success() && alive.text().trim() == "ok", missing, agent })
}

fn missing(body: Option<&Value>) -> String {
    let failures = body.and_then(|body| body["failures"].as_array());
    let reason = |failure: &Value| {
        let word = |key: &str| failure[key].as_str().unwrap_or("?").to_owned();
        format!("{}: {}", word("check"), word("reason"))
    };
    let reasons: Vec<_> = failures.into_iter().flatten().map(reason).collect();
    if reasons.is_empty() { "it does not say why".to_owned() } else { reasons.join("; ") }
}

impl Running {
    /// A Weir serves there.
    pub(super) fn is_weir(&self, address: SocketAddr) -> bool {
        self.seen.iter().any(|seen| seen.is_alive && seen.address.port() == address.port())
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        const CHECK: &str = "running agent";
        let agents: Vec<_> = self.seen.iter().filter(|seen| seen.agent.is_some() || seen.is_alive).collect();
        if agents.is_empty() {
            let advice = "start `weir agent` or `weir all`, if it should run";
            return vec![Finding::skip(CHECK, "no Weir answers on this host", advice)];
        }
        agents.into_iter().map(Seen::finding).collect()
    }
}

impl Seen {
    fn finding(&self) -> Finding {
        const CHECK: &str = "running agent";
        let who = match &self.agent {
            Some(status) => format!("agent {} at {}", status["agent"].as_str().unwrap_or("?"), self.address),
            None => format!("Weir without an agent at {}", self.address),
        };
        match (&self.missing, self.is_alive) {
            (_, false) => {
                Finding::fail(CHECK, format!("{who} is not alive"), "look at its log, and restart it")
            }
            (Some(missing), true) => Finding::fail(
                CHECK,
                format!("{who} is alive, not ready: {missing}"),
                "see what it waits for below",
            ),
            (None, true) => Finding::ok(CHECK, format!("{who} is alive and ready")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_answers_is_told_with_what_it_waits_for() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9701));
        let agent = Some(json!({ "agent": "01X" }));
        let finding = |is_alive, missing: Option<Value>| {
            let missing = missing.map(|body| super::missing(Some(&body)));
            let seen = Seen { address, is_alive, missing, agent: agent.clone() };
            Running { seen: vec![seen] }.findings().remove(0)
        };
        assert_eq!(finding(true, None).outcome, Outcome::Ok);
        assert_eq!(finding(false, None).outcome, Outcome::Fail);
        let waits = json!({ "failures": [{ "check": "log", "reason": "no answer from kafka:9092" }] });
        let found = finding(true, Some(waits)).found;
        assert!(found.contains("agent 01X at 127.0.0.1:9701") && found.contains("log: no answer"), "{found}");
        assert_eq!(Running::default().findings()[0].outcome, Outcome::Skip);
    }
}
