//! Records that nobody can decode lie in the topics. Each must be among the dead
//! letters, byte for byte, and counted; everything beside them must be stored.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng;

use super::Scenario;
use crate::run::Run;
use crate::stranger::Stranger;

/// Until what was poisoned last is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that it is ours, and is not.
const LINES: [(&str, &str); 6] = [
    ("content-type", "application/vnd.weir.lines+arrow"),
    ("weir-codec", "none"),
    ("weir-uncompressed-bytes", "40"),
    ("weir-tenant", "default"),
    ("weir-agent", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ("weir-schema", "1"),
];

/// Says that it is OTLP, and is not.
const SPANS: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];

pub(super) struct Poison;

impl Scenario for Poison {
    fn name(&self) -> &'static str {
        "poison"
    }

    fn about(&self) -> &'static str {
        "undecodable records in the topics; some ingesters are killed beside it"
    }

    fn brief(&self) -> u64 {
        8
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let stranger = Stranger::new(&run.cluster.kafka()?.brokers())?;
        while run.is_to_go_on() {
            let number = run.poisoned.len();
            let (topic, headers): (&str, &[_]) =
                if run.random.random_bool(0.7) { ("weir.logs", &LINES) } else { ("weir.spans", &SPANS) };
            // The first bytes are no Arrow and no protobuf.
            let payload =
                format!("\u{7f}\u{7f}\u{7f}\u{7f}poison {number:08} {:016x}", run.random.random::<u64>());
            let partition = run.random.random_range(0..4);
            stranger.append(topic, partition, headers, payload.as_bytes())?;
            run.poisoned.push(payload.into_bytes());
            run.over("poison");
            if run.random.random_bool(0.1) {
                let name = ["ingest-1", "ingest-2"][run.random.random_range(0..2)];
                run.kill(name)?;
                run.launch(name)?;
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }

    fn judge(&self, run: &mut Run) -> Result<Vec<String>> {
        let stranger = Stranger::new(&run.cluster.kafka()?.brokers())?;
        let letters = stranger.read("weir.dead-letter", PATIENCE)?;
        let mut wrong = Vec::new();
        let header = |letter: &weir_stream::Record, name: &str| {
            let found = letter.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        // A message that is read again after a kill is kept again.
        let mut places = BTreeSet::new();
        for letter in &letters {
            if header(letter, "weir-dead-letter-reason").is_empty() {
                wrong.push("a dead letter without a reason".to_owned());
            }
            let place = ["topic", "partition", "offset"]
                .map(|part| header(letter, &format!("weir-dead-letter-{part}")));
            places.insert((place, letter.payload.to_vec()));
        }
        for payload in &run.poisoned {
            let count = places.iter().filter(|(_, found)| found == payload).count();
            if count != 1 {
                let text = String::from_utf8_lossy(payload);
                wrong.push(format!("{text:?} is among the dead letters {count} times"));
            }
        }
        if places.len() != run.poisoned.len() {
            wrong.push(format!("{} dead letters for {} records", places.len(), run.poisoned.len()));
        }
        let statement = "SELECT count(*), CAST(coalesce(sum(\"end\" - start), 0) AS BIGINT) \
            FROM weir.gaps WHERE reason = 'undecodable'";
        let answer = run.cluster.query()?.ask(statement)?;
        let Some([count, offsets]) = answer.rows.first().map(Vec::as_slice) else {
            bail!("no answer about gaps");
        };
        if *offsets != run.poisoned.len() {
            wrong.push(format!("{count} gaps over {offsets} records for {} records", run.poisoned.len()));
        }
        Ok(wrong)
    }
}
