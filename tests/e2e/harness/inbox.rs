//! Where alerts are told: a mail server and an address for webhooks.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use super::sdk;

/// A mail server with STARTTLS and signing in, as `weir` with `secret`.
#[derive(Debug)]
pub(crate) struct MailServer {
    child: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts it; the first `busy` mails are refused for the moment. `dir` gets
    /// its certificate, `ca.pem`.
    pub(crate) fn start(dir: &Path, busy: u32) -> Self {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        let mut child = sdk::python("inbox.py")
            .args([&certificate, &key])
            .arg(busy.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mail server starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = said.next().expect("a first line").expect("text");
        let first: Value = serde_json::from_str(&first).expect("JSON");
        let port = first["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = mails.clone();
        std::thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).expect("JSON");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
            }
        });
        Self { child, port, mails }
    }

    /// Its port on `localhost`.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What was taken or refused so far.
    pub(crate) fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that takes webhooks.
#[derive(Debug)]
pub(crate) struct Hook {
    address: SocketAddr,
    state: Arc<Mutex<HookState>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Debug, Default)]
struct HookState {
    answers: Vec<u16>,
    taken: Vec<Value>,
}

impl Hook {
    /// Starts it; the first requests are answered with these status codes, the
    /// others with 200.
    pub(crate) fn start(answers: &[u16]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let state = Arc::new(Mutex::new(HookState { answers: answers.to_vec(), taken: Vec::new() }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/hook", post(take)).with_state(state.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, state, _runtime: runtime }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Every request: `id`, `status` that it was answered with, `body`.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).taken.clone()
    }
}

async fn take(State(state): State<Arc<Mutex<HookState>>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let status = if state.answers.is_empty() { 200 } else { state.answers.remove(0) };
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    state.taken.push(json!({"id": id, "status": status, "body": body}));
    StatusCode::from_u16(status).expect("a status code")
}
