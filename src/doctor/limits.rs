//! What the kernel allows: watches, and open files.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Finding;

/// What an agent holds open beside files: sockets, its state, its spools.
const OWN_FILES: u64 = 256;

/// Watches of others on the same host that are not counted here.
const OTHERS_SHARE: u64 = 2;

/// The limits, and what is needed of them.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Of this user, over all processes; none: this kernel has no inotify.
    watches_max: Option<u64>,
    /// Of this user.
    instances_max: Option<u64>,
    /// Descriptors of a process, as far as it may raise that.
    open_max: u64,
    directories: u64,
    files: u64,
}

pub(super) fn look(directories: usize, files: usize) -> Vec<Finding> {
    let sysctl =
        |name: &str| fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok();
    // An agent raises its limit as far as it may.
    let open_max = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    judge(Facts {
        watches_max: sysctl("max_user_watches"),
        instances_max: sysctl("max_user_instances"),
        open_max,
        directories: directories as u64,
        files: files as u64,
    })
}

fn judge(facts: Facts) -> Vec<Finding> {
    vec![watches(facts), instances(facts), open_files(facts)]
}

fn watches(Facts { watches_max, directories, .. }: Facts) -> Finding {
    const CHECK: &str = "inotify watches";
    let Some(max) = watches_max else {
        return Finding::warn(
            CHECK,
            "the kernel tells nothing of inotify: changes are found by scanning alone",
            "nothing, if lines may be a second late",
        );
    };
    let found = format!("{directories} directories to watch, this user may watch {max}");
    let wanted = (directories * 2 * OTHERS_SHARE).max(8_192).next_power_of_two();
    let advice = format!(
        "sysctl fs.inotify.max_user_watches={wanted}, and write it to /etc/sysctl.d; until then changes are found by scanning"
    );
    if directories >= max {
        Finding::fail(CHECK, found, advice)
    } else if directories * OTHERS_SHARE >= max {
        Finding::warn(CHECK, format!("{found}, in all its processes"), advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

fn instances(Facts { instances_max, .. }: Facts) -> Finding {
    const CHECK: &str = "inotify instances";
    match instances_max {
        Some(max) if max < 16 => Finding::warn(
            CHECK,
            format!("this user may have {max}, in all its processes; an agent needs one"),
            "sysctl fs.inotify.max_user_instances=128",
        ),
        Some(max) => Finding::ok(CHECK, format!("this user may have {max}, an agent needs one")),
        None => Finding::skip(CHECK, "not known", ""),
    }
}

fn open_files(Facts { open_max, files, .. }: Facts) -> Finding {
    const CHECK: &str = "open files";
    let needed = files + OWN_FILES;
    let found = format!("{files} files are found, a process may have {open_max} open");
    // Each file that was rotated and is not read to its end is open, too.
    let wanted = (needed * 2).max(65_536).next_power_of_two();
    let advice = format!("LimitNOFILE={wanted} in the unit, or ulimit -Hn {wanted} before the start");
    if needed > open_max {
        Finding::fail(CHECK, found, advice)
    } else if needed * 2 > open_max {
        Finding::warn(CHECK, format!("{found}: little room for rotated ones"), advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn limits_are_held_against_what_is_found() {
        let host = Facts {
            watches_max: Some(65_536),
            instances_max: Some(128),
            open_max: 1_048_576,
            directories: 300,
            files: 900,
        };
        let check = |facts: Facts, expected: [Outcome; 3]| {
            let outcomes: Vec<_> = judge(facts).iter().map(|finding| finding.outcome).collect();
            assert_eq!(outcomes, expected, "{facts:?}");
        };
        use Outcome::{Fail, Ok, Skip, Warn};
        check(host, [Ok, Ok, Ok]);
        check(Facts { directories: 65_536, ..host }, [Fail, Ok, Ok]);
        check(Facts { directories: 40_000, ..host }, [Warn, Ok, Ok]);
        check(Facts { watches_max: None, instances_max: None, ..host }, [Warn, Skip, Ok]);
        check(Facts { instances_max: Some(1), ..host }, [Ok, Warn, Ok]);
        check(Facts { open_max: 1024, ..host }, [Ok, Ok, Fail]);
        check(Facts { open_max: 2048, ..host }, [Ok, Ok, Warn]);
        let advice = &judge(Facts { open_max: 1024, ..host })[2].advice;
        assert!(advice.contains("LimitNOFILE=65536"), "{advice}");
        let advice = &judge(Facts { directories: 65_536, ..host })[0].advice;
        assert!(advice.contains("max_user_watches=262144"), "{advice}");
    }
}
