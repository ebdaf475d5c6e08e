//! Takes what clients push: OTLP over gRPC and HTTP, Zipkin's spans, and the
//! lines of `weir ship` and `weir run`.
//!
//! ```text
//! body -> message -> redacted -> columns -> spool (fsync) -> answer
//!                                 |
//!                                 +-> event log -> trim
//! ```
//!
//! An answer of success is given once the event is durable in this host's
//! spool, so a client never waits for the event log, and a client that was
//! answered need not send again. What the spool holds is already the message
//! that the event log gets.
//!
//! From the outside in: `http`, `grpc`, `zipkin` and `lines` speak the protocols, `door`
//! decides what is let in, `spool` makes it durable, `forward` sends it on,
//! `identity` is what must survive. Each signal has a spool and a lane of its
//! own, so one that is behind holds up no other.
//!
//! | died | a restart sees |
//! |---|---|
//! | before the spool's sync | nothing, or the event: nobody was answered, the client may repeat it |
//! | after the sync, before the answer | the event: the same |
//! | after an append to the event log, before the position was written | it is sent again, and dropped by its number |
//! | after the position, before the trim | a spool that is trimmed later |

mod body;
mod config;
mod door;
mod forward;
mod grpc;
mod http;
mod identity;
mod lines;
mod metric;
mod own;
mod refusal;
mod spool;
mod zipkin;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use tokio::sync::{mpsc, watch};
use weir_proto::model::{ByteRange, Counted, Signal, Source, TenantId};
use weir_runtime::{ByteSize, Handles, Shutdown, TaskError, Tasks};
use weir_stream::disk::files::{Files, SystemFiles};
use weir_stream::disk::{DiskConfig, DiskLog};
use weir_stream::{Append, Offset, Partition, Subscribe, Topic};

pub use config::ReceiveConfig;

use crate::attribute::Origin;
use crate::bell::Stop;
use crate::limit::Loss;
use crate::metric::Measured;
use crate::redact::Redaction;
use crate::send::{Delivery, Trouble};
use crate::{AgentTopics, StartError};
use door::{Door, Inlet};
use forward::Forwarder;
use identity::Lanes;
use metric::Received;
use spool::{Backlog, Numbering, Writer};

/// A spool's segment, bytes. Whole ones are what trimming gives back, so a small spool
/// has smaller ones.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENTS_PER_SPOOL: u64 = 8;

/// What was just written is sent on from memory.
const TAIL_BYTES: ByteSize = ByteSize::mib(8);

/// The receivers of an agent.
#[derive(Debug)]
pub(crate) struct Receivers {
    door: Arc<Door>,
    stop: watch::Sender<Option<Stop>>,
    troubles: Vec<Trouble>,
}

/// How one signal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpoolStatus {
    pub(crate) signal: Signal,
    /// Bytes that the event log does not have.
    pub(crate) bytes: u64,
    /// How many there may be.
    pub(crate) bytes_max: u64,
    /// Records stored by this process.
    pub(crate) records: u64,
    /// Records that could not be stored.
    pub(crate) rejected: u64,
    /// Records left out by sampling.
    pub(crate) sampled: u64,
}

/// What receivers need of the agent around them.
pub(crate) struct Surroundings<'a> {
    pub(crate) config: &'a ReceiveConfig,
    pub(crate) tenant: &'a TenantId,
    pub(crate) origin: &'a Origin,
    pub(crate) measured: &'a Measured,
    pub(crate) redaction: &'a Redaction,
    pub(crate) log: &'a Arc<dyn Append>,
    pub(crate) topics: &'a AgentTopics,
    /// The agent's state directory, which is locked.
    pub(crate) state_dir: &'a Path,
    pub(crate) tasks: &'a Tasks,
    pub(crate) handles: &'a Handles,
}

impl Receivers {
    /// Opens the spools, and goes on sending what they hold.
    pub(crate) async fn start(around: Surroundings<'_>) -> Result<Self, StartError> {
        let Surroundings {
            config,
            tenant,
            origin,
            measured,
            redaction,
            log,
            topics,
            state_dir,
            tasks,
            handles,
        } = around;
        let directory = state_dir.join("receive");
        let mut partitions = Vec::with_capacity(Signal::ALL.len());
        for signal in Signal::ALL {
            let topic = topics.of(signal);
            let count = log.partitions(topic).await.map_err(StartError::Log)?;
            if count == 0 {
                return Err(StartError::NoPartitions { topic: topic.to_string() });
            }
            partitions.push((signal, count));
        }
        let (opened, handed, spool_bytes) = (directory.clone(), handles.clone(), config.spool_bytes.0);
        let opening = move || open(Arc::new(SystemFiles), &opened, &partitions, spool_bytes, &handed);
        let (spools, mut lanes) = crate::agent::in_background(opening).await?;
        let spools = Arc::new(spools);
        lanes.check(&spools.reader()).await?;

        let received = Received::new(&handles.metrics);
        let stop = watch::Sender::new(None);
        let mut inlets = Vec::with_capacity(Signal::ALL.len());
        let mut troubles = Vec::new();
        let lanes = Arc::new(lanes);
        for signal in Signal::ALL {
            let lane = lanes.lane(signal);
            let spool = Partition::new(spool_topic(signal), 0);
            let reader = Arc::new(spools.reader());
            let ends = reader.watermarks(&spool).await.map_err(StartError::SpoolRead)?;
            let backlog = Backlog::new(config.spool_bytes.0, received.spool_bytes(signal));
            backlog.restore(&*reader, &spool, Offset(lane.forwarded), ends.end).await?;
            let (queue, arrivals) = spool::queue();
            let (spooling, sending) = (Trouble::default(), Trouble::default());
            let source = Source {
                id: lane.source,
                resource: resource(origin, signal),
                parser: String::new(),
                min_severity: None,
                covered: ByteRange::new(0, 0),
                drops: Vec::new(),
                counted: None,
            };
            let numbering = Numbering { tenant: tenant.clone(), agent: lanes.agent(), source };
            let (writes, writing) = watch::channel(());
            let writer = Writer {
                spool: Arc::clone(&spools) as Arc<dyn Append>,
                partition: spool.clone(),
                numbering: Arc::new(numbering.clone()),
                next: ends.end,
                counted: Counted::from(spool::numbers(ends.end.0).start),
                arrivals,
                backlog: backlog.clone(),
                clock: handles.clock.clone(),
                trouble: spooling.clone(),
            };
            tasks.spawn("spool", async move {
                let _writes = writes;
                writer.run().await.map_err(TaskError::from)
            });
            let forwarder = Forwarder {
                signal,
                reader,
                spool,
                delivery: Delivery {
                    log: Arc::clone(log),
                    partition: Partition::new(topics.of(signal).clone(), lane.partition),
                    measured: measured.clone(),
                    trouble: sending.clone(),
                },
                numbering,
                from: Offset(lane.forwarded),
                lanes: Arc::clone(&lanes),
                backlog: backlog.clone(),
                clock: handles.clock.clone(),
                received: received.clone(),
                stop: stop.subscribe(),
                writing,
            };
            tasks.spawn("forward", async move { forwarder.run().await.map_err(TaskError::from) });
            inlets.push(Inlet::new(queue, backlog));
            troubles.extend([spooling, sending]);
        }
        let door = Door::new(config, inlets, handles.clock.clone(), received).redacting(redaction.base());
        let door = Arc::new(door);
        Ok(Self { door, stop, troubles })
    }

    /// The routes of all protocols.
    pub(crate) fn router(&self) -> Router {
        let pushed = http::routes(&self.door).merge(zipkin::routes(&self.door));
        pushed.merge(grpc::routes(&self.door)).merge(lines::routes(&self.door))
    }

    /// How each signal stands.
    pub(crate) fn spools(&self) -> impl Iterator<Item = SpoolStatus> {
        self.door.spools()
    }

    /// Stores what the agent itself has to say, until nobody says anything.
    pub(crate) async fn say(&self, origin: &Origin, losses: mpsc::Receiver<Vec<Loss>>) {
        own::say(&self.door, origin, losses).await;
    }

    /// What keeps the receivers from their work.
    pub(crate) fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// Waits for the process's shutdown and lets nothing more in then; ends when
    /// stopped otherwise. How the lanes end is for [`Self::stop`] to say: a lane
    /// that ended before would owe its goodbye.
    pub(crate) async fn until(&self, shutdown: &Shutdown) {
        let mut stopped = self.stop.subscribe();
        tokio::select! {
            () = shutdown.begun() => self.door.close(),
            _ = stopped.wait_for(Option::is_some) => {}
        }
    }

    /// Lets nothing more in; what was let in is answered and sent on. A harder
    /// word replaces a softer one.
    pub(crate) fn stop(&self, how: Stop) {
        self.door.close();
        self.stop.send_modify(|held| *held = (*held).max(Some(how)));
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.stop(Stop::Abandon);
    }
}

/// The topic of a signal's spool; it has one partition.
fn spool_topic(signal: Signal) -> Topic {
    Topic::new(signal.as_str()).expect("a signal's word is a topic's name")
}

/// What must survive, made where it is missing: everything about it is durable
/// when this returns.
fn open(
    files: Arc<dyn Files>,
    directory: &Path,
    partitions: &[(Signal, u32)],
    spool_bytes: u64,
    handles: &Handles,
) -> Result<(DiskLog, Lanes), StartError> {
    let config = DiskConfig {
        dir: directory.join("spool"),
        segment_bytes: ByteSize(
            (spool_bytes / SEGMENTS_PER_SPOOL).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        ),
        tail_bytes: TAIL_BYTES,
        queue_bytes: ByteSize::mib(8),
        // An answer means that it is on disk, and what was sent on is not kept.
        ..DiskConfig::default()
    };
    // The event log of the same process counts under the same names.
    let handles = Handles { metrics: weir_runtime::Metrics::default(), ..handles.clone() };
    let spools = DiskLog::open_on(files.clone(), config, &handles).map_err(StartError::Spool)?;
    for signal in Signal::ALL {
        spools.ensure_topic(&spool_topic(signal), 1).map_err(StartError::Spool)?;
    }
    let lanes = Lanes::open(files, &directory.join("lanes.json"), partitions)?;
    Ok((spools, lanes))
}

/// What the delivery table says of a spool.
fn resource(origin: &Origin, signal: Signal) -> Vec<(String, String)> {
    let attributes = [
        ("host.name", origin.host.clone()),
        ("k8s.cluster.name", origin.cluster.clone()),
        ("k8s.node.name", origin.node.clone()),
        ("weir.source", Some(format!("receiver/{signal}"))),
    ];
    attributes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
