//! What passes the gate and what does not.

use super::{TEXT_BYTES_MAX, check};
use crate::error::Kind;

/// Nothing of this may be planned. Each is refused by the gate, or is no SQL.
const HOSTILE: [&str; 108] = [
    // Writing and changing.
    "INSERT INTO logs VALUES (1)",
    "INSERT INTO logs SELECT * FROM logs",
    "UPDATE logs SET body = ''",
    "DELETE FROM logs",
    "TRUNCATE TABLE logs",
    "MERGE INTO logs USING logs AS l ON true WHEN MATCHED THEN DELETE",
    "DROP TABLE logs",
    "DROP SCHEMA weir CASCADE",
    "ALTER TABLE logs ADD COLUMN x INT",
    "CREATE TABLE t AS SELECT * FROM logs",
    "CREATE TABLE t (a INT)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE OR REPLACE VIEW logs AS SELECT 1",
    "CREATE SCHEMA s",
    "CREATE DATABASE d",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE INDEX i ON logs (body)",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE UNBOUNDED EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://bucket/x'",
    "CREATE EXTERNAL TABLE IF NOT EXISTS t STORED AS JSON LOCATION 'http://169.254.169.254/latest'",
    "COPY logs TO '/tmp/out.csv'",
    "COPY (SELECT * FROM logs) TO 'file:///tmp/out.parquet' STORED AS PARQUET",
    "COPY t FROM '/etc/passwd'",
    "SELECT * INTO t FROM logs",
    "SELECT body INTO OUTFILE '/tmp/x' FROM logs",
    "WITH x AS (SELECT 1) INSERT INTO logs SELECT * FROM x",
    "WITH x AS (INSERT INTO logs VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM logs RETURNING *) SELECT * FROM x",
    "WITH x AS (UPDATE logs SET body = '' RETURNING *) SELECT * FROM x",
    "WITH x AS (SELECT 1) DELETE FROM logs",
    "WITH x AS (SELECT 1) UPDATE logs SET body = ''",
    // Settings, sessions, transactions.
    "SET datafusion.execution.batch_size = 1",
    "SET TIME ZONE 'UTC'",
    "RESET datafusion.execution.batch_size",
    "SHOW ALL",
    "SHOW TABLES",
    "SHOW COLUMNS FROM logs",
    "SHOW FUNCTIONS",
    "SHOW CREATE TABLE logs",
    "USE weir",
    "BEGIN",
    "START TRANSACTION",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH NEXT FROM c",
    "CALL f()",
    "KILL 1",
    "GRANT ALL ON logs TO x",
    "REVOKE ALL ON logs FROM x",
    "LOAD 'x.so'",
    "INSTALL httpfs",
    "ATTACH DATABASE '/tmp/x.db' AS x",
    "PRAGMA table_info(logs)",
    "ANALYZE logs",
    "VACUUM",
    "OPTIMIZE TABLE logs",
    "LOCK TABLES logs READ",
    "LISTEN x",
    "COMMENT ON TABLE logs IS 'x'",
    // Files and URLs.
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM 'http://169.254.169.254/latest/meta-data'",
    "SELECT * FROM 's3://other/bucket.parquet'",
    "SELECT * FROM 'objects/default/logs'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM \"file:///etc/passwd\"",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM logs JOIN '/etc/passwd' ON true",
    "SELECT * FROM logs WHERE body IN (SELECT * FROM '/etc/passwd')",
    "WITH x AS (SELECT * FROM '/etc/passwd') SELECT * FROM x",
    "SELECT (SELECT count(*) FROM '/etc/passwd')",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM '/etc/passwd'))",
    "SELECT 1 UNION ALL SELECT * FROM '/etc/passwd'",
    "TABLE '/etc/passwd'",
    "EXPLAIN SELECT * FROM '/etc/passwd'",
    "DESCRIBE '/etc/passwd'",
    "DESCRIBE logs",
    "DESC logs",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('x.parquet')",
    "SELECT * FROM TABLE(read_json('/etc/passwd'))",
    "SELECT * FROM logs, LATERAL read_csv('/etc/passwd')",
    "SELECT * FROM metadata_cache()",
    "SELECT * FROM glob('/*')",
    // Explaining what may not be asked.
    "EXPLAIN INSERT INTO logs VALUES (1)",
    "EXPLAIN ANALYZE DELETE FROM logs",
    "EXPLAIN COPY logs TO '/tmp/x.csv'",
    "EXPLAIN CREATE TABLE t (a INT)",
    // More than one, none, hidden ones.
    "",
    " ;; ",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE logs",
    "SELECT 1 /* ; */; DELETE FROM logs -- x",
    "/* SELECT */ DROP TABLE logs",
    "se\u{200b}lect 1",
    // What fills the memory in one call.
    "SELECT repeat('x', 2147483647)",
    "SELECT lpad('x', 2147483647, 'y')",
    "SELECT RPAD('x', 2147483647)",
    "SELECT array_repeat(1, 1000000000)",
    "SELECT range(0, 10000000000)",
    "SELECT body FROM logs WHERE \"repeat\"('x', 2147483647) = ''",
    "SELECT * FROM logs FOR UPDATE",
];

const GOOD: [&str; 49] = [
    "SELECT 1",
    "select 1;",
    "SELECT 1 -- a comment",
    "/* a comment */ SELECT 1",
    "VALUES (1), (2)",
    "SELECT * FROM logs",
    "SELECT * FROM public.logs",
    "SELECT * FROM weir.public.logs",
    "SELECT * FROM \"logs\" AS l",
    "SELECT l.body FROM logs l LIMIT 10 OFFSET 5",
    "SELECT line FROM log_lines",
    "SELECT * FROM weir.gaps ORDER BY noticed_at",
    "SELECT * FROM weir.files",
    "SELECT * FROM weir.delivery",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM information_schema.columns WHERE table_name = 'logs'",
    "SELECT count(*) FROM logs WHERE timestamp >= now() - INTERVAL '1 hour'",
    "SELECT service_name, count(*) FROM logs GROUP BY service_name HAVING count(*) > 1",
    "SELECT service_name, count(*) FROM logs GROUP BY ROLLUP (service_name)",
    "SELECT attributes['user'] FROM logs WHERE attributes['a.b/c'] IS NOT NULL",
    "SELECT * FROM logs WHERE body LIKE '%/etc/passwd%'",
    "SELECT * FROM logs WHERE body = 'INSERT INTO logs'",
    "SELECT * FROM logs WHERE body = 'it''s; DROP TABLE logs'",
    "SELECT * FROM logs WHERE body ~ '^a.*b$'",
    "SELECT * FROM logs WHERE has_word(body, 'timeout') OR has_word(attributes, 'timeout')",
    "SELECT * FROM logs WHERE service_name IN ('a', 'b', 'c')",
    "SELECT * FROM logs WHERE severity_number BETWEEN 17 AND 20",
    "SELECT CASE WHEN severity_number >= 17 THEN 'bad' ELSE 'good' END AS c, count(*) FROM logs GROUP BY 1",
    "SELECT date_trunc('minute', timestamp) AS minute, count(*) FROM logs GROUP BY 1 ORDER BY 1",
    "SELECT date_bin(INTERVAL '5 minutes', timestamp) AS bin, count(*) FROM logs GROUP BY 1",
    "SELECT DISTINCT service_name FROM logs",
    "SELECT DISTINCT ON (service_name) service_name, body FROM logs ORDER BY service_name, timestamp DESC",
    "SELECT approx_distinct(trace_id), approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY source_end) FROM logs",
    "WITH e AS (SELECT * FROM logs WHERE severity_number >= 17) SELECT count(*) FROM e",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT * FROM a JOIN b USING (x)",
    "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT * FROM n",
    "SELECT * FROM logs a JOIN logs b ON a.trace_id = b.trace_id AND a.source_id <> b.source_id",
    "SELECT * FROM logs a LEFT JOIN weir.delivery d ON d.source_id = a.source_id",
    "SELECT * FROM logs WHERE trace_id IN (SELECT trace_id FROM logs WHERE severity_number >= 17)",
    "SELECT * FROM logs l WHERE EXISTS (SELECT 1 FROM weir.gaps g WHERE g.source_id = l.source_id)",
    "SELECT row_number() OVER (PARTITION BY service_name ORDER BY timestamp DESC) AS n, body FROM logs",
    "SELECT body FROM logs UNION ALL SELECT reason FROM weir.gaps",
    "SELECT body FROM logs EXCEPT SELECT reason FROM weir.gaps",
    "SELECT * FROM generate_series(1, 10)",
    "SELECT * FROM unnest([1, 2, 3])",
    "SELECT unnest([1, 2, 3])",
    "SELECT 'a' || body, length(body), upper(body), regexp_replace(body, 'a', 'b') FROM logs",
    "EXPLAIN SELECT * FROM logs",
    "EXPLAIN ANALYZE VERBOSE SELECT count(*) FROM logs",
];

#[test]
fn hostile_statements_do_not_pass() {
    for query in HOSTILE {
        let error = check(query).expect_err(query);
        assert_eq!(error.kind(), Kind::Wrong, "{query}: {error}");
        assert!(!error.to_string().is_empty(), "{query}");
    }
}

#[test]
fn good_statements_pass() {
    for query in GOOD {
        if let Err(error) = check(query) {
            panic!("{query}: {error}");
        }
    }
}

#[tokio::test]
async fn good_statements_can_be_planned() {
    let world = crate::fixture::World::new().await;
    let engine = world.engine(crate::Config::default());
    for query in GOOD {
        if let Err(error) = crate::fixture::rows(engine.sql(crate::fixture::ask(query)).await).await {
            panic!("{query}: {error}: {error:?}");
        }
    }
}

/// The gate is the first wall; what it could overlook still meets the second.
#[tokio::test]
async fn nothing_hostile_is_answered() {
    let world = crate::fixture::World::new().await;
    let engine = world.engine(crate::Config::default());
    for query in HOSTILE {
        assert!(engine.sql(crate::fixture::ask(query)).await.is_err(), "{query}");
    }
}

#[test]
fn refusals_say_what_and_what_instead() {
    let refused = |query: &str, part: &str| {
        let error = check(query).expect_err(query);
        let text = format!("{error} | {}", error.hint().unwrap_or_default());
        assert!(text.contains(part), "{query}: {text}");
    };
    refused("DROP TABLE logs", "DROP is not allowed: queries only read");
    refused("SHOW TABLES", "information_schema.tables");
    refused("DESCRIBE logs", "information_schema.columns");
    refused("SELECT 1; SELECT 2", "only one statement");
    refused("SELECT * FROM '/etc/passwd'", "files and URLs cannot be queried");
    refused("SELECT * FROM read_csv('x')", "read_csv");
    refused("SELECT repeat('x', 9)", "repeat is switched off");
    refused("SELEC 1", "SELEC");
    refused("SELECT 'open", "Line: 1, Column: 8");
}

#[test]
fn large_statements_are_refused_before_they_are_parsed() {
    let refused = |query: String, part: &str| {
        let error = check(&query).expect_err("too large");
        assert!(error.to_string().contains(part), "{error}");
    };
    let parens = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(check(&parens(64)).is_ok());
    refused(parens(65), "nested deeper than 64");
    refused("(".repeat(60_000), "nested deeper than 64");
    refused(format!("SELECT {}", "[".repeat(60_000)), "nested deeper than 64");
    refused(format!("SELECT 1{}", "+1".repeat(2_000)), "more than 1000 operators");
    refused(format!("SELECT * FROM logs WHERE a{}", " OR a".repeat(2_000)), "more than 1000 operators");
    refused(format!("SELECT {} true", "NOT ".repeat(2_000)), "more than 1000 operators");
    refused(format!("SELECT {} 1", "- ".repeat(20_000)), "more than 1000 operators");
    refused(format!("SELECT 1{}", "::int".repeat(2_000)), "more than 1000 operators");
    refused(format!("SELECT a{}", "[1]".repeat(2_000)), "");
    refused(format!("SELECT {} 1 {}", "CASE WHEN a THEN ".repeat(1_500), "END ".repeat(1_500)), "operators");
    refused(vec!["SELECT 1"; 200].join(" UNION "), "");
    refused(format!("SELECT * FROM logs{}", " JOIN logs ON true".repeat(80)), "joins more than 64");
    refused(format!("SELECT * FROM logs{}", ", logs".repeat(80)), "joins more than 64");
    refused("x".repeat(TEXT_BYTES_MAX + 1), "longer than 65536 bytes");
    refused(format!("{}SELECT 1", "EXPLAIN ".repeat(5_000)), "");
    refused(format!("SELECT a{}", ".a".repeat(2_000)), "name of more than 16 parts");
    refused(format!("SELECT CAST(a AS {}INT{})", "ARRAY<".repeat(900), ">".repeat(900)), "operators");
    assert!(check(&format!("SELECT {}", vec!["l.a"; 900].join(", "))).is_ok());
    // Nested without operators or parentheses: the parser's own limit.
    let deep = |count: usize| format!("SELECT {} 1", "NOT ".repeat(count));
    assert!(check(&deep(20)).is_ok());
    assert!(check(&deep(900)).is_err());
    assert!(check(&format!("SELECT {}1{}", "f(".repeat(64), ")".repeat(64))).is_ok());
}

/// Whatever the bytes, the gate answers.
mod never_panics {
    use proptest::prelude::*;

    use super::{GOOD, HOSTILE, check};

    proptest! {
        #[test]
        fn on_pieces_of_statements(parts in prop::collection::vec((0usize..157, 0usize..60, 0usize..60), 1..6)) {
            let all: Vec<&str> = HOSTILE.into_iter().chain(GOOD).collect();
            let text: String = parts
                .into_iter()
                .flat_map(|(which, skip, take)| all[which].chars().skip(skip).take(take))
                .collect();
            let _ = check(&text);
        }

        #[test]
        fn on_any_text(text in "\\PC{0,80}") {
            let _ = check(&text);
        }
    }
}
