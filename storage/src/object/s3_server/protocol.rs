//! From requests to what the stand-in keeps, and back to answers.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use url::form_urlencoded;

use super::keep::{Object, Page};
use super::{BUCKET, Fault, Shared};

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// An object as a whole.
    Put,
    /// A multipart upload.
    Begin,
    /// A part of one.
    Part,
    /// The end of one.
    Complete,
    /// To give one up.
    Abort,
    /// Content, or some of it.
    Get,
    /// Size and time.
    Head,
    /// A page of keys.
    List,
    /// One object gone, or several.
    Delete,
}

/// A request, taken apart.
struct Asked {
    key: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

pub(super) async fn answer(shared: &Shared, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let decode = |text: &str| {
        let text = text.replace('+', "%2B");
        form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).next().unwrap_or_default()
    };
    let path = decode(head.uri.path());
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
    let query =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    if bucket != BUCKET {
        return refuse(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    if !head.headers.contains_key(header::AUTHORIZATION) {
        return refuse(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let asked = Asked { key: key.to_owned(), query, headers: head.headers, body };
    let Some(operation) = operation(&head.method, &asked) else {
        return refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    };
    let fault = shared.meet(operation);
    match fault {
        Some(Fault::Unavailable) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Some(Fault::TooMany) => return refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::DoneButFailed | Fault::AnswerLost) | None => {}
    }
    let done = perform(shared, operation, &asked);
    match fault {
        Some(Fault::DoneButFailed) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        // The task of the connection ends with this, and so the connection.
        Some(Fault::AnswerLost) => std::panic::resume_unwind(Box::new("the answer is lost")),
        _ => done,
    }
}

fn operation(method: &Method, asked: &Asked) -> Option<Operation> {
    let has = |name: &str| asked.query.contains_key(name);
    Some(match (method.as_str(), asked.key.is_empty()) {
        ("PUT", false) if has("partNumber") => Operation::Part,
        ("PUT", false) => Operation::Put,
        ("POST", false) if has("uploads") => Operation::Begin,
        ("POST", false) if has("uploadId") => Operation::Complete,
        ("POST", true) if has("delete") => Operation::Delete,
        ("DELETE", false) if has("uploadId") => Operation::Abort,
        ("DELETE", false) => Operation::Delete,
        ("GET", false) => Operation::Get,
        ("HEAD", false) => Operation::Head,
        ("GET", true) if asked.query("list-type") == "2" => Operation::List,
        _ => return None,
    })
}

fn perform(shared: &Shared, operation: Operation, asked: &Asked) -> Response {
    let keep = &mut shared.state().keep;
    match operation {
        Operation::Put => {
            let only_new = asked.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
            match keep.put(&asked.key, asked.body.clone(), only_new) {
                Some(etag) => [(header::ETAG, etag)].into_response(),
                None => refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
            }
        }
        Operation::Begin => {
            let id = keep.begin(&asked.key);
            xml(&format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        Operation::Part => {
            let number = asked.query("partNumber").parse().unwrap_or(0);
            match keep.part(asked.query("uploadId"), number, asked.body.clone()) {
                Some(etag) => [(header::ETAG, etag)].into_response(),
                None => refuse(StatusCode::NOT_FOUND, "NoSuchUpload"),
            }
        }
        Operation::Complete => match keep.complete(asked.query("uploadId")) {
            Ok(etag) => {
                let etag = escape(&etag);
                xml(&format!(
                    "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
                ))
            }
            Err(code @ "NoSuchUpload") => refuse(StatusCode::NOT_FOUND, code),
            Err(code) => refuse(StatusCode::BAD_REQUEST, code),
        },
        Operation::Abort => match keep.uploads.remove(asked.query("uploadId")) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        Operation::Get | Operation::Head => match keep.objects.get(&asked.key) {
            Some(object) => content(object, operation, &asked.headers),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        Operation::List => {
            let after = asked.query("continuation-token").max(asked.query("start-after"));
            let delimiter = asked.query.get("delimiter").map(String::as_str);
            listing(&keep.list(asked.query("prefix"), after, delimiter))
        }
        Operation::Delete => {
            let body = String::from_utf8_lossy(&asked.body);
            let keys =
                body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()).map(unescape);
            let single = (!asked.key.is_empty()).then(|| asked.key.clone());
            let mut deleted = String::new();
            for key in keys.chain(single) {
                keep.objects.remove(&key);
                let _ = write!(deleted, "<Deleted><Key>{}</Key></Deleted>", escape(&key));
            }
            xml(&format!("<DeleteResult>{deleted}</DeleteResult>"))
        }
    }
}

fn content(object: &Object, operation: Operation, headers: &HeaderMap) -> Response {
    let modified = object.modified.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let about = [(header::ETAG, object.etag.clone()), (header::LAST_MODIFIED, modified)];
    let bytes = object.content.len();
    if operation == Operation::Head {
        return (about, [(header::CONTENT_LENGTH, bytes.to_string())], Body::empty()).into_response();
    }
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return (about, object.content.clone()).into_response();
    };
    let range = range.trim_start_matches("bytes=").split_once('-');
    let range = range.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok())));
    match range {
        Some((from, to)) if from < bytes => {
            let to = to.unwrap_or(bytes - 1).min(bytes - 1);
            let stands = [(header::CONTENT_RANGE, format!("bytes {from}-{to}/{bytes}"))];
            (StatusCode::PARTIAL_CONTENT, about, stands, object.content.slice(from..=to)).into_response()
        }
        _ => refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    }
}

fn listing(page: &Page) -> Response {
    let mut text = String::from("<ListBucketResult>");
    for (key, Object { content, etag, modified }) in &page.objects {
        let _ = write!(
            text,
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            escape(key),
            Timestamp::to_string(modified),
            escape(etag),
            content.len(),
        );
    }
    for prefix in &page.prefixes {
        let _ = write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(prefix));
    }
    if let Some(after) = &page.continues_after {
        let _ = write!(text, "<NextContinuationToken>{}</NextContinuationToken>", escape(after));
    }
    let _ = write!(text, "<IsTruncated>{}</IsTruncated></ListBucketResult>", page.continues_after.is_some());
    xml(&text)
}

fn xml(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], format!("<?xml version=\"1.0\"?>{text}")).into_response()
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, xml(&format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))).into_response()
}

/// The characters that XML writes otherwise. `&` first.
const ESCAPES: [(&str, &str); 4] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];

fn escape(text: &str) -> String {
    ESCAPES.iter().fold(text.to_owned(), |text, (plain, written)| text.replace(plain, written))
}

fn unescape(text: &str) -> String {
    ESCAPES.iter().rev().fold(text.to_owned(), |text, (plain, written)| text.replace(written, plain))
}
