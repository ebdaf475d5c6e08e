//! From rows of the database to the catalog's types and back. What does not
//! fit is damage, named with its place.

use std::collections::BTreeMap;

use weir_proto::model::{AgentId, ByteRange, Counted, FileId, RangeSet, SourceId, TenantId, is_declared};

use super::{
    Anchor, CatalogError, Delivery, FileEntry, Gap, LaneState, LaneStatus, Lease, LogPartition, Losses,
    Owner, SourceCover, Tally, TimeRange,
};

/// A row of [`super::sql::FILES_OF_TIME`].
pub(crate) type FileRow =
    (String, String, String, String, i64, i64, i64, i64, i64, i64, i64, i64, Option<i64>);

/// A row of [`super::sql::SOURCES_OF_TENANT`].
pub(crate) type SourceRow = (String, i64, String, String, i64, i64);

/// A row of [`super::sql::COVERED_OF_TENANT`].
pub(crate) type CoveredRow = (String, i64, String, i64, i64);

/// A row of [`super::sql::GAPS_OF_TENANT`].
pub(crate) type GapRow = (String, i64, i64, i64, String, i64);

/// A row of [`super::sql::COUNTED_OF_PARTITION`].
pub(crate) type CountedRow = (String, i64, i64, i64);

/// A row of [`super::sql::TALLIES_OF_TENANT`].
pub(crate) type TallyRow = (
    String,
    i64,
    String,
    Option<String>,
    Option<i64>,
    Option<i64>,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// A row of [`super::sql::LOSSES_OF_TENANT`].
pub(crate) type LossesRow = (String, String, i64, i64, i64);

/// How a loss of so many events is written of which nobody knows how many.
pub(crate) const UNKNOWN: u64 = 0;

/// A row of [`super::sql::LANES`].
pub(crate) type LaneRow = (String, i64, String, Option<i64>, i64, String, i64);

/// A row of [`super::sql::OWNERS`].
pub(crate) type OwnerRow = (String, i64, String, i64, i64, Option<String>);

/// A number that the database can hold: its integers are signed.
pub(crate) fn to_column(what: &str, value: u64) -> Result<i64, CatalogError> {
    i64::try_from(value)
        .map_err(|_| CatalogError::Invalid(format!("{what} {value} is over the limit of {}", i64::MAX)))
}

pub(crate) fn from_column(what: &str, value: i64) -> Result<u64, CatalogError> {
    u64::try_from(value).map_err(|_| CatalogError::Damaged(format!("{what} is {value}")))
}

pub(crate) fn partition(topic: String, number: i64) -> Result<LogPartition, CatalogError> {
    match u32::try_from(number) {
        Ok(partition) => Ok(LogPartition { topic, partition }),
        Err(_) => Err(CatalogError::Damaged(format!("a partition of {topic} has the number {number}"))),
    }
}

/// Bits, not a number: a fingerprint is stored as it lies in memory.
pub(crate) fn anchor(offset: Option<i64>, fingerprint: Option<i64>) -> Result<Option<Anchor>, CatalogError> {
    let Some((offset, fingerprint)) = offset.zip(fingerprint) else { return Ok(None) };
    let offset = from_column("an anchor's offset", offset)?;
    Ok(Some(Anchor { offset, fingerprint: fingerprint.cast_unsigned() }))
}

pub(crate) fn source_id(text: &str) -> Result<SourceId, CatalogError> {
    text.parse().map_err(|_| CatalogError::Damaged(format!("source id {text:?} is no ULID")))
}

pub(crate) fn range(of: &str, start: i64, end: i64) -> Result<ByteRange, CatalogError> {
    let (from, to) = (from_column("a range's start", start)?, from_column("a range's end", end)?);
    if from > to {
        return Err(CatalogError::Damaged(format!("a range of {of} goes from {from} to {to}")));
    }
    Ok(ByteRange::new(from, to))
}

pub(crate) fn file_entry(row: FileRow) -> Result<FileEntry, CatalogError> {
    let (
        id,
        tenant,
        table,
        path,
        rows,
        bytes,
        time_min,
        time_max,
        observed_min,
        observed_max,
        level,
        created,
        crc32c,
    ) = row;
    let damaged = |what: &str, value: &str| CatalogError::Damaged(format!("{what} of {path} is {value}"));
    Ok(FileEntry {
        id: id.parse::<FileId>().map_err(|_| damaged("the id", &id))?,
        tenant: TenantId::new(tenant.clone()).map_err(|_| damaged("the tenant", &tenant))?,
        table,
        rows: from_column("a row count", rows)?,
        bytes: from_column("a byte count", bytes)?,
        time: TimeRange { min_micros: time_min, max_micros: time_max },
        observed: TimeRange { min_micros: observed_min, max_micros: observed_max },
        level: u8::try_from(level).map_err(|_| damaged("the level", &level.to_string()))?,
        created_micros: created,
        crc32c: crc32c
            .map(|crc| u32::try_from(crc).map_err(|_| damaged("the checksum", &crc.to_string())))
            .transpose()?,
        path,
    })
}

pub(crate) fn gap(tenant: &TenantId, row: GapRow) -> Result<Gap, CatalogError> {
    let (source, start, end, count, reason, noticed_micros) = row;
    Ok(Gap {
        tenant: tenant.clone(),
        range: range(&source, start, end)?,
        source,
        count: Some(from_column("an event count", count)?).filter(|count| *count != UNKNOWN),
        reason,
        noticed_micros,
    })
}

/// How each status is written.
const STATUSES: [(LaneStatus, &str); 3] =
    [(LaneStatus::Live, "live"), (LaneStatus::Goodbye, "goodbye"), (LaneStatus::Retired, "retired")];

pub(crate) fn status(status: LaneStatus) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("live", |(_, text)| text)
}

pub(crate) fn lane(row: LaneRow) -> Result<LaneState, CatalogError> {
    let (topic, number, agent, mark_micros, heard_micros, status, is_estimated) = row;
    let damaged = |what: &str| CatalogError::Damaged(format!("a lane of {topic} has {what}"));
    let agent: AgentId = agent.parse().map_err(|_| damaged(&format!("the agent {agent:?}")))?;
    let known = STATUSES.iter().find(|(_, text)| *text == status);
    let (status, _) = known.ok_or_else(|| damaged(&format!("the status {status:?}")))?;
    Ok(LaneState {
        agent,
        mark_micros,
        heard_micros,
        status: *status,
        is_estimated: is_estimated != 0,
        partition: partition(topic, number)?,
    })
}

pub(crate) fn owner(row: OwnerRow) -> Result<Owner, CatalogError> {
    let (topic, number, owner, epoch, until_micros, address) = row;
    let lease = Lease { partition: partition(topic, number)?, owner, epoch, until_micros };
    Ok(Owner { lease, address })
}

pub(crate) fn counted(from: i64, to: i64, events: i64) -> Result<Counted, CatalogError> {
    let of = |value| from_column("a count of events", value);
    Ok(Counted { from: of(from)?, to: of(to)?, events: of(events)? })
}

fn tally(row: TallyRow) -> Result<((String, i64, String), Tally), CatalogError> {
    let (topic, number, source, agent, appended_micros, event_micros, events, duplicates, from, to, count) =
        row;
    let damaged = |agent: &String| CatalogError::Damaged(format!("source {source} has the agent {agent:?}"));
    let agent = agent.map(|agent| agent.parse().map_err(|_| damaged(&agent))).transpose()?;
    let counted = match (from, to, count) {
        (Some(from), Some(to), Some(count)) => Some(counted(from, to, count)?),
        _ => None,
    };
    let tally = Tally {
        agent,
        appended_micros,
        event_micros,
        events: from_column("an event count", events)?,
        duplicates: from_column("an event count", duplicates)?,
        counted,
    };
    Ok(((topic, number, source), tally))
}

/// Sums by source.
fn losses(rows: Vec<LossesRow>) -> Result<BTreeMap<String, Losses>, CatalogError> {
    let mut sums: BTreeMap<String, Losses> = BTreeMap::new();
    for (source, reason, gaps, uncounted, events) in rows {
        let sum = sums.entry(source).or_default();
        let events = from_column("an event count", events)?;
        if is_declared(&reason) {
            sum.left_out += events;
        } else {
            sum.gaps += from_column("a gap count", gaps)?;
            sum.uncounted += from_column("a gap count", uncounted)?;
            sum.events += events;
        }
    }
    Ok(sums)
}

/// Brings together what is known of sources.
pub(crate) fn deliveries(
    tenant: &TenantId,
    sources: Vec<SourceRow>,
    covered: Vec<CoveredRow>,
    tallies: Vec<TallyRow>,
    gaps: Vec<LossesRow>,
) -> Result<Vec<Delivery>, CatalogError> {
    let mut tallies: BTreeMap<_, _> = tallies.into_iter().map(tally).collect::<Result<_, _>>()?;
    let losses = losses(gaps)?;
    let mut ranges: BTreeMap<(String, i64, String), RangeSet> = BTreeMap::new();
    for (topic, number, source, start, end) in covered {
        let range = range(&source, start, end)?;
        ranges.entry((topic, number, source)).or_default().insert(range);
    }
    let mut deliveries = Vec::with_capacity(sources.len());
    for (topic, number, source, resource, last_observed_micros, committed_micros) in sources {
        let resource = serde_json::from_str(&resource)
            .map_err(|error| CatalogError::Damaged(format!("the resource of source {source}: {error}")))?;
        let key = (topic, number, source);
        let ranges = ranges.remove(&key).unwrap_or_default();
        let tally = tallies.remove(&key).unwrap_or_default();
        let (topic, number, source) = key;
        let losses = losses.get(&source).copied().unwrap_or_default();
        let cover = SourceCover {
            partition: partition(topic, number)?,
            tenant: tenant.clone(),
            source: source_id(&source)?,
            ranges,
            resource,
            last_observed_micros,
            tally,
        };
        deliveries.push(Delivery { cover, committed_micros, losses });
    }
    Ok(deliveries)
}
