//! The word that ends a process, passed down to its parts.

use tokio_util::sync::CancellationToken;

/// Told once, heard by everyone who holds it, and by its children.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not yet told.
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that hears the parent's word and can be ended before it.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Says the word. Saying it again changes nothing.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// True once it was said.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the word.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}
