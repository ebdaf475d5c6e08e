//! What a file says about itself: enough to rebuild the catalog from files
//! alone, and every row's exact line from the file alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_proto::model::{FileId, LayoutId, RangeSet, SourceId, TenantId};

use crate::FileError;
use crate::catalog::LogPartition;

/// The key of the format's version in the file's metadata.
pub(crate) const FORMAT_KEY: &str = "weir.format";
/// The version that this build writes and reads.
pub(crate) const FORMAT: &str = "1";
/// The key of the footer.
pub(crate) const FOOTER_KEY: &str = "weir.footer";

/// What the commit that a file belongs to was made of, and the layouts that
/// its rows name. Fields that a later version adds are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The table.
    pub table: String,
    /// Whose rows.
    pub tenant: TenantId,
    /// What the flush took from each partition of the event log.
    pub offsets: Vec<LogSpan>,
    /// The bytes of each source that the flush covered.
    pub ranges: Vec<PartitionRanges>,
    /// The layouts that the rows' `layout_id` names, as JSON.
    pub layouts: BTreeMap<LayoutId, String>,
    /// Which file of which flush it is; none in files of builds that did not say.
    #[serde(default)]
    pub part: Option<FlushPart>,
}

/// One of the files of a flush. They are put one after the other, so that the last
/// one is there only if all of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushPart {
    /// Which flush: a later attempt at the same rows has a later one.
    pub flush: FileId,
    /// Which of its files: 0, 1, 2, ...
    pub number: u32,
    /// There is none after it.
    pub is_last: bool,
}

/// The offsets `[from, to)` of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpan {
    /// Which partition.
    pub partition: LogPartition,
    /// The first offset taken.
    pub from: u64,
    /// The first offset not taken.
    pub to: u64,
    /// Under which lease: of two flushes that took the same offsets, the one with
    /// the lower epoch was refused.
    #[serde(default)]
    pub epoch: i64,
    /// Of which log: offsets of another one mean other messages.
    #[serde(default)]
    pub generation: u64,
}

/// What a flush covered of the sources of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRanges {
    /// Which partition.
    pub partition: LogPartition,
    /// The bytes covered by this flush, by source.
    pub sources: BTreeMap<SourceId, RangeSet>,
    /// Whose the sources are that are not the file's tenant's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<SourceId, TenantId>,
}

impl Footer {
    /// A footer of a table and tenant that names nothing yet.
    pub fn new(table: impl Into<String>, tenant: TenantId) -> Self {
        Self {
            table: table.into(),
            tenant,
            offsets: Vec::new(),
            ranges: Vec::new(),
            layouts: BTreeMap::new(),
            part: None,
        }
    }

    pub(crate) fn to_json(&self) -> Result<String, FileError> {
        serde_json::to_string(self).map_err(|source| FileError::Footer { key: FOOTER_KEY, source })
    }

    /// Reads it from the file's metadata, which `value_of` looks up.
    pub(crate) fn from_metadata<'a>(value_of: impl Fn(&str) -> Option<&'a str>) -> Result<Self, FileError> {
        let found = value_of(FORMAT_KEY).ok_or(FileError::NotOurs(FORMAT_KEY))?;
        if found != FORMAT {
            return Err(FileError::Version { found: found.chars().take(40).collect(), expected: FORMAT });
        }
        let json = value_of(FOOTER_KEY).ok_or(FileError::NotOurs(FOOTER_KEY))?;
        serde_json::from_str(json).map_err(|source| FileError::Footer { key: FOOTER_KEY, source })
    }
}
