//! Following a collection of the API server: list it, then watch it from the
//! version that the list has, for ever.
//!
//! | what happens | what is done |
//! |---|---|
//! | the watch ends in order, or is silent for long | watched again from the last version seen |
//! | the connection is cut, even inside a line | the same, after a while |
//! | 410 Gone, as a status or as an event | listed anew; if the new list is too old as well, one that is exact |
//! | 401, 403, 429, 500, nobody listens | asked again, ever more seldom, with what credentials there are then |
//! | an object that makes no sense | passed over, counted |
//! | a line that makes no sense | as if cut; at the same place again: listed anew |
//!
//! An event may come twice: what is told of an object replaces what was known.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::Instant;
use weir_runtime::telemetry::error_chain;

use super::client::{AskError, Client, Status};
use super::object::{Bare, Event, Object, Page};
use crate::metric::Measured;

/// Objects that are asked for at once.
const PAGE_OBJECTS: usize = 500;

/// The most pages of one list.
const PAGES_MAX: usize = 1_000;

/// The longest page. An API server may take the limit of objects for none.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// The longest line of a watch: an object has at most 1.5 MiB where it is
/// stored, and somewhat more as JSON.
const LINE_BYTES_MAX: usize = 16 << 20;

/// A buffer that grew for a large object is given back.
const BUFFER_BYTES: usize = 64 << 10;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    /// The first wait after a failure.
    pub(super) backoff: Duration,
    /// The longest.
    pub(super) backoff_max: Duration,
    /// How long the server shall let a watch last.
    pub(super) watch: Duration,
    /// A watch that says nothing for this long is begun again. Bookmarks come
    /// about once a minute.
    pub(super) silence: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            watch: Duration::from_secs(300),
            silence: Duration::from_secs(150),
        }
    }
}

/// Keeps what is told of a collection.
pub(super) trait Keep<O>: Sync {
    /// These are all there are.
    fn replace(&self, all: Vec<O>);
    /// One is new, or changed.
    fn put(&self, object: O);
    /// One is no more.
    fn remove(&self, object: O);
    /// The collection cannot be followed at present; nothing: it can.
    fn trouble(&self, trouble: Option<&FollowError>);
}

/// Why a collection cannot be followed at present.
#[derive(Debug, Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the watch was cut off inside a line")]
    Cut,
    #[error("the watch says {0:?}, which is no event")]
    NoEvent(String),
    #[error("the watch has a line of more than {LINE_BYTES_MAX} bytes")]
    LongLine,
    #[error("the watch ended at once")]
    Brief,
    #[error("the watch says {code}: {message}")]
    Told { code: u16, message: String },
    #[error("the list is none")]
    NoList(#[source] serde_json::Error),
    #[error("the list has more than {PAGES_MAX} pages")]
    LongList,
}

impl FollowError {
    fn is_expired(&self) -> bool {
        match self {
            Self::Ask(error) => error.status() == Some(StatusCode::GONE),
            Self::Told { code, .. } => *code == StatusCode::GONE.as_u16(),
            _ => false,
        }
    }

    /// True when the server answered that this is not to be had.
    pub(super) fn is_refusal(&self) -> bool {
        let status = match self {
            Self::Ask(error) => error.status(),
            _ => None,
        };
        matches!(status, Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED))
    }
}

/// Follows one collection.
pub(super) struct Follower<'a, O> {
    pub(super) client: &'a Client,
    /// What of it, as a part of a query: `fieldSelector=...&`, or nothing.
    pub(super) selector: &'a str,
    pub(super) keep: &'a dyn Keep<O>,
    pub(super) tempo: Tempo,
    pub(super) measured: &'a Measured,
}

/// Where the following goes on.
#[derive(Debug, Default)]
struct Place {
    /// The last version that was told of; nothing: list first.
    version: Option<String>,
    /// The list must be no older than what is stored.
    exact: bool,
    /// Something was told since the last list.
    moved: bool,
    /// The line that comes next made no sense.
    stumbled: bool,
}

impl<O: Object> Follower<'_, O> {
    /// Follows until it is dropped.
    pub(super) async fn run(&self) {
        let mut place = Place::default();
        let mut wait = self.tempo.backoff;
        loop {
            let began = Instant::now();
            let outcome = match place.version.clone() {
                None => self.list(&mut place).await,
                Some(version) => self.watch(version, &mut place).await,
            };
            let was_brief = began.elapsed() < self.tempo.backoff;
            let outcome = match outcome {
                Ok(Watched::Over) if was_brief && !place.moved => Err(FollowError::Brief),
                other => other,
            };
            // A list alone is no progress: what it leads to may fail again and again.
            if place.moved || matches!(outcome, Ok(Watched::Over)) {
                wait = self.tempo.backoff;
            }
            let Err(error) = outcome else {
                place.moved = false;
                self.keep.trouble(None);
                continue;
            };
            let expired = error.is_expired();
            if expired || matches!(error, FollowError::Ask(AskError::TooLong { .. })) {
                // The list itself was too old, or too long to come as one.
                place.exact = !place.moved;
                (place.version, place.stumbled) = (None, false);
            }
            if matches!(error, FollowError::NoEvent(_) | FollowError::LongLine)
                && std::mem::replace(&mut place.stumbled, true)
            {
                (place.version, place.stumbled) = (None, false);
            }
            let retry_after = match &error {
                FollowError::Ask(error) => error.retry_after(),
                _ => None,
            };
            if expired && place.moved {
                // As it should be after a long absence.
                place.moved = false;
                continue;
            }
            place.moved = false;
            self.measured.failed("kubernetes");
            self.keep.trouble(Some(&error));
            tokio::time::sleep(retry_after.unwrap_or_default().max(jittered(wait))).await;
            wait = (wait * 2).min(self.tempo.backoff_max);
        }
    }

    /// Reads all pages.
    async fn list(&self, place: &mut Place) -> Result<Watched, FollowError> {
        let (path, selector) = (O::PATH, self.selector);
        let mut objects = Vec::new();
        let mut next = String::new();
        self.measured.kubernetes_lists.inc();
        for _ in 0..PAGES_MAX {
            // What the server has in memory is new enough to begin with, and
            // costs it little; the watch brings the rest.
            let from = match (next.is_empty(), place.exact) {
                (true, false) => "resourceVersion=0&".to_owned(),
                (true, true) => String::new(),
                (false, _) => format!("continue={}&", escaped(&next)),
            };
            let page = format!("{path}?{selector}{from}limit={PAGE_OBJECTS}");
            let page = self.client.read(&page, PAGE_BYTES_MAX).await?;
            let page: Page<'_> = serde_json::from_slice(&page).map_err(FollowError::NoList)?;
            objects.extend(page.items.unwrap_or_default().into_iter().filter_map(|item| self.decode(item)));
            next = page.metadata.r#continue;
            if next.is_empty() {
                self.keep.replace(objects);
                *place = Place { version: Some(page.metadata.resource_version), ..Place::default() };
                return Ok(Watched::Listed);
            }
        }
        Err(FollowError::LongList)
    }

    async fn watch(&self, version: String, place: &mut Place) -> Result<Watched, FollowError> {
        let Tempo { watch, silence, .. } = self.tempo;
        let (path, selector) = (O::PATH, self.selector);
        let path = format!(
            "{path}?{selector}watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            escaped(&version),
            // So that not all agents come back at once.
            (watch / 2 + jittered(watch / 2)).as_secs().max(1),
        );
        let mut answer = self.client.ask(&path).await?;
        self.keep.trouble(None);
        let mut lines = Lines::default();
        loop {
            let piece = match self.client.piece(&mut answer, silence).await {
                Err(AskError::Silent { .. }) => return Ok(Watched::Over),
                other => other?,
            };
            let Some(piece) = piece else {
                return if lines.is_empty() { Ok(Watched::Over) } else { Err(FollowError::Cut) };
            };
            lines.push(&piece)?;
            while let Some(line) = lines.next() {
                self.event(line, place)?;
            }
        }
    }

    fn event(&self, line: &[u8], place: &mut Place) -> Result<(), FollowError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let no_event = || {
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            FollowError::NoEvent(shown)
        };
        let event: Event<'_> = serde_json::from_slice(line).map_err(|_| no_event())?;
        match event.kind.as_str() {
            "ADDED" | "MODIFIED" => {
                if let Some(object) = self.decode(event.object) {
                    self.keep.put(object);
                }
            }
            "DELETED" => {
                if let Some(object) = self.decode(event.object) {
                    self.keep.remove(object);
                }
            }
            "BOOKMARK" => {}
            "ERROR" => {
                let told: Status = serde_json::from_str(event.object.get()).unwrap_or_default();
                return Err(FollowError::Told { code: told.code, message: told.message });
            }
            // A later Kubernetes may know more.
            other => {
                tracing::debug!(kind = O::KIND, event = other, "an unknown event is passed over");
                self.measured.failed("kubernetes_event");
                return Ok(());
            }
        }
        self.measured.kubernetes_events.inc();
        let Bare { metadata } = serde_json::from_str(event.object.get()).unwrap_or_default();
        if !metadata.resource_version.is_empty() {
            place.version = Some(metadata.resource_version);
        }
        (place.moved, place.stumbled) = (true, false);
        Ok(())
    }

    /// One object that makes no sense must not keep all others from being known.
    fn decode(&self, object: &RawValue) -> Option<O> {
        match serde_json::from_str(object.get()) {
            Ok(object) => Some(object),
            Err(error) => {
                self.measured.failed("kubernetes_object");
                tracing::warn!(kind = O::KIND, %error, "an object of the API server makes no sense");
                None
            }
        }
    }
}

/// How a request ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Listed,
    Over,
}

/// Lines of a body that comes in pieces.
#[derive(Debug, Default)]
struct Lines {
    held: Vec<u8>,
    /// What was given out.
    taken: usize,
    /// No line ends before.
    searched: usize,
}

impl Lines {
    fn push(&mut self, piece: &[u8]) -> Result<(), FollowError> {
        self.held.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        if self.held.is_empty() && self.held.capacity() > BUFFER_BYTES {
            self.held = Vec::new();
        }
        if self.held.len() + piece.len() > LINE_BYTES_MAX {
            return Err(FollowError::LongLine);
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    fn next(&mut self) -> Option<&[u8]> {
        let Some(found) = memchr::memchr(b'\n', &self.held[self.searched..]) else {
            self.searched = self.held.len();
            return None;
        };
        let (start, end) = (self.taken, self.searched + found);
        (self.taken, self.searched) = (end + 1, end + 1);
        Some(&self.held[start..end])
    }

    fn is_empty(&self) -> bool {
        self.held[self.taken..].trim_ascii().is_empty()
    }
}

/// Between nothing and `most`.
fn jittered(most: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    most / 10 + most * u32::try_from(random).unwrap_or(0) / 1_111
}

/// Text as a value in a query.
pub(super) fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The error with its causes, in one line.
pub(super) fn told(error: &FollowError) -> String {
    error_chain(error)
}
