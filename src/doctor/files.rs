//! What the patterns mean, and whether it can be read.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use weir_agent::{Survey, survey};

use super::Finding;
use crate::config::Config;

/// Paths named in one line.
const NAMED_MAX: usize = 3;

pub(super) fn look(config: &Config) -> (Option<Survey>, Vec<Finding>) {
    if config.agent.tail.is_empty() {
        let found = "no files are to be read";
        let advice = "name files with --tail or agent.tail, unless this host only receives";
        return (None, vec![Finding::skip("patterns", found, advice)]);
    }
    let own = weir_agent::Config { own_data: Some(config.data.clone()), ..config.agent.clone() };
    match survey(&own, &config.paths().agent()) {
        Ok(survey) => {
            let findings = judge(&survey, geteuid().as_raw());
            (Some(survey), findings)
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            (None, vec![Finding::fail("patterns", error, "mend the pattern")])
        }
    }
}

fn judge(survey: &Survey, user: u32) -> Vec<Finding> {
    let mut findings = vec![patterns(survey)];
    if !survey.refused.is_empty() {
        findings.push(Finding::warn(
            "links",
            format!(
                "{} lead out of agent.roots and are not followed: {}",
                survey.refused.len(),
                named(survey.refused.iter())
            ),
            "add where they lead to agent.roots, if it is to be read",
        ));
    }
    findings.push(permissions(&survey.unreadable, user));
    findings
}

fn patterns(survey: &Survey) -> Finding {
    const CHECK: &str = "patterns";
    let found = format!("{} files in {} directories", survey.files, survey.directories);
    if survey.empty.is_empty() {
        return Finding::ok(CHECK, found);
    }
    Finding::warn(
        CHECK,
        format!("{found}; nothing is found by {}", survey.empty.join(", ")),
        "look for a typo; what appears there later is read",
    )
}

fn permissions(unreadable: &[(PathBuf, io::Error)], user: u32) -> Finding {
    const CHECK: &str = "permissions";
    let Some((first, error)) = unreadable.first() else {
        return Finding::ok(CHECK, format!("all of it can be read by user {user}"));
    };
    let found = format!(
        "{} cannot be read by user {user} ({error}): {}",
        unreadable.len(),
        named(unreadable.iter().map(|(path, _)| path))
    );
    let parent = first.parent().unwrap_or(Path::new("/"));
    let advice = if error.kind() == io::ErrorKind::PermissionDenied {
        format!(
            "run as a user or in a group that may read {}, or give CAP_DAC_READ_SEARCH to the agent",
            parent.display()
        )
    } else {
        format!("look at {}", parent.display())
    };
    Finding::fail(CHECK, found, advice)
}

fn named<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let paths: Vec<_> = paths.map(|path| path.display().to_string()).collect();
    let (shown, more) = paths.split_at(paths.len().min(NAMED_MAX));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_is_not_found_and_what_cannot_be_read_is_named() {
        let outcomes = |survey: &Survey| -> Vec<_> {
            judge(survey, 7).iter().map(|finding| (finding.check, finding.outcome)).collect()
        };
        let mut survey = Survey { files: 2, directories: 1, ..Survey::default() };
        assert_eq!(outcomes(&survey), [("patterns", Outcome::Ok), ("permissions", Outcome::Ok)]);
        survey.empty.push("/no/*.log".to_owned());
        survey.refused.push("/l/x.log".into());
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        survey.unreadable = (0..5).map(|n| (PathBuf::from(format!("/var/log/{n}")), denied())).collect();
        let expected =
            [("patterns", Outcome::Warn), ("links", Outcome::Warn), ("permissions", Outcome::Fail)];
        assert_eq!(outcomes(&survey), expected);
        let last = &judge(&survey, 7)[2];
        assert!(last.found.contains("5 cannot be read by user 7"), "{}", last.found);
        assert!(last.found.ends_with("/var/log/0, /var/log/1, /var/log/2 and 2 more"), "{}", last.found);
        assert!(last.advice.contains("may read /var/log"), "{}", last.advice);
    }
}
