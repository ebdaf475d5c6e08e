//! Who should have which partition: the same answer in every ingester that
//! knows the same members and the same partitions.
//!
//! Rendezvous hashing: each partition ranks the members by a hash of both, and
//! goes to the first that has room. Nobody has room for more than its share of
//! all partitions, nor, where that can be, of a topic's: the topics differ much
//! in weight. Who joins or leaves moves about what it must.
//!
//! A plan decides nothing: a partition is had by lease. Two ingesters that for a
//! moment plan differently wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use weir_storage::catalog::LogPartition;

/// For each partition the member that should have it. Empty without members.
pub(crate) fn assign<'a>(
    members: &BTreeSet<&'a str>,
    partitions: &BTreeSet<LogPartition>,
) -> BTreeMap<LogPartition, &'a str> {
    let mut shares = Shares::new(members.len(), partitions);
    // Those that come last take what is left: by a hash, so that it is not
    // always the same topic.
    let mut order: Vec<&LogPartition> = partitions.iter().collect();
    order.sort_by_key(|partition| (hash(&["", &partition.topic], partition.partition), *partition));
    let mut plan = BTreeMap::new();
    for partition in order {
        let mut ranked: Vec<&'a str> = members.iter().copied().collect();
        ranked.sort_by_key(|member| {
            (std::cmp::Reverse(hash(&[member, &partition.topic], partition.partition)), *member)
        });
        let first = |fits: &dyn Fn(&str) -> bool| ranked.iter().copied().find(|member| fits(member));
        let chosen = first(&|member| shares.has_room(member, partition))
            .or_else(|| first(&|member| shares.has_room_in_all(member)));
        if let Some(member) = chosen {
            shares.take(member, partition);
            plan.insert(partition.clone(), member);
        }
    }
    plan
}

/// How many partitions each member has been given, and may be given.
struct Shares<'a> {
    most: usize,
    most_of_topic: BTreeMap<&'a str, usize>,
    given: BTreeMap<&'a str, usize>,
    given_of_topic: BTreeMap<(&'a str, &'a str), usize>,
}

impl<'a> Shares<'a> {
    fn new(members: usize, partitions: &'a BTreeSet<LogPartition>) -> Self {
        let members = members.max(1);
        let mut topics: BTreeMap<&str, usize> = BTreeMap::new();
        for partition in partitions {
            *topics.entry(&partition.topic).or_default() += 1;
        }
        Self {
            most: partitions.len().div_ceil(members),
            most_of_topic: topics
                .into_iter()
                .map(|(topic, count)| (topic, count.div_ceil(members)))
                .collect(),
            given: BTreeMap::new(),
            given_of_topic: BTreeMap::new(),
        }
    }

    fn has_room_in_all(&self, member: &str) -> bool {
        self.given.get(member).copied().unwrap_or(0) < self.most
    }

    fn has_room(&self, member: &str, partition: &LogPartition) -> bool {
        let topic = partition.topic.as_str();
        let most = self.most_of_topic.get(topic).copied().unwrap_or(0);
        let given = self.given_of_topic.get(&(member, topic)).copied().unwrap_or(0);
        given < most && self.has_room_in_all(member)
    }

    fn take(&mut self, member: &'a str, partition: &'a LogPartition) {
        *self.given.entry(member).or_default() += 1;
        *self.given_of_topic.entry((member, &partition.topic)).or_default() += 1;
    }
}

/// FNV-1a over the words, each ended by a byte that no word has, then mixed so
/// that neighbouring numbers part. Every version of Weir must agree on it:
/// during an upgrade old and new plan together.
fn hash(words: &[&str], number: u32) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for word in words {
        word.bytes().for_each(&mut add);
        add(0xff);
    }
    number.to_le_bytes().into_iter().for_each(&mut add);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(topics: &[(&str, u32)]) -> BTreeSet<LogPartition> {
        let of = |(topic, count): &(&str, u32)| {
            let topic = (*topic).to_owned();
            (0..*count).map(move |partition| LogPartition { topic: topic.clone(), partition })
        };
        topics.iter().flat_map(of).collect()
    }

    fn loads(plan: &BTreeMap<LogPartition, &str>, of: impl Fn(&LogPartition) -> bool) -> Vec<usize> {
        let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, member) in plan.iter().filter(|(partition, _)| of(partition)) {
            *loads.entry(member).or_default() += 1;
        }
        let mut loads: Vec<usize> = loads.into_values().collect();
        loads.sort_unstable();
        loads
    }

    #[test]
    fn nobody_has_more_than_its_share_and_every_partition_has_somebody() {
        let names: Vec<String> = (0..9).map(|number| format!("host-{number} /var/lib/weir")).collect();
        for topics in [
            [("weir.logs", 1), ("weir.spans", 1), ("weir.metrics", 1)],
            [("weir.logs", 6), ("weir.spans", 3), ("weir.metrics", 4)],
            [("weir.logs", 64), ("weir.spans", 17), ("weir.metrics", 1)],
        ] {
            let partitions = partitions(&topics);
            for count in 1..=names.len() {
                let members = names[..count].iter().map(String::as_str).collect();
                let plan = assign(&members, &partitions);
                assert_eq!(plan.len(), partitions.len());
                let all = loads(&plan, |_| true);
                assert!(all.iter().all(|load| *load <= partitions.len().div_ceil(count)), "{all:?}");
            }
        }
    }

    #[test]
    fn the_heavy_topic_is_spread_too() {
        let members = ["a", "b", "c"].into();
        let plan = assign(&members, &partitions(&[("weir.logs", 6), ("weir.spans", 6), ("weir.metrics", 6)]));
        for topic in ["weir.logs", "weir.spans", "weir.metrics"] {
            let of_topic = loads(&plan, |partition| partition.topic == topic);
            assert!(of_topic.iter().max() <= Some(&3), "{topic}: {of_topic:?}");
        }
        assert_eq!(loads(&plan, |_| true), [6, 6, 6]);
    }

    #[test]
    fn who_joins_or_leaves_moves_little_else() {
        let partitions = partitions(&[("weir.logs", 24), ("weir.spans", 12), ("weir.metrics", 12)]);
        let before = assign(&["a", "b", "c"].into(), &partitions);
        let after = assign(&["a", "b", "c", "d"].into(), &partitions);
        let moved = before.iter().filter(|(partition, member)| after[partition] != **member).count();
        let must = after.values().filter(|member| **member == "d").count();
        assert_eq!(must, 12);
        assert!(moved <= 2 * must, "{moved} moved where {must} had to");
    }

    #[test]
    fn the_plan_is_the_same_in_every_version() {
        // Golden: another answer here is a cluster in which two versions plan
        // against each other.
        let plan = assign(&["a", "b"].into(), &partitions(&[("weir.logs", 4)]));
        let of: String = plan.values().copied().collect();
        assert_eq!(of, "aabb");
        assert!(assign(&BTreeSet::new(), &partitions(&[("weir.logs", 4)])).is_empty());
    }
}
