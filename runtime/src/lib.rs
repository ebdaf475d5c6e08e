//! How a process lives. Knows no event, no table, no query.
//!
//! [`Tasks`] is the only spawner: every task has a name and an owner.
//! [`Shutdown`] tells them to end. [`Clock`] is where time comes from.
//! [`Metrics`] is what Weir says about itself in numbers, [`telemetry`] in
//! words. [`config`] reads what was written. [`server`] and [`unix`] speak
//! HTTP, [`admin`] answers for the process, [`child`] and [`limit`] keep a
//! second one within bounds. [`failpoint`] is where tests make it fail, [`planted`] where
//! they make it wrong. [`create_durably`] is where state begins to be kept.

pub mod admin;
pub mod child;
mod clock;
pub mod config;
mod directory;
pub mod failpoint;
pub mod limit;
mod metrics;
pub mod planted;
mod quantity;
pub mod server;
mod shutdown;
pub mod signal;
mod task;
pub mod telemetry;
pub mod unix;

pub use clock::Clock;
pub use directory::{create_durably, is_not_ours_to_sync};
pub use metrics::Metrics;
pub use quantity::{ByteSize, HumanDuration, QuantityError};
pub use shutdown::Shutdown;
pub use task::{TaskError, Tasks};

/// What the root hands to every role: the process it lives in.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Spawns and owns the role's tasks.
    pub tasks: Tasks,
    /// Told when to end.
    pub shutdown: Shutdown,
    /// Tells the time.
    pub clock: Clock,
    /// Takes the role's metrics.
    pub metrics: Metrics,
}

impl Handles {
    /// Handles of their own for a role or a test, on the system clock.
    pub fn new(name: &'static str) -> Self {
        let shutdown = Shutdown::new();
        Self {
            tasks: Tasks::new(name, shutdown.clone()),
            shutdown,
            clock: Clock::system(),
            metrics: Metrics::new(),
        }
    }

    /// The same process seen by a part of it: own tasks and own shutdown, both
    /// ended with the parent's; clock and metrics shared.
    pub fn child(&self, name: &'static str) -> Self {
        let shutdown = self.shutdown.child();
        Self {
            tasks: Tasks::new(name, shutdown.clone()),
            shutdown,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        }
    }
}
