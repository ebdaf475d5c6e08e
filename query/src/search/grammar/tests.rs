//! The language of searches.

use super::*;

fn text(word: &str) -> Term {
    Term::Text(word.to_owned())
}

fn is(name: &str, value: &str) -> Term {
    field(name, Op::Is, Value::Exact(value.to_owned()))
}

fn field(name: &str, op: Op, value: Value) -> Term {
    Term::Field { name: name.to_owned(), op, value }
}

fn not(term: Term) -> Term {
    Term::Not(Box::new(term))
}

#[test]
fn searches() {
    let check =
        |search: &str, expected: Term| assert_eq!(parse(search).expect(search), Some(expected), "{search}");
    check("timeout", text("timeout"));
    check("  a b ", Term::All(vec![text("a"), text("b")]));
    check("a AND b", Term::All(vec![text("a"), text("b")]));
    check("a OR b c", Term::Any(vec![text("a"), Term::All(vec![text("b"), text("c")])]));
    check("(a OR b) c", Term::All(vec![Term::Any(vec![text("a"), text("b")]), text("c")]));
    check("-a", not(text("a")));
    check("NOT a", not(text("a")));
    check("- a", not(text("a")));
    check("a-b", text("a-b"));
    check("-(a b)", not(Term::All(vec![text("a"), text("b")])));
    check("ORDER", text("ORDER"));
    check("\"OR\"", text("OR"));
    check(r#""a \"b\" \\ \n""#, text(r#"a "b" \ \n"#));
    check("\"\"", text(""));
    check("level:error", is("level", "error"));
    check("service.name:\"my shop\"", is("service.name", "my shop"));
    check("-user:ann", not(is("user", "ann")));
    check("user:*", field("user", Op::Is, Value::Present));
    check("user:an*", field("user", Op::Is, Value::Prefix("an".to_owned())));
    check("severity>=warn", field("severity", Op::GreaterOrEqual, Value::Exact("warn".to_owned())));
    check("a<1", field("a", Op::Less, Value::Exact("1".to_owned())));
    check("a<=1", field("a", Op::LessOrEqual, Value::Exact("1".to_owned())));
    check("a>1", field("a", Op::Greater, Value::Exact("1".to_owned())));
    check("a!=1", field("a", Op::IsNot, Value::Exact("1".to_owned())));
    check("path:/a:b", is("path", "/a:b"));
    check("10:30:15", text("10:30:15"));
    check("https://a/b", text("https://a/b"));
    check("a=b", text("a=b"));
    check("x(y)", Term::All(vec![text("x"), text("y")]));
}

#[test]
fn an_empty_search_finds_everything() {
    assert_eq!(parse("").expect("empty"), None);
    assert_eq!(parse(" \n\t").expect("empty"), None);
}

#[test]
fn mistakes_say_where() {
    let check = |search: &str, part: &str| {
        let error = parse(search).expect_err(search);
        assert!(error.to_string().contains(part), "{search}: {error}");
    };
    check("a \"b", "at byte 2: this quote is not closed");
    check("(a", "at byte 0: this parenthesis is not closed");
    check("a)", "at byte 1: a closing parenthesis");
    check("()", "at byte 1: a word is missing");
    check("a OR", "a word is missing");
    check("OR a", "at byte 0: a word is missing before OR");
    check("user:", "at byte 5: a value is missing");
    check("user: ann", "at byte 5: a value is missing");
    check("-", "a word is missing");
    check(&"(".repeat(100), "nested too deep");
    check(&"-".repeat(5_000), "nested too deep");
    check(&"a".repeat(10_000), "longer than");
}

mod never_panics {
    use proptest::prelude::*;

    use crate::search::SearchRequest;

    proptest! {
        /// And what it compiles to passes the gate: no text of a search
        /// becomes anything but a text.
        #[test]
        fn whatever_is_typed(query in "[a-c'\":*<>=!()\\\\ .\\-ORN;/é]{0,40}") {
            let request = SearchRequest {
                tenant: weir_proto::model::TenantId::default(), query, start: None, end: Some(5), limit: 1,
            };
            if let Ok(search) = crate::search::Search::compile(&request) {
                let sql = search.sql();
                prop_assert!(crate::gate::check(&sql).is_ok(), "{sql}");
            }
        }
    }
}
