//! Which lines are kept when a share of them is: decided by where a line
//! stands, so a replay decides alike.

use weir_proto::model::SourceId;

use crate::Share;

/// True for about `share` of all places, and for the same ones each time.
pub(crate) fn keeps(source: SourceId, start: u64, share: Share) -> bool {
    // 53 bits, which a double holds exactly.
    let place = mix(fold(source) ^ mix(start)) >> 11;
    (place as f64) < share.get() * (1_u64 << 53) as f64
}

fn fold(source: SourceId) -> u64 {
    let bits = source.as_u128();
    mix((bits >> 64) as u64) ^ bits as u64
}

/// Spreads neighbouring numbers over all of them: the finalizer of splitmix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
