//! The newest records, kept in memory for readers in the writing process.

use std::collections::VecDeque;

use super::frame;
use crate::StoredRecord;

/// What a record costs beside its bytes: its place in the queues, and the
/// allocations of its headers.
const EXTRA_BYTES: usize = 256;

/// A bounded ring over all partitions: the oldest record of all goes first.
/// Payloads are shared with whoever appended and whoever reads.
#[derive(Debug)]
pub(super) struct Tail {
    capacity: usize,
    bytes: usize,
    /// Whose record is the oldest, the second oldest, ...
    order: VecDeque<usize>,
    /// Per slot the newest records, without a gap.
    slots: Vec<VecDeque<StoredRecord>>,
}

impl Tail {
    /// Holds at most `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, bytes: 0, order: VecDeque::new(), slots: Vec::new() }
    }

    /// Room for one more partition; answers with its slot.
    pub(super) fn add_slot(&mut self) -> usize {
        self.slots.push(VecDeque::new());
        self.slots.len() - 1
    }

    /// Adds the partition's next record and makes room.
    pub(super) fn push(&mut self, slot: usize, record: StoredRecord) {
        self.bytes += cost(&record);
        self.slots[slot].push_back(record);
        self.order.push_back(slot);
        while self.bytes > self.capacity {
            let oldest = self.order.pop_front().and_then(|slot| self.slots[slot].pop_front());
            let Some(oldest) = oldest else { break };
            self.bytes -= cost(&oldest);
        }
    }

    /// The records from `from` on up to about `bytes`, at least one; none when
    /// the record is not held.
    pub(super) fn read(&self, slot: usize, from: u64, bytes: usize) -> Option<Vec<StoredRecord>> {
        let held = &self.slots[slot];
        let skip = from.checked_sub(held.front()?.offset.0)?;
        let skip = usize::try_from(skip).ok().filter(|skip| *skip < held.len())?;
        let mut taken = 0;
        let mut records = Vec::new();
        for record in held.range(skip..) {
            if taken >= bytes && !records.is_empty() {
                break;
            }
            taken += frame::frame_bytes(&record.record);
            records.push(record.clone());
        }
        Some(records)
    }
}

fn cost(record: &StoredRecord) -> usize {
    frame::frame_bytes(&record.record) + EXTRA_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Offset, Record};

    fn record(offset: u64) -> StoredRecord {
        let payload = vec![0; 1000 - EXTRA_BYTES - frame::HEAD_BYTES].into();
        StoredRecord { offset: Offset(offset), record: Record { payload, ..Record::default() } }
    }

    fn offsets(tail: &Tail, slot: usize, from: u64, bytes: usize) -> Option<Vec<u64>> {
        tail.read(slot, from, bytes).map(|records| records.iter().map(|r| r.offset.0).collect())
    }

    #[test]
    fn the_oldest_of_all_partitions_goes_first() {
        let mut tail = Tail::new(3000);
        let (a, b) = (tail.add_slot(), tail.add_slot());
        tail.push(a, record(10));
        tail.push(b, record(0));
        tail.push(a, record(11));
        assert_eq!(offsets(&tail, a, 10, 9999), Some(vec![10, 11]));
        tail.push(b, record(1));
        assert_eq!(offsets(&tail, a, 10, 9999), None);
        assert_eq!(offsets(&tail, a, 11, 9999), Some(vec![11]));
        assert_eq!(offsets(&tail, b, 0, 9999), Some(vec![0, 1]));
        assert_eq!(offsets(&tail, b, 0, 0), Some(vec![0]));
        assert_eq!(offsets(&tail, b, 2, 9999), None);
        assert_eq!(tail.bytes, 3000);
    }

    #[test]
    fn a_record_over_the_capacity_is_not_held() {
        let mut tail = Tail::new(999);
        let slot = tail.add_slot();
        tail.push(slot, record(0));
        assert_eq!(offsets(&tail, slot, 0, 1), None);
        assert_eq!((tail.bytes, tail.order.len()), (0, 0));
    }
}
