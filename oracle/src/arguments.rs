//! What the command line says. By hand: a dozen words do not need a library.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cluster::Variable;

/// How it is used.
pub(crate) const USAGE: &str = "\
cargo xtask oracle --scenario NAME [--seed S] [--faults N] [--json] [--total FILE]
cargo xtask oracle --list

  --scenario NAME          what happens to a running Weir
  --seed S                 decides every random choice; drawn and printed if not given
  --faults N               how many faults must really happen
  --json                   one JSON object instead of lines
  --total FILE             append the result to FILE and add up all results in it
  --minutes M              broker-away: how long each time (6)
  --short                  broker-away: 20 s each time
  --env [NODE:]NAME=VALUE  a variable of the processes of nodes whose names begin with NODE
  --keep                   keep the run's directory, which is kept anyway when the verdict is not `pass`

WEIR_ORACLE_BINARY is the binary under test.";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Name the scenarios.
    List,
    /// Say how it is used.
    Help,
    /// Run one.
    Run(Options),
}

/// How a run is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// How many faults must happen; nothing: the scenario's own number.
    pub(crate) faults: Option<u64>,
    pub(crate) json: bool,
    pub(crate) total: Option<PathBuf>,
    /// How long a broker stays away, in seconds.
    pub(crate) away_s: u64,
    pub(crate) environment: Vec<Variable>,
    pub(crate) keep: bool,
}

/// Reads the words of a command line.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut options = Options { seed: drawn(), away_s: 6 * 60, ..Options::default() };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--list" => return Ok(Command::List),
            "--help" | "-h" | "help" => return Ok(Command::Help),
            "--json" => options.json = true,
            "--keep" => options.keep = true,
            "--short" => options.away_s = 20,
            "--scenario" => options.scenario = value()?,
            "--seed" => options.seed = number(&word, &value()?)?,
            "--faults" => options.faults = Some(number(&word, &value()?)?),
            "--minutes" => options.away_s = number(&word, &value()?)?.saturating_mul(60),
            "--total" => options.total = Some(value()?.into()),
            "--env" => options.environment.push(variable(&value()?)?),
            _ => return Err(format!("unknown word {word:?}")),
        }
    }
    if options.scenario.is_empty() {
        return Err("which scenario? --list names them".to_owned());
    }
    Ok(Command::Run(options))
}

fn number(of: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{of} {text:?} is no number"))
}

fn variable(text: &str) -> Result<Variable, String> {
    let wrong = || format!("--env {text:?} is not [NODE:]NAME=VALUE");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (nodes, name) = name.split_once(':').unwrap_or(("", name));
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(Variable { nodes: nodes.to_owned(), name: name.to_owned(), value: value.into() })
}

fn drawn() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_run_is_what_it_says() {
        let line = "--scenario zombie --seed 7 --faults 3 --json --total t.jsonl --short --env ingest:FAILPOINTS=a=b";
        let Ok(Command::Run(options)) = parsed(line) else { panic!("a run") };
        let environment =
            vec![Variable { nodes: "ingest".into(), name: "FAILPOINTS".into(), value: "a=b".into() }];
        let expected = Options {
            scenario: "zombie".into(),
            seed: 7,
            faults: Some(3),
            json: true,
            total: Some("t.jsonl".into()),
            away_s: 20,
            environment,
            keep: false,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for line in [
            "",
            "--scenario",
            "--seed 1",
            "--scenario x --seed y",
            "--scenario x --env a",
            "--x",
            "--scenario x --env i:=1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert_eq!(parsed("--list"), Ok(Command::List));
    }
}
