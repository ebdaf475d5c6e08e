//! What an operator may choose about the log on disk.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_runtime::{ByteSize, HumanDuration};

/// Configuration of the event log on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// Where the log lies. One process writes to it; it must be a local disk.
    pub dir: PathBuf,
    /// A segment is closed before it would pass this size. Only whole segments
    /// are deleted, so this is also how finely space is given back.
    pub segment_bytes: ByteSize,
    /// When an append is answered.
    pub fsync: Fsync,
    /// What stays although nobody needs it any more.
    pub retention: Retention,
    /// The newest records kept in memory for readers in the same process, over
    /// all partitions. Whoever is further behind reads the disk.
    pub tail_bytes: ByteSize,
    /// Records waiting to be written, over all partitions. When full, appends
    /// wait.
    pub queue_bytes: ByteSize,
}

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// After a sync, which all that wait share.
    #[default]
    Group,
    /// After a sync of its own: slower, and no safer.
    Always,
    /// Once the system has it. It survives the end of the process, and not that
    /// of the machine: a power cut takes what was answered since the last segment
    /// was begun, and the next start tells how much that may have been.
    Never,
}

/// What stays of a partition although it is not needed any more, to be read
/// again. Without limits nothing does. Where one is set, a segment goes once it
/// is beyond it; where both are, once it is beyond either. What is still needed
/// always stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// On disk, so much of each partition is kept after it was stored, in whole
    /// segments, to be read again. 0: no limit by size if `age` is set, else
    /// nothing is kept. What is not stored yet is kept whatever this says. It is
    /// not given up when the disk is full.
    pub bytes: ByteSize,
    /// On disk, records are kept this long after they were appended although
    /// they are stored; looked at whenever rows are stored. 0s: no limit by age
    /// if `bytes` is set, else nothing is kept.
    pub age: HumanDuration,
}

impl Retention {
    /// True when nothing stays that is not needed.
    pub fn is_none(self) -> bool {
        self.bytes.0 == 0 && self.age.0.is_zero()
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { bytes: ByteSize(0), age: HumanDuration(Duration::ZERO) }
    }
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("weir-data/log"),
            segment_bytes: ByteSize::mib(128),
            fsync: Fsync::Group,
            retention: Retention::default(),
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
