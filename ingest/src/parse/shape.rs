//! What a structured line is besides its values, and the layouts that are known.
//!
//! Hot path: a shape is hashed from the text between the values, eight bytes at
//! a step; a known layout is rebuilt and compared with the line, which also
//! settles whether the hash was right. JSON and ids are made once per layout.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use weir_proto::model::LayoutId;
use weir_proto::wire::layout::{Hole, Layout, LineParts, Piece, Quoting};

use super::field::Span;
use super::time::Spelling;

/// Layouts held at once. A program has a few dozen.
const LAYOUTS_MAX: usize = 4096;

/// Up to this many layouts, a shape gets one at first sight. Beyond, it has to
/// be seen twice: lines whose keys are identifiers would fill the catalog with
/// layouts that serve one row each.
const LAYOUTS_FREE: usize = 256;

/// Shapes remembered as seen once.
const SEEN_MAX: usize = 64 * 1024;

/// The place of a value in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) span: Span,
    pub(super) filling: Filling<'a>,
    /// The value stands between quotes, where it may be escaped.
    pub(super) is_quoted: bool,
}

/// What fills it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filling<'a> {
    Body,
    Attribute(u32),
    SeverityText,
    TraceId,
    SpanId,
    Timestamp(Spelling<'a>),
}

/// Finds or makes the layouts of one partition's lines.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    known: HashMap<u64, Known, BuildHasherDefault<Hashed>>,
    seen: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// Named since [`Self::take_used`].
    used: Vec<(LayoutId, Arc<str>)>,
    turn: u64,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    layout: Layout,
    id: LayoutId,
    json: Arc<str>,
    /// The turn in which it was last named.
    turn: u64,
}

impl Layouts {
    /// The id of the layout that rebuilds `line` from `parts`; none when no
    /// layout does.
    pub(super) fn find(
        &mut self,
        line: &str,
        places: &[Place<'_>],
        quoting: Quoting,
        parts: &LineParts<'_>,
    ) -> Option<LayoutId> {
        let hash = hash(line, places, quoting);
        if let Some(known) = self.known.get_mut(&hash) {
            self.line.clear();
            if known.layout.rebuild(parts, &mut self.line) && self.line == line.as_bytes() {
                if known.turn != self.turn {
                    known.turn = self.turn;
                    self.used.push((known.id, known.json.clone()));
                }
                return Some(known.id);
            }
            return None;
        }
        self.make(hash, line, places, quoting, parts)
    }

    /// The layouts named since the last call, each once.
    pub(super) fn take_used(&mut self) -> Vec<(LayoutId, Arc<str>)> {
        self.turn += 1;
        std::mem::take(&mut self.used)
    }

    fn make(
        &mut self,
        hash: u64,
        line: &str,
        places: &[Place<'_>],
        quoting: Quoting,
        parts: &LineParts<'_>,
    ) -> Option<LayoutId> {
        if self.known.len() >= LAYOUTS_FREE && !self.was_seen(hash) {
            return None;
        }
        let layout = layout(line, places, quoting);
        self.line.clear();
        if !layout.rebuild(parts, &mut self.line) || self.line != line.as_bytes() {
            return None;
        }
        let id = layout.id();
        let is_taken = self.known.values().any(|known| known.id == id && known.layout != layout);
        if is_taken {
            return None;
        }
        self.make_room();
        let json = Arc::<str>::from(layout.to_json());
        self.used.push((id, json.clone()));
        self.known.insert(hash, Known { layout, id, json, turn: self.turn });
        Some(id)
    }

    fn was_seen(&mut self, hash: u64) -> bool {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        !self.seen.insert(hash)
    }

    /// Forgets the layouts that were not used of late when there is no room.
    fn make_room(&mut self) {
        if self.known.len() < LAYOUTS_MAX {
            return;
        }
        let mut turns: Vec<u64> = self.known.values().map(|known| known.turn).collect();
        turns.sort_unstable();
        let middle = turns[turns.len() / 2];
        self.known.retain(|_, known| known.turn > middle);
    }
}

fn layout(line: &str, places: &[Place<'_>], quoting: Quoting) -> Layout {
    let mut pieces = Vec::with_capacity(places.len() * 2 + 1);
    let mut text_from = 0;
    let text = |pieces: &mut Vec<Piece>, from: usize, to: usize| {
        if from < to {
            pieces.push(Piece::Text(line[from..to].to_owned()));
        }
    };
    for place in places {
        let span = place.span.range();
        text(&mut pieces, text_from, span.start);
        let quoting = if place.is_quoted { quoting } else { Quoting::Raw };
        let (value, quoting) = match place.filling {
            Filling::Body => (Hole::Body, quoting),
            Filling::Attribute(index) => (Hole::Attribute(index), quoting),
            Filling::SeverityText => (Hole::SeverityText, quoting),
            Filling::TraceId => (Hole::TraceId, Quoting::Raw),
            Filling::SpanId => (Hole::SpanId, Quoting::Raw),
            Filling::Timestamp(spelling) => (Hole::Timestamp(spelling.format()), Quoting::Raw),
        };
        pieces.push(Piece::Hole { value, quoting });
        text_from = span.end;
    }
    text(&mut pieces, text_from, line.len());
    Layout { pieces }
}

/// Hashes what [`layout`] would hold.
fn hash(line: &str, places: &[Place<'_>], quoting: Quoting) -> u64 {
    let mut sum = Sum(quoting as u64 + 1);
    let mut text_from = 0;
    for place in places {
        let span = place.span.range();
        sum.bytes(&line.as_bytes()[text_from..span.start]);
        text_from = span.end;
        match place.filling {
            Filling::Body => sum.word(1),
            Filling::Attribute(_) => sum.word(2),
            Filling::SeverityText => sum.word(3),
            Filling::TraceId => sum.word(4),
            Filling::SpanId => sum.word(5),
            Filling::Timestamp(Spelling::Rfc3339 { digits, point, zone, separator }) => {
                sum.word(u64::from_le_bytes([6, digits, point, separator, 0, 0, 0, 0]));
                sum.bytes(zone.as_bytes());
            }
            Filling::Timestamp(Spelling::EpochSeconds { digits }) => {
                sum.word(u64::from_le_bytes([7, digits, 0, 0, 0, 0, 0, 0]));
            }
            Filling::Timestamp(Spelling::EpochMillis) => sum.word(8),
            Filling::Timestamp(Spelling::EpochMicros) => sum.word(9),
            Filling::Timestamp(Spelling::EpochNanos) => sum.word(10),
        }
    }
    sum.bytes(&line.as_bytes()[text_from..]);
    sum.finish()
}

/// A fast sum over words. It need not withstand an adversary: a line is
/// compared with what the found layout rebuilds.
struct Sum(u64);

impl Sum {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length keeps trailing zeros and empty text apart.
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    fn finish(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Keys of the maps above are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
