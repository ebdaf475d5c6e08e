//! The vocabulary: one noun per file.

mod id;
mod range;
mod signal;
mod source;

pub use id::{AgentId, FileId, LayoutId, SourceId, TenantId, TenantIdError};
pub use range::{ByteRange, RangeSet};
pub use signal::Signal;
pub use source::{Counted, Drop, Source, drop_reason, flags, is_declared, parser};
