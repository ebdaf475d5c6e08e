//! A record whose text became another.

use weir_proto::limit::LINE_BYTES_MAX;
use weir_proto::model::ByteRange;
use weir_proto::model::flags::TRUNCATED;

use crate::frame::Frame;

/// The record with another text. What is longer than a line may be is cut and
/// marked as any long line is.
pub(crate) fn rewritten<'a>(frame: Frame<'_>, text: &'a [u8]) -> Frame<'a> {
    let Frame { stream, range, timestamp_nanos, flags, dropped, .. } = frame;
    let whole = Frame { stream, range, text, timestamp_nanos, flags, dropped };
    let Some(kept) = text.get(..LINE_BYTES_MAX).filter(|_| text.len() > LINE_BYTES_MAX) else { return whole };
    // Between characters.
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| (0x80..0xc0).contains(byte));
    let back = (0..4).find(|back| !is_inside(&(LINE_BYTES_MAX - back))).unwrap_or(0);
    let last = ByteRange::new(range.end.saturating_sub(1).max(range.start), range.end);
    Frame {
        text: kept.get(..LINE_BYTES_MAX - back).unwrap_or(kept),
        flags: flags | TRUNCATED,
        dropped: dropped.or(Some(last)),
        ..whole
    }
}
