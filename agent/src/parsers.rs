//! Which parser the operator names for which files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use weir_proto::model::parser::{AUTO, NAMES};

use crate::StartError;
use crate::rotation::family;

/// Globs and names of parsers, the longest glob first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsers(Vec<(GlobMatcher, &'static str)>);

impl Parsers {
    /// # Errors
    /// [`StartError::Parser`]: a glob is none, or there is no such parser.
    pub(crate) fn new(config: &BTreeMap<String, String>) -> Result<Self, StartError> {
        let mut parsers = Vec::with_capacity(config.len());
        for (pattern, name) in config {
            let wrong = |reason: String| StartError::Parser { pattern: pattern.clone(), reason };
            let Some(name) = NAMES.into_iter().find(|known| known == name) else {
                return Err(wrong(format!("{name:?} is no parser: use one of {}", NAMES.join(", "))));
            };
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            let glob =
                glob.map_err(|error| wrong(format!("{error}; write a glob like /var/log/nginx/*.log")))?;
            parsers.push((glob.compile_matcher(), name));
        }
        parsers.sort_by_key(|(glob, _)| Reverse(glob.glob().glob().len()));
        Ok(Self(parsers))
    }

    /// The parser of a file; rotated, it has the one that it had before.
    pub(crate) fn of(&self, path: &Path) -> &'static str {
        if self.0.is_empty() {
            return AUTO;
        }
        let original = family(path);
        let fits = |(glob, _): &&(GlobMatcher, _)| glob.is_match(path) || glob.is_match(&original);
        self.0.iter().find(fits).map_or(AUTO, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsers(of: &[(&str, &str)]) -> Result<Parsers, StartError> {
        Parsers::new(&of.iter().map(|(glob, name)| ((*glob).to_owned(), (*name).to_owned())).collect())
    }

    #[test]
    fn the_longest_glob_counts_and_rotation_changes_nothing() {
        let parsers =
            parsers(&[("/var/log/*/*.log", "json"), ("/var/log/nginx/*.log", "nginx"), ("/srv/**", "plain")]);
        let parsers = parsers.expect("parsers");
        let check = |path, expected| assert_eq!(parsers.of(Path::new(path)), expected, "{path}");
        check("/var/log/nginx/access.log", "nginx");
        check("/var/log/nginx/access.log.1", "nginx");
        check("/var/log/nginx/access.log.2.gz", "nginx");
        check("/var/log/shop/app.log", "json");
        check("/var/log/shop/deep/app.log", "auto");
        check("/srv/a/b/c.txt", "plain");
        assert_eq!(Parsers::default().of(Path::new("/srv/a")), "auto");
    }

    #[test]
    fn what_is_no_parser_or_no_glob_is_told() {
        let told = |of: &[(&str, &str)]| parsers(of).expect_err("no good").to_string();
        assert!(told(&[("/a/*.log", "jason")]).contains("use one of auto, json"));
        assert!(told(&[("/a/[", "json")]).starts_with("agent.parsers: \"/a/[\""));
    }
}
