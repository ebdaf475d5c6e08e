//! Batches of tailed lines: each line is parsed into the columns of `logs`.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use weir_proto::DecodeError;
use weir_proto::model::{ByteRange, drop_reason};
use weir_proto::schema::Table;
use weir_proto::schema::log::column::TIMESTAMP;
use weir_proto::wire::batch::LineBatch;
use weir_stream::StoredRecord;

use super::{Accepted, Intake, Said, When, lane, later, settled};
use crate::columns::{Columns, bytes_per_row};
use crate::ledger::{Admission, Loss, Row};
use crate::parse::Parser;

/// What the columns that repeat a source's attributes in every row may take in
/// one message. Few bytes can claim many; in health it is a tenth of this.
const REPEATED_BYTES_MAX: usize = 256 << 20;

/// Refuses a batch whose few bytes would claim too many.
pub(super) fn bounded(batch: LineBatch) -> Result<LineBatch, DecodeError> {
    let per_row: Vec<usize> = batch.sources.iter().map(bytes_per_row).collect();
    let bytes: usize = batch.lines().map(|line| per_row[line.source]).sum();
    if bytes > REPEATED_BYTES_MAX {
        let what = "the resource attributes of all rows";
        return Err(DecodeError::Oversized { what, bytes: bytes as u64, limit: REPEATED_BYTES_MAX as u64 });
    }
    Ok(batch)
}

impl Intake {
    pub(super) fn take_lines(
        &mut self,
        message: &StoredRecord,
        batch: &LineBatch,
        now_micros: i64,
    ) -> Accepted {
        let lines = batch.lines().map(|line| Row { source: line.source, range: line.range, is_event: true });
        let mut admission = self.ledger.admit(&batch.sources, lines);
        let mut latest = vec![None; batch.sources.len()];
        let rows = self.parse(batch, &mut admission, &mut latest).map(|rows| (Table::Logs, rows));
        let observed = observed(batch);
        let sent_micros = message.record.timestamp_micros;
        let when = When {
            agent: batch.header.agent,
            appended_micros: sent_micros,
            observed_micros: &|index| observed[index].unwrap_or(sent_micros),
            event_micros: &latest,
        };
        let settled = settled(&batch.sources, &admission, &when);
        let said = Said {
            tenant: &batch.header.tenant,
            sources: &batch.sources,
            admission: &admission,
            lane: lane(&batch.header, message, now_micros),
        };
        self.metrics.text_bytes.inc_by(batch.text_bytes() as u64);
        let accepted = self.accepted(message, said, rows.into_iter().collect(), settled, now_micros);
        Accepted { layouts: self.parser.take_layouts(), ..accepted }
    }

    /// The rows of the new lines, without those below their source's minimum
    /// severity, which are one loss of each source. Notes the `latest` time of
    /// each source's rows.
    fn parse(
        &mut self,
        batch: &LineBatch,
        admission: &mut Admission,
        latest: &mut [Option<i64>],
    ) -> Option<RecordBatch> {
        let rows = admission.is_new.iter().filter(|is_new| **is_new).count();
        if rows == 0 {
            return None;
        }
        let parsers: Vec<Parser> =
            batch.sources.iter().map(|source| Parser::of_name(&source.parser)).collect();
        let mut columns = Columns::with_capacity(rows, batch.text_bytes() / batch.len() * rows);
        let mut keep = Vec::with_capacity(rows);
        let mut sources = Vec::with_capacity(rows);
        let mut below: Vec<Option<(ByteRange, u64)>> = vec![None; batch.sources.len()];
        for (line, is_new) in batch.lines().zip(&admission.is_new) {
            if !is_new {
                continue;
            }
            let severity = self.parser.parse(&line, parsers[line.source], &mut columns);
            let least = batch.sources[line.source].min_severity;
            let is_below = severity.zip(least).is_some_and(|(severity, least)| severity < least);
            keep.push(!is_below);
            if !is_below {
                sources.push(line.source);
            } else {
                let (range, count) = below[line.source].get_or_insert((line.range, 0));
                *range = ByteRange::new(range.start.min(line.range.start), range.end.max(line.range.end));
                *count += 1;
            }
        }
        let mut parsed = columns.finish(&batch.header.tenant, &batch.sources);
        if keep.contains(&false) {
            let keep = BooleanArray::from(keep);
            parsed = filter_record_batch(&parsed, &keep).expect("the filter has a bit per row");
        }
        for (source, below) in below.into_iter().enumerate() {
            let Some((range, count)) = below else { continue };
            admission.found[source].events -= count;
            self.metrics.below_min_level.inc_by(count);
            let reason = drop_reason::BELOW_MIN_LEVEL.to_owned();
            admission.losses.push(Loss { source, range, count: Some(count), reason });
        }
        let times = parsed[TIMESTAMP].as_primitive::<TimestampMicrosecondType>().values();
        sources.iter().zip(times).for_each(|(source, micros)| later(latest, *source, *micros));
        (parsed.num_rows() > 0).then_some(parsed)
    }
}

/// When the last line of each source was read.
fn observed(batch: &LineBatch) -> Vec<Option<i64>> {
    let mut observed = vec![None; batch.sources.len()];
    for line in batch.lines() {
        let held = &mut observed[line.source];
        *held = Some(line.observed_micros).max(*held);
    }
    observed
}
