//! Names that rotation gives: which file a rotated file was.

use std::path::{Path, PathBuf};

/// The path that a rotated file had, if its name is one that rotation gives:
/// `a.log.1`, `a.log.old`, `a.log-20260131`, `a.log.2026-01-31`,
/// `0.log.20260131-235959`. Sources: logrotate(8) `dateext`, the kubelet's and
/// log4j's patterns.
pub(crate) fn original(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let original = strip_old(name).or_else(|| strip_number_or_time(name))?;
    (!original.is_empty()).then(|| path.with_file_name(original))
}

/// The number that rotation gave, if it gives numbers: higher ones are older.
pub(crate) fn generation(path: &Path) -> Option<u64> {
    let plain = uncompressed(path);
    let (_, number) = plain.file_name()?.to_str()?.rsplit_once('.')?;
    number.parse().ok().filter(|_| number.len() <= 4)
}

/// The path that all generations of a file share: the live one's.
pub(crate) fn family(path: &Path) -> PathBuf {
    let plain = uncompressed(path);
    original(&plain).unwrap_or(plain)
}

/// The path of a compressed file before it was compressed.
pub(crate) fn uncompressed(path: &Path) -> PathBuf {
    let is_gz = path.extension().is_some_and(|extension| extension == "gz");
    if is_gz { path.with_extension("") } else { path.to_owned() }
}

fn strip_old(name: &str) -> Option<&str> {
    name.strip_suffix(".old")
}

/// What follows is digits, in groups that `-`, `.`, `_`, `:` or `T` part: a
/// short number, or a date that begins with a year.
fn strip_number_or_time(name: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '_' | ':' | 'T');
    let tail = name.trim_end_matches(is_part);
    let suffix = &name[tail.len()..];
    // The name itself may end in a digit: the ending begins at a separator.
    let (at, _) = suffix.match_indices(['.', '-']).find(|&(at, _)| is_ending(&suffix[at + 1..]))?;
    Some(&name[..tail.len() + at])
}

fn is_ending(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_number = (1..=4).contains(&digits) && digits == text.len();
    let is_time = (8..=23).contains(&digits) && (text.starts_with("19") || text.starts_with("20"));
    (is_number || is_time) && text.ends_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_share_a_path() {
        let check = |name: &str, expected: &str| {
            let path = Path::new("/var/log").join(name);
            assert_eq!(family(&path), Path::new("/var/log").join(expected), "{name}");
        };
        check("a.log", "a.log");
        check("a.log.2.gz", "a.log");
        check("a.log.gz", "a.log");
        check("0.log.20260131-235959.gz", "0.log");
        check("a.log-2026-01-31", "a.log");
    }

    #[test]
    fn rotated_names_lead_to_their_original() {
        let check = |name: &str, expected: Option<&str>| {
            let path = Path::new("/var/log").join(name);
            let expected = expected.map(|name| Path::new("/var/log").join(name));
            assert_eq!(original(&path), expected, "{name}");
        };
        check("a.log.1", Some("a.log"));
        check("a.log.12", Some("a.log"));
        check("a.log.old", Some("a.log"));
        check("a.log-20260131", Some("a.log"));
        check("a.log.2026-01-31", Some("a.log"));
        check("0.log.20260131-235959", Some("0.log"));
        check("0.log.20260131-235959000000001", Some("0.log"));
        check("app.2026-01-31T10:00:00", Some("app"));
        check("syslog.1", Some("syslog"));
        check("a.log", None);
        check("a1.log", None);
        check("a.log.1.gz", None);
        check("a.log.", None);
        check(".1", None);
        check("a.log.backup", None);
        check("a.log.12345", None);
    }
}
