//! What an operator may choose about the log on disk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weir_runtime::ByteSize;

/// Configuration of the event log on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// Where the log lies. One process writes to it; it must be a local disk.
    pub dir: PathBuf,
    /// A segment is closed before it would pass this size. Only whole segments
    /// are deleted, so this is also how finely space is given back.
    pub segment_bytes: ByteSize,
    /// The newest records kept in memory for readers in the same process, over
    /// all partitions. Whoever is further behind reads the disk.
    pub tail_bytes: ByteSize,
    /// Records waiting to be written, over all partitions. When full, appends
    /// wait.
    pub queue_bytes: ByteSize,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("weir-data/log"),
            segment_bytes: ByteSize::mib(128),
            tail_bytes: ByteSize::mib(64),
            queue_bytes: ByteSize::mib(64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_have_defaults_and_unknown_keys_are_refused() {
        let config: DiskConfig = serde_json::from_str(r#"{"segment_bytes":"1MiB"}"#).unwrap();
        assert_eq!(config, DiskConfig { segment_bytes: ByteSize::mib(1), ..DiskConfig::default() });
        let error = serde_json::from_str::<DiskConfig>(r#"{"segment_byte":"1MiB"}"#).unwrap_err();
        assert!(error.to_string().contains("segment_byte"), "{error}");
    }
}
