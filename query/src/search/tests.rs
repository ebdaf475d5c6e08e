//! From a search to its SQL.

use weir_proto::model::TenantId;

use super::*;

fn request(query: &str) -> SearchRequest {
    SearchRequest { tenant: TenantId::default(), query: query.to_owned(), start: None, end: None, limit: 10 }
}

fn condition(query: &str) -> String {
    Search::compile(&request(query)).expect(query).condition.unwrap_or_default()
}

#[test]
fn conditions() {
    let check = |query: &str, expected: &str| assert_eq!(condition(query), expected, "{query}");
    check("", "");
    check("it's", "(has_word(body, 'it''s') OR has_word(attributes, 'it''s'))");
    check("body:x", "has_word(body, 'x')");
    check("service.name:cart", "(service_name = 'cart')");
    check("k8s_pod_name:a*", "starts_with(k8s_pod_name, 'a')");
    check("trace_id:ABC", "(trace_id = 'abc')");
    check("level:error", "(severity_number BETWEEN 17 AND 20)");
    check("severity>warn", "(severity_number > 16)");
    check("severity<=5", "(severity_number <= 5)");
    check("level:verbose", "(lower(severity_text) = 'verbose')");
    check("-host.name:a", "((host_name = 'a') IS NOT TRUE)");
    check("attributes.user:*", "(attributes['user'] IS NOT NULL)");
    check("resource.x:1", "(resource_attributes['x'] = '1')");
    check("user:a", "((attributes['user'] = 'a') OR (resource_attributes['user'] = 'a'))");
    check("flags>3", "(flags > 3)");
    check("attributes.ms>=1.5", "(TRY_CAST(attributes['ms'] AS DOUBLE) >= CAST('1.5' AS DOUBLE))");
}

#[test]
fn the_whole_statement() {
    let search = SearchRequest { start: Some(0), end: Some(1_000_000), ..request("flags:1") };
    assert_eq!(
        Search::compile(&search).expect("compiled").sql(),
        "SELECT * FROM logs WHERE timestamp >= '1970-01-01T00:00:00.000000Z' AND timestamp <= \
         '1970-01-01T00:00:00.999999Z' AND (flags = 1) ORDER BY timestamp DESC, timestamp_nanos DESC, source_id \
         DESC, source_start DESC LIMIT 10"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let check = |query: &str, part: &str| {
        let error = Search::compile(&request(query)).expect_err(query);
        let text = format!("{error} | {}", error.hint().unwrap_or_default());
        assert!(text.contains(part), "{query}: {text}");
    };
    check("timestamp>5", "use the parameters start and end");
    check("attributes:5", "attributes.user:42");
    check("body>5", "the body has words");
    check("user>ann", "no number");
    check("user>NaN", "no number");
    check("flags:x", "no number");
    check("severity>loud", "trace, debug, info, warn");
    let many = SearchRequest { limit: LIMIT_MAX + 1, ..request("") };
    assert!(Search::compile(&many).is_err());
}
