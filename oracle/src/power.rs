//! Power cuts: what is left of a directory is what its processes had synced, and by
//! chance some of what they had not.
//!
//! `power/shim.c` is loaded into each process and keeps a copy of a file whenever it
//! is synced, and the names of a directory. A cut builds the directory anew from
//! those copies:
//!
//! | at the cut | afterwards |
//! |---|---|
//! | a file was never synced | empty, or some of its blocks |
//! | written since its last sync | as it was then, or some of the blocks that were written |
//! | the name was never synced | no such file, or the names of the whole directory are as they were |
//! | removed or renamed, and the directory not synced | still there under its old name, or not |
//!
//! Half of all cuts leave nothing but what was synced; in the others each file and
//! each directory is as the seed says.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::io::Errno;

const SHIM: &str = include_str!("power/shim.c");

/// What a disk writes as a whole.
const BLOCK_BYTES: usize = 4096;

/// A directory whose power can be cut.
pub(crate) struct Power {
    root: PathBuf,
    shadow: PathBuf,
    boot: PathBuf,
    shim: PathBuf,
}

/// What is not synced at a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsynced {
    /// Is gone.
    Gone,
    /// May be there, block by block and directory by directory.
    Chance,
}

/// A name of a directory.
struct Entry {
    key: String,
    is_dir: bool,
    name: String,
}

impl Power {
    /// Of `root`, an existing directory, in which everything is durable now. The
    /// copies lie beside it.
    ///
    /// # Errors
    /// There is no C compiler, or the directory cannot be read.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let root = root.canonicalize()?;
        let beside = |what: &str| root.with_extension(what);
        let (shadow, boot, shim) = (beside("shadow"), beside("boot"), beside("shim.so"));
        let source = beside("shim.c");
        fs::write(&source, SHIM)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(&source);
        let output = compiler.output().context("this needs a C compiler, `cc`")?;
        if !output.status.success() {
            bail!("cc: {}", String::from_utf8_lossy(&output.stderr));
        }
        let power = Self { root, shadow, boot, shim };
        power.settle(1)?;
        Ok(power)
    }

    /// The variables of a process whose files are cut off.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.shim.clone().into()),
            ("POWER_ROOT", self.root.clone().into()),
            ("POWER_SHADOW", self.shadow.clone().into()),
            ("POWER_BOOT", self.boot.clone().into()),
        ]
    }

    /// The power was cut, when the last process was killed just before.
    ///
    /// # Errors
    /// The directory cannot be built anew.
    pub(crate) fn cut(&self, random: &mut SmallRng) -> Result<()> {
        let unsynced = if random.random_bool(0.5) { Unsynced::Gone } else { Unsynced::Chance };
        let mut live = HashMap::new();
        survey(&self.root, &mut live)?;
        let (next, before) = (self.root.with_extension("next"), self.root.with_extension("before"));
        let key = key_of(&self.root)?;
        self.build(&next, &key, &live, unsynced, random).context("what the power cut leaves")?;
        fs::rename(&self.root, &before)?;
        fs::rename(&next, &self.root)?;
        self.settle(random.random())?;
        fs::remove_dir_all(&before)?;
        Ok(())
    }

    /// Builds a directory of what is left of it.
    fn build(
        &self,
        at: &Path,
        key: &str,
        live: &HashMap<String, PathBuf>,
        unsynced: Unsynced,
        random: &mut SmallRng,
    ) -> Result<()> {
        fs::create_dir(at)?;
        let was = live.get(key);
        let is_as_it_was = unsynced == Unsynced::Chance && random.random_bool(0.5);
        let entries = match was.filter(|_| is_as_it_was) {
            Some(was) => entries(was)?,
            None => self.names(key)?,
        };
        for Entry { key, is_dir, name } in entries {
            let (to, was) = (at.join(&name), live.get(&key));
            if is_dir {
                self.build(&to, &key, live, unsynced, random)?;
                continue;
            }
            let durable = bytes(&self.shadow.join("files").join(&key))?;
            let content = match (unsynced, was) {
                (Unsynced::Chance, Some(was)) => some_of(durable, &bytes(was)?, random),
                _ => durable,
            };
            fs::write(&to, content)?;
            keep_permissions(was, &to)?;
        }
        keep_permissions(was, at)
    }

    /// A directory's durable names, in an order that is the same for the same seed.
    fn names(&self, key: &str) -> Result<Vec<Entry>> {
        let text = bytes(&self.shadow.join("names").join(key))?;
        let text = String::from_utf8(text).context("names that are text")?;
        let mut entries = Vec::new();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(key), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                bail!("{line:?} names nothing");
            };
            entries.push(Entry { key: key.to_owned(), is_dir: kind == "d", name: name.to_owned() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Everything that is there is durable, and the machine has booted.
    fn settle(&self, boot: u32) -> Result<()> {
        match fs::remove_dir_all(&self.shadow) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        for kind in ["files", "names"] {
            fs::create_dir_all(self.shadow.join(kind))?;
        }
        let mut live = HashMap::new();
        survey(&self.root, &mut live)?;
        for (key, path) in live.into_iter().collect::<BTreeMap<_, _>>() {
            if !path.is_dir() {
                fs::copy(&path, self.shadow.join("files").join(key))?;
                continue;
            }
            let line = |entry: Entry| {
                format!("{} {} {}\n", entry.key, if entry.is_dir { 'd' } else { 'f' }, entry.name)
            };
            let lines: String = entries(&path)?.into_iter().map(line).collect();
            fs::write(self.shadow.join("names").join(key), lines)?;
        }
        fs::write(&self.boot, format!("{boot:08x}-0000-4000-8000-000000000000\n"))?;
        Ok(())
    }
}

/// Which path each file and directory has, by its key.
fn survey(dir: &Path, found: &mut HashMap<String, PathBuf>) -> Result<()> {
    found.insert(key_of(dir)?, dir.to_owned());
    for Entry { key, is_dir, name } in entries(dir)? {
        let path = dir.join(name);
        if is_dir {
            survey(&path, found)?;
        } else {
            found.insert(key, path);
        }
    }
    Ok(())
}

/// The files and directories in a directory, by name. Sockets live no longer than
/// their process.
fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        // A child of who was killed may still be about to end, and tidy up.
        let key = match key_of(&entry.path()) {
            Err(Errno::NOENT) => continue,
            key => key?,
        };
        let name = entry.file_name().into_string().ok().context("names that are text")?;
        entries.push(Entry { key, is_dir: kind.is_dir(), name });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// As the shim writes it.
fn key_of(path: &Path) -> Result<String, Errno> {
    let about = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO | StatxFlags::BTIME)?;
    Ok(format!("{}-{}-{}", about.stx_ino, about.stx_btime.tv_sec, about.stx_btime.tv_nsec))
}

/// Whoever may read it may do so again.
fn keep_permissions(was: Option<&PathBuf>, to: &Path) -> Result<()> {
    if let Some(Ok(metadata)) = was.map(fs::metadata) {
        fs::set_permissions(to, metadata.permissions())?;
    }
    Ok(())
}

/// What a file holds; nothing where there is none.
fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    match File::open(path) {
        Ok(mut file) => drop(file.read_to_end(&mut content)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    }
    Ok(content)
}

/// A file of which some blocks were written since it was synced, and others were
/// not: a hole where nothing had been before. It ends anywhere between.
fn some_of(mut durable: Vec<u8>, live: &[u8], random: &mut SmallRng) -> Vec<u8> {
    if durable == live {
        return durable;
    }
    let end = match live.len() > durable.len() {
        true => random.random_range(durable.len()..=live.len()),
        false if random.random_bool(0.5) => live.len(),
        false => durable.len(),
    };
    durable.resize(end, 0);
    for (block, written) in durable.chunks_mut(BLOCK_BYTES).zip(live.chunks(BLOCK_BYTES)) {
        let both = block.len().min(written.len());
        if random.random_bool(0.5) {
            block[..both].copy_from_slice(&written[..both]);
        }
    }
    durable
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// What a process does that is told by a shell's words, below the shim.
    fn run(power: &Power, script: &str) {
        let mut command = Command::new("python3");
        command.arg("-c").arg(script).current_dir(&power.root).envs(power.environment());
        assert!(command.status().expect("python3").success(), "{script}");
    }

    const DEFINITIONS: &str = "
import os
def write(name, text, sync=True, mode='ab'):
    with open(name, mode) as file:
        file.write(text); file.flush()
        if sync: os.fsync(file.fileno())
def sync(name):
    fd = os.open(name, os.O_RDONLY); os.fsync(fd); os.close(fd)
";

    fn power() -> (tempfile::TempDir, Power) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("disk")).expect("made");
        let power = Power::new(&dir.path().join("disk")).expect("cc");
        (dir, power)
    }

    fn found(power: &Power, name: &str) -> Option<String> {
        fs::read_to_string(power.root.join(name)).ok()
    }

    #[test]
    fn what_was_synced_is_there_and_nothing_else_need_be() {
        let (_dir, power) = power();
        let script = format!(
            "{DEFINITIONS}
write('whole', b'synced'); write('tail', b'synced'); write('tail', b'not', False)
write('empty', b'not', False); write('gone', b'there'); sync('.')
write('unnamed', b'synced'); os.remove('gone'); write('whole', b'new', True, 'wb')
os.mkdir('below'); write('below/unnamed', b'synced'); sync('below')
"
        );
        run(&power, &script);
        // A seed whose first coin says that nothing else is.
        let mut random = (0..).map(SmallRng::seed_from_u64).find(|random| random.clone().random_bool(0.5));
        power.cut(random.as_mut().expect("there is one")).expect("cut");
        let check =
            |name: &str, content: Option<&str>| assert_eq!(found(&power, name).as_deref(), content, "{name}");
        check("whole", Some("new"));
        check("tail", Some("synced"));
        check("empty", Some(""));
        check("gone", Some("there"));
        check("unnamed", None);
        assert!(!power.root.join("below").exists());
        // What was left is durable from now on.
        run(&power, &format!("{DEFINITIONS}\nwrite('tail', b' again'); os.remove('whole'); sync('.')"));
        power.cut(random.as_mut().expect("there is one")).expect("cut");
        check("tail", Some("synced again"));
        check("whole", None);
    }

    #[test]
    fn what_was_not_synced_is_there_in_part_at_most() {
        let mut random = SmallRng::seed_from_u64(7);
        let (durable, live) = (vec![b'a'; 3 * BLOCK_BYTES], vec![b'b'; 5 * BLOCK_BYTES + 7]);
        let mut lengths = Vec::new();
        for _ in 0..200 {
            let left = some_of(durable.clone(), &live, &mut random);
            assert!((durable.len()..=live.len()).contains(&left.len()));
            for (number, block) in left.chunks(BLOCK_BYTES).enumerate() {
                let old = if number < 3 { b'a' } else { 0 };
                assert!(block.iter().all(|byte| *byte == old) || block.iter().all(|byte| *byte == b'b'));
            }
            lengths.push(left.len());
        }
        assert!(lengths.iter().any(|length| *length < live.len() - BLOCK_BYTES));
        assert_eq!(some_of(live.clone(), &live, &mut random), live);
    }

    #[test]
    fn another_boot_has_another_number() {
        let (_dir, power) = power();
        let says = "open('said', 'w').write(open('/proc/sys/kernel/random/boot_id').read())";
        let said = || {
            run(&power, says);
            found(&power, "said").expect("said")
        };
        let (first, again) = (said(), said());
        power.cut(&mut SmallRng::seed_from_u64(1)).expect("cut");
        assert_eq!(first, again);
        assert_ne!(first, said());
        assert_eq!(first.trim().replace('-', "").len(), 32, "{first}");
    }
}
