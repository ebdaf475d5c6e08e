//! Lines that no one should write.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Result, ensure};
use weir_proto::model::drop_reason;

use super::Outcome;
use crate::bed::{Bed, Writer};

/// What the agent may take meanwhile, MiB.
const RSS_MIB_MAX: f64 = 256.0;

/// What a container runtime writes at once.
const FRAGMENT_BYTES: usize = 16 * 1024;

fn judged(bed: &mut Bed, writers: &[Writer], bytes: u64) -> Outcome {
    bed.settle(writers)?;
    bed.must_be_clean(writers)?;
    ensure!(bed.judge.truncated == 1, "{} lines were truncated", bed.judge.truncated);
    let told = bed.judge.told.get(drop_reason::LINE_TOO_LONG).copied().unwrap_or(0);
    ensure!(told > 0 && told < bytes, "{told} bytes of {bytes} are told as dropped");
    ensure!(bed.rss_mib <= RSS_MIB_MAX, "{:.0} MiB", bed.rss_mib);
    bed.stop()?;
    Ok(format!("{bytes} B in one line, {told} of them told as dropped, {:.0} MiB", bed.rss_mib))
}

/// A line of that length, most of it a hole, with neighbours in its file and
/// beside it.
pub(crate) fn giant(bytes: u64) -> Outcome {
    let mut bed = Bed::new(0, None)?;
    let mut writers = [Writer::new(1, 100), Writer::new(2, 100)];
    let path = bed.path("1.log");
    let file = writers[0].append(&path, 10)?;
    file.set_len(file.metadata()?.len() + bytes)?;
    drop(file);
    OpenOptions::new().append(true).open(&path)?.write_all(b"\n")?;
    writers[0].append(&path, 10)?;
    bed.start()?;
    for _ in 0..20 {
        writers[1].append(&bed.path("2.log"), 50)?;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    judged(&mut bed, &writers, bytes)
}

/// A container's line of that length, in fragments.
pub(crate) fn fragments(bytes: usize) -> Outcome {
    let mut bed = Bed::new(0, None)?;
    let path = bed.path("pods/n_p_u/c/0.log");
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let mut writer = Writer::new(1, 100);
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut lines = |file: &mut std::fs::File, count: usize| -> Result<()> {
        for line in writer.text(count).lines() {
            writeln!(file, "2016-10-06T00:17:09.5Z stdout F {line}")?;
        }
        Ok(())
    };
    lines(&mut file, 10)?;
    bed.start()?;
    let part = "x".repeat(FRAGMENT_BYTES);
    for nth in 0..bytes / FRAGMENT_BYTES {
        writeln!(file, "2016-10-06T00:17:09.5Z stdout P {part}")?;
        if nth % 512 == 0 {
            // The other stream goes on meanwhile.
            writeln!(file, "2016-10-06T00:17:09.5Z stderr F 00002 00000000 x.")?;
        }
    }
    writeln!(file, "2016-10-06T00:17:09.5Z stdout F end")?;
    lines(&mut file, 10)?;
    judged(&mut bed, &[writer], bytes as u64)
}
