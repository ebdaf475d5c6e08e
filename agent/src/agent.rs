//! One agent's life: start, run, stop.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::sync::mpsc::{self, UnboundedSender};
use weir_runtime::{Clock, Handles, Shutdown, TaskError, Tasks};
use weir_stream::{Append, Partition};

use crate::attribute::Origin;
use crate::bell::{Bell, News, Stop};
use crate::checkpoint::Checkpoint;
use crate::descriptor;
use crate::find::Patterns;
use crate::kube::{self, Configured, Pods};
use crate::lane::Closed;
use crate::limit::Limiter;
use crate::metric::Measured;
use crate::parsers::Parsers;
use crate::reader::{Change, Reader};
use crate::receive::{Receivers, Surroundings};
use crate::redact::Redaction;
use crate::send::{Delivery, Sender, Trouble};
use crate::status::{self, Desk};
use crate::tail::Moment;
use crate::tap::{self, Tap};
use crate::watch::{self, Ear};
use crate::{AgentTopics, Config, StartError, StopError};

/// Tellings of losses that wait to be stored. When it is full, the next one
/// tells of more.
const LOSSES_WAITING: usize = 2;

/// A running agent. Dropping it ends it without waiting for acknowledgements;
/// nothing is lost by that.
#[derive(Debug)]
pub struct Agent {
    tasks: Tasks,
    bell: Arc<Bell>,
    pub(crate) receivers: Arc<Receivers>,
    tap: Arc<Tap>,
    pods: Option<Arc<Pods>>,
    configured: Configured,
    sending: Trouble,
    troubles: Vec<Trouble>,
    /// Nothing below is read.
    excluded: PathBuf,
}

/// What is wrong with an agent now. Cloning shares.
#[derive(Clone, Debug)]
pub struct Health {
    tasks: Tasks,
    troubles: Vec<Trouble>,
}

impl Health {
    /// Tells whether the agent does its work; the text says what keeps it.
    ///
    /// # Errors
    /// It failed, the event log takes nothing, or the checkpoint or a spool
    /// cannot be written. But for the first it goes on trying.
    pub fn check(&self) -> Result<(), String> {
        let problem = self.tasks.failure().or_else(|| self.troubles.iter().find_map(Trouble::text));
        problem.map_or(Ok(()), Err)
    }
}

/// Starts to read the configured files and to send them to one partition of
/// their topic, and to send what clients push to one of each. The state in
/// `state_dir` says what was sent before; it belongs to one process at a time.
/// When `handles.shutdown` begins, the agent stops reading and receiving, and
/// sends what it holds.
///
/// # Errors
/// Nothing was read and nothing was sent; see [`StartError`].
pub async fn start(
    config: Config,
    log: Arc<dyn Append>,
    topics: AgentTopics,
    state_dir: PathBuf,
    handles: Handles,
) -> Result<Agent, StartError> {
    let own_data = config.own_data.as_deref().unwrap_or(&state_dir);
    let excluded = std::path::absolute(own_data)
        .map_err(|source| StartError::StateDirectory { path: state_dir.clone(), source })?;
    let patterns = Patterns::new(&config.tail, &config.roots, &excluded)?;
    let limiter = Limiter::new(&config.limits)?;
    let measured = Measured::new(&handles.metrics);
    let redaction = Redaction::counted(&config.redact, |rule| measured.redacted(rule))?;
    let redaction = Arc::new(redaction);
    let kubernetes = kube::Question::of(&config)?;
    let configured = Configured::of(&config);
    let first_lines_wait = config.kubernetes.wait.0;
    let lock = in_background(move || Checkpoint::lock(&state_dir).map(|lock| (lock, state_dir))).await;
    let (lock, state_dir) = lock?;
    let topic = topics.logs.clone();
    let partitions = log.partitions(&topic).await.map_err(StartError::Log)?;
    if partitions == 0 {
        return Err(StartError::NoPartitions { topic: topic.to_string() });
    }
    let directory = state_dir.clone();
    let opened = in_background(move || Checkpoint::open(&directory, lock, partitions)).await;
    let (checkpoint, restored) = opened?;
    let head = checkpoint.head();
    tracing::info!(agent = %head.agent, partition = head.partition, files = restored.files.len(), "agent starts");

    let (watch, ear) = match watch::watch() {
        Ok((watch, ear)) => (Some(watch), Some(ear)),
        Err(error) => {
            tracing::warn!(
                %error, scan_interval = ?config.scan_interval,
                "the kernel cannot tell of changes: directories are looked at every scan_interval instead. \
                 If its instances ran out, raise the sysctl fs.inotify.max_user_instances"
            );
            (None, None)
        }
    };
    let mut origin = Origin::here(config.cluster.clone(), config.node.clone());
    origin.parsers = Parsers::new(&config.parsers)?;
    let tasks = Tasks::new("agent", handles.shutdown.clone());
    let receivers = Receivers::start(Surroundings {
        config: &config.receive,
        tenant: &config.tenant,
        origin: &origin,
        measured: &measured,
        redaction: &redaction,
        log: &log,
        topics: &topics,
        state_dir: &state_dir,
        tasks: &tasks,
        handles: &handles,
    });
    let receivers = Arc::new(receivers.await?);
    let (tap, (told, losses)) = (Arc::<Tap>::default(), mpsc::channel(LOSSES_WAITING));
    let own = origin.clone();
    let bell = Arc::new(Bell::default());
    // Ends the listeners together with the reader, for whatever reason.
    let ended = Shutdown::new();
    let pods = kubernetes.map(|question| question.follow(&tasks, &ended, &bell, &measured));
    let reader = Reader::new(config, patterns, origin, measured.clone(), checkpoint, restored, watch)?;
    let reader = reader.holding(descriptor::allowance()).limited(limiter, told);
    let reader = reader.redacting(redaction).tapped(Arc::clone(&tap));
    let reader = match &pods {
        Some(pods) => reader.knowing(Arc::clone(pods), first_lines_wait, Duration::ZERO),
        None => reader,
    };

    let (sending, saving) = (Trouble::default(), Trouble::default());
    let (batches, received) = mpsc::unbounded_channel();
    let delivery = Delivery {
        log,
        partition: Partition::new(topic, head.partition),
        measured,
        trouble: sending.clone(),
    };
    let sender =
        Sender { delivery, batches: received, bell: Arc::clone(&bell), clock: handles.clock.clone() };
    tasks.spawn("send", async move { sender.run().await.map_err(TaskError::from) });
    let reading =
        Reading { reader, bell: Arc::clone(&bell), batches, clock: handles.clock, saving: saving.clone() };
    let reader_ended = ended.clone();
    tasks.spawn("read", async move {
        let _ends = EndsOnDrop(reader_ended);
        tokio::task::spawn_blocking(move || reading.run()).await.map_err(TaskError::from)
    });
    let (listening, shutdown) = (Arc::clone(&bell), handles.shutdown.clone());
    tasks.spawn("listen", async move {
        listen(ear, &listening, &shutdown, &ended).await;
        Ok(())
    });
    let (told, shutdown) = (Arc::clone(&receivers), handles.shutdown);
    tasks.spawn("receive", async move {
        told.until(&shutdown).await;
        Ok(())
    });
    let telling = Arc::clone(&receivers);
    tasks.spawn("tell", async move {
        telling.say(&own, losses).await;
        Ok(())
    });
    let troubles =
        [saving, sending.clone()].into_iter().chain(receivers.troubles().iter().cloned()).collect();
    Ok(Agent { tasks, bell, receivers, tap, pods, configured, sending, troubles, excluded })
}

impl Agent {
    /// The receivers' routes, and those that tell how the agent stands.
    pub fn router(&self) -> Router {
        let desk = Desk {
            bell: Arc::clone(&self.bell),
            receivers: Arc::clone(&self.receivers),
            sending: self.sending.clone(),
            pods: self.pods.clone(),
            configured: self.configured.clone(),
        };
        self.receivers.router().merge(status::router(desk)).merge(tap::router(Arc::clone(&self.tap)))
    }

    /// Goes on by another configuration, as far as [`Config::LIVE`] says; the rest
    /// of it is not looked at. No file that is meant before and after is
    /// touched.
    ///
    /// # Errors
    /// Something in it cannot be understood; nothing has changed then.
    pub fn reconfigure(&self, config: &Config) -> Result<(), StartError> {
        self.bell.change(Change::new(config.clone(), &self.excluded)?);
        self.configured.change(config);
        Ok(())
    }

    /// Stops reading and receiving, sends what is framed or spooled, waits until it is durable, writes
    /// the checkpoint, and ends. The lane stays: the agent is expected back.
    ///
    /// # Errors
    /// What was not acknowledged is read again at the next start.
    pub async fn stop(self, deadline: Duration) -> Result<(), StopError> {
        self.end(Stop::Drain, deadline).await
    }

    /// The same, and says goodbye: the lanes retire and no answer waits for them.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn retire(self, deadline: Duration) -> Result<(), StopError> {
        self.end(Stop::Goodbye, deadline).await
    }

    /// What keeps it from doing its work, now and later.
    pub fn health(&self) -> Health {
        Health { tasks: self.tasks.clone(), troubles: self.troubles.clone() }
    }

    async fn end(self, how: Stop, deadline: Duration) -> Result<(), StopError> {
        self.stop_all(how);
        let pending = self.tasks.join(deadline).await;
        self.stop_all(Stop::Abandon);
        match self.tasks.failure() {
            Some(failure) => Err(StopError::Failed(failure)),
            None if pending.is_empty() => Ok(()),
            None => Err(StopError::Deadline),
        }
    }

    fn stop_all(&self, how: Stop) {
        self.tap.close();
        self.receivers.stop(how);
        self.bell.stop(how);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop_all(Stop::Abandon);
    }
}

/// The reading thread.
struct Reading {
    reader: Reader,
    bell: Arc<Bell>,
    batches: UnboundedSender<Closed>,
    clock: Clock,
    saving: Trouble,
}

impl Reading {
    fn run(mut self) {
        let began = Instant::now();
        let clock = self.clock.clone();
        let now = || Moment { wall: clock.now_micros(), steady: began.elapsed() };
        let mut wait = Duration::ZERO;
        let how = loop {
            let news = self.hear(wait);
            if let Some(how) = news.stop {
                break how;
            }
            if let Some(change) = news.change {
                self.reader.reconfigure(*change);
            }
            let turn = self.reader.turn(now(), &news.heard);
            self.saving.set(self.reader.problem().map(str::to_owned));
            self.send(turn.batches);
            wait = turn.wait;
        };
        if how != Stop::Abandon {
            self.drain(how, now);
        }
        self.reader.end(now());
    }

    /// Waits until everything that was framed is durable, or nobody sends any
    /// more, or the wait is called off.
    fn drain(&mut self, how: Stop, now: impl Fn() -> Moment) {
        let batches = self.reader.finish(now(), how == Stop::Goodbye);
        self.send(batches);
        while !self.reader.is_acknowledged() && !self.batches.is_closed() {
            if self.hear(Duration::from_millis(100)).stop == Some(Stop::Abandon) {
                return;
            }
            let batches = self.reader.finish(now(), false);
            self.send(batches);
        }
    }

    fn hear(&mut self, wait: Duration) -> News {
        let mut news = self.bell.wait(wait);
        for _ in 0..news.acknowledged {
            self.reader.acknowledged();
        }
        for asker in news.asked.drain(..) {
            // Who went away does not want to know.
            let _ = asker.send(self.reader.status());
        }
        news
    }

    fn send(&self, batches: impl IntoIterator<Item = Closed>) {
        for closed in batches {
            // Without a sender the agent is ending, and is told so.
            let _ = self.batches.send(closed);
        }
    }
}

struct EndsOnDrop(Shutdown);

impl Drop for EndsOnDrop {
    fn drop(&mut self) {
        self.0.begin();
    }
}

/// Passes on what the kernel tells, and the process's shutdown.
async fn listen(ear: Option<Ear>, bell: &Bell, shutdown: &Shutdown, ended: &Shutdown) {
    let hearing = async {
        if let Some(ear) = ear
            && let Err(error) = ear.listen(bell).await
        {
            tracing::warn!(%error, "the kernel no longer tells of changes, scanning finds them later");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = hearing => {}
        () = shutdown.begun() => bell.stop(Stop::Drain),
        () = ended.begun() => {}
    }
}

pub(crate) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("work on the state does not panic")
}
