//! A stand-in for the API server: two collections with versions, lists in
//! pages, watches that go on from a version, and every way in which one of
//! these goes wrong. What a watch answers can also be given word by word.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// One part of what a watch says.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// These bytes, as one chunk.
    Text(String),
    /// Nothing, for so long.
    Pause(Duration),
    /// The connection breaks.
    Cut,
    /// Nothing more, but the connection stays.
    Hang,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<String, Value>,
    /// Version and event.
    history: Vec<(u64, String)>,
    /// Versions below are forgotten.
    floor: u64,
    /// What the next watches answer, instead of what is so.
    scripts: VecDeque<Vec<Part>>,
    /// What the next lists are answered with, instead of a list.
    refusals: VecDeque<StatusCode>,
    /// 410 comes inside the stream.
    gone_in_stream: bool,
    page: Option<usize>,
}

struct Held {
    version: u64,
    collections: BTreeMap<&'static str, Collection>,
    requests: Vec<String>,
    token: Option<String>,
    chunk: usize,
}

struct Shared {
    held: Mutex<Held>,
    news: broadcast::Sender<()>,
}

/// The server; it ends when this is dropped.
pub(crate) struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: JoinSet<()>,
}

impl ApiServer {
    /// Serves nothing yet.
    pub(crate) async fn start() -> Self {
        let held = Held {
            version: 100,
            collections: [("pods", Collection::default()), ("namespaces", Collection::default())].into(),
            requests: Vec::new(),
            token: None,
            chunk: usize::MAX,
        };
        let shared = Arc::new(Shared { held: Mutex::new(held), news: broadcast::channel(16).0 });
        let mut server = Self { shared, address: ([127, 0, 0, 1], 0).into(), serving: JoinSet::new() };
        server.listen().await;
        server
    }

    /// Listens again, where it listened before.
    pub(crate) async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("a free port");
        self.address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/namespaces", get(namespaces))
            .with_state(Arc::clone(&self.shared));
        self.serving.spawn(async move { axum::serve(listener, router).await.expect("served") });
    }

    /// Nobody listens any more, and every connection is cut.
    pub(crate) async fn fall(&mut self) {
        self.serving.shutdown().await;
        // Connections are tasks of their own, which end with what they wait for.
        let _ = self.shared.news.send(());
        self.with(|held| held.chunk = 0);
        let _ = self.shared.news.send(());
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.with(|held| held.chunk = usize::MAX);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates or changes an object.
    pub(crate) fn put(&self, collection: &'static str, mut object: Value) {
        self.with(|held| {
            held.version += 1;
            object["metadata"]["resourceVersion"] = held.version.to_string().into();
            let name = name(&object);
            let version = held.version;
            let of = held.collections.get_mut(collection).expect("a collection");
            let kind = if of.objects.insert(name, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
            of.history.push((version, format!("{}\n", json!({ "type": kind, "object": object }))));
        });
        let _ = self.shared.news.send(());
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, collection: &'static str, key: &str) {
        self.with(|held| {
            held.version += 1;
            let version = held.version;
            let of = held.collections.get_mut(collection).expect("a collection");
            let mut object = of.objects.remove(key).expect("an object");
            object["metadata"]["resourceVersion"] = version.to_string().into();
            of.history.push((version, format!("{}\n", json!({ "type": "DELETED", "object": object }))));
        });
        let _ = self.shared.news.send(());
    }

    /// Says how far a watch is.
    pub(crate) fn bookmark(&self, collection: &'static str) {
        self.with(|held| {
            held.version += 1;
            let version = held.version;
            let object = json!({ "metadata": { "resourceVersion": version.to_string() } });
            let line = format!("{}\n", json!({ "type": "BOOKMARK", "object": object }));
            held.collections.get_mut(collection).expect("a collection").history.push((version, line));
        });
        let _ = self.shared.news.send(());
    }

    /// Forgets all that was told so far: who watches from there gets a 410.
    pub(crate) fn compact(&self, collection: &'static str, in_stream: bool) {
        self.with(|held| {
            held.version += 1;
            let version = held.version;
            let of = held.collections.get_mut(collection).expect("a collection");
            (of.floor, of.gone_in_stream) = (version, in_stream);
            of.history.clear();
        });
    }

    /// What the next watch answers.
    pub(crate) fn script(&self, collection: &'static str, parts: Vec<Part>) {
        self.with(|held| {
            held.collections.get_mut(collection).expect("a collection").scripts.push_back(parts);
        });
    }

    /// What the next list is answered with.
    pub(crate) fn refuse(&self, collection: &'static str, status: StatusCode) {
        self.with(|held| {
            held.collections.get_mut(collection).expect("a collection").refusals.push_back(status);
        });
    }

    /// So many objects on a page.
    pub(crate) fn page(&self, collection: &'static str, objects: usize) {
        self.with(|held| held.collections.get_mut(collection).expect("a collection").page = Some(objects));
    }

    /// Only who has this is answered.
    pub(crate) fn token(&self, token: &str) {
        self.with(|held| held.token = Some(token.to_owned()));
    }

    /// Watches come in chunks of so many bytes.
    pub(crate) fn chunk(&self, bytes: usize) {
        self.with(|held| held.chunk = bytes);
    }

    /// What was asked for, path and query.
    pub(crate) fn requests(&self, collection: &str) -> Vec<String> {
        let path = format!("/{collection}?");
        self.with(|held| held.requests.iter().filter(|asked| asked.starts_with(&path)).cloned().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.shared.held.lock().expect("not poisoned"))
    }
}

fn name(object: &Value) -> String {
    let part = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part("namespace"), part("name")).trim_start_matches('/').to_owned()
}

async fn pods(
    state: State<Arc<Shared>>,
    query: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answer(state, "pods", &query, &headers)
}

async fn namespaces(
    state: State<Arc<Shared>>,
    query: Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answer(state, "namespaces", &query, &headers)
}

fn answer(
    State(shared): State<Arc<Shared>>,
    name: &'static str,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
) -> Response {
    let mut held = shared.held.lock().expect("not poisoned");
    let asked: Vec<_> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    held.requests.push(format!("/{name}?{}", asked.join("&")));
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if held.token.is_some() && held.token.as_deref() != bearer {
        return refused(StatusCode::UNAUTHORIZED);
    }
    let version = held.version;
    let chunk = held.chunk;
    let of = held.collections.get_mut(name).expect("a collection");
    if !query.contains_key("watch") {
        return match of.refusals.pop_front() {
            Some(status) => refused(status),
            None => list(of, query, version),
        };
    }
    if let Some(script) = of.scripts.pop_front() {
        return told(script);
    }
    let from: u64 = query["resourceVersion"].parse().expect("a version");
    if from < of.floor {
        if !of.gone_in_stream {
            return refused(StatusCode::GONE);
        }
        let status = json!({ "kind": "Status", "code": 410, "message": "too old resource version" });
        let line = format!("{}\n", json!({ "type": "ERROR", "object": status }));
        return told(vec![Part::Text(line)]);
    }
    drop(held);
    watch(shared, name, from, chunk)
}

fn list(of: &Collection, query: &BTreeMap<String, String>, version: u64) -> Response {
    let size = of.page.unwrap_or(usize::MAX);
    let start: usize = query.get("continue").map_or(0, |token| {
        token.strip_prefix("from/").and_then(|start| start.parse().ok()).expect("a token of this server")
    });
    let items: Vec<_> = of.objects.values().skip(start).take(size).collect();
    let end = start + items.len();
    let next = if end < of.objects.len() { format!("from/{end}") } else { String::new() };
    let items = if items.is_empty() { Value::Null } else { json!(items) };
    let metadata = json!({ "resourceVersion": version.to_string(), "continue": next });
    Json(json!({ "kind": "List", "metadata": metadata, "items": items })).into_response()
}

fn watch(shared: Arc<Shared>, name: &'static str, from: u64, chunk: usize) -> Response {
    let news = shared.news.subscribe();
    let lines =
        futures::stream::unfold((shared, from, news), move |(shared, mut from, mut news)| async move {
            loop {
                let text = {
                    let held = shared.held.lock().expect("not poisoned");
                    if held.chunk == 0 {
                        return Some((Err(io::Error::other("cut")), (Arc::clone(&shared), from, news)));
                    }
                    let of = &held.collections[name];
                    let told: Vec<_> = of.history.iter().filter(|(version, _)| *version > from).collect();
                    from = told.last().map_or(from, |(version, _)| *version);
                    told.into_iter().map(|(_, line)| line.as_str()).collect::<String>()
                };
                if !text.is_empty() {
                    return Some((Ok(text), (shared, from, news)));
                }
                let _ = news.recv().await;
            }
        });
    let pieces = futures::StreamExt::flat_map(lines, move |text| {
        let pieces: Vec<io::Result<Bytes>> = match text {
            Ok(text) => text.as_bytes().chunks(chunk.max(1)).map(|piece| Ok(piece.to_vec().into())).collect(),
            Err(error) => vec![Err(error)],
        };
        futures::stream::iter(pieces)
    });
    Body::from_stream(pieces).into_response()
}

/// Says what a script says.
fn told(script: Vec<Part>) -> Response {
    let parts = futures::stream::unfold(VecDeque::from(script), |mut script| async move {
        loop {
            match script.pop_front()? {
                Part::Text(text) => return Some((Ok(Bytes::from(text)), script)),
                Part::Pause(time) => tokio::time::sleep(time).await,
                Part::Cut => return Some((Err(io::Error::other("cut")), script)),
                Part::Hang => std::future::pending::<()>().await,
            }
        }
    });
    Body::from_stream(parts).into_response()
}

fn refused(status: StatusCode) -> Response {
    let body = json!({ "kind": "Status", "code": status.as_u16(), "message": "refused by the stand-in" });
    (status, Json(body)).into_response()
}
