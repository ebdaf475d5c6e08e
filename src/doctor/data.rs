//! The data directory: whether it can be written, keeps what it is given, and
//! has room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{statfs, statvfs};

use super::Finding;

/// Below this little room, and below this share, it is soon full.
const FREE_MIN: u64 = 2 << 30;

/// A sync that takes longer slows every answer to a client.
const SYNC_SLOW: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
struct Facts {
    path: PathBuf,
    /// The directory is not there, and its parent was looked at instead.
    is_new: bool,
    /// How long a small write takes to be durable.
    sync: Result<Duration, String>,
    free: Option<u64>,
    total: Option<u64>,
    file_system: Option<&'static str>,
}

pub(super) fn look(data: &Path) -> Vec<Finding> {
    let path = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let present = path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let space = statvfs(present).ok();
    judge(&Facts {
        is_new: present != path,
        sync: try_sync(present).map_err(|error| error.to_string()),
        free: space.as_ref().map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
        total: space.as_ref().map(|space| space.f_blocks.saturating_mul(space.f_frsize)),
        file_system: statfs(present).ok().and_then(|found| name_of(found.f_type)),
        path,
    })
}

/// Writes, syncs, renames and removes a file, as a checkpoint does.
fn try_sync(directory: &Path) -> io::Result<Duration> {
    let path = directory.join(format!(".weir-doctor-{}", std::process::id()));
    let written = || {
        let mut file = File::create_new(&path)?;
        let began = Instant::now();
        file.write_all(b"weir doctor")?;
        file.sync_all()?;
        File::open(directory)?.sync_all()?;
        Ok(began.elapsed())
    };
    let result = written();
    let _ = fs::remove_file(&path);
    result
}

fn judge(facts: &Facts) -> Vec<Finding> {
    [Some(directory(facts)), space(facts), Some(kind(facts))].into_iter().flatten().collect()
}

fn directory(Facts { path, is_new, sync, .. }: &Facts) -> Finding {
    const CHECK: &str = "data directory";
    let path = path.display();
    match sync {
        Ok(took) => {
            let what = if *is_new { "does not exist and can be created" } else { "can be written" };
            let found = format!("{path} {what}, a sync takes {} ms", took.as_millis());
            if *took < SYNC_SLOW {
                return Finding::ok(CHECK, found);
            }
            let advice = "put it on a faster disk: a client that pushes waits for a sync";
            Finding::warn(CHECK, found, advice)
        }
        Err(error) => Finding::fail(
            CHECK,
            format!("{path} cannot be written: {error}"),
            format!(
                "give it to the user that Weir runs as, or name another with --data; now it is {}",
                whoami()
            ),
        ),
    }
}

fn whoami() -> String {
    format!("user {}", rustix::process::geteuid().as_raw())
}

fn space(Facts { free, total, .. }: &Facts) -> Option<Finding> {
    const CHECK: &str = "free space";
    let (free, total) = ((*free)?, (*total)?);
    let found = format!("{:.1} GB of {:.1} GB", gigabytes(free), gigabytes(total));
    let advice = "make room, or make agent.keep_bytes and agent.receive.spool_bytes smaller";
    Some(match free {
        0..=0x0400_0000 => Finding::fail(CHECK, found, advice),
        _ if free < FREE_MIN => Finding::warn(CHECK, found, advice),
        _ => Finding::ok(CHECK, found),
    })
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn kind(Facts { file_system, .. }: &Facts) -> Finding {
    const CHECK: &str = "file system";
    match *file_system {
        Some(name @ ("tmpfs" | "ramfs")) => Finding::fail(
            CHECK,
            format!("{name}: all of it is gone after a restart of the host"),
            "put the data directory on a disk: what was answered must survive",
        ),
        Some("overlay") => Finding::fail(
            CHECK,
            "overlay: it belongs to the container and goes with it",
            "mount a volume, or a directory of the host, as the data directory",
        ),
        Some(name @ ("nfs" | "cifs" | "smb2" | "9p" | "fuse" | "ceph")) => Finding::warn(
            CHECK,
            format!("{name}: locks, syncs and SQLite may not work as on a disk"),
            "put the data directory on a local disk",
        ),
        Some(name) => Finding::ok(CHECK, name),
        None => Finding::ok(CHECK, "no temporary or network file system"),
    }
}

/// Those of `statfs(2)` that matter here.
fn name_of(magic: impl Into<i64>) -> Option<&'static str> {
    match magic.into() & 0xffff_ffff {
        0x0102_1994 => Some("tmpfs"),
        0x8584_58f6 => Some("ramfs"),
        0x794c_7630 => Some("overlay"),
        0x6969 => Some("nfs"),
        0xff53_4d42 => Some("cifs"),
        0xfe53_4d42 => Some("smb2"),
        0x0102_1997 => Some("9p"),
        0x6573_5546 => Some("fuse"),
        0x00c3_6400 => Some("ceph"),
        0xef53 => Some("ext4"),
        0x5846_5342 => Some("xfs"),
        0x9123_683e => Some("btrfs"),
        0x2fc1_2fc1 => Some("zfs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_place_that_forgets_or_is_full_or_slow_is_told() {
        use Outcome::{Fail, Ok, Warn};
        let host = Facts {
            path: "/var/lib/weir".into(),
            is_new: false,
            sync: Result::Ok(Duration::from_millis(2)),
            free: Some(80 << 30),
            total: Some(100 << 30),
            file_system: Some("ext4"),
        };
        let check = |facts: Facts, expected: [Outcome; 3]| {
            let outcomes: Vec<_> = judge(&facts).iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, expected, "{facts:?}");
        };
        check(host.clone(), [Ok, Ok, Ok]);
        check(Facts { is_new: true, file_system: None, ..host.clone() }, [Ok, Ok, Ok]);
        check(Facts { sync: Result::Ok(Duration::from_millis(300)), ..host.clone() }, [Warn, Ok, Ok]);
        check(Facts { sync: Err("Permission denied".to_owned()), ..host.clone() }, [Fail, Ok, Ok]);
        check(Facts { free: Some(1 << 30), ..host.clone() }, [Ok, Warn, Ok]);
        check(Facts { free: Some(1 << 20), ..host.clone() }, [Ok, Fail, Ok]);
        check(Facts { file_system: Some("tmpfs"), ..host.clone() }, [Ok, Ok, Fail]);
        check(Facts { file_system: Some("overlay"), ..host.clone() }, [Ok, Ok, Fail]);
        check(Facts { file_system: Some("nfs"), ..host }, [Ok, Ok, Warn]);
        assert_eq!((name_of(0x6969_i64), name_of(0x5846_5342_i64)), (Some("nfs"), Some("xfs")));
    }
}
