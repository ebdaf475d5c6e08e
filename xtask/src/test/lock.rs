//! One version of what must not be there twice: two Arrows in one process
//! cannot exchange a single array.

use super::Outcome;
use crate::place;

/// Packages that fix the version of a whole family.
const SINGLE: [&str; 8] = [
    "arrow",
    "arrow-array",
    "arrow-schema",
    "datafusion",
    "datafusion-common",
    "object_store",
    "parquet",
    "tonic",
];

pub(super) fn check() -> Result<Outcome, String> {
    let path = place::root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).map_err(|error| format!("cannot read Cargo.lock: {error}"))?;
    let versions: Vec<_> = SINGLE.iter().map(|name| (*name, versions(&lock, name))).collect();
    for (name, versions) in &versions {
        println!("    {name} {}", if versions.is_empty() { "-".to_owned() } else { versions.join(" ") });
    }
    match versions.iter().find(|(_, versions)| versions.len() > 1) {
        None => Ok(Outcome::Passed),
        Some((name, versions)) => {
            Err(format!("Cargo.lock has {name} more than once: {}", versions.join(", ")))
        }
    }
}

/// The versions of a package in a lock file.
fn versions<'a>(lock: &'a str, package: &str) -> Vec<&'a str> {
    let wanted = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line == wanted
            && let Some(version) = lines.next().and_then(|line| line.strip_prefix("version = "))
        {
            found.push(version.trim_matches('"'));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_found_and_only_of_that_package() {
        let lock = "[[package]]\nname = \"arrow\"\nversion = \"59.3.0\"\n\n[[package]]\nname = \"arrow-array\"\n\
                    version = \"59.3.0\"\n\n[[package]]\nname = \"arrow\"\nversion = \"58.0.0\"\n";
        assert_eq!(versions(lock, "arrow"), ["59.3.0", "58.0.0"]);
        assert_eq!(versions(lock, "arrow-array"), ["59.3.0"]);
        assert_eq!(versions(lock, "tonic"), [""; 0]);
    }
}
