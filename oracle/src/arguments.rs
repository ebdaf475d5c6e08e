//! What the command line says. By hand: a dozen words do not need a library.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cluster::Variable;
use crate::fault::LIVE;

/// How it is used.
pub(crate) const USAGE: &str = "\
cargo xtask oracle --scenario NAME [--seed S] [--faults N] [--json] [--total FILE]
cargo xtask oracle --planted NAME|all [--seeds S,S,...] [--json]
cargo xtask oracle --ci [--json]
cargo xtask oracle --list

  --scenario NAME          what happens to a running Weir
  --seed S                 decides every random choice; drawn and printed if not given
  --faults N               how many faults must really happen
  --json                   one JSON object instead of lines
  --total FILE             append the result to FILE and add up all results in it
  --minutes M              broker-away: how long each time (6; with --brief 70 s)
  --env [NODE:]NAME=VALUE  a variable of the processes of nodes whose names begin with NODE
  --brief                  few faults, and short ones
  --planted NAME           plant a bug in the binary under test: each seed must find it, and pass without it
  --seeds S,S              for --planted (1,2,3)
  --ci                     every scenario but kept-copies with --brief, and every planted bug, with one seed
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
    /// Look for bugs that were planted.
    Planted { names: String, seeds: Vec<u64>, json: bool },
    /// Run all of it, briefly.
    Subset { json: bool },
}

/// How a run is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// How many faults must happen; nothing: the scenario's own number.
    pub(crate) faults: Option<u64>,
    pub(crate) json: bool,
    pub(crate) total: Option<PathBuf>,
    /// How long a broker stays away, in seconds; nothing: as the scenario says.
    pub(crate) away_s: Option<u64>,
    /// Few faults, and short ones.
    pub(crate) is_brief: bool,
    /// How soon something that was written after a fault is to be seen, at the latest.
    pub(crate) live: Duration,
    /// How long everything may take to be stored once nothing happens any more.
    pub(crate) settle: Duration,
    pub(crate) environment: Vec<Variable>,
    pub(crate) keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scenario: String::new(),
            seed: 0,
            faults: None,
            json: false,
            total: None,
            away_s: None,
            is_brief: false,
            live: LIVE,
            settle: Duration::from_secs(90),
            environment: Vec::new(),
            keep: false,
        }
    }
}

/// Reads the words of a command line.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut options = Options { seed: drawn(), ..Options::default() };
    let (mut planted, mut seeds, mut is_subset) = (None, vec![1, 2, 3], false);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--list" => return Ok(Command::List),
            "--help" | "-h" | "help" => return Ok(Command::Help),
            "--json" => options.json = true,
            "--keep" => options.keep = true,
            "--brief" => options.is_brief = true,
            "--ci" => is_subset = true,
            "--planted" => planted = Some(value()?),
            "--seeds" => {
                let numbers = value()?;
                seeds = numbers.split(',').map(|text| number(&word, text)).collect::<Result<_, _>>()?;
            }
            "--scenario" => options.scenario = value()?,
            "--seed" => options.seed = number(&word, &value()?)?,
            "--faults" => options.faults = Some(number(&word, &value()?)?),
            "--minutes" => options.away_s = Some(number(&word, &value()?)?.saturating_mul(60)),
            "--total" => options.total = Some(value()?.into()),
            "--env" => options.environment.push(variable(&value()?)?),
            _ => return Err(format!("unknown word {word:?}")),
        }
    }
    if let Some(names) = planted {
        return Ok(Command::Planted { names, seeds, json: options.json });
    }
    if is_subset {
        return Ok(Command::Subset { json: options.json });
    }
    if options.scenario.is_empty() {
        return Err("which scenario? --list names them".to_owned());
    }
    Ok(Command::Run(options))
}

fn number(of: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{of} {text:?} is no number"))
}

/// `[NODE:]NAME=VALUE`.
///
/// # Errors
/// It is not.
pub(crate) fn variable(text: &str) -> Result<Variable, String> {
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
        let line = "--scenario zombie --seed 7 --faults 3 --json --total t.jsonl --brief --minutes 2 --env ingest:FAILPOINTS=a=b";
        let Ok(Command::Run(options)) = parsed(line) else { panic!("a run") };
        let environment =
            vec![Variable { nodes: "ingest".into(), name: "FAILPOINTS".into(), value: "a=b".into() }];
        let expected = Options {
            scenario: "zombie".into(),
            seed: 7,
            faults: Some(3),
            json: true,
            total: Some("t.jsonl".into()),
            away_s: Some(120),
            is_brief: true,
            environment,
            ..Options::default()
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
            "--planted",
            "--planted all --seeds 1,x",
            "--scenario x --env i:=1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert_eq!(parsed("--list"), Ok(Command::List));
        assert_eq!(parsed("--ci --json"), Ok(Command::Subset { json: true }));
        let search = Command::Planted { names: "all".into(), seeds: vec![4, 5], json: false };
        assert_eq!(parsed("--planted all --seeds 4,5"), Ok(search));
    }
}
