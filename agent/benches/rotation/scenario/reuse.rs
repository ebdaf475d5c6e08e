//! A file is deleted and another one has its inode.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Outcome;
use crate::bed::{Bed, Writer};

/// Files beside those that are deleted: more than may be open, so that the
/// agent holds no descriptor of most, and their inodes can be had again.
const OTHERS: u32 = 150;

/// Files that are held for a new one to have the inode that is wanted.
const TRIES: usize = 64;

/// So many times, a file is replaced by one of the same inode: each fourth
/// time while the agent is down.
pub(crate) fn reuse(times: usize, seed: u64) -> Outcome {
    let mut bed = Bed::new(seed, Some(96))?;
    let name = |number: u32| format!("{number}.log");
    let mut writers: Vec<_> = (0..OTHERS).map(|number| Writer::new(number, 60)).collect();
    for writer in &mut writers {
        writer.append(&bed.path(&name(writer.number)), 3)?;
    }
    bed.start()?;
    bed.settle(&writers)?;
    let (mut reused, mut down, mut rounds) = (0, 0, 0);
    while reused < times {
        rounds += 1;
        ensure!(rounds < times * 3 + 50, "only {reused} of {rounds} inodes were given again");
        let is_down = rounds % 4 == 0;
        let writer = &mut writers[rounds % OTHERS as usize];
        let path = bed.path(&name(writer.number));
        let inode = fs::metadata(&path)?.ino();
        if is_down {
            // Its last state is written at most a second after.
            bed.stop()?;
        }
        // As long as before, longer or shorter: sizes tell nothing.
        let lines = 1 + rounds % 5;
        let text = writer.text(lines);
        fs::remove_file(&path)?;
        let again = create_with(&bed, inode, &path, text.as_bytes())?;
        reused += usize::from(again);
        down += usize::from(again && is_down);
        if is_down {
            bed.start()?;
        }
        let (number, last) = (writer.number, writer.lines - 1);
        bed.wait("the new file's lines", |judge| Ok(judge.times(number, last) > 0))?;
    }
    bed.settle(&writers)?;
    let verdict = bed.must_be_clean(&writers)?;
    let parked = bed.metric("weir_agent_files_parked");
    ensure!(parked > 0.0, "every file was held open");
    bed.stop()?;
    Ok(format!("{reused} inodes given again ({down} while down) of {rounds}, {} lines", verdict.written))
}

/// Creates a file, with that inode if the file system can be made to.
fn create_with(bed: &Bed, inode: u64, path: &std::path::Path, text: &[u8]) -> Result<bool> {
    let mut held = Vec::new();
    let mut again = false;
    for nth in 0..TRIES {
        let draft = bed.path(&format!("draft-{nth}"));
        let file = File::create(&draft)?;
        again = file.metadata()?.ino() == inode;
        held.push((draft, file));
        if again {
            break;
        }
    }
    let Some((draft, mut file)) = held.pop() else { return Ok(false) };
    file.write_all(text)?;
    fs::rename(draft, path)?;
    for (draft, _) in held {
        fs::remove_file(draft)?;
    }
    std::thread::sleep(Duration::from_millis(1));
    Ok(again)
}
