//! Parameters of requests, read by Zipkin's rules.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::Failure;
use crate::QueryError;
use crate::trace::find::TraceSearch;
use weir_storage::catalog::TimeRange;

/// How far back a search looks when nothing is said: a day. Grafana never says.
pub(super) const LOOKBACK_MILLIS: i64 = 86_400_000;

/// Traces when nothing is said.
const LIMIT: i64 = 10;

/// The most traces of one answer, however many are asked for.
pub(super) const TRACES_MAX: usize = 1_000;

/// Parts of an annotation query; what follows the last is one part.
const ANNOTATIONS_MAX: usize = 100;

/// The parameters as they came; what nobody knows is nobody's mistake.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(
        query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    ) -> Result<Self, QueryError> {
        query.map(|Query(pairs)| Self(pairs)).map_err(|error| QueryError::refused(error.body_text()))
    }

    /// The first of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| QueryError::refused(format!("{name} is missing")).into())
    }

    /// In lower case; none when it is empty.
    fn name(&self, name: &str) -> Option<String> {
        self.get(name).filter(|text| !text.is_empty()).map(str::to_lowercase)
    }

    fn number(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let text = self.get(name).filter(|text| !text.is_empty());
        let parse = |text: &str| {
            text.parse().map_err(|_| QueryError::refused(format!("{name} is not a whole number: {text}")))
        };
        text.map(parse).transpose()
    }

    /// The span of time of dependencies.
    pub(super) fn dependencies(&self) -> Result<TimeRange, QueryError> {
        let wrong = |text: &str| Err(QueryError::refused(text));
        let Some(end) = self.number("endTs")? else { return wrong("endTs is missing") };
        let lookback = self.number("lookback")?.unwrap_or(LOOKBACK_MILLIS);
        if end <= 0 {
            return wrong("endTs <= 0");
        }
        if lookback <= 0 {
            return wrong("lookback <= 0");
        }
        Ok(TraceSearch::window(end, lookback))
    }

    /// A search for traces.
    pub(super) fn search(&self, now_micros: i64, strict: bool) -> Result<TraceSearch, QueryError> {
        let end = self.number("endTs")?.unwrap_or(now_micros.div_euclid(1_000) + 1);
        let lookback = self.number("lookback")?.unwrap_or(LOOKBACK_MILLIS);
        let limit = self.number("limit")?.unwrap_or(LIMIT);
        let (min_duration, max_duration) = (self.number("minDuration")?, self.number("maxDuration")?);
        let wrong = |text: &str| Err(QueryError::refused(text));
        if end <= 0 {
            return wrong("endTs <= 0");
        }
        if limit <= 0 {
            return wrong("limit <= 0");
        }
        if lookback <= 0 {
            return wrong("lookback <= 0");
        }
        match (min_duration, max_duration) {
            (Some(min), _) if min <= 0 => return wrong("minDuration <= 0"),
            (Some(min), Some(max)) if max < min => return wrong("maxDuration < minDuration"),
            (None, Some(_)) => return wrong("maxDuration is only valid with minDuration"),
            _ => {}
        }
        Ok(TraceSearch {
            service_name: self.name("serviceName"),
            remote_service_name: self.name("remoteServiceName"),
            span_name: self.name("spanName").filter(|name| name != "all"),
            annotations: annotations(self.get("annotationQuery").unwrap_or_default()),
            min_duration,
            max_duration,
            time: TraceSearch::window(end, lookback),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            strict,
        })
    }
}

/// `error and http.method=GET`: of one key the last value counts, and a key
/// alone counts only where it has none. Keys cannot be empty.
fn annotations(query: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for part in query.splitn(ANNOTATIONS_MAX, " and ") {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        let known = found.iter_mut().find(|(known, _)| known == key);
        match (known, value) {
            _ if key.is_empty() => {}
            (Some(known), Some(value)) => known.1 = value.to_owned(),
            (Some(_), None) => {}
            (None, value) => found.push((key.to_owned(), value.unwrap_or_default().to_owned())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_queries_are_read_as_zipkin_does() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(annotations(query), expected, "{query}");
        };
        check("", &[]);
        check("error", &[("error", "")]);
        check("http.method=GET and error", &[("http.method", "GET"), ("error", "")]);
        check(" a = b ", &[("a", "b")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a=1 and a=2", &[("a", "2")]);
        check("a=1 and a", &[("a", "1")]);
        check("a and a=1", &[("a", "1")]);
        check("a= and b", &[("a", ""), ("b", "")]);
        check("=b and  and c", &[("c", "")]);
        check("a or b", &[("a or b", "")]);
        check("a AND b", &[("a AND b", "")]);
        assert_eq!(annotations(&vec!["x"; 1_000].join(" and ")).len(), 2, "one key, and what is left");
    }

    #[test]
    fn parameters_are_checked_in_zipkins_words() {
        let check = |pairs: &[(&str, &str)], expected: Option<&str>| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let found = Parameters(pairs.collect()).search(1_000_000, true);
            assert_eq!(found.err().map(|error| error.to_string()).as_deref(), expected);
        };
        check(&[], None);
        check(&[("nobody", "knows"), ("limit", ""), ("spanName", "")], None);
        check(&[("limit", "0")], Some("limit <= 0"));
        check(&[("limit", "-1")], Some("limit <= 0"));
        check(&[("limit", "abc")], Some("limit is not a whole number: abc"));
        check(&[("limit", "1.5")], Some("limit is not a whole number: 1.5"));
        check(&[("limit", "9223372036854775807")], None);
        check(&[("limit", "9223372036854775808")], Some("limit is not a whole number: 9223372036854775808"));
        check(&[("endTs", "abc")], Some("endTs is not a whole number: abc"));
        check(&[("endTs", "0")], Some("endTs <= 0"));
        check(&[("endTs", "-9223372036854775808")], Some("endTs <= 0"));
        check(&[("endTs", "9223372036854775807"), ("lookback", "9223372036854775807")], None);
        check(&[("lookback", "0")], Some("lookback <= 0"));
        check(&[("minDuration", "0")], Some("minDuration <= 0"));
        check(&[("minDuration", "2"), ("maxDuration", "1")], Some("maxDuration < minDuration"));
        check(&[("maxDuration", "1")], Some("maxDuration is only valid with minDuration"));
        check(&[("minDuration", "1"), ("maxDuration", "1")], None);
    }

    #[test]
    fn what_is_not_said_has_zipkins_defaults() {
        let pairs = [("serviceName", "FrontEnd"), ("spanName", "ALL"), ("remoteServiceName", "")];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let search = Parameters(pairs.into()).search(100_000_000_000_500, true).expect("a search");
        assert_eq!(search.service_name.as_deref(), Some("frontend"));
        assert_eq!((search.span_name, search.remote_service_name, search.limit), (None, None, 10));
        let day = search.time.max_micros - search.time.min_micros;
        assert_eq!((search.time.max_micros, day), (100_000_000_001_000, 86_400_000_000));
    }
}
