use super::*;

/// `id<parent KIND service>remote!`: a span in a few characters. `-` is
/// nothing, `*` before the id means shared, `!` an error.
fn span(text: &str) -> Span {
    let (text, is_error) = match text.strip_suffix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let words: Vec<_> = text.split(' ').collect();
    let [ids, kind, sides] = words.as_slice() else { panic!("three words: {text}") };
    let (ids, shared) = match ids.strip_prefix('*') {
        Some(ids) => (ids, true),
        None => (*ids, false),
    };
    let some = |text: &str| (text != "-" && !text.is_empty()).then(|| text.to_owned());
    let (id, parent) = ids.split_once('<').unwrap_or((ids, "-"));
    let (service, remote) = sides.split_once('>').unwrap_or((sides, "-"));
    Span {
        id: id.to_owned(),
        parent: some(parent),
        shared,
        kind: Kind::of(kind),
        service: some(service),
        remote: some(remote),
        is_error,
        micros: 0,
    }
}

fn check(trace: &[&str], expected: &[&str]) {
    let spans: Vec<_> = trace.iter().map(|text| span(text)).collect();
    let mut found = Vec::new();
    link(&spans, |_, parent, child, is_error| {
        found.push(format!("{parent}>{child}{}", if is_error { "!" } else { "" }));
    });
    assert_eq!(found, expected, "{trace:?}");
}

#[test]
fn calls_are_what_servers_say() {
    // OpenTelemetry: ids of their own, no names of the other side.
    check(
        &["1 SERVER web", "2<1 CLIENT web", "3<2 SERVER app", "4<3 - app", "5<4 CLIENT app", "6<5 SERVER db"],
        &["web>app", "app>db"],
    );
    // Zipkin: both halves have one id.
    check(&["1 SERVER web", "2<1 CLIENT web>app", "*2<1 SERVER app"], &["web>app"]);
    // Whoever is called says nothing: the client's word counts.
    check(&["1 SERVER web", "2<1 CLIENT web>mysql"], &["web>mysql"]);
    check(&["1 SERVER web", "2<1 CLIENT web"], &[]);
    // A root that knows its client.
    check(&["1 SERVER app>web"], &["web>app"]);
    check(&["1 SERVER app"], &[]);
}

#[test]
fn errors_count_once() {
    check(&["1 SERVER web", "2<1 CLIENT web", "3<2 SERVER app!"], &["web>app!"]);
    check(&["1 SERVER web", "2<1 CLIENT web!", "3<2 SERVER app"], &["web>app!"]);
    check(&["1 SERVER web!", "2<1 CLIENT web", "3<2 SERVER app"], &["web>app"]);
    check(&["1 SERVER web", "2<1 CLIENT web>app!"], &["web>app!"]);
}

#[test]
fn what_is_missing_does_not_break_the_chain() {
    // No root: orphans have nobody above them.
    check(&["3<2 SERVER app", "4<3 CLIENT app>db"], &["app>db"]);
    // The client of a server in between is missing: its ancestor called.
    check(&["1 SERVER web", "3<2 SERVER app"], &["web>app"]);
    // A client of another service below a server that was not reported.
    check(&["1 SERVER web", "2<1 CLIENT web", "4<2 CLIENT app>db"], &["web>app", "app>db"]);
    // A circle is no tree.
    check(&["1<2 SERVER a", "2<1 SERVER b"], &[]);
    check(&[], &[]);
}

#[test]
fn messages_need_a_broker_with_a_name() {
    check(&["1 PRODUCER web>kafka", "2<1 CONSUMER app>kafka"], &["web>kafka", "kafka>app"]);
    check(&["1 PRODUCER web", "2<1 CONSUMER app"], &[]);
}

#[test]
fn who_knows_both_sides_has_called() {
    check(&["1 - web>app"], &["web>app"]);
    check(&["1 - web", "2<1 - web>app"], &["web>app"]);
}
