//! How far rows are stored, told to the group: a courtesy to tools that show
//! lag. Nothing waits for it and nothing depends on it.
//!
//! By a client of its own, made when there is something to tell: librdkafka
//! takes up no partition while a commit is under way, and a group that we may
//! not use, or whose coordinator is away, would hold up reading.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::Offset as RdOffset;
use rdkafka::consumer::{CommitMode, Consumer};

use super::contact::Contact;
use super::place::{self, Client};
use super::{KafkaConfig, settings};
use crate::{Offset, Partition};

/// What librdkafka is heard out for in one go.
const EVENTS: u32 = 64;

/// Tells the group.
pub(super) struct Lag {
    config: KafkaConfig,
    contact: Contact,
    /// None when it cannot be made: said once, and then nothing is told.
    client: OnceLock<Option<Arc<Client>>>,
    stored: Mutex<HashMap<Partition, Offset>>,
}

impl Lag {
    pub(super) fn new(config: KafkaConfig, contact: Contact) -> Self {
        Self { config, contact, client: OnceLock::new(), stored: Mutex::default() }
    }

    /// Remembers it, to be told with the next ones.
    pub(super) fn stored_to(&self, partition: &Partition, before: Offset) {
        self.stored().insert(partition.clone(), before);
    }

    /// Tells what is new. Blocks for a moment.
    pub(super) fn tell(&self) {
        // Not before it can arrive: librdkafka would gather them.
        if self.contact.is_away() {
            return;
        }
        let stored = std::mem::take(&mut *self.stored());
        if stored.is_empty() {
            return;
        }
        let Some(client) = self.client.get_or_init(|| self.make()) else { return };
        let offsets = stored.iter().map(|(partition, before)| {
            (partition, RdOffset::Offset(i64::try_from(before.0).unwrap_or(i64::MAX)))
        });
        let told = place::list(offsets).and_then(|list| client.commit(&list, CommitMode::Async));
        if let Err(error) = told {
            tracing::debug!(%error, group = self.config.group, "lag tools were not told how far rows are stored");
        }
    }

    /// Hears what librdkafka has to say about it.
    pub(super) fn serve(&self) {
        if let Some(Some(client)) = self.client.get() {
            for _ in 0..EVENTS {
                client.poll(Duration::ZERO);
            }
        }
    }

    fn make(&self) -> Option<Arc<Client>> {
        let client = settings::consumer(&self.config).map_err(|error| error.to_string()).and_then(|client| {
            place::consumer(&client, self.contact.clone()).map_err(|error| error.to_string())
        });
        client
            .inspect_err(|error| tracing::warn!(error, "lag tools will not be told how far rows are stored"))
            .ok()
    }

    fn stored(&self) -> MutexGuard<'_, HashMap<Partition, Offset>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
