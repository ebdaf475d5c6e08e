//! What keeps the ingester from doing its work, for `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is wrong now, by part. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

impl Health {
    /// Fine, or everything that is wrong.
    ///
    /// # Errors
    /// What is wrong, where, and what to do about it.
    pub fn check(&self) -> Result<(), String> {
        let wrong: Vec<String> = self.lock().iter().map(|(part, why)| format!("{part}: {why}")).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// True when this was not known, so that it is logged once.
    pub(crate) fn wrong(&self, part: &str, why: &str) -> bool {
        self.lock().insert(part.to_owned(), why.to_owned()).is_none_or(|held| held != why)
    }

    pub(crate) fn fine(&self, part: &str) {
        self.lock().remove(part);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
