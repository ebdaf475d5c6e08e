//! What every service has: a name, a host, a log, a way to send spans, and the
//! addresses of the others.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use weir_runtime::Clock;

use super::breaker::{Breaker, State};
use super::context::{SpanContext, SpanId, TRACEPARENT, TraceId};
use super::export::{Exporter, Protocol};
use super::measure::Measures;
use super::print::{Entry, Level, Style};
use super::span::{ActiveSpan, Kind, Origin, Span};
use crate::demo::container::{ContainerLog, Emitted, Stream, pod};
use crate::http::Client;

/// What a service is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) style: Style,
    pub(super) protocol: Protocol,
    /// The number of its host.
    pub(super) host: u8,
    /// What its clock is off by.
    pub(super) skew_micros: i64,
}

/// Where it runs.
pub(super) struct Place<'a> {
    pub(super) pods: &'a Path,
    pub(super) ip: Ipv4Addr,
    pub(super) clock: Clock,
}

/// The doors of all services, known once all are open.
#[derive(Debug, Default)]
pub(super) struct Street(OnceLock<BTreeMap<&'static str, Client>>);

impl Street {
    pub(super) fn open(&self, doors: BTreeMap<&'static str, Client>) {
        let _ = self.0.set(doors);
    }

    pub(super) fn door(&self, name: &str) -> Option<Client> {
        self.0.get()?.get(name).cloned()
    }
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    plan: Plan,
    origin: Arc<Origin>,
    clock: Clock,
    log: Mutex<Log>,
    random: Mutex<SmallRng>,
    exporter: Exporter,
    measures: Arc<Measures>,
    street: Arc<Street>,
    breaker: Mutex<Breaker>,
    opened: Instant,
}

#[derive(Debug)]
struct Log {
    file: ContainerLog,
    printed: Emitted,
}

/// How a call to another service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(StatusCode),
    TimedOut,
    Broken,
}

impl Outcome {
    pub(super) fn is_fine(self) -> bool {
        matches!(self, Self::Answered(status) if status.is_success())
    }
}

impl Service {
    pub(super) fn open(
        plan: Plan,
        place: Place<'_>,
        exporter: Exporter,
        measures: Arc<Measures>,
        street: Arc<Street>,
        random: &mut SmallRng,
    ) -> Result<Self> {
        let pod = pod(plan.name, random);
        let file = ContainerLog::open(place.pods.join(&pod).join(plan.name).join("0.log"))?;
        let pod_name = pod.split('_').nth(1).unwrap_or_default().to_owned();
        let origin =
            Origin { service: plan.name, pod: pod_name, host: format!("node-{}", plan.host), ip: place.ip };
        Ok(Self {
            plan,
            origin: Arc::new(origin),
            clock: place.clock,
            log: Mutex::new(Log { file, printed: Emitted::default() }),
            random: Mutex::new(SmallRng::seed_from_u64(random.random())),
            exporter,
            measures,
            street,
            breaker: Mutex::new(Breaker::new(Instant::now())),
            opened: Instant::now(),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.plan.name
    }

    /// How long it is open.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Its own clock, right or wrong.
    pub(super) fn now_micros(&self) -> i64 {
        self.clock.now_micros() + self.plan.skew_micros
    }

    /// A number below `below`, by chance.
    pub(super) fn chance(&self, below: u32) -> u32 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..below)
    }

    /// Works for a while.
    pub(super) async fn work(&self, from_ms: u32, to_ms: u32) {
        let ms = from_ms + self.chance(to_ms - from_ms + 1);
        tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    }

    /// A request has come: the span of its answer.
    pub(super) fn serve(self: &Arc<Self>, headers: &HeaderMap, name: &str) -> ActiveSpan {
        let caller = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let mut span = self.span(caller.and_then(SpanContext::parse), name, Kind::Server, None);
        span.attributes.push(("http.request.method", name.split(' ').next().unwrap_or_default().to_owned()));
        span.attributes.push(("http.route", name.split(' ').nth(1).unwrap_or_default().to_owned()));
        ActiveSpan::begin(self, span)
    }

    /// Something that it does itself.
    pub(super) fn inside(self: &Arc<Self>, of: &ActiveSpan, name: &str) -> ActiveSpan {
        ActiveSpan::begin(self, self.span(Some(of.context()), name, Kind::Internal, None))
    }

    /// A call to something that sends no spans.
    pub(super) fn outside(self: &Arc<Self>, of: &ActiveSpan, name: &str, remote: &'static str) -> ActiveSpan {
        let mut span = self.span(Some(of.context()), name, Kind::Client, Some(remote));
        span.attributes.push(("peer.service", remote.to_owned()));
        ActiveSpan::begin(self, span)
    }

    /// Calls another service.
    pub(super) async fn call(
        self: &Arc<Self>,
        of: &ActiveSpan,
        service: &'static str,
        path: &str,
        timeout: Duration,
    ) -> Outcome {
        let name = format!("POST {path}");
        let mut span = ActiveSpan::begin(self, self.span(Some(of.context()), &name, Kind::Client, None));
        span.set("server.address", service);
        let Some(door) = self.street.door(service) else { return Outcome::Broken };
        let traceparent = span.context().traceparent();
        let headers = [(TRACEPARENT, traceparent.as_str())];
        let asked = tokio::time::timeout(timeout, door.post(path, &headers, Bytes::new())).await;
        let outcome = match asked {
            Err(_) => Outcome::TimedOut,
            Ok(Err(_)) => Outcome::Broken,
            Ok(Ok(answer)) => Outcome::Answered(answer.status),
        };
        match outcome {
            Outcome::TimedOut => span.throw("TimeoutError", &format!("{service} did not answer in time")),
            Outcome::Broken => span.fail("connection broke"),
            Outcome::Answered(status) => {
                span.set("http.response.status_code", status.as_u16().to_string());
                if status.is_server_error() {
                    span.fail(format!("{service} answered {status}"));
                }
            }
        }
        outcome
    }

    fn span(
        &self,
        parent: Option<SpanContext>,
        name: &str,
        kind: Kind,
        remote: Option<&'static str>,
    ) -> Span {
        let (trace, id) = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (random.random_range(1..=u128::MAX), random.random_range(1..=u64::MAX))
        };
        let trace = parent.map_or(TraceId(trace), |parent| parent.trace);
        let now_micros = self.now_micros();
        Span {
            origin: self.origin.clone(),
            context: SpanContext { trace, span: SpanId(id) },
            parent: parent.map(|parent| parent.span),
            name: name.to_owned(),
            kind,
            start_micros: now_micros,
            end_micros: now_micros,
            remote,
            attributes: Vec::new(),
            error: None,
            exception: None,
        }
    }

    pub(super) fn begun(&self, span: &Span) {
        self.exporter.begun(span);
    }

    pub(super) fn ended(&self, span: &Span) {
        if span.kind == Kind::Server {
            self.measures.served(self.name(), span.end_micros - span.start_micros, span.error.is_some());
        }
        self.exporter.send(span.clone());
    }

    /// Prints a line about a span.
    pub(super) fn print(
        &self,
        of: &ActiveSpan,
        level: Level,
        message: &str,
        fields: &[(&'static str, String)],
    ) {
        self.print_in(Some(of.context()), level, message, fields);
    }

    /// Prints a failure and where it came from.
    pub(super) fn print_failure(&self, of: &ActiveSpan, message: &str, fields: &[(&'static str, String)]) {
        self.print(of, Level::Error, message, fields);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in self.plan.style.frames() {
            let number = self.number(&log);
            self.write(&mut log, Stream::Stderr, &format!("{frame} seq={number}"));
        }
    }

    fn print_in(
        &self,
        context: Option<SpanContext>,
        level: Level,
        message: &str,
        fields: &[(&'static str, String)],
    ) {
        let entry =
            Entry { micros: self.now_micros(), level, service: self.name(), message, context, fields };
        let stream = if level == Level::Error { Stream::Stderr } else { Stream::Stdout };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let line = self.plan.style.line(&entry, &self.number(&log));
        self.write(&mut log, stream, &line);
    }

    /// What the next line is counted by.
    fn number(&self, log: &Log) -> String {
        format!("shop{}-{}", self.name(), log.printed.lines + 1)
    }

    fn write(&self, log: &mut Log, stream: Stream, line: &str) {
        // The runtime's clock is the node's, not the service's.
        match log.file.write(stream, line, self.clock.now_micros()) {
            Ok(wrote) => log.printed += wrote,
            Err(error) => tracing::warn!(service = self.name(), %error, "a line is not printed"),
        }
    }

    /// Whether payment may be called.
    pub(super) fn is_permitted(&self) -> bool {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_permitted, changed) = breaker.permit(Instant::now());
        drop(breaker);
        self.tell(changed);
        is_permitted
    }

    /// How a call to payment ended.
    pub(super) fn judge(&self, is_fine: bool) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = breaker.ended(is_fine, Instant::now());
        let state = breaker.state();
        drop(breaker);
        self.measures.breaker(state);
        self.tell(changed);
    }

    fn tell(&self, changed: Option<State>) {
        let Some(state) = changed else { return };
        self.measures.breaker(state);
        let level = if state == State::Open { Level::Error } else { Level::Warn };
        let message = format!("circuit breaker payment {}", state.name());
        self.print_in(None, level, &message, &[("state", state.name().to_owned())]);
    }

    pub(super) fn breaker_opened(&self) -> u64 {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).opened()
    }

    pub(super) fn printed(&self) -> Emitted {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).printed
    }
}
