//! Bugs that are planted, so that whoever looks for bugs can be shown to find them.
//!
//! ```sh
//! PLANTED_BUG=no-fence weir ingest
//! ```
//!
//! Each name of [`NAMES`] stands at the place that it spoils, a line or two. Only a
//! build with the feature `planted` has them, which no build that is shipped turns
//! on: in others every place is a constant `false`, and the variable is not looked
//! at.

/// What can be planted.
pub const NAMES: [&str; 12] = [
    "ack-before-fsync",
    "auto-offset-store",
    "commit-offsets-first",
    "drop-on-timeout",
    "limit-on-compressed-size",
    "no-directory-fsync",
    "no-fence",
    "range-by-put",
    "seek-without-size-check",
    "skip-dead-letter",
    "success-on-reject",
    "unlink-before-fsync",
];

/// True where this bug is planted.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_name: &'static str) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use on::is;

#[cfg(feature = "planted")]
mod on {
    use std::sync::OnceLock;

    use super::NAMES;

    /// True where this bug is planted. A `PLANTED_BUG` that is none ends the
    /// process: a search that finds nothing must not be one for nothing.
    pub fn is(name: &'static str) -> bool {
        static PLANTED: OnceLock<Option<&'static str>> = OnceLock::new();
        let named =
            || named(&std::env::var("PLANTED_BUG").unwrap_or_default()).unwrap_or_else(|why| end(&why));
        assert!(NAMES.contains(&name), "{name} is among the names");
        *PLANTED.get_or_init(named) == Some(name)
    }

    fn named(text: &str) -> Result<Option<&'static str>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let known = NAMES.into_iter().find(|name| *name == text);
        known.map(Some).ok_or_else(|| format!("PLANTED_BUG {text:?} is none of {}", NAMES.join(", ")))
    }

    #[expect(
        clippy::print_stderr,
        clippy::exit,
        reason = "nothing that this process does would mean anything"
    )]
    fn end(why: &str) -> ! {
        eprintln!("{why}");
        std::process::exit(2)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_bug_is_known_by_its_name_or_told_to_be_none() {
            assert_eq!(named(""), Ok(None));
            assert_eq!(named("no-fence"), Ok(Some("no-fence")));
            assert!(named("no-such").is_err_and(|why| why.contains("no-fence")));
        }
    }
}
