use std::path::Path;

use proptest::prelude::*;

use super::*;

/// The agent's corpus: `=== name`, then lines behind `> ` where an event begins
/// and `| ` where it goes on.
fn events(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src/join/fixtures");
    let text = std::fs::read_to_string(path.join(format!("{language}.txt"))).expect("a fixture");
    let mut events: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("=== ")) {
        let content = &line[2..];
        match events.last_mut() {
            Some(event) if line.starts_with("| ") => {
                event.push('\n');
                event.push_str(content);
            }
            _ => events.push(content.to_owned()),
        }
    }
    events
}

/// Type, message and the line with which the trace begins of each event of
/// several lines. `...` at the end of a message: it is longer.
fn check(language: &str, expected: &[(&str, &str, &str)]) {
    let events = events(language);
    let found: Vec<_> = events
        .iter()
        .filter(|event| event.contains('\n'))
        .map(|event| {
            let Some(exception) = find(event) else { return (String::new(), String::new(), String::new()) };
            assert!(exception.start == 0 || event[..exception.start].ends_with('\n'), "{event}");
            let first = event[exception.start..].lines().next().unwrap_or_default();
            let kind = exception.kind.unwrap_or_default().into_owned();
            (kind, exception.message.unwrap_or_default().to_owned(), first.to_owned())
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(k, m, s)| (k.to_string(), m.to_string(), s.to_string())).collect();
    assert_eq!(found, expected, "{language}");
}

#[test]
fn java() {
    let access = "org.springframework.dao.DataAccessResourceFailureException";
    let timeout = "kotlinx.coroutines.TimeoutCancellationException";
    let empty = "java.util.NoSuchElementException";
    check(
        "java",
        &[
            (
                access,
                "Unable to acquire JDBC Connection",
                &format!("{access}: Unable to acquire JDBC Connection"),
            ),
            (
                "java.lang.IllegalStateException",
                "closing",
                "Exception in thread \"main\" java.lang.IllegalStateException: closing",
            ),
            (
                timeout,
                "Timed out waiting for 500 ms\n    in catalog, after 3 tries",
                &format!("{timeout}: Timed out waiting for 500 ms"),
            ),
            (empty, "head of empty list", &format!("{empty}: head of empty list")),
            (empty, "head of empty list", &format!("{empty}: head of empty list")),
            (
                "org.postgresql.util.PSQLException",
                "Connection to db:5432 refused.",
                "java.net.ConnectException: Connection refused",
            ),
        ],
    );
}

#[test]
fn dotnet() {
    check(
        "dotnet",
        &[
            (
                "System.InvalidOperationException",
                "Sequence contains no elements",
                "Unhandled exception. System.InvalidOperationException: Sequence contains no elements",
            ),
            (
                "System.AggregateException",
                "One or more errors occurred. (no stock)",
                "System.AggregateException: One or more errors occurred. (no stock)",
            ),
            ("", "", ""),
            (
                "System.NullReferenceException",
                "Object reference not set to an instance of an object.",
                "      System.NullReferenceException: Object reference not set to an instance of an object.",
            ),
            ("", "", ""),
        ],
    );
}

#[test]
fn python() {
    let traceback = "Traceback (most recent call last):";
    let missing = ("ModuleNotFoundError", "No module named 'missing'", traceback);
    check(
        "python",
        &[
            ("KeyError", "'sku-4711'", traceback),
            ("shop.errors.OrderError", "", traceback),
            (
                "ExceptionGroup",
                "several (2 sub-exceptions)",
                "  + Exception Group Traceback (most recent call last):",
            ),
            missing,
            missing,
            (
                "SyntaxError",
                "unterminated string literal (detected at line 1)",
                "  File \"/app/a.py\", line 1",
            ),
        ],
    );
}

#[test]
fn go() {
    let range = "runtime error: index out of range [5] with length 3";
    let pointer = "runtime error: invalid memory address or nil pointer dereference";
    check(
        "go",
        &[
            ("runtime.Error", range, &format!("panic: {range}")),
            (
                "runtime.Error",
                pointer,
                &format!("2026/03/10 12:00:00 http: panic serving 10.0.0.7:51312: {pointer}"),
            ),
            ("panic", "again", &format!("panic: {pointer} [recovered]")),
            (
                "fatal error",
                "all goroutines are asleep - deadlock!",
                "fatal error: all goroutines are asleep - deadlock!",
            ),
        ],
    );
}

#[test]
fn node() {
    check(
        "node",
        &[
            (
                "TypeError",
                "Cannot read properties of undefined (reading 'price')",
                "TypeError: Cannot read properties of undefined (reading 'price')",
            ),
            ("Error", "boom", "/app/index.js:3"),
            ("Error", "cannot load", "node:internal/process/promises:288"),
        ],
    );
}

#[test]
fn ruby() {
    check(
        "ruby",
        &[
            ("ZeroDivisionError", "divided by 0", "app.rb:3:in `divide': divided by 0 (ZeroDivisionError)"),
            (
                "NoMethodError",
                "undefined method `total' for nil:NilClass",
                "E, [2026-03-10T12:00:00.000000 #7] ERROR -- : NoMethodError (undefined method `total' for nil:NilClass):",
            ),
            (
                "ActiveRecord::RecordNotFoundError",
                "Couldn't find Cart with 'id'=4711",
                "ActiveRecord::RecordNotFoundError (Couldn't find Cart with 'id'=4711):",
            ),
        ],
    );
}

#[test]
fn php() {
    check(
        "php",
        &[
            (
                "RuntimeException",
                "no stock",
                "PHP Fatal error:  Uncaught RuntimeException: no stock in /app/src/Stock.php:9",
            ),
            (
                "RuntimeException",
                "no database",
                "PHP Fatal error:  Uncaught PDOException: refused in /app/db.php:3",
            ),
            (
                "RuntimeException",
                "no stock",
                "[2026-03-10 12:00:00] production.ERROR: no stock {\"exception\":\"[object] (RuntimeException(code: 0): no stock at /app/src/Stock.php:9)",
            ),
        ],
    );
}

#[test]
fn rust() {
    check(
        "rust",
        &[
            (
                "panic",
                "index out of bounds: the len is 3 but the index is 5",
                "thread 'main' panicked at src/main.rs:4:5:",
            ),
            (
                "panic",
                "assertion `left == right` failed\n  left: 1\n right: 2",
                "thread 'tokio-runtime-worker' (4711) panicked at src/cart.rs:12:9:",
            ),
            (
                "panic",
                "called `Option::unwrap()` on a `None` value",
                "thread 'main' panicked at 'called `Option::unwrap()` on a `None` value', src/main.rs:2:10",
            ),
            ("Error", "cannot read the configuration", "Error: cannot read the configuration"),
        ],
    );
}

#[test]
fn others() {
    // Dart says nothing of what was thrown here.
    check("others", &[("RuntimeError", "boom", "** (RuntimeError) boom"), ("", "", "")]);
}

#[test]
fn harder_ones() {
    let check = |text: &str, kind: &str, message: &str| {
        let found = find(text).unwrap_or_else(|| panic!("nothing in {text:?}"));
        assert_eq!(
            (found.kind.as_deref().unwrap_or(""), found.message.unwrap_or("")),
            (kind, message),
            "{text}"
        );
    };
    check(
        "12:00 ERROR shop - java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)",
        "java.lang.IllegalStateException",
        "no",
    );
    check("com.shop.OutOfStock: none left\n\tat a.B.c(B.java:1)", "com.shop.OutOfStock", "none left");
    check("java.lang.Error\n\tat a.B.c(B.java:1)", "java.lang.Error", "");
    check("x.y.Error: a: b: c\n\tat a.B.c(B.java:1)", "x.y.Error", "a: b: c");
    check("java.lang.Error: x\nCaused by: java.io.IOException: y\n\t... 2 more", "java.lang.Error", "x");
    check("java.lang.Error: x\r\n\tat a.B.c(B.java:1)\r\n", "java.lang.Error", "x");
    check("System.Exception: a ---> System.IO.IOException: b\n   at A.B()", "System.Exception", "a");
    check("System.IO.IOException (0x80070020): in use\n   at A.B()", "System.IO.IOException", "in use");
    check("Outer+Inner`1Exception: x\n   at A.B()", "Outer+Inner`1Exception", "x");
    check(
        "TypeError [ERR_INVALID_ARG_TYPE]: The \"path\"\n    at f (/a.js:1:2)",
        "TypeError",
        "The \"path\"",
    );
    check("(node:1) UnhandledPromiseRejectionWarning: Error: boom\n    at f (/a.js:1:2)", "Error", "boom");
    check(
        "Error: Command failed: npm\nTypeError: bad\n    at f (/a.js:1:2)",
        "Error",
        "Command failed: npm\nTypeError: bad",
    );
    check("\x1b[31mError: red\x1b[39m\n    at f (/a.js:1:2)", "Error", "red\x1b[39m");
    check("ERROR x: Traceback (most recent call last):\n  File \"a\", line 1\nKeyError: 1", "KeyError", "1");
    check(
        "Traceback (most recent call last):\n  File \"a\", line 1\na.B: first\nsecond\n\nfourth",
        "a.B",
        "first\nsecond\n\nfourth",
    );
    check(
        "Traceback (most recent call last):\n\t1: from a.rb:1:in `<main>'\na.rb:2:in `x': no (RuntimeError)",
        "RuntimeError",
        "no",
    );
    check(
        "E0310 12:00:00.000000 1 runtime.go:79] Observed a panic: \"x\" (x)\ngoroutine 5 [running]:\nmain.f()",
        "panic",
        "\"x\" (x)",
    );
    check("panic: (main.failure) {0x1, 0x2}\n\ngoroutine 1 [running]:", "main.failure", "{0x1, 0x2}");
    check("panic: first\nsecond [recovered, repanicked]\n\ngoroutine 1 [running]:", "panic", "first\nsecond");
    check(
        "PHP Fatal error:  Uncaught App\\Out: a\nb in /a.php:3\nStack trace:\n#0 {main}",
        "App\\Out",
        "a\nb",
    );
    check(
        "x {\"exception\":\"[object] (App\\\\Out(code: 0): a at /a.php:3)\n[stacktrace]\n#0 {main}",
        "App\\Out",
        "a",
    );
    check("Unhandled exception:\nException: boom\n#0      main (file:///a.dart:3:3)", "Exception", "boom");
    check("Unhandled exception:\nboom\n#0      main (file:///a.dart:3:3)", "", "boom");
}

#[test]
fn what_tells_of_no_exception() {
    for text in [
        "",
        "\n",
        "\tat a.B.c(B.java:1)\n\tat d",
        "hello\n  world",
        "\"main\" #1 prio=5\n   java.lang.Thread.State: RUNNABLE\n\tat a.B.c(B.java:1)",
        "goroutine 1 [running]:\nmain.main()",
        "log line\ngoroutine 1 [running]:\nmain.main()",
        "Stack trace:\n#0 {main}",
        "PHP Warning:  x\nPHP Stack trace:",
        "failed\n\nCaused by:\n    0: x",
    ] {
        assert_eq!(find(text), None, "{text:?}");
    }
}

#[test]
fn a_text_of_very_many_lines_is_read_in_part() {
    let text = format!("java.lang.Error: x\n{}", "\tat a.B.c(B.java:1)\n".repeat(200_000));
    assert_eq!(find(&text).and_then(|found| found.message), Some("x"));
    let late = format!("{}java.lang.Error: x\n\tat a.B.c(B.java:1)", "x\n".repeat(LINES_MAX));
    assert_eq!(find(&late), None);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(
        any in any::<String>(),
        near in "(Error|Exception|java\\.|::|: |\\n|\\t|    |at |\\(|\\)|panic: |goroutine 1 \\[x\\]:|Traceback \\(most recent call last\\):|  File \"a\", line 1|Stack trace:|#0 |Uncaught |Next |:3:in `|': |\\[object\\] \\(|\\*\\* \\(|thread 'm' panicked at |Caused by:|Wrapped by: | ---> |\\| |\\+-|é|\\r|\x1b\\[|m|\\^|\\\\|x){0,30}",
    ) {
        for text in [any, near] {
            if let Some(found) = find(&text) {
                prop_assert!(text.get(found.start..).is_some());
                prop_assert!(text.get(found.head.clone()).is_some());
                prop_assert!(found.start == 0 || text[..found.start].ends_with('\n'));
            }
        }
    }
}
