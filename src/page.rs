//! Weir's web page: files that are built in, served with a policy under which
//! nothing but they can run. What it shows it asks over the public API.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Scripts, styles and questions only from here; no inline ones; no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("../dashboards/ui/index.html");

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(($name, $kind, include_str!(concat!("../dashboards/ui/", $name)))),*]
    };
}

/// What lies below `/ui/`.
const FILES: [(&str, &str, &str); 17] = files! {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "element.js": SCRIPT,
    "text.js": SCRIPT,
    "time.js": SCRIPT,
    "logs.js": SCRIPT,
    "logrow.js": SCRIPT,
    "histogram.js": SCRIPT,
    "traces.js": SCRIPT,
    "trace.js": SCRIPT,
    "tree.js": SCRIPT,
    "dependencies.js": SCRIPT,
    "graph.js": SCRIPT,
    "alerts.js": SCRIPT,
    "delivery.js": SCRIPT,
};

/// The addresses of the page's views.
const VIEWS: [&str; 6] = ["/", "/traces", "/trace/{id}", "/dependencies", "/alerts", "/delivery"];

/// The routes.
pub fn router() -> Router {
    let mut router = Router::new().route("/ui/{file}", get(file));
    for view in VIEWS {
        router = router.route(view, get(async || answer(HTML, INDEX)));
    }
    router
}

async fn file(Path(wanted): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == wanted) {
        Some((_, kind, text)) => answer(kind, text),
        None => (StatusCode::NOT_FOUND, "there is no such file").into_response(),
    }
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // Another version of Weir has other files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let mut response = text.into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_built_in() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/ui");
        for entry in std::fs::read_dir(dir).expect("the page's files") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            assert!(name == "index.html" || FILES.iter().any(|(known, ..)| *known == name), "{name}");
        }
    }

    #[test]
    fn no_file_does_what_the_policy_forbids() {
        for (name, _, text) in FILES.iter().chain([&("index.html", HTML, INDEX)]) {
            for forbidden in
                ["innerHTML", "insertAdjacentHTML", "eval(", "document.write", " style=", " onclick="]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
        }
    }
}
