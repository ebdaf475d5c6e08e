//! Rules, state, people.
//!
//! A rule asks a question over and over, or waits for log lines that match. What
//! it finds are *instances*, told apart by their labels; each is pending, then
//! firing, then resolved. State and what is to be told change in one
//! transaction of alerting's own database; who is told, and how often it is
//! tried, is the outbox's.
//!
//! ```text
//! rule -> question -> samples -> instances -> transitions -> outbox -> mail, webhook
//! ```
//!
//! Where answers come from is somebody else's: a [`Source`].

mod api;
mod book;
mod config;
mod deliver;
mod error;
mod evaluate;
mod harmless;
mod instance;
mod label;
mod metric;
mod notify;
mod outgoing;
mod role;
mod route;
mod rule;
mod source;
mod store;
mod template;
mod time;
mod watch;

pub use config::{Config, EmailConfig, Receiver, Route, SmtpConfig, SmtpTls, SubRoute, WebhookConfig};
pub use error::{RuleError, SourceError, StartError, StoreError};
pub use role::{Alerting, start};
pub use rule::{Condition, LogCondition, Rule, RuleSet, SqlCondition};
pub use source::{Answer, Source, http::HttpSource};
