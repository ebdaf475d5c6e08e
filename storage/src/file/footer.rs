//! What a file says about itself: enough to rebuild the catalog from files
//! alone, and every row's exact line from the file alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_proto::model::{LayoutId, RangeSet, SourceId, TenantId};

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
}

/// What a flush covered of the sources of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRanges {
    /// Which partition.
    pub partition: LogPartition,
    /// The bytes covered by this flush, by source.
    pub sources: BTreeMap<SourceId, RangeSet>,
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
