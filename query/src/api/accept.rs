//! Which format a client wants.

use axum::http::{HeaderMap, header};

use crate::QueryError;

/// A format of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON document.
    Json,
    /// A JSON object on each line.
    NdJson,
    /// Comma-separated values with a head.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

const FORMATS: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::NdJson),
    ("text/csv", Format::Csv),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
    ("application/*", Format::Json),
    ("*/*", Format::Json),
];

impl Format {
    /// The first format named in `Accept` that is known; JSON when nothing is
    /// named. Weights are not read: whoever lists several takes any of them.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, QueryError> {
        let mut wanted = headers.get_all(header::ACCEPT).iter().peekable();
        if wanted.peek().is_none() {
            return Ok(Self::Json);
        }
        wanted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|part| named(part.split(';').next().unwrap_or_default().trim()))
            .ok_or_else(|| {
                let known: Vec<_> = FORMATS[..4].iter().map(|(name, _)| *name).collect();
                QueryError::refused_with(
                    "no format in Accept is known",
                    format!("known: {}", known.join(", ")),
                )
            })
    }

    pub(super) fn content_type(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("application/json", |(name, _)| name)
    }
}

fn named(name: &str) -> Option<Format> {
    FORMATS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, format)| *format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |accept: &str, expected: Option<Format>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(Format::of(&headers).ok(), expected, "{accept}");
        };
        check("*/*", Some(Format::Json));
        check("text/csv", Some(Format::Csv));
        check("Text/CSV; charset=utf-8", Some(Format::Csv));
        check("text/html, application/x-ndjson;q=0.5", Some(Format::NdJson));
        check("text/html,application/xml;q=0.9,*/*;q=0.8", Some(Format::Json));
        check("application/vnd.apache.arrow.stream", Some(Format::Arrow));
        check("text/html", None);
        assert_eq!(Format::of(&HeaderMap::new()).ok(), Some(Format::Json));
    }
}
