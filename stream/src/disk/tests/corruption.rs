//! Damage of every kind to a small log: no panic, no hang, and exactly what was
//! damaged is lost, by name.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{
    Contents, NOW, append, config, offsets, open, open_as, other_process, partition, place, read_all, record,
    run,
};
use crate::disk::files::Files;
use crate::disk::files::simulated::SimulatedFiles;
use crate::disk::frame::{self, HEAD_BYTES};
use crate::disk::segment::{self, HEADER_BYTES, HeaderSays, Seed};
use crate::disk::watermark::WATERMARK_BYTES;
use crate::disk::{DiskConfig, DiskLog};
use crate::{Offset, ReadError, ReadLimit, Record, Subscribe};

const PAYLOAD: usize = 100;
const END: u64 = 8;
const BASES: [u64; 3] = [0, 3, 6];

/// Records 0 to 7 in segments at 0, 3 and 6.
fn image() -> SimulatedFiles {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        for n in 0..END {
            append(&log, vec![record(n, PAYLOAD)]).await.unwrap();
        }
    });
    drop(log);
    assert_eq!(place().bases(&files).unwrap(), BASES);
    files
}

/// Where the record lies in its segment.
fn frame_of(offset: u64) -> (u64, std::ops::Range<usize>) {
    let base = *BASES.iter().rfind(|base| **base <= offset).unwrap();
    let frame = frame::frame_bytes(&record(0, PAYLOAD));
    let at = HEADER_BYTES + (offset - base) as usize * frame;
    (base, at..at + frame)
}

/// The records of a segment of which a byte lies in the range.
fn touched(base: u64, bytes: std::ops::Range<usize>) -> Vec<u64> {
    let overlaps = |offset: &u64| {
        let (its_base, frame) = frame_of(*offset);
        its_base == base && frame.start < bytes.end && bytes.start < frame.end
    };
    (0..END).filter(overlaps).collect()
}

fn check_contents(contents: &Contents, end: u64, lost: &[u64], context: &str) {
    assert_eq!((contents.start, contents.end), (0, end), "{context}");
    assert_eq!(offsets(&contents.lost), lost, "{context}");
    let intact = (0..end).filter(|offset| !lost.contains(offset));
    for offset in intact {
        assert_eq!(contents.records[&offset], record(offset, PAYLOAD), "{context}: offset {offset}");
    }
}

/// Reads before and after the writer has opened the log again, and goes on.
fn check(files: &SimulatedFiles, seen: u64, end: u64, lost: &[u64], context: &str) {
    run(async {
        let seen_lost: Vec<_> = lost.iter().copied().filter(|offset| *offset < seen).collect();
        check_contents(&read_all(&other_process(files)).await, seen, &seen_lost, context);
        let log = open(files).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        for reader in [log.reader(), other_process(files)] {
            check_contents(&read_all(&reader).await, end, lost, context);
        }
        go_on(&log, end, context).await;
        drop(log);
        let log = open(files).unwrap();
        let contents = read_all(&log.reader()).await;
        assert_eq!((contents.end, offsets(&contents.lost)), (end + 5, lost.to_vec()), "{context}");
    });
}

async fn go_on(log: &DiskLog, end: u64, context: &str) {
    for n in end..end + 5 {
        assert_eq!(append(log, vec![record(n, PAYLOAD)]).await.unwrap(), Offset(n), "{context}");
        let read = log.reader().read(&partition(), Offset(n), NOW).await.unwrap();
        assert_eq!(read[0].record, record(n, PAYLOAD), "{context}");
    }
}

#[test]
fn a_flipped_byte_costs_the_record_it_lies_in() {
    let image = image();
    let mut losses = 0;
    for base in BASES {
        for at in 0..image.content(&place().segment(base)).unwrap().len() {
            let files = image.copy();
            files.damage(&place().segment(base), |bytes| bytes[at] ^= 0x41);
            let lost = touched(base, at..at + 1);
            losses += lost.len();
            check(&files, END, END, &lost, &format!("byte {at} of segment {base}"));
        }
    }
    assert_eq!(losses, END as usize * frame::frame_bytes(&record(0, PAYLOAD)));
}

#[test]
fn without_a_watermark_only_the_end_cannot_be_told_from_a_torn_write() {
    let image = image();
    for at in 0..image.content(&place().segment(6)).unwrap().len() {
        let files = image.copy();
        files.remove(&place().watermark()).unwrap();
        files.damage(&place().segment(6), |bytes| bytes[at] ^= 0x41);
        // Record 7 is the last one: it was acknowledged, or it was not.
        let (end, lost) = match touched(6, at..at + 1)[..] {
            [7] => (7, vec![]),
            [offset] => (END, vec![offset]),
            _ => (END, vec![]),
        };
        check(&files, 6, end, &lost, &format!("byte {at} of segment 6"));
    }
}

#[test]
fn a_segment_cut_anywhere_loses_what_was_behind_the_cut() {
    let image = image();
    for base in BASES {
        let size = image.content(&place().segment(base)).unwrap().len();
        for at in 0..size {
            let lost = touched(base, at..size);
            let files = image.copy();
            files.damage(&place().segment(base), |bytes| bytes.truncate(at));
            check(&files, END, END, &lost, &format!("segment {base} cut at {at}"));
            let files = image.copy();
            files.damage(&place().segment(base), |bytes| bytes[at..].fill(0));
            // What was zero before is not damaged; the record's checksum covers
            // it all the same, and its last byte is not zero.
            let lost = touched(base, at..size);
            check(&files, END, END, &lost, &format!("segment {base} zero from {at}"));
        }
    }
}

/// Two writes of three records each, in one segment.
fn image_of_two_writes() -> SimulatedFiles {
    let files = SimulatedFiles::new();
    let segment_bytes = weir_runtime::ByteSize::mib(1);
    let log = open_as(&files, DiskConfig { segment_bytes, ..config() }).unwrap();
    run(async {
        for n in [0, 3] {
            let records = (n..n + 3).map(|n| record(n, PAYLOAD)).collect();
            append(&log, records).await.unwrap();
        }
    });
    files
}

#[test]
fn a_write_that_was_torn_in_its_middle_is_no_loss_and_earlier_damage_is_one() {
    let image = image_of_two_writes();
    let frame = frame::frame_bytes(&record(0, PAYLOAD));
    for offset in 0..6 {
        for at in [0, HEAD_BYTES, frame - 1] {
            let files = image.copy();
            // As a power cut leaves it: nothing says that the last write was synced.
            files.remove(&place().watermark()).unwrap();
            files.damage(&place().segment(0), |bytes| bytes[HEADER_BYTES + offset * frame + at] ^= 1);
            let (end, lost) = match offset {
                0..3 => (6, vec![offset as u64]),
                _ => (offset as u64, vec![]),
            };
            check(&files, 0, end, &lost, &format!("record {offset}, byte {at}"));
            // What a watermark of this boot covers was synced.
            let files = image.copy();
            files.damage(&place().segment(0), |bytes| bytes[HEADER_BYTES + offset * frame + at] ^= 1);
            check(&files, 6, 6, &[offset as u64], &format!("record {offset}, byte {at}, with a watermark"));
        }
    }
}

#[test]
fn without_a_watermark_a_cut_last_segment_is_a_torn_write() {
    let image = image();
    let size = image.content(&place().segment(6)).unwrap().len();
    for at in 0..=size {
        let whole = END - touched(6, at..size).len() as u64;
        for zeros in [0, 31, 500] {
            let files = image.copy();
            files.remove(&place().watermark()).unwrap();
            files.damage(&place().segment(6), |bytes| {
                bytes.truncate(at);
                bytes.resize(at + zeros, 0);
            });
            check(&files, 6, whole, &[], &format!("cut at {at}, {zeros} zeros"));
        }
    }
}

#[test]
fn zeros_behind_the_end_are_cut_off() {
    for zeros in [1, 32, 300, 5000] {
        let files = image();
        let size = files.content(&place().segment(6)).unwrap().len();
        files.damage(&place().segment(6), |bytes| bytes.resize(size + zeros, 0));
        check(&files, END, END, &[], &format!("{zeros} zeros"));
    }
}

#[test]
fn a_damaged_watermark_costs_nothing() {
    let image = image();
    for at in 0..WATERMARK_BYTES {
        let files = image.copy();
        files.damage(&place().watermark(), |bytes| bytes[at] ^= 0x41);
        check(&files, 6, END, &[], &format!("byte {at}"));
        let files = image.copy();
        files.damage(&place().watermark(), |bytes| bytes.truncate(at));
        check(&files, 6, END, &[], &format!("cut at {at}"));
    }
}

#[test]
fn missing_segments_are_named() {
    let image = image();
    let without = |bases: &[u64]| {
        let files = image.copy();
        for base in bases {
            files.remove(&place().segment(*base)).unwrap();
        }
        files
    };
    check(&without(&[3]), END, END, &[3, 4, 5], "the middle");
    check(&without(&[6]), END, END, &[6, 7], "the last");
    check(&without(&[3, 6]), END, END, &[3, 4, 5, 6, 7], "all but the first");
    for (bases, start) in [(&BASES[..1], 3), (&BASES[..2], 6), (&BASES[..], END)] {
        let files = without(bases);
        run(async {
            let log = open(&files).unwrap();
            let read = log.reader().read(&partition(), Offset(0), NOW).await;
            assert!(
                matches!(read, Err(ReadError::BelowStart { start: s, .. }) if s == Offset(start)),
                "{read:?}"
            );
            go_on(&log, END, "trimmed").await;
        });
    }
}

#[test]
fn damage_anywhere_costs_exactly_what_it_touches() {
    let image = image();
    let damage = (0..BASES.len(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..60));
    let several = prop::collection::vec(damage, 1..5);
    let mut runner = TestRunner::new(Config::with_cases(400));
    runner
        .run(&several, |several| {
            let files = image.copy();
            let mut changed = BTreeSet::new();
            for (segment, at, new) in &several {
                let base = BASES[*segment];
                files.damage(&place().segment(base), |bytes| {
                    let at = at.index(bytes.len());
                    for (at, new) in (at..bytes.len()).zip(new) {
                        bytes[at] = *new;
                    }
                });
            }
            for base in BASES {
                let (before, after) =
                    (image.content(&place().segment(base)), files.content(&place().segment(base)));
                let pairs = before.unwrap().into_iter().zip(after.unwrap()).enumerate();
                for (at, _) in pairs.filter(|(_, (before, after))| before != after) {
                    changed.extend(touched(base, at..at + 1));
                }
            }
            let lost: Vec<_> = changed.into_iter().collect();
            check(&files, END, END, &lost, &format!("{several:?}"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_payload_full_of_forged_heads_does_not_keep_a_reader_busy() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    let seed = Seed::new(&partition(), 0);
    let claim = Record { payload: vec![0; 1 << 20].into(), ..Record::default() };
    let mut forged = Vec::new();
    // The offset that is looked for, so that each is a candidate.
    frame::put_front(&mut forged, seed, 0, true, &claim);
    assert_eq!(forged.len(), HEAD_BYTES);
    let payload = forged.repeat((4 << 20) / HEAD_BYTES);
    let file_bytes = payload.len() as u64;
    run(async {
        append(&log, vec![Record { payload: payload.into(), ..Record::default() }]).await.unwrap();
        files.damage(&place().segment(0), |bytes| bytes[HEADER_BYTES] ^= 1);
        let before = files.read_bytes();
        let read = log.reader().read(&partition(), Offset(0), NOW).await;
        assert!(matches!(read, Err(ReadError::Corrupt { next: Offset(1), .. })), "{read:?}");
        let read = files.read_bytes() - before;
        // It was searched for, and given up.
        let bounds = 4 * file_bytes..100 * file_bytes;
        assert!(bounds.contains(&read), "{read} bytes were read of a file of {file_bytes}");
    });
}

/// A frame as the segment at `base` would hold it.
fn frame_bytes(base: u64, offset: u64, record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put_front(&mut bytes, Seed::new(&partition(), base), offset, true, record);
    bytes.extend_from_slice(&record.payload);
    bytes
}

#[test]
fn a_segment_holds_nothing_of_the_next_ones() {
    for offset in [3, 4, 7, 100] {
        let files = image();
        let stray = frame_bytes(0, offset, &record(99, 10));
        files.damage(&place().segment(0), |bytes| bytes.extend_from_slice(&stray));
        check(&files, END, END, &[], &format!("stray frame of offset {offset}"));
        let files = image();
        files.damage(&place().segment(0), |bytes| {
            bytes[frame_of(2).1.start] ^= 1;
            bytes.extend_from_slice(&stray);
        });
        check(&files, END, END, &[2], &format!("stray frame of offset {offset} behind damage"));
        let files = image();
        files.damage(&place().segment(0), |bytes| {
            bytes.truncate(frame_of(2).1.start);
            bytes.extend_from_slice(&stray);
        });
        check(&files, END, END, &[2], &format!("stray frame of offset {offset} in the place of another"));
    }
}

#[test]
fn a_frame_that_stands_twice_is_read_once() {
    let stray = frame_bytes(6, 6, &record(99, 10));
    for at in [frame_of(7).1.start, frame_of(7).1.end] {
        let files = image();
        files.damage(&place().segment(6), |bytes| {
            bytes.splice(at..at, stray.clone());
        });
        let unmarked = files.copy();
        unmarked.remove(&place().watermark()).unwrap();
        check(&files, END, END, &[], &format!("record 6 again at {at}"));
        check(&unmarked, 6, END, &[], &format!("record 6 again at {at}, without a watermark"));
    }
}

#[test]
fn a_reader_notices_that_the_log_was_replaced() {
    let files = image();
    let reader = other_process(&files);
    run(async {
        // One by one, so that the reader remembers where each begins.
        for offset in 0..END {
            let limit = ReadLimit { bytes: 1, ..NOW };
            reader.read(&partition(), Offset(offset), limit).await.unwrap();
        }
        for base in BASES {
            let records = (base..base + 3).map(|n| frame_bytes(base, n, &record(n, 33)));
            let header = segment::header(&partition(), base);
            let content = header.into_iter().chain(records.flatten()).collect();
            files.damage(&place().segment(base), |bytes| *bytes = content);
        }
        for offset in [7, 5, 2, 4] {
            let read = reader.read(&partition(), Offset(offset), NOW).await.unwrap();
            assert_eq!(read[0].record, record(offset, 33), "offset {offset}");
        }
    });
}

#[test]
fn nothing_is_appended_under_a_damaged_header() {
    for at in [0, HEADER_BYTES - 1] {
        let files = image();
        files.damage(&place().segment(6), |bytes| bytes[at] ^= 1);
        drop(open(&files).unwrap());
        assert_eq!(place().bases(&files).unwrap().last(), Some(&END));
        let content = files.content(&place().segment(END)).unwrap();
        assert_eq!(segment::check_header(&content, &partition(), END), HeaderSays::Ours);
    }
    // Its creation was not finished: nothing is in it, and it is created again.
    let files = image();
    drop(open(&files).unwrap());
    files.put(&place().segment(END), vec![0; HEADER_BYTES + 50]);
    drop(open(&files).unwrap());
    let content = files.content(&place().segment(END)).unwrap();
    assert_eq!(content, segment::header(&partition(), END));
}
