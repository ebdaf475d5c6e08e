//! `weir.delivery`: a row for each source.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use weir_proto::model::AgentId;
use weir_proto::schema::log;
use weir_storage::catalog::{Delivery, LaneState, LaneStatus, LogPartition, Snapshot};
use weir_storage::live::PinnedRows;

use super::{numbers, texts, times};

/// What a resource says of where a source is, and the columns that say it.
const PLACES: [(&str, &str); 7] = [
    ("service_name", "service.name"),
    ("log_file_path", "log.file.path"),
    ("k8s_namespace_name", "k8s.namespace.name"),
    ("k8s_pod_name", "k8s.pod.name"),
    ("k8s_container_name", "k8s.container.name"),
    ("k8s_node_name", "k8s.node.name"),
    ("host_name", "host.name"),
];

pub(super) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let maybe_text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Int64, false);
    let time = |name| Field::new(name, log::timestamp_type(), false);
    let maybe_time = |name| Field::new(name, log::timestamp_type(), true);
    let mut fields = vec![text("tenant"), text("source_id"), text("partition"), maybe_text("agent")];
    fields.extend(PLACES.map(|(column, _)| maybe_text(column)));
    fields.extend([
        Field::new("resource", log::map_type(), false),
        number("covered_start"),
        number("covered_end"),
        number("missing"),
        time("last_observed"),
        maybe_time("last_appended"),
        time("committed_at"),
        maybe_time("last_event"),
        maybe_time("complete_until"),
        Field::new("lag_ms", DataType::Int64, true),
        number("events"),
        number("duplicates"),
        number("lost"),
        number("gaps"),
        number("gaps_uncounted"),
        number("left_out"),
    ]);
    Arc::new(Schema::new(fields))
}

/// How far the lanes have come: where a partition is served, as of what is
/// live.
pub(super) struct Marks<'a> {
    lanes: HashMap<(&'a LogPartition, AgentId), &'a LaneState>,
    now_micros: i64,
}

impl<'a> Marks<'a> {
    pub(super) fn new(pinned: &'a PinnedRows, snapshot: &'a Snapshot, now_micros: i64) -> Self {
        let key = |lane: &'a LaneState| ((&lane.partition, lane.agent), lane);
        // Later ones replace earlier ones.
        let lanes = snapshot.lanes.iter().chain(&pinned.lanes).map(key).collect();
        Self { lanes, now_micros }
    }

    /// All that was written to the source before this time is there; none where
    /// its sender does not say so, and where nobody sends any more.
    fn of(&self, source: &Delivery) -> Option<i64> {
        let key = (&source.cover.partition, source.cover.tally.agent?);
        let lane = self.lanes.get(&key).filter(|lane| lane.status == LaneStatus::Live)?;
        lane.mark_micros.map(|mark| mark.min(self.now_micros))
    }
}

pub(super) fn columns(rows: &[Delivery], marks: &Marks<'_>) -> Result<Vec<ArrayRef>> {
    let mut columns = vec![
        texts(rows, |source| source.cover.tenant.to_string()),
        texts(rows, |source| source.cover.source.to_string()),
        texts(rows, |source| source.cover.partition.to_string()),
        maybe_texts(rows, |source| source.cover.tally.agent.map(|agent| agent.to_string())),
    ];
    columns.extend(PLACES.map(|(_, key)| {
        maybe_texts(rows, |source| {
            let found = source.cover.resource.iter().find(|(held, _)| held == key);
            found.map(|(_, value)| value.clone())
        })
    }));
    let lag = |source: &Delivery| marks.of(source).map(|mark| (marks.now_micros - mark) / 1_000);
    columns.extend([
        resources(rows)?,
        numbers(rows, |source| source.cover.ranges.ranges().first().map_or(0, |range| range.start)),
        numbers(rows, |source| source.cover.ranges.end()),
        numbers(rows, missing),
        times(rows, |source| source.cover.last_observed_micros),
        maybe_times(rows, |source| source.cover.tally.appended_micros),
        times(rows, |source| source.committed_micros),
        maybe_times(rows, |source| source.cover.tally.event_micros),
        maybe_times(rows, |source| marks.of(source)),
        Arc::new(Int64Array::from_iter(rows.iter().map(lag))),
        numbers(rows, |source| source.cover.tally.events),
        numbers(rows, |source| source.cover.tally.duplicates),
        numbers(rows, |source| source.losses.events),
        numbers(rows, |source| source.losses.gaps),
        numbers(rows, |source| source.losses.uncounted),
        numbers(rows, |source| source.losses.left_out),
    ]);
    Ok(columns)
}

/// Bytes, or numbers, between what is covered.
fn missing(source: &Delivery) -> u64 {
    let ranges = source.cover.ranges.ranges();
    ranges.windows(2).map(|pair| pair[1].start - pair[0].end).sum()
}

fn maybe_texts(rows: &[Delivery], text: impl Fn(&Delivery) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(text)))
}

fn maybe_times(rows: &[Delivery], micros: impl Fn(&Delivery) -> Option<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(micros)).with_timezone("UTC"))
}

fn resources(rows: &[Delivery]) -> Result<ArrayRef> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for source in rows {
        for (key, value) in &source.cover.resource {
            maps.keys().append_value(key);
            maps.values().append_value(value);
        }
        maps.append(true)?;
    }
    Ok(Arc::new(maps.finish()))
}
