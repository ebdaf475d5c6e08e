//! Finds files, follows them, and sends their lines to the event log: each
//! exactly once, as far as whoever reads the log counts by byte range. Takes
//! what clients push, and sends that, too.
//!
//! [`start`] runs an [`Agent`]. From the outside in: `find` walks the globs,
//! `watch` hears of changes, `reader` decides what to do next, `tail` is where
//! one file stands, `frame` turns its bytes into records, `join` makes one event of the lines
//! of a stack trace, `lane` makes batches,
//! `send` appends them, `checkpoint` keeps what must survive, `mark` says how
//! far the lane is complete. `receive` is the other way in, and `pipe` makes what
//! it takes as lines. `redact` replaces what is sensitive, on both ways.
//!
//! Nothing here acknowledges what is not durable: an acknowledged end moves
//! only when the event log has answered, and a source or a cut is in the
//! checkpoint before anything of it is sent.

mod agent;
mod attribute;
mod bell;
mod checkpoint;
mod config;
mod descriptor;
mod error;
mod files;
mod find;
mod frame;
mod identity;
mod inflate;
mod join;
mod keep;
mod kube;
mod lane;
mod limit;
mod mark;
mod metric;
mod parsers;
mod pipe;
mod reader;
mod receive;
mod redact;
mod root;
mod rotation;
mod send;
mod share;
mod status;
mod survey;
mod tail;
mod tap;
mod topics;
mod watch;

pub use agent::{Agent, Health, start};
pub use config::Config;
pub use error::{StartError, StopError};
pub use join::Multiline;
pub use kube::{Annotation, KubernetesConfig, KubernetesMode};
pub use limit::{LimitOverride, LimitsConfig, RateLimit};
pub use pipe::{Pipe, PipeBatch};
pub use receive::ReceiveConfig;
pub use redact::{
    Change, KeyLine, Outcome, RedactAction, RedactConfig, RedactPattern, Redaction, Redactor, Scratch,
};
pub use share::Share;
pub use survey::{Survey, survey};
pub use topics::AgentTopics;
