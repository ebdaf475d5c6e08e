//! The front of the query service: keeps the worker process alive and passes
//! requests on to it. The front holds no query, so none can take it down.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get};
use tracing::level_filters::LevelFilter;
use weir_runtime::admin::Check;
use weir_runtime::child::{Child, Command};
use weir_runtime::unix::UnixClient;
use weir_runtime::{Handles, Shutdown, telemetry};

use crate::config::{Config, Paths};
use crate::http::Client;
use crate::node::{Deadline, stop_part};
use crate::role::log::Log;

/// How long the worker may take to end its queries.
const WORKER_STOP: Duration = Duration::from_secs(5);

/// A running query service.
#[derive(Debug)]
pub struct Query {
    worker: UnixClient,
    socket: PathBuf,
    handles: Handles,
}

impl Query {
    /// Starts the worker under the supervision of this process.
    pub async fn start(config: &Config, _: &Log, handles: Handles) -> Result<Self> {
        let paths = config.paths();
        if config.catalog.is_empty() {
            wait_for_catalog(&paths).await?;
        }
        let given = paths.worker_config();
        let text = serde_json::to_vec(config).context("the configuration cannot be written")?;
        super::write_private(&given, &text).with_context(|| format!("cannot write {}", given.display()))?;
        let command = Command {
            name: "query worker",
            program: std::env::current_exe().context("cannot find the own program")?,
            args: vec!["query-worker".into(), "--config".into(), given.into()],
            env: worker_environment(),
            stop_deadline: WORKER_STOP,
        };
        let child = Child::start(command, &handles)?;
        handles.metrics.register(
            "query_worker_restarts",
            "Starts of the query worker after its first",
            child.restarts_metric(),
        );
        let socket = paths.worker_socket();
        Ok(Self { worker: UnixClient::new(&socket), socket, handles })
    }

    /// Whether a worker is there to ask.
    pub fn check(&self) -> Check {
        let socket = self.socket.clone();
        Check::new("query", move || match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the query worker does not answer: {error}")),
        })
    }

    /// The page, and everything below `/api/`, which is the worker's; but spans
    /// are posted to an agent where they are also asked for.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/{*path}", any(pass_on))
            .route("/api/v2/spans", get(pass_on))
            .with_state(self.worker.clone())
            .merge(crate::page::router())
    }

    /// Told when it has ended by itself, which only a failure makes it do.
    pub fn shutdown(&self) -> Shutdown {
        self.handles.shutdown.clone()
    }

    /// Ends the worker.
    pub async fn stop(self, deadline: Deadline) -> Option<String> {
        stop_part("query", &self.handles, deadline.left()).await
    }
}

/// Questions about alerts, where another process has them: passed on to it, or
/// answered with how to name it.
pub fn alerts_elsewhere(config: &Config) -> Result<Router> {
    #[cfg(feature = "alerting")]
    let url = config.alerting.url.as_str();
    #[cfg(not(feature = "alerting"))]
    let url = "";
    let _ = config;
    let alerting = match url {
        "" => None,
        url => Some(Client::new(url).context("alerting.url")?),
    };
    let mut router = Router::new();
    for path in ["/api/v1/alerts", "/api/v1/rules", "/api/v1/notifications"] {
        router = router.route(path, get(pass_on_to_alerting));
    }
    Ok(router.with_state(alerting))
}

async fn pass_on_to_alerting(State(alerting): State<Option<Client>>, uri: Uri) -> Response {
    let Some(alerting) = alerting else {
        let body = serde_json::json!({"error": {
            "code": "no_alerting",
            "message": "this process does not evaluate rules, and does not know who does",
            "hint": "set alerting.url to the process that runs `weir alerting`",
        }});
        return (StatusCode::NOT_FOUND, Json(body)).into_response();
    };
    match alerting.get(uri.path(), "application/json").await {
        Ok(answer) => {
            let content_type = [(header::CONTENT_TYPE, "application/json")];
            (answer.status, content_type, answer.body).into_response()
        }
        Err(error) => {
            let body = serde_json::json!({"error": {
                "code": "unavailable",
                "message": format!("alerting does not answer: {error:#}"),
                "hint": "is the process that alerting.url names running?",
            }});
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
        }
    }
}

/// Ingest makes the catalog; where it has not, there is nothing to ask.
async fn wait_for_catalog(paths: &Paths) -> Result<()> {
    if !super::appears(&paths.catalog()).await {
        bail!(
            "there is no catalog at {}: start `weir ingest --data {}` on this host first; \
             or name a catalog that several hosts share in `catalog`",
            paths.catalog().display(),
            paths.data().display()
        );
    }
    Ok(())
}

/// The worker is as talkative as its parent: a parent without telemetry, such
/// as the demo, wants to hear of trouble only.
fn worker_environment() -> Vec<(OsString, OsString)> {
    if LevelFilter::current() == LevelFilter::OFF {
        vec![("WEIR_LOG".into(), "warn".into())]
    } else {
        Vec::new()
    }
}

async fn pass_on(State(worker): State<UnixClient>, request: Request<Body>) -> Response {
    match worker.send(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(error = %telemetry::error_chain(&error), "the query worker did not answer");
            let body = serde_json::json!({"error": {
                "code": "unavailable",
                "message": "the query worker does not answer: it is starting, or it ended",
                "hint": "try again in a second; if it goes on, Weir's own log says why the worker ended",
            }});
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
        }
    }
}
