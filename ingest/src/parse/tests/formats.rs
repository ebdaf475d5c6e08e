//! Formats that are neither JSON nor logfmt.

use super::*;

const CLIENT: &str = "client.address";
const METHOD: &str = "http.request.method";
const PATH: &str = "url.path";
const QUERY: &str = "url.query";
const STATUS: &str = "http.response.status_code";
const SIZE: &str = "http.response.body.size";
const VERSION: &str = "network.protocol.version";
const REFERER: &str = "http.request.header.referer";
const AGENT: &str = "user_agent.original";
const ID: &str = "http.request.header.x-request-id";
const FORWARDED: &str = "http.request.header.x-forwarded-for";

/// Attributes in any order, so that a case lists what it is about.
fn attributes(parsed: &Parsed) -> BTreeMap<String, String> {
    let entries = parsed.attributes(column::ATTRIBUTES, 0);
    let count = entries.len();
    let map: BTreeMap<_, _> = entries.into_iter().collect();
    assert_eq!(map.len(), count, "no name twice: {map:?}");
    map
}

fn expect(line: &str, parsed: &Parsed, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(attributes(parsed), expected, "{line}");
    assert_eq!(parsed.line(0), line.as_bytes());
}

/// A line whose body is the line; what stands beside it and its time.
fn beside(line: &str, time: &str, expected: &[(&str, &str)]) {
    for name in ["auto", "nginx", "envoy"] {
        let parsed = parse_with(Parser::of_name(name), None, &[line.as_bytes()]);
        assert_eq!(kept(&parsed, 0), Kept::Body, "{line}");
        let is_envoy = line.starts_with("[2");
        if name == "auto" || is_envoy == (name == "envoy") {
            assert_eq!(parsed.time(0), time, "{line}");
            assert_eq!((parsed.severity(0), parsed.flags(0)), (None, 0), "{line}");
            expect(line, &parsed, expected);
        } else {
            expect(line, &parsed, &[]);
        }
    }
}

/// A line that is of no format: nothing beside it.
fn plain(line: &str) {
    let parsed = parse(line.as_bytes());
    assert_eq!((parsed.text(column::BODY, 0), kept(&parsed, 0)), (Some(line), Kept::Body));
    expect(line, &parsed, &[]);
}

#[test]
fn klog() {
    let check = |line: &str, severity: i16, body: &str, rest: &[(&str, &str)]| {
        let parsed = parse(line.as_bytes());
        assert_eq!(parsed.severity(0), Some(severity), "{line}");
        assert_eq!(parsed.text(column::SEVERITY_TEXT, 0), line.get(..1));
        assert_eq!((parsed.text(column::BODY, 0), kept(&parsed, 0)), (Some(body), Kept::Layout), "{line}");
        let header = [
            ("time", "1127 10:11:12.123456"),
            ("thread.id", "12345"),
            ("code.file.path", "controller.go"),
            ("code.line.number", "123"),
        ];
        expect(line, &parsed, &[&header, rest].concat());
        assert_eq!(parsed.time(0), "2025-11-27T10:11:12.123456Z");
        assert_eq!(parsed.flags(0), flags::YEAR_ASSUMED | flags::ZONE_ASSUMED);
    };
    let head = |letter: char| format!("{letter}1127 10:11:12.123456   12345 controller.go:123] ");
    let info = head('I');
    check(&format!("{info}Starting controller"), 9, "Starting controller", &[]);
    check(&format!("{}no such pod", head('W')), 13, "no such pod", &[]);
    check(&format!("{}x", head('E')), 17, "x", &[]);
    check(&format!("{}x", head('F')), 21, "x", &[]);
    check(&info, 9, "", &[]);
    check(
        &format!(r#"{info}"Pod status updated" pod="kube-system/dns" status="ready" tries=3"#),
        9,
        "Pod status updated",
        &[("pod", "kube-system/dns"), ("status", "ready"), ("tries", "3")],
    );
    check(
        &format!(
            r#"{}"Cannot \"sync\"\tit" err="open \\x: \"no\"\n" pods=["a/b","c d"] at={{"a":[1,"}}"]}} é="#,
            head('E')
        ),
        17,
        "\"Cannot \\\"sync\\\"\\tit\" err=\"open \\\\x: \\\"no\\\"\\n\" pods=[\"a/b\",\"c d\"] at={\"a\":[1,\"}\"]} é=",
        &[],
    );
    check(
        &format!(
            r#"{}"Cannot \"sync\"\tit" err="open \\x: \"no\"\n" pods=["a/b","c d"] at={{"a":[1,"}}"]}}"#,
            head('E')
        ),
        17,
        "Cannot \"sync\"\tit",
        &[("err", "open \\x: \"no\"\n"), ("pods", r#"["a/b","c d"]"#), ("at", r#"{"a":[1,"}"]}"#)],
    );
    // Quoted words that begin prose are prose.
    check(&format!(r#"{info}"a" is not b"#), 9, r#""a" is not b"#, &[]);
    check(&format!(r#"{info}"a" b=c d"#), 9, r#""a" b=c d"#, &[]);
    check(&format!(r#"{info}"open"#), 9, r#""open"#, &[]);
    check(&format!("{info}first\nsecond"), 9, "first\nsecond", &[]);
}

#[test]
fn klog_headers() {
    // glog of C++ writes the year; the time is UTC for want of a zone.
    let glog = parse(b"W20240229 01:02:03.000004  7 src/a.cc:9] low");
    assert_eq!((glog.time(0).as_str(), glog.flags(0)), ("2024-02-29T01:02:03.000004Z", flags::ZONE_ASSUMED));
    assert_eq!((glog.text(column::BODY, 0), kept(&glog, 0)), (Some("low"), Kept::Layout));
    // In another width the thread is another layout, and still one.
    let lines: Vec<String> = (1..2000).map(|n| format!("I0310 10:11:12.123456 {n:7} a.go:{n}] x")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let parsed = parse_with(Parser::Auto, None, &lines);
    assert_eq!(parsed.layouts.len(), 4);
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(parsed.line(row), *line);
    }
    for line in [
        "I1127 10:11:12.123456   12345 file.go:123 x",
        "I1127 10:11:12.123456   12345 file.go] x",
        "I1127 10:11:12.123456   12345 file.go:123]x",
        "I1127 10:11:12.123456   file.go:123] x",
        "I1127 10:11:12.123   12345 file.go:123] x",
        "I1127 10:11:12   12345 file.go:123] x",
        "I1127 10:11:12.123456 +0100 12345 file.go:123] x",
        "I1332 10:11:12.123456   12345 file.go:123] x",
        "D1127 10:11:12.123456   12345 file.go:123] x",
        "I1127 10:11:12.123456   12345 a b.go:123] x",
        "I1127 10:11:12.123456   1",
        "I1127",
    ] {
        plain(line);
    }
}

#[test]
fn access_logs() {
    let time = "2000-10-10T20:55:36Z";
    beside(
        r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#,
        time,
        &[
            (CLIENT, "127.0.0.1"),
            ("user.name", "frank"),
            (METHOD, "GET"),
            (PATH, "/apache_pb.gif"),
            (VERSION, "1.0"),
            (STATUS, "200"),
            (SIZE, "2326"),
        ],
    );
    beside(
        r#"2001:db8::1 - - [10/Oct/2000:13:55:36 -0700] "POST /a?b=c&d HTTP/2.0" 499 0 "https://a.b/c?d" "curl/8.5 (x; \"y\")""#,
        time,
        &[
            (CLIENT, "2001:db8::1"),
            (METHOD, "POST"),
            (PATH, "/a"),
            (QUERY, "b=c&d"),
            (VERSION, "2.0"),
            (STATUS, "499"),
            (SIZE, "0"),
            (REFERER, "https://a.b/c?d"),
            (AGENT, r#"curl/8.5 (x; "y")"#),
        ],
    );
    // nginx escapes quotes as numbers, and its image appends the proxies.
    beside(
        r#"10.0.0.7 - a b [10/Oct/2000:13:55:36 -0700] "HEAD /\x22x HTTP/1.1" 304 - "-" "-" "10.1.1.1, 10.2.2.2""#,
        time,
        &[
            (CLIENT, "10.0.0.7"),
            ("user.name", "a b"),
            (METHOD, "HEAD"),
            (PATH, "/\"x"),
            (VERSION, "1.1"),
            (STATUS, "304"),
            (FORWARDED, "10.1.1.1, 10.2.2.2"),
        ],
    );
    // What is no request is none, and the line is still an access.
    let no_request = |request: &str| {
        let line = format!(r#"10.0.0.7 - - [10/Oct/2000:13:55:36 -0700] "{request}" 400 157"#);
        beside(&line, time, &[(CLIENT, "10.0.0.7"), (STATUS, "400"), (SIZE, "157")]);
    };
    no_request("");
    no_request("-");
    no_request(r"\x16\x03\x01\x02");
    no_request("GET");
    no_request("get /a HTTP/1.1");
    no_request("GET /a HTTPS/1.1");
    // Requests that say no path.
    let original = |request: &str, method: &str, target: &str| {
        let line = format!(r#"10.0.0.7 - - [10/Oct/2000:13:55:36 -0700] "{request} HTTP/1.1" 200 1"#);
        let expected = [
            (CLIENT, "10.0.0.7"),
            (METHOD, method),
            ("url.original", target),
            (VERSION, "1.1"),
            (STATUS, "200"),
            (SIZE, "1"),
        ];
        beside(&line, time, &expected);
    };
    original("CONNECT a.b:443", "CONNECT", "a.b:443");
    original("OPTIONS *", "OPTIONS", "*");
    original("GET http://a.b/c?d", "GET", "http://a.b/c?d");
    // HTTP/0.9, a path with a space, absurd numbers, a virtual host, something appended.
    beside(
        r#"[::1]:80 - - [10/Oct/2000:13:55:36 -0700] "GET /" 200 99999999999999999999999 1.5 x"#,
        time,
        &[
            (CLIENT, "[::1]:80"),
            (METHOD, "GET"),
            (PATH, "/"),
            (STATUS, "200"),
            (SIZE, "99999999999999999999999"),
        ],
    );
    beside(
        r#"shop.example:443 10.0.0.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a b HTTP/1.1" 200 1 "-" "x" rest "of it""#,
        time,
        &[
            ("server.address", "shop.example"),
            ("server.port", "443"),
            (CLIENT, "10.0.0.7"),
            (METHOD, "GET"),
            (PATH, "/a b"),
            (VERSION, "1.1"),
            (STATUS, "200"),
            (SIZE, "1"),
            (AGENT, "x"),
        ],
    );
}

#[test]
fn the_ingress_controllers_access_log() {
    let line = r#"10.0.0.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8" 331 0.005 [shop-web-80] [] 10.0.1.1:80, 10.0.1.2:80 0, 12 0.001, 0.004 502, 200 4bf92f35"#;
    beside(
        line,
        "2000-10-10T13:55:36Z",
        &[
            (CLIENT, "10.0.0.7"),
            (METHOD, "GET"),
            (PATH, "/a"),
            (VERSION, "1.1"),
            (STATUS, "200"),
            (SIZE, "12"),
            (AGENT, "curl/8"),
            ("http.request.size", "331"),
            ("request_time", "0.005"),
            ("proxy_upstream_name", "shop-web-80"),
            ("upstream_addr", "10.0.1.1:80, 10.0.1.2:80"),
            ("upstream_response_length", "0, 12"),
            ("upstream_response_time", "0.001, 0.004"),
            ("upstream_status", "502, 200"),
            (ID, "4bf92f35"),
        ],
    );
}

#[test]
fn what_is_no_access_is_plain() {
    for line in [
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200"#,
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 20 12"#,
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 2000 12"#,
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 12x"#,
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0 200 12"#,
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] GET / 200 12"#,
        r#"127.0.0.1 - - [10/Oct/2000 13:55:36 -0700] "GET / HTTP/1.0" 200 12"#,
        r#"127.0.0.1 - - [10/Okt/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 12"#,
        r#"127.0.0.1 - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 12"#,
        r#"127.0.0.1 [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 12"#,
        r#"[10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 12"#,
        r#"x [10/Oct/2000"#,
    ] {
        plain(line);
    }
}

#[test]
fn errors_of_web_servers() {
    let check = |line: &str, time: &str, severity: Option<i16>, expected: &[(&str, &str)]| {
        let parsed = parse(line.as_bytes());
        assert_eq!((parsed.time(0).as_str(), parsed.severity(0)), (time, severity), "{line}");
        assert_eq!(kept(&parsed, 0), Kept::Body);
        expect(line, &parsed, expected);
    };
    check(
        r#"2023/10/11 14:32:52 [error] 7#8: *12 open() "/x, client: y" failed (2: No such file), client: 10.0.0.7, server: shop.example, request: "GET /x?y HTTP/1.1", upstream: "http://10.0.1.1:80/x", host: "shop.example""#,
        "2023-10-11T14:32:52Z",
        Some(17),
        &[
            ("process.pid", "7"),
            ("thread.id", "8"),
            (CLIENT, "10.0.0.7"),
            ("server.address", "shop.example"),
            (METHOD, "GET"),
            (PATH, "/x"),
            (QUERY, "y"),
            (VERSION, "1.1"),
            ("upstream_addr", "http://10.0.1.1:80/x"),
            ("http.request.header.host", "shop.example"),
        ],
    );
    check(
        r#"2023/10/11 14:32:52 [error] 7#8: *12 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.7, server: shop.example, request: "GET /x?y HTTP/1.1", upstream: "http://10.0.1.1:80/x", host: "shop.example:80""#,
        "2023-10-11T14:32:52Z",
        Some(17),
        &[
            ("process.pid", "7"),
            ("thread.id", "8"),
            (CLIENT, "10.0.0.7"),
            ("server.address", "shop.example"),
            (METHOD, "GET"),
            (PATH, "/x"),
            (QUERY, "y"),
            (VERSION, "1.1"),
            ("upstream_addr", "http://10.0.1.1:80/x"),
            ("http.request.header.host", "shop.example:80"),
        ],
    );
    check(
        "2023/10/11 14:32:52 [notice] 1#1: using the \"epoll\" event method",
        "2023-10-11T14:32:52Z",
        Some(10),
        &[("process.pid", "1"), ("thread.id", "1")],
    );
    check(
        "[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 7:tid 139] [client 2001:db8::1:51312] AH00035: denied",
        "2023-10-11T14:32:52.123456Z",
        Some(17),
        &[("process.pid", "7"), ("thread.id", "139"), (CLIENT, "2001:db8::1"), ("client.port", "51312")],
    );
    check(
        "[Wed Oct 11 14:32:52.123456 2023] [mpm_event:notice] [pid 7] AH00489: Apache configured",
        "2023-10-11T14:32:52.123456Z",
        Some(10),
        &[("process.pid", "7")],
    );
    check(
        "[Wed Oct 11 14:32:52 2023] [error] [client 10.0.0.7:51312] denied",
        "2023-10-11T14:32:52Z",
        Some(17),
        &[(CLIENT, "10.0.0.7"), ("client.port", "51312")],
    );
    check("2023/10/11 14:32:52 [error] x", "2023-10-11T14:32:52Z", Some(17), &[]);
    check("[Wed Oct 11 14:32:52 2023] hello", "2023-10-11T14:32:52Z", None, &[]);
}

#[test]
fn envoys_access_log() {
    beside(
        r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations?a=b HTTP/2" 204 - 154 0 226 100 "10.0.35.28, 10.1.1.1" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations:8080" "tcp://10.0.2.1:80""#,
        "2016-04-15T20:17:00.31Z",
        &[
            (METHOD, "POST"),
            (PATH, "/api/v1/locations"),
            (QUERY, "a=b"),
            (VERSION, "2"),
            (STATUS, "204"),
            ("http.request.body.size", "154"),
            (SIZE, "0"),
            ("duration", "226"),
            ("upstream_service_time", "100"),
            (FORWARDED, "10.0.35.28, 10.1.1.1"),
            (CLIENT, "10.0.35.28"),
            (AGENT, "nsq2http"),
            (ID, "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"),
            ("server.address", "locations"),
            ("server.port", "8080"),
            ("upstream_host", "tcp://10.0.2.1:80"),
        ],
    );
    // TCP; and quotes, which Envoy does not escape.
    beside(
        r#"[2016-04-15T20:17:00.310Z] "- - -" 0 UF,URX 15 7 226 - "-" "-" "-" "-" "-""#,
        "2016-04-15T20:17:00.31Z",
        &[("response_flags", "UF,URX"), ("bytes_received", "15"), ("bytes_sent", "7"), ("duration", "226")],
    );
    beside(
        r#"[2016-04-15T20:17:00.310Z] "GET /"x HTTP/1.1" 0 DC 0 0 1 - "-" "a "b"c" "-" "-" "-""#,
        "2016-04-15T20:17:00.31Z",
        &[
            (METHOD, "GET"),
            (PATH, "/\"x"),
            (VERSION, "1.1"),
            (STATUS, "0"),
            ("response_flags", "DC"),
            ("http.request.body.size", "0"),
            (SIZE, "0"),
            ("duration", "1"),
            (AGENT, "a \"b\"c"),
        ],
    );
}

#[test]
fn istios_access_log() {
    beside(
        r#"[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 outbound_.8000_._.httpbin.foo.svc.cluster.local default"#,
        "2020-11-25T21:26:18.409Z",
        &[
            (METHOD, "GET"),
            (PATH, "/status/418"),
            (VERSION, "1.1"),
            (STATUS, "418"),
            ("response_code_details", "via_upstream"),
            ("http.request.body.size", "0"),
            (SIZE, "135"),
            ("duration", "3"),
            ("upstream_service_time", "1"),
            (AGENT, "curl/7.73.0-DEV"),
            (ID, "84961386-6d84-929d-98bd-c5aee93b5c88"),
            ("server.address", "httpbin"),
            ("server.port", "8000"),
            ("upstream_host", "127.0.0.1:80"),
            ("upstream_cluster", "inbound|8000||"),
            ("upstream_local_address", "127.0.0.1:41854"),
            ("downstream_local_address", "10.44.1.27:80"),
            ("network.peer.address", "10.44.1.23"),
            ("network.peer.port", "37652"),
            (CLIENT, "10.44.1.23"),
            ("requested_server_name", "outbound_.8000_._.httpbin.foo.svc.cluster.local"),
            ("route_name", "default"),
        ],
    );
    // The upstream did not answer; old releases leave spaces in the details.
    beside(
        r#"[2020-11-25T21:26:18.409Z] "- - -" 0 UF,URX upstream_reset{TLS error: 268435703} - "delayed connect error: 111" 0 0 10000 - "-" "-" "-" "-" "[2001:db8::2]:9090" outbound|9090||db.svc - [2001:db8::1]:9090 [2001:db8::3]:51312 - -"#,
        "2020-11-25T21:26:18.409Z",
        &[
            ("response_flags", "UF,URX"),
            ("response_code_details", "upstream_reset{TLS error: 268435703}"),
            ("upstream_transport_failure_reason", "delayed connect error: 111"),
            ("bytes_received", "0"),
            ("bytes_sent", "0"),
            ("duration", "10000"),
            ("upstream_host", "[2001:db8::2]:9090"),
            ("upstream_cluster", "outbound|9090||db.svc"),
            ("downstream_local_address", "[2001:db8::1]:9090"),
            ("network.peer.address", "2001:db8::3"),
            ("network.peer.port", "51312"),
            (CLIENT, "2001:db8::3"),
        ],
    );
    for line in [
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 135 3 1 "-" "-" "-" "-" "-""#,
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 135 3 1 "-" "-" "-" "-" "-" a b c d e"#,
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1" 200 - 0 135 3 1 "-" "-" "-" "-""#,
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1" 200 - 0 135 3 "-" "-" "-" "-" "-""#,
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1" OK - 0 135 3 1 "-" "-" "-" "-" "-""#,
        r#"[2020-11-25T21:26:18.409Z] "GET / HTTP/1.1"#,
        r#"[2020-11-25T21:26:18.409Z]"#,
        r#"[2020"#,
    ] {
        plain(line);
    }
}

#[test]
fn bytes_that_are_no_text_in_an_access() {
    let line = b"10.0.0.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /\xff HTTP/1.1\" 200 1";
    let parsed = parse(line);
    assert_eq!(attributes(&parsed).get(PATH).map(String::as_str), Some("/\u{fffd}"));
    assert_eq!(kept(&parsed, 0), Kept::Raw);
    assert_eq!(parsed.line(0), line);
}
