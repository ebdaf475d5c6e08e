use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::*;
use crate::DecodeError;
use crate::wire::otlp::{Encoding, decode_logs, decode_metrics, decode_traces, logs, metrics, traces};

fn request(fields: &str) -> Result<ExportTraceServiceRequest, DecodeError> {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{}},{{{fields}}}]}}]}}]}}"#);
    decode_traces(json.as_bytes(), Encoding::Json)
}

fn span(fields: &str) -> Span {
    let mut request = request(fields).unwrap_or_else(|error| panic!("{fields}: {error}"));
    request.resource_spans[0].scope_spans[0].spans.pop().expect("two spans")
}

#[track_caller]
fn refused(fields: &str, reason: &str) {
    let error = request(fields).expect_err(fields).to_string();
    let expected = format!("malformed OTLP JSON: resourceSpans[0].scopeSpans[0].spans[1].{reason}");
    assert!(error.starts_with(&expected), "{fields}\nsays {error}\nnot  {expected}");
}

#[test]
fn the_rules_of_the_protocol_hold() {
    assert_eq!(span(""), Span::default());
    assert_eq!(span(r#""traceId":"AbcD","spanId":"""#).trace_id, [0xab, 0xcd], "ids are hexadecimal");
    for number in ["7", r#""7""#, "7.0", "0.7e1"] {
        assert_eq!(span(&format!(r#""startTimeUnixNano":{number}"#)).start_time_unix_nano, 7, "{number}");
    }
    let largest =
        span(r#""startTimeUnixNano":18446744073709551615,"endTimeUnixNano":"18446744073709551615""#);
    assert_eq!((largest.start_time_unix_nano, largest.end_time_unix_nano), (u64::MAX, u64::MAX));
    assert_eq!(span(r#""name":null,"events":null,"status":null,"kind":null,"flags":null"#), Span::default());
    assert_eq!(
        span(r#""newField":{"a":[1]},"start_time_unix_nano":5"#),
        Span::default(),
        "unknown is ignored"
    );
    assert_eq!(span(r#""kind":3,"status":{"code":2}"#).kind, 3);
    assert_eq!(span(r#""kind":99"#).kind, 99, "an enum may have grown");
}

#[test]
fn values_of_every_type_are_read() {
    let attributes = span(
        r#""attributes":[
            {"key":"s","value":{"stringValue":"text"}}, {"key":"b","value":{"boolValue":true}},
            {"key":"i","value":{"intValue":"-9223372036854775808"}}, {"key":"d","value":{"doubleValue":0.1}},
            {"key":"big","value":{"doubleValue":1e300}}, {"key":"bytes","value":{"bytesValue":"_wA"}},
            {"key":"list","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x\"y"},{}]}}},
            {"key":"map","value":{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"b"}},
                {"key":"nan","value":{"doubleValue":"NaN"}}]}}},
            {"key":"none"}]"#,
    )
    .attributes;
    assert_eq!(format!("{attributes:?}"), format!("{:?}", every_type()), "NaN equals only its text");
    let odd =
        span(r#""attributes":[{"key":"a","value":{"newValue":1}},{"key":"b","value":null},{"value":{}}]"#);
    let values: Vec<_> =
        odd.attributes.iter().map(|a| a.value.as_ref().and_then(|v| v.value.as_ref())).collect();
    assert_eq!(values, [None, None, None]);
}

#[test]
fn what_the_protocol_forbids_is_refused_with_its_place() {
    for (fields, reason) in [
        (r#""kind":"SPAN_KIND_SERVER""#, "kind: expected an enum's number, found a string"),
        (r#""kind":"2""#, "kind: expected an enum's number, found a string"),
        (r#""kind":1.5"#, "kind: 1.5 is not an integer, or out of range"),
        (r#""status":{"code":"ERROR"}"#, "status.code: expected an enum's number"),
        (r#""traceId":"AQIDBAUGBwgJCgsMDQ4PEA==""#, "traceId: expected pairs of hexadecimal digits"),
        (r#""traceId":"abc""#, "traceId: expected pairs of hexadecimal digits"),
        (r#""spanId":5"#, "spanId: expected a string, found a number"),
        (r#""startTimeUnixNano":-1"#, "startTimeUnixNano: -1 is not an integer, or out of range"),
        (r#""startTimeUnixNano":"x""#, "startTimeUnixNano: \"x\" is not an integer, or out of range"),
        (r#""startTimeUnixNano":18446744073709551616"#, "startTimeUnixNano: "),
        (r#""startTimeUnixNano":true"#, "startTimeUnixNano: expected an integer, found a boolean"),
        (r#""flags":4294967296"#, "flags: 4294967296 is out of range"),
        (r#""name":7"#, "name: expected a string, found a number"),
        (r#""events":{}"#, "events: expected a list, found an object"),
        (r#""events":[{},7]"#, "events[1]: expected an object, found a number"),
        (
            r#""attributes":[{"key":"a","value":"b"}]"#,
            "attributes[0].value: expected an object, found a string",
        ),
        (
            r#""attributes":[{"key":"a","value":{"arrayValue":{"values":[{"bytesValue":"?"}]}}}]"#,
            "attributes[0].value.arrayValue.values[0].bytesValue: expected base64",
        ),
        (r#""attributes":[{"key":"a","value":{"doubleValue":"inf"}}]"#, "attributes[0].value.doubleValue: "),
    ] {
        refused(fields, reason);
    }
    for text in ["", "[]", "null", "7", "{", "{} {}", "\u{feff}{}"] {
        assert!(decode_traces(text.as_bytes(), Encoding::Json).is_err(), "{text:?}");
    }
    assert!(decode_traces(b"{\"a\":\"\xff\"}", Encoding::Json).is_err(), "not UTF-8");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(request(&format!(r#""x":{deep}"#)).is_err(), "the reader does not follow without end");
}

#[test]
fn all_kinds_of_metrics_are_read() {
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"g","gauge":{"dataPoints":[{"asInt":"9223372036854775807"},{"asInt":-3},{"asDouble":5}]}},
        {"name":"s","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asDouble":"Infinity",
            "exemplars":[{"asInt":"1","spanId":"0102030405060708","filteredAttributes":[{"key":"k"}]}]}]}},
        {"name":"h","histogram":{"dataPoints":[{"count":"3","bucketCounts":["1",2],"explicitBounds":[1],"sum":0}]}},
        {"name":"e","exponentialHistogram":{"dataPoints":[{"scale":-1,"zeroCount":"1","positive":{"offset":"-2",
            "bucketCounts":["4"]},"negative":null,"min":1.5}]}},
        {"name":"q","summary":{"dataPoints":[{"count":1,"sum":2.5,"quantileValues":[{"quantile":1,"value":2}]}]}},
        {"name":"none"}
    ]}]}]}"#;
    let request = decode_metrics(json.as_bytes(), Encoding::Json).unwrap();
    let all = &request.resource_metrics[0].scope_metrics[0].metrics;
    let Some(Data::Gauge(gauge)) = &all[0].data else { panic!("a gauge") };
    let values: Vec<_> = gauge.data_points.iter().map(|point| point.value.unwrap()).collect();
    let exact = number_data_point::Value::AsInt(i64::MAX);
    assert_eq!(values, [exact, number_data_point::Value::AsInt(-3), number_data_point::Value::AsDouble(5.0)]);
    let Some(Data::Histogram(histogram)) = &all[2].data else { panic!("a histogram") };
    assert_eq!((histogram.data_points[0].sum, histogram.data_points[0].min), (Some(0.0), None));
    assert_eq!(all[5].data, None);
    let decoded = metrics(request, OBSERVED);
    assert_eq!((decoded.accepted, decoded.rejected), (7, 0));
    let samples = rows(&decoded, Table::MetricSamples);
    check(samples, 0, &[("metric", "g"), ("value_int", "9223372036854775807")]);
    check(samples, 3, &[("value", "inf"), ("temporality", "cumulative")]);
    check(samples, 5, &[("positive_offset", "-2"), ("positive_counts", "[4]"), ("negative_offset", "null")]);
    check(samples, 6, &[("quantiles", "[{quantile: 1, value: 2}]")]);
}

#[test]
fn what_node_and_python_send_is_read() {
    let log = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],
        "droppedAttributesCount":0},"scopeLogs":[{"scope":{"name":"app","version":""},"logRecords":[{
        "timeUnixNano":"1704067200123456789","observedTimeUnixNano":"1704067200123456789","severityNumber":9,
        "severityText":"INFO","body":{"stringValue":"hello"},"eventName":"",
        "attributes":[{"key":"n","value":{"intValue":5}}],"droppedAttributesCount":0,"flags":1,
        "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}]}]}]}"#;
    let decoded = logs(decode_logs(log.as_bytes(), Encoding::Json).unwrap(), OBSERVED);
    let expected =
        [("body", "hello"), ("service_name", "shop"), ("severity_number", "9"), ("flags", "65536")];
    check(rows(&decoded, Table::Logs), 0, &expected);

    let trace = r#"{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"app"},"spans":[{
        "traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0102030405060708","name":"op","kind":1,
        "startTimeUnixNano":{"low":1,"high":2},"endTimeUnixNano":"2","status":{"code":0}}]}]}]}"#;
    let error = decode_traces(trace.as_bytes(), Encoding::Json).unwrap_err().to_string();
    assert!(error.ends_with("startTimeUnixNano: expected an integer, found an object"), "{error}");
    let trace = trace.replace(r#"{"low":1,"high":2}"#, "1");
    let decoded = traces(decode_traces(trace.as_bytes(), Encoding::Json).unwrap(), OBSERVED);
    check(
        rows(&decoded, Table::Spans),
        0,
        &[("trace_id", "0102030405060708090a0b0c0d0e0f10"), ("kind", "INTERNAL")],
    );
}
