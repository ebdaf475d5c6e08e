//! A durable, partitioned, ordered sequence of records: the event log.
//!
//! It moves bytes and knows no event. [`Append`] is the producing side: it
//! answers when the records are durable. [`Subscribe`] is the consuming side:
//! it reads from explicit offsets. There are no consumer groups and no offset
//! commit: who reads what from where stands in the catalog.
//!
//! [`disk`] is the log on a local disk, for one host; [`kafka`] the one on
//! Apache Kafka, for many.

mod append;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod disk;
mod error;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod limit;
mod record;
mod subscribe;

pub use append::Append;
pub use error::{AppendError, ReadError};
pub use record::{Offset, Partition, Record, StoredRecord, Topic, TopicError};
pub use subscribe::{ReadLimit, Subscribe, Watermarks};
