use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::*;

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

/// One request on a connection that stays open, and its whole answer.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        stream.read_buf(&mut answer).await.expect("answered");
    }
}

async fn start(router: Router) -> (Handles, SocketAddr) {
    let handles = Handles::new("test");
    let listener = Listener::tcp("127.0.0.1:0").await.expect("bound");
    let address = Server::start(listener, router, &handles).local_addr().tcp().expect("tcp");
    (handles, address)
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_idle_connections_are_closed() {
    let (entered, mut has_entered) = mpsc::channel::<()>(1);
    let (release, released) = oneshot::channel::<()>();
    let released = Arc::new(tokio::sync::Mutex::new(Some(released)));
    let slow = move || async move {
        entered.send(()).await.expect("test waits");
        released.lock().await.take().expect("called once").await.expect("released");
        "done"
    };
    let (handles, address) = start(Router::new().route("/slow", get(slow))).await;
    let mut silent = TcpStream::connect(address).await.expect("connected");
    let mut busy = TcpStream::connect(address).await.expect("connected");
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    has_entered.recv().await.expect("entered");

    handles.shutdown.begin();
    assert_eq!(read_all(&mut silent).await, "");
    release.send(()).expect("still waiting");
    assert!(read_all(&mut busy).await.ends_with("\r\n\r\ndone"));
    assert!(handles.tasks.join(Duration::from_secs(30)).await.is_empty());
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let bug = async || -> &'static str { panic!("a bug") };
    let (handles, address) =
        start(Router::new().route("/bug", get(bug)).route("/", get(async || "fine"))).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let requests =
        b"GET /bug HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(requests).await.expect("sent");
    let text = read_all(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 500 ") && text.ends_with("fine"), "{text}");
    assert!(!handles.shutdown.has_begun());
    assert_eq!(handles.tasks.failure(), None);
}

#[tokio::test]
async fn one_port_speaks_both_versions_of_http() {
    use http_body_util::{BodyExt, Empty};
    let (handles, address) = start(Router::new().route("/", get(async || "ok"))).await;
    let mut first = TcpStream::connect(address).await.expect("connected");
    ask(&mut first).await;

    let stream = TcpStream::connect(address).await.expect("connected");
    let executor = Streams(handles.tasks.clone());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.expect("HTTP/2");
    handles.tasks.spawn("client", async move { connection.await.map_err(Into::into) });
    let request = Request::get(format!("http://{address}/")).body(Empty::<axum::body::Bytes>::new());
    let response = sender.send_request(request.expect("a request")).await.expect("answered");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, axum::http::Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "ok");

    drop(sender);
    handles.shutdown.begin();
    assert!(handles.tasks.join(Duration::from_secs(30)).await.is_empty(), "both connections end");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_dropped() {
    let (_handles, address) = start(Router::new()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // Ends only because the server hangs up.
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_dropped() {
    let (_handles, address) = start(Router::new()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.expect("sent");
    // Ends only because the server hangs up.
    read_all(&mut stream).await;
}

#[tokio::test]
async fn connections_past_the_cap_wait_for_a_free_place() {
    let handles = Handles::new("test");
    let listener = Listener::tcp("127.0.0.1:0").await.expect("bound");
    let router = Router::new().route("/", get(async || "ok"));
    let server = Server::start_capped(listener, router, &handles, 8);
    let address = server.local_addr().tcp().expect("tcp");
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        ask(&mut stream).await;
        held.push(stream);
    }
    let mut last = TcpStream::connect(address).await.expect("queued by the kernel");
    last.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
    // Everyone shares one thread: while the others are answered again and
    // again, the last one would be too.
    for turn in 0..64 {
        ask(&mut held[turn % 8]).await;
    }
    let mut byte = [0];
    let early = last.try_read(&mut byte).expect_err("answered past the cap");
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    held.pop();
    assert!(read_all(&mut last).await.ends_with("ok"));
}

#[tokio::test]
async fn a_used_port_is_named_with_what_to_do() {
    let (_handles, address) = start(Router::new()).await;
    let error = Listener::tcp(&address.to_string()).await.expect_err("in use").to_string();
    assert!(error.starts_with(&format!("{address} is already in use: stop")), "{error}");
    let error = Listener::tcp("nowhere").await.expect_err("no port").to_string();
    assert_eq!(error, "cannot listen on nowhere");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "left behind by its owner");
    let listener = Listener::unix(&path).await.expect("replaced");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = Listener::unix(&path).await.expect_err("live");
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    UnixStream::connect(&path).await.expect("the first one still listens");
    drop(listener);
    assert!(!path.exists());
    std::fs::write(&path, "precious").expect("written");
    let error = Listener::unix(&path).await.expect_err("a file");
    assert!(matches!(error, BindError::NoSocket { .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("there"), b"precious");
}
