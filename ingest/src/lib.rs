//! From log positions to committed files, exactly once.
//!
//! A reader a partition ([`start`]) takes messages from the event log, drops
//! what is covered already, parses the rest into columns and holds it as live
//! rows. A flush turns all live rows into files and publishes them together
//! with the offsets and ranges that they cover, in one transaction.
//!
//! Several ingesters share the partitions: each announces itself in the catalog,
//! all plan alike who should have what, and a lease decides who has it.
//!
//! The ingester decides about positions and never about content: an equal line
//! is a new line.

mod accept;
mod backoff;
mod columns;
mod commit;
mod config;
mod dead_letter;
mod discovery;
mod error;
mod flush;
mod gaps;
mod health;
mod lane;
mod ledger;
mod live;
mod matches;
mod member;
mod memory;
mod metrics;
mod parse;
mod partition;
mod plan;
mod role;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use dead_letter::{
    DeadLetters, Found, Letter, LetterError, LetterId, LettersError, header_name, letters_in, letters_on,
};
pub use error::StartError;
pub use health::Health;
pub use matches::LogRule;
pub use member::MemberIdentity;
pub use role::{Ingest, start};
