//! Lines from a shell: `weir ship` and `weir run`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Node, Role, Scratch, eventually, weir};

/// Nobody serves there.
const NOWHERE: &str = "http://127.0.0.1:1";

fn run(args: &[&str]) -> Output {
    weir().arg("run").args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn tell(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("not 0");
    kill_process(pid, signal).expect("it can be told");
}

#[test]
fn lines_of_a_pipe_are_rows_once_whatever_is_killed() {
    const LINES: u64 = 60_000;
    let scratch = Scratch::new("ship");
    let node = Node::start(&scratch);
    let url = node.url();
    let mut ship = weir();
    ship.args(["ship", "--service", "pipe", "--wait", "80s", "--url", &url]).stdin(Stdio::piped());
    let mut ship = ship.stderr(Stdio::piped()).spawn().expect("starts");
    let mut input = ship.stdin.take().expect("piped");
    let writing = std::thread::spawn(move || {
        for n in 0..LINES {
            writeln!(input, r#"{{"level":"warn","msg":"line {n}","n":{n}}}"#).expect("taken");
            if n % 100 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        }
    });
    node.wait_for_rows(5_000);
    node.kill();
    let address = url.trim_start_matches("http://").to_owned();
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_LISTEN", &address);
    });
    writing.join().expect("all is written");
    let output = ship.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", said(&output));
    let count = |what: &str| node.number(&format!("SELECT {what} FROM logs WHERE service_name = 'pipe'"));
    eventually("every line is a row", || match count("count(*)") {
        LINES => Ok(()),
        other => Err(format!("{other} rows")),
    });
    assert_eq!(count("count(DISTINCT body)"), LINES);
    let warned = "SELECT count(*) FROM logs WHERE service_name = 'pipe' AND severity_text ILIKE 'warn'";
    assert_eq!(node.number(warned), LINES, "they are parsed as those of files");
    assert_eq!(node.number("SELECT count(*) FROM weir.gaps"), 0);
}

#[test]
fn a_command_is_shown_as_it_is_and_sent_and_its_end_is_kept() {
    let scratch = Scratch::new("run");
    let node = Node::start(&scratch);
    let url = node.url();
    let script =
        r#"printf 'out\nError: no\n    at f (a.js:1:2)\n\033[31m\377\000last'; printf 'err\n' >&2; exit 7"#;
    let output = run(&["--service", "script", "--url", &url, "--", "sh", "-c", script]);
    assert_eq!(output.stdout, b"out\nError: no\n    at f (a.js:1:2)\n\x1b[31m\xff\0last");
    assert_eq!((said(&output).as_str(), output.status.code()), ("err\n", Some(7)));
    let count = |what: &str| {
        node.number(&format!("SELECT count(*) FROM logs WHERE service_name = 'script' AND {what}"))
    };
    eventually("its lines are rows", || match count("true") {
        4 => Ok(()),
        other => Err(format!("{other} rows")),
    });
    let trace = "body = 'Error: no' AND attributes['exception.stacktrace'] LIKE 'Error: no%a.js:1:2)'";
    for what in ["body = 'out'", trace, "body = 'err'", "body LIKE '%last'"] {
        assert_eq!(count(what), 1, "{what}");
    }
}

#[test]
fn a_command_ends_as_it_would_without_an_agent() {
    let away = |command: &[&str]| run(&[&["--url", NOWHERE, "--wait", "100ms", "--"], command].concat());
    let output = away(&["sh", "-c", "echo hi; echo there"]);
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hi\nthere\n"[..], Some(0)));
    assert!(said(&output).contains("2 lines of the output were not shipped"), "{}", said(&output));
    assert!(said(&output).contains("cannot reach Weir at 127.0.0.1:1"), "{}", said(&output));
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        let output = away(&["sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(output.status.signal(), Some(number), "{signal}: {}", said(&output));
    }
    let output = away(&["no-such-command"]);
    assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    assert!(said(&output).contains("no-such-command"));
    assert_eq!(away(&["/"]).status.code(), Some(126));

    // Nobody reads on: the command hears of it.
    let piped =
        format!("'{}' run --url {NOWHERE} --wait 100ms -- yes | head -n 1", weir().get_program().display());
    let output =
        Command::new("bash").args(["-c", &format!("set -o pipefail; {piped}")]).output().expect("runs");
    assert_eq!(
        (output.stdout.as_slice(), output.status.code()),
        (&b"y\n"[..], Some(128 + 13)),
        "{}",
        said(&output)
    );

    // What a command leaves running does not hold it up.
    let output = away(&["sh", "-c", "sleep 60 & echo done"]);
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"done\n"[..], Some(0)));
}

#[test]
fn signals_reach_the_command_and_its_last_words_are_kept() {
    for (signal, name) in
        [(Signal::USR1, "USR1"), (Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")]
    {
        let script =
            format!("trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.05; done");
        let mut command = weir();
        command.args(["run", "--url", NOWHERE, "--wait", "50ms", "--", "sh", "-c", &script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts");
        let mut shown = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        shown.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        tell(&child, signal);
        line.clear();
        shown.read_line(&mut line).expect("a line");
        assert_eq!(line, format!("got {name}\n"));
        assert_eq!(child.wait().expect("it ends").code(), Some(3), "{name}");
    }
}

#[test]
fn ship_says_what_was_not_taken() {
    let ship = |text: &str, more: &[&str]| {
        let mut command = weir();
        command.args(["ship", "--service", "x", "--wait", "100ms"]).args(more);
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        // One that complains reads nothing.
        let _ = child.stdin.take().expect("piped").write_all(text.as_bytes());
        child.wait_with_output().expect("it ends")
    };
    let output = ship("one\ntwo\nthree", &["--url", NOWHERE]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("3 lines not taken, 0 lines taken"), "{}", said(&output));
    let output = ship("one\n", &["--url", NOWHERE, "--attribute", "nothing"]);
    assert!(said(&output).contains("KEY=VALUE"), "{}", said(&output));
    let scratch = Scratch::new("ship-end");
    let node = Node::start(&scratch);
    let output = ship("", &["--url", &node.url()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    let output = ship("one\n", &["--url", &node.url(), "--verbose"]);
    assert!(output.status.success());
    assert_eq!(said(&output), "weir ship: 1 line taken\n");
}
