//! HTTP requests over a Unix socket: how one Weir process asks another on the
//! same machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, Uri};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;

/// Headers that speak of one connection, not of the request (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("nobody answers on {}", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection ended before the head of an answer was read.
    #[error("{} hung up before it answered", path.display())]
    Exchange {
        /// The socket's path.
        path: PathBuf,
        /// What went wrong.
        source: hyper::Error,
    },
}

/// Sends requests to the process behind a Unix socket, one connection each.
/// Connecting costs a few microseconds there, and a connection of its own
/// carries cancellation: dropping the answer closes it, which the other side
/// notices.
#[derive(Clone, Debug)]
pub struct UnixClient {
    path: PathBuf,
}

impl UnixClient {
    /// A client of the socket at a path. Nothing is connected yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Sends a request and waits for the head of the answer; both bodies are
    /// streams. Method, path, query and headers travel as they are, headers of
    /// the connection do not.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|source| ClientError::Connect { path: self.path.clone(), source })?;
        let hung_up = |source| ClientError::Exchange { path: self.path.clone(), source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(hung_up)?;
        let mut connection: Driver = Some(Box::pin(connection));

        *request.uri_mut() = origin_form(request.uri());
        strip(request.headers_mut());
        let mut response = {
            let mut answer = std::pin::pin!(sender.send_request(request));
            // The answer is asked first: a connection that ended has either
            // delivered it or the reason why there is none.
            std::future::poll_fn(|context| {
                drive(&mut connection, context);
                answer.as_mut().poll(context)
            })
            .await
            .map_err(hung_up)?
        };
        strip(response.headers_mut());
        Ok(response.map(|body| Body::new(Answer { body, connection })))
    }
}

/// The connection of one exchange until it has ended.
type Driver = Option<Pin<Box<http1::Connection<TokioIo<UnixStream>, Body>>>>;

/// A body that moves its own connection along, so that no task has to.
struct Answer {
    body: Incoming,
    connection: Driver,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        drive(&mut self.connection, context);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Lets the connection read and write what it can. Its error is left to the
/// answer or the body, which get it too.
fn drive(connection: &mut Driver, context: &mut Context<'_>) {
    if let Some(running) = connection
        && running.as_mut().poll(context).is_ready()
    {
        *connection = None;
    }
}

fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path_and_query) => Uri::from(path_and_query.clone()),
        None => Uri::from_static("/"),
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::Method;
    use axum::routing::{any, get};
    use futures::StreamExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Handles;
    use crate::server::{Listener, Server};

    async fn serve(path: &Path, router: Router) -> Handles {
        let handles = Handles::new("test");
        Server::start(Listener::unix(path).await.expect("bound"), router, &handles);
        handles
    }

    #[tokio::test]
    async fn method_path_headers_and_both_bodies_arrive() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let echo = async |request: Request<Body>| {
            let mut response = Response::builder().status(201).header("x-seen", {
                format!("{} {} {:?}", request.method(), request.uri(), request.headers().get("x-a"))
            });
            if request.headers().contains_key("te") {
                response = response.status(500);
            }
            response.body(request.into_body()).expect("a response")
        };
        let _handles = serve(&path, Router::new().route("/echo", any(echo))).await;
        // Larger than every buffer on the way, so both directions must stream.
        let chunks = (0..512u32).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![n as u8; 16 << 10])));
        let request = Request::builder()
            .method(Method::PUT)
            .uri("http://front:9700/echo?a=b")
            .header("x-a", "1")
            .header("te", "trailers")
            .body(Body::from_stream(futures::stream::iter(chunks)))
            .expect("a request");
        let response = UnixClient::new(&path).send(request).await.expect("answered");
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-seen"], "PUT /echo?a=b Some(\"1\")");
        assert!(!response.headers().contains_key("transfer-encoding"));
        let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.expect("read");
        assert_eq!(body.len(), 512 * (16 << 10));
        assert!(body.chunks(16 << 10).enumerate().all(|(n, chunk)| chunk.iter().all(|b| *b == n as u8)));
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart_from_a_hang_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let request = || Request::get("/").body(Body::empty()).expect("a request");
        let error = UnixClient::new(&path).send(request()).await.expect_err("nobody there");
        assert!(matches!(error, ClientError::Connect { .. }), "{error}");
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let client = UnixClient::new(&path);
        let (error, _) = tokio::join!(client.send(request()), async {
            drop(listener.accept().await.expect("accepted"));
        });
        let error = error.expect_err("hung up");
        assert!(matches!(error, ClientError::Exchange { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_body_cut_short_is_an_error_and_not_an_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let (die, told) = oneshot::channel::<()>();
        let told = std::sync::Mutex::new(Some(told));
        let broken = move || {
            let told = told.lock().expect("not poisoned").take().expect("called once");
            let first = futures::stream::iter([Ok(Bytes::from_static(b"half"))]);
            let then = futures::stream::once(async move {
                told.await.expect("told");
                Err(std::io::Error::other("died"))
            });
            std::future::ready(Body::from_stream(first.chain(then)))
        };
        let broken = std::sync::Arc::new(broken);
        let route = get(move || broken());
        let _handles = serve(&path, Router::new().route("/", route)).await;
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let response = UnixClient::new(&path).send(request).await.expect("a head");
        let mut body = response.into_body().into_data_stream();
        assert_eq!(body.next().await.expect("a chunk").expect("read"), "half");
        die.send(()).expect("listening");
        body.next().await.expect("not an end").expect_err("not a chunk");
    }

    #[tokio::test]
    async fn dropping_the_answer_cancels_the_work() {
        struct TellDrop(Option<oneshot::Sender<()>>);
        impl Drop for TellDrop {
            fn drop(&mut self) {
                let _ = self.0.take().expect("dropped once").send(());
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let (told, dropped) = oneshot::channel();
        let held = std::sync::Arc::new(std::sync::Mutex::new(Some(TellDrop(Some(told)))));
        let endless = move || {
            let guard = held.lock().expect("not poisoned").take();
            let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"row"))]);
            let rest = futures::stream::pending().map(move |item| {
                let _ = &guard;
                item
            });
            std::future::ready(Body::from_stream(first.chain(rest)))
        };
        let route = get(endless);
        let _handles = serve(&path, Router::new().route("/", route)).await;
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let mut body =
            UnixClient::new(&path).send(request).await.expect("a head").into_body().into_data_stream();
        assert_eq!(body.next().await.expect("a chunk").expect("read"), "row");
        drop(body);
        dropped.await.expect("the server dropped the stream");
    }
}
