//! Searching: the same rows as its SQL, without opening what is older.

use arrow_array::RecordBatch;
use proptest::prelude::*;
use weir_proto::model::TenantId;

use super::runtime;
use crate::fixture::{NEW_YEAR, Row, World, ask, column, row, rows};
use crate::search::Search;
use crate::{Config, Engine, SearchRequest};

const SOURCE_START: usize = 24;

fn search(query: &str, limit: usize) -> SearchRequest {
    SearchRequest { tenant: TenantId::default(), query: query.to_owned(), start: None, end: None, limit }
}

async fn found(engine: &Engine, request: SearchRequest) -> Vec<i64> {
    let batches = rows(engine.search(request).await).await;
    column(&batches.unwrap_or_else(|error| panic!("{error:?}")), SOURCE_START)
}

#[tokio::test]
async fn older_files_are_not_opened() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    const MINUTE: i64 = 60_000_000;
    for file in 0..8 {
        let file_rows: Vec<_> =
            (0..6_000).map(|n| row(NEW_YEAR + file * MINUTE + n, file * 6_000 + n, "word")).collect();
        world.arrive(&file_rows);
        world.flush().await;
    }
    // The first window wants 16,384 rows: three files of 6,000.
    assert_eq!(world.lose_files_before(NEW_YEAR + 5 * MINUTE).await, 5);
    let newest: Vec<i64> = (0..10).map(|n| 48_000 - 1 - n).collect();
    assert_eq!(found(&engine, search("", 10)).await, newest);
    assert_eq!(found(&engine, search("word", 10)).await, newest);
    assert!(rows(engine.search(search("absent", 10)).await).await.is_err(), "must look at all files");
}

#[tokio::test]
async fn lines_are_exact() {
    use arrow_array::cast::AsArray;
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[Row { body_raw: Some(b"exact".to_vec()), ..row(NEW_YEAR, 0, "body") }]);
    let batches = rows(engine.search(search("", 10)).await).await.expect("found");
    let lines: Vec<_> = batches.iter().flat_map(|batch| batch["line"].as_binary::<i32>().iter()).collect();
    assert_eq!(lines, [Some(b"exact".as_slice())]);
}

const WORDS: [&str; 6] = ["timeout", "Timeout after 5s", "connection refused", "ok", "it's", "über"];

fn a_row() -> impl Strategy<Value = Row> {
    let word = prop::sample::select(&WORDS[..]);
    let user = prop::option::of(prop::sample::select(&["ann", "bob", "7", "70", "timeout"][..]));
    let service = prop::option::of(prop::sample::select(&["cart", "shop"][..]));
    let severity = prop::option::of(prop::sample::select(&[1i16, 9, 13, 16, 17, 24][..]));
    (0i64..2_000, 0i16..3, word, user, service, severity).prop_map(
        |(at, nanos, body, user, service, severity)| Row {
            micros: NEW_YEAR + at,
            nanos,
            body: body.to_owned(),
            service,
            severity,
            attributes: user.map(|user| ("user", user.to_owned())).into_iter().collect(),
            resource: vec![("log.iostream", "stdout".to_owned())],
            ..Row::default()
        },
    )
}

/// Searches, and what a row must be to match.
type Case = (&'static str, fn(&Row) -> bool);

fn user(row: &Row) -> Option<&str> {
    row.attributes.first().map(|(_, user)| user.as_str())
}

fn word(row: &Row, word: &str) -> bool {
    row.body.to_lowercase().split_whitespace().any(|part| part == word) || user(row) == Some(word)
}

const CASES: [Case; 22] = [
    ("", |_| true),
    ("timeout", |row| word(row, "timeout")),
    ("TIMEOUT -5s", |row| word(row, "timeout") && !word(row, "5s")),
    ("time", |_| false),
    ("\"connection refused\"", |row| row.body == "connection refused"),
    ("refused connection", |row| row.body == "connection refused"),
    ("\"refused connection\"", |_| false),
    ("ok OR ann", |row| word(row, "ok") || word(row, "ann")),
    ("(ok OR refused) NOT user:ann", |row| {
        (word(row, "ok") || word(row, "refused")) && user(row) != Some("ann")
    }),
    ("it's", |row| row.body == "it's"),
    ("ÜBER", |row| row.body == "über"),
    ("user:7", |row| user(row) == Some("7")),
    ("user:7*", |row| user(row).is_some_and(|user| user.starts_with('7'))),
    ("user:*", |row| user(row).is_some()),
    ("-user:*", |row| user(row).is_none()),
    ("user!=ann", |row| user(row) != Some("ann")),
    ("attributes.user>7", |row| user(row) == Some("70")),
    ("service.name:cart", |row| row.service == Some("cart")),
    ("-service_name:cart", |row| row.service != Some("cart")),
    ("level:warn", |row| row.severity.is_some_and(|n| (13..17).contains(&n))),
    ("severity>=error", |row| row.severity.is_some_and(|n| n >= 17)),
    ("resource.log.iostream:stdout severity_number<9", |row| row.severity.is_some_and(|n| n < 9)),
];

/// The order of an answer.
fn newest_first(rows: &[Row]) -> Vec<&Row> {
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_by_key(|row| std::cmp::Reverse((row.micros, row.nanos, row.number)));
    sorted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_search_finds_what_its_sql_finds_and_what_the_rows_say(
        mut all in prop::collection::vec(a_row(), 1..120),
        cuts in prop::collection::vec(1usize..40, 1..6),
        limit in 1usize..30,
        start in prop::option::of(0i64..2_000),
        end in prop::option::of(0i64..2_000),
    ) {
        for (number, row) in all.iter_mut().enumerate() {
            row.number = number as i64;
        }
        runtime().block_on(async {
            let world = World::new().await;
            let engine = world.engine(Config::default());
            let mut rest = all.as_slice();
            for cut in cuts {
                let (message, after) = rest.split_at(cut.min(rest.len()));
                if message.is_empty() {
                    break;
                }
                world.arrive(message);
                world.flush().await;
                rest = after;
            }
            if !rest.is_empty() {
                world.arrive(rest);
            }
            let start = start.map(|at| NEW_YEAR + at);
            let end = end.map(|at| NEW_YEAR + at);
            for (query, matches) in CASES {
                let request = SearchRequest { start, end, ..search(query, limit) };
                let inside = |row: &&&Row| start.is_none_or(|s| row.micros >= s) && end.is_none_or(|e| row.micros < e);
                let sorted = newest_first(&all);
                let expected: Vec<i64> = sorted
                    .iter()
                    .filter(inside)
                    .filter(|row| matches(row))
                    .take(limit)
                    .map(|row| row.number)
                    .collect();
                let sql = Search::compile(&request).expect(query).sql();
                let by_sql: Vec<RecordBatch> = rows(engine.sql(ask(&sql)).await).await.expect(&sql);
                assert_eq!(column(&by_sql, SOURCE_START), expected, "{query}: {sql}");
                assert_eq!(found(&engine, request).await, expected, "{query}");
            }
        });
    }
}

/// In SQL, a limit on the order of time has the same effect, with live rows
/// beside the files too.
#[tokio::test]
async fn sql_does_not_open_older_files_either() {
    let world = World::new().await;
    world.row_groups_of(4_096);
    let engine = world.engine(Config::default());
    const MINUTE: i64 = 60_000_000;
    const ROWS: i64 = 5_000;
    for file in 0..16 {
        let file_rows: Vec<_> =
            (0..ROWS).map(|n| row(NEW_YEAR + file * MINUTE + n, file * ROWS + n, "word")).collect();
        world.arrive(&file_rows);
        world.flush().await;
    }
    assert_eq!(world.lose_files_before(NEW_YEAR + 8 * MINUTE).await, 8);
    let newest: Vec<i64> = (0..10).map(|n| 16 * ROWS - 1 - n).collect();
    for live in [false, true] {
        if live {
            world.arrive(&[row(NEW_YEAR, -1, "live and old")]);
        }
        for query in [
            "SELECT source_start FROM logs ORDER BY timestamp DESC LIMIT 10",
            "SELECT source_start, body FROM logs WHERE body = 'word' ORDER BY timestamp DESC LIMIT 10",
            "SELECT source_start FROM logs ORDER BY timestamp DESC, source_start LIMIT 10",
            "SELECT source_start FROM logs WHERE has_word(body, 'word') ORDER BY timestamp DESC LIMIT 10",
            "SELECT source_start AS n, * FROM logs ORDER BY timestamp DESC LIMIT 10",
            "SELECT source_start AS n, * FROM logs WHERE has_word(body, 'word') ORDER BY timestamp DESC, source_start LIMIT 10",
            "SELECT n FROM (SELECT source_start AS n, timestamp FROM logs) ORDER BY timestamp DESC LIMIT 10",
        ] {
            assert_eq!(crate::fixture::numbers(&engine, query).await, newest, "{query}, live: {live}");
        }
    }
    let oldest = "SELECT source_start FROM logs ORDER BY timestamp LIMIT 10";
    assert!(rows(engine.sql(ask(oldest)).await).await.is_err(), "the oldest files are gone");
}
