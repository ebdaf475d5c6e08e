//! What OTLP's requests have in common as protobuf: whose they are, and how they are
//! pushed over HTTP. It issues nothing.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{ANSWER, fate_of};
use crate::http;
use crate::ledger::{Fate, Feed};

/// Who sends: the feed, as the service of its rows.
pub(super) fn resource(feed: &Feed) -> Resource {
    Resource { attributes: vec![attribute("service.name", feed.name())], ..Resource::default() }
}

/// An attribute of text.
pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

/// A value of text.
pub(super) fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

/// Pushes a request, and says what became of all that is in it: which ones were left out
/// of a part that was taken, an answer does not say.
pub(super) fn post<A: Message + Default>(
    agent: SocketAddr,
    path: &str,
    request: &impl Message,
    is_partial: impl Fn(&A) -> bool,
) -> Fate {
    let headers = [("content-type", "application/x-protobuf")];
    let answer = http::request(agent, ("POST", path), &headers, &request.encode_to_vec(), ANSWER);
    match (fate_of(&answer), answer) {
        (Fate::Owed, Ok(answer)) => taken(&answer.body, is_partial),
        (fate, _) => fate,
    }
}

/// A success that cannot be read says nothing.
fn taken<A: Message + Default>(body: &[u8], is_partial: impl Fn(&A) -> bool) -> Fate {
    match A::decode(body) {
        Ok(answer) if !is_partial(&answer) => Fate::Owed,
        _ => Fate::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess as Partial, ExportTraceServiceResponse as Answer,
    };

    use super::*;

    #[test]
    fn only_a_whole_success_is_owed() {
        let check = |body: &[u8], expected: Fate| {
            let found = taken(body, |answer: &Answer| answer.partial_success.is_some());
            assert_eq!(found, expected, "{body:?}");
        };
        let partial = Partial { rejected_spans: 1, error_message: String::new() };
        check(&[], Fate::Owed);
        check(&Answer::default().encode_to_vec(), Fate::Owed);
        check(&Answer { partial_success: Some(partial) }.encode_to_vec(), Fate::Unanswered);
        check(&Answer { partial_success: Some(Partial::default()) }.encode_to_vec(), Fate::Unanswered);
        check(b"\x0a\xff", Fate::Unanswered);
    }
}
