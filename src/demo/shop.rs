//! The shop: services that call each other over loopback, and visitors.
//!
//! ```text
//! visitor -> frontend -> catalog -> inventory
//!                |            \--> (postgres)
//!                |-> cart -> catalog
//!                |      \-> (redis)
//!                \-> checkout -> cart, inventory, payment -> (card issuer)
//!                           \--> shipping
//! ```
//!
//! What goes wrong does so for real: calls time out, payment has outages, a
//! circuit breaker opens and closes, shipping's clock is behind.

mod behaviour;
mod breaker;
mod context;
mod export;
mod ledger;
mod measure;
mod print;
mod service;
mod span;
mod visitors;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};

use super::container::Emitted;
use crate::http::Client;
use export::{Exporter, Protocol};
use ledger::Ledger;
use measure::Measures;
use print::Style;
use service::{Plan, Service, Street};

/// Visits a second: enough to see something, little enough to follow it.
const VISITS_PER_SECOND: u32 = 12;

/// How long what is under way may take to end.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How far shipping's clock is behind.
const SKEW_MICROS: i64 = -1_500_000;

/// The services: how they print and send.
const PLANS: [Plan; 7] = [
    Plan { name: "frontend", style: Style::Json, protocol: Protocol::OtlpGrpc, host: 1, skew_micros: 0 },
    Plan { name: "catalog", style: Style::Python, protocol: Protocol::OtlpGrpc, host: 1, skew_micros: 0 },
    Plan { name: "cart", style: Style::Logfmt, protocol: Protocol::OtlpHttp, host: 2, skew_micros: 0 },
    Plan { name: "checkout", style: Style::Java, protocol: Protocol::OtlpGrpc, host: 2, skew_micros: 0 },
    Plan { name: "payment", style: Style::Json, protocol: Protocol::Zipkin, host: 2, skew_micros: 0 },
    Plan {
        name: "shipping",
        style: Style::Logfmt,
        protocol: Protocol::Zipkin,
        host: 3,
        skew_micros: SKEW_MICROS,
    },
    Plan { name: "inventory", style: Style::Go, protocol: Protocol::OtlpHttp, host: 1, skew_micros: 0 },
];

/// A running shop.
#[derive(Debug)]
pub struct Shop {
    services: Vec<Arc<Service>>,
    ledger: Ledger,
    visitors: Handles,
    counters: Handles,
    exporters: Handles,
}

/// What a shop did in its life.
#[derive(Debug, Default)]
pub struct Sold {
    /// Lines printed.
    pub printed: Emitted,
    /// Spans of each trace that were answered, by trace id.
    pub traces: BTreeMap<String, u64>,
    /// Traces of which a span was not answered.
    pub unsent: u64,
    /// How often the circuit breaker opened.
    pub breaker_opened: u64,
}

impl Shop {
    /// Opens the shop: its containers' logs lie below `pods`, spans and metrics
    /// are sent to `agent`. `remembers` keeps what was sent for [`Shop::stop`],
    /// which is for a shop that closes again.
    pub async fn start(
        pods: &Path,
        agent: &Client,
        seed: u64,
        remembers: bool,
        parent: &Handles,
    ) -> Result<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let ledger = Ledger::new(remembers);
        let exporters = parent.child("exporters");
        let counters = parent.child("services");
        let street = Arc::new(Street::default());
        let measures = Arc::new(Measures::new(PLANS.iter().map(|plan| plan.name)));
        let mut services = Vec::new();
        for (number, plan) in PLANS.iter().enumerate() {
            let exporter = Exporter::start(plan.protocol, agent, ledger.clone(), &exporters)?;
            let place = service::Place {
                pods,
                ip: Ipv4Addr::new(10, 0, plan.host, 10 + u8::try_from(number).unwrap_or(0)),
                clock: parent.clock.clone(),
            };
            let service =
                Service::open(*plan, place, exporter, measures.clone(), street.clone(), &mut random)?;
            services.push(Arc::new(service));
        }
        let mut doors = BTreeMap::new();
        for service in &services {
            let listener = Listener::tcp("127.0.0.1:0").await?;
            let address = listener.local_addr().tcp().context("a TCP port")?;
            doors.insert(service.name(), Client::new(&format!("http://{address}"))?);
            Server::start(listener, behaviour::router(service.clone()), &counters);
        }
        street.open(doors);
        measures.start(agent, &exporters);
        let visitors = parent.child("visitors");
        let frontend = street.door("frontend").context("the frontend has a door")?;
        visitors::start(&frontend, VISITS_PER_SECOND, seed, &visitors);
        Ok(Self { services, ledger, visitors, counters, exporters })
    }

    /// Closes: no more visitors, then what is under way ends, then what it had
    /// to say is sent.
    pub async fn stop(self) -> Result<Sold> {
        for handles in [&self.visitors, &self.counters, &self.exporters] {
            handles.shutdown.begin();
            let pending = handles.tasks.join(STOP_DEADLINE).await;
            if let Some(failure) = handles.tasks.failure() {
                bail!("the shop failed: {failure}");
            }
            if !pending.is_empty() {
                bail!("the shop does not close: {pending:?} still run");
            }
        }
        let mut printed = Emitted::default();
        let mut breaker_opened = 0;
        for service in &self.services {
            printed += service.printed();
            breaker_opened += service.breaker_opened();
        }
        let (traces, unsent) = self.ledger.close();
        Ok(Sold { printed, traces, unsent, breaker_opened })
    }
}
