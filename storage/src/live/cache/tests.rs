use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_proto::model::AgentId;

use super::*;
use crate::catalog::LaneStatus;
use crate::sample::{batch, row};

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

fn live(number: u32, offset: u64) -> LiveBatch {
    LiveBatch {
        partition: partition(number),
        offset,
        tenant: TenantId::new(if offset.is_multiple_of(5) { "five" } else { "rest" }).unwrap(),
        table: Table::Logs,
        rows: batch(&[row(0, 0, 0, "")]),
    }
}

/// A process that holds live rows, as far as an exchange sees it.
#[derive(Clone, Debug, Default)]
struct Holder {
    instance: u32,
    held: BTreeSet<(u32, u64)>,
    next: [u64; 2],
    floors: [u64; 2],
}

impl Holder {
    fn range(&self, number: u32) -> LiveRange {
        LiveRange {
            partition: partition(number),
            epoch: 1,
            floor: self.floors[number as usize],
            next: self.next[number as usize],
            is_caught_up: true,
        }
    }

    fn answer(&self, request: &LiveRequest) -> LiveResponse {
        let instance = self.instance.to_string();
        let same = request.instance.as_ref() == Some(&instance);
        let wanted = |number: u32| match request.have.get(&partition(number)) {
            Some(next) if same => *next,
            _ => 0,
        };
        LiveResponse {
            instance,
            ranges: (0..2).map(|number| self.range(number)).collect(),
            batches: self
                .held
                .iter()
                .filter(|(number, offset)| *offset >= wanted(*number))
                .map(|(number, offset)| live(*number, *offset))
                .collect(),
            ..LiveResponse::default()
        }
    }
}

fn held(cache: &LiveCache) -> BTreeSet<(u32, u64)> {
    cache.batches.values().map(|batch| (batch.partition.partition, batch.offset)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Ingest(usize),
    Skip(usize),
    Flush(usize),
    Restart,
    Exchange,
    Ask,
    Answer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..2usize).prop_map(Step::Ingest),
        1 => (0..2usize).prop_map(Step::Skip),
        2 => (0..2usize).prop_map(Step::Flush),
        1 => Just(Step::Restart),
        4 => Just(Step::Exchange),
        2 => Just(Step::Ask),
        2 => Just(Step::Answer),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn after_an_exchange_the_cache_holds_what_the_holder_holds(steps in steps()) {
        let mut holder = Holder::default();
        let mut cache = LiveCache::new();
        let mut late: Option<(LiveRequest, LiveResponse)> = None;
        for step in steps {
            match step {
                Step::Ingest(number) => {
                    holder.held.insert((number as u32, holder.next[number]));
                    holder.next[number] += 1;
                }
                // A message without rows: an offset without a batch.
                Step::Skip(number) => holder.next[number] += 1,
                Step::Flush(number) => {
                    let floor = holder.next[number];
                    holder.floors[number] = floor;
                    holder.held.retain(|(of, offset)| *of as usize != number || *offset >= floor);
                }
                Step::Restart => {
                    holder.instance += 1;
                    holder.held.clear();
                    holder.next = holder.floors;
                }
                Step::Exchange => {
                    let request = cache.request();
                    let answer = holder.answer(&request);
                    cache.apply(&request, answer).unwrap();
                    prop_assert_eq!(held(&cache), holder.held.clone());
                }
                Step::Ask => {
                    let request = cache.request();
                    let answer = holder.answer(&request);
                    late = Some((request, answer));
                }
                // Overtaken by other exchanges: nothing may be missing that
                // the next exchange does not bring.
                Step::Answer => if let Some((request, answer)) = late.take() {
                    let _ = cache.apply(&request, answer);
                },
            }
        }
        let request = cache.request();
        let answer = holder.answer(&request);
        cache.apply(&request, answer).unwrap();
        prop_assert_eq!(held(&cache), holder.held.clone());
    }
}

#[test]
fn pinned_rows_are_one_tenants_in_order() {
    let mut cache = LiveCache::new();
    let request = cache.request();
    let lane = LaneState {
        agent: AgentId::from_u128(1),
        partition: partition(0),
        mark_micros: Some(1),
        heard_micros: 2,
        status: LaneStatus::Live,
        is_estimated: false,
    };
    let answer = LiveResponse {
        instance: "a".to_owned(),
        lanes: vec![lane.clone()],
        layouts: BTreeMap::from([(LayoutId(1), "[]".to_owned())]),
        batches: vec![live(1, 6), live(0, 12), live(0, 5), live(0, 11)],
        ..LiveResponse::default()
    };
    cache.apply(&request, answer).unwrap();
    let pinned = cache.pin(&TenantId::new("rest").unwrap(), &[Table::Logs]);
    let places: Vec<_> =
        pinned.batches.iter().map(|batch| (batch.partition.partition, batch.offset)).collect();
    assert_eq!(places, [(0, 11), (0, 12), (1, 6)]);
    assert_eq!(pinned.lanes, [lane]);
    assert_eq!(pinned.layouts.len(), 1);
    assert_eq!(cache.pin(&TenantId::new("five").unwrap(), &[Table::Logs]).batches.len(), 1);
    assert_eq!(cache.pin(&TenantId::new("five").unwrap(), &[Table::Spans]).batches.len(), 0);
}

#[test]
fn an_addition_to_rows_that_are_gone_is_refused() {
    let mut cache = LiveCache::new();
    let answer = |instance: &str, batches| LiveResponse {
        instance: instance.to_owned(),
        batches,
        ..LiveResponse::default()
    };
    cache.apply(&cache.request(), answer("old", vec![live(0, 1)])).unwrap();
    let overtaken = cache.request();
    let request = cache.request();
    cache.apply(&request, answer("new", vec![live(0, 2)])).unwrap();
    let refused = cache.apply(&overtaken, answer("old", vec![live(0, 3)]));
    assert!(matches!(refused, Err(WireError::Stale { .. })), "{refused:?}");
    assert_eq!(held(&cache), BTreeSet::from([(0, 2)]));
}

#[test]
fn a_message_with_rows_of_two_tables_keeps_both() {
    let of = |table| LiveBatch { table, ..live(0, 7) };
    let tables = [Table::MetricSamples, Table::MetricSeries];
    let range = |floor| LiveRange { partition: partition(0), epoch: 1, floor, next: 8, is_caught_up: true };
    let mut cache = LiveCache::new();
    let response = |floor, batches| LiveResponse {
        instance: "0".to_owned(),
        ranges: vec![range(floor)],
        batches,
        ..LiveResponse::default()
    };
    let request = cache.request();
    cache.apply(&request, response(7, tables.map(of).to_vec())).expect("applied");
    let pinned = cache.pin(&live(0, 7).tenant, &tables);
    assert_eq!(pinned.batches.iter().map(|batch| batch.table).collect::<Vec<_>>(), tables);
    let request = cache.request();
    cache.apply(&request, response(8, Vec::new())).expect("applied");
    assert!(cache.pin(&live(0, 7).tenant, &tables).batches.is_empty(), "both are stored");
}
