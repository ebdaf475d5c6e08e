//! The program itself, as far as it needs no Weir.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

fn oracle(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-oracle"));
    command.args(words.split_whitespace()).env_remove("WEIR_ORACLE_BINARY");
    command.output().unwrap()
}

#[test]
fn the_list_has_what_can_happen_and_what_can_be_planted() {
    let output = oracle("--list");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["kill-ingest", "power-cut", "store-faults", "no-fence", "skip-dead-letter"] {
        assert!(text.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {text}");
    }
}

/// What could not be found out is no verdict.
#[test]
fn without_a_binary_there_is_no_verdict() {
    for words in ["--scenario zombie", "--planted all", "--ci", "--scenario no-such"] {
        assert_eq!(oracle(words).status.code(), Some(2), "{words}");
    }
}
