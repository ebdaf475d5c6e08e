//! HTTP/1.1 and HTTP/2 over TCP or a Unix socket, drained at shutdown. One
//! port serves both, so gRPC needs none of its own: a client that speaks HTTP/2
//! says so with its first bytes. Not for routes: those come as a [`Router`].

mod listener;

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

pub use listener::{BindError, Listener, LocalAddress};

use crate::{Handles, Shutdown, Tasks};
use listener::Connection;

/// Connections served at a time. The next ones wait in the kernel's queue,
/// where they cost no memory of ours.
pub const CONNECTIONS_MAX: usize = 1024;

/// The time a client has to send the head of a request, and the time a kept
/// connection may stay idle: silent clients must not use up the connections.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a silent HTTP/2 connection is asked whether it lives, and how long
/// it has to say so. It may stay idle for as long as it does: gRPC clients keep
/// one connection for all their calls.
const PING: Duration = Duration::from_secs(20);

/// Bytes that an HTTP/2 client may send ahead on one stream: with HTTP's own
/// default of 64 KiB a large push would wait for the network's round trips.
const STREAM_WINDOW: u32 = 1 << 20;

/// A running server. Its tasks belong to the handles it was started with:
/// their shutdown stops accepting and closes idle connections, and waiting
/// for the tasks waits for the requests in flight.
#[derive(Debug)]
pub struct Server {
    address: LocalAddress,
}

impl Server {
    /// Serves a router until the handles' shutdown.
    pub fn start(listener: Listener, router: Router, handles: &Handles) -> Self {
        Self::start_capped(listener, router, handles, CONNECTIONS_MAX)
    }

    fn start_capped(listener: Listener, router: Router, handles: &Handles, connections_max: usize) -> Self {
        let address = listener.local_addr().clone();
        tracing::info!(%address, "listening");
        let (tasks, shutdown) = (handles.tasks.clone(), handles.shutdown.clone());
        handles.tasks.spawn("accept", async move {
            let free = Arc::new(Semaphore::new(connections_max));
            accept(&listener, &router, &tasks, &shutdown, &free).await;
            Ok(())
        });
        Self { address }
    }

    /// Where it listens; with port 0 asked for, the port that was given.
    pub fn local_addr(&self) -> &LocalAddress {
        &self.address
    }
}

async fn accept(
    listener: &Listener,
    router: &Router,
    tasks: &Tasks,
    shutdown: &Shutdown,
    free: &Arc<Semaphore>,
) {
    loop {
        let next = async {
            let permit = free.clone().acquire_owned().await.expect("never closed");
            (permit, listener.accept().await)
        };
        let (permit, connection) = tokio::select! {
            () = shutdown.begun() => return,
            next = next => next,
        };
        let router = router.clone();
        let shutdown = shutdown.clone();
        let owner = tasks.clone();
        tasks.spawn("connection", async move {
            serve(connection, router, &owner, &shutdown).await;
            drop(permit);
            Ok(())
        });
    }
}

async fn serve(connection: Box<dyn Connection>, router: Router, tasks: &Tasks, shutdown: &Shutdown) {
    let asked = Arc::new(AtomicBool::new(false));
    let asks = asked.clone();
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        answer(router.clone(), request)
    });
    let builder = builder(tasks);
    let served = builder.serve_connection(TokioIo::new(connection), service);
    let served = async {
        tokio::pin!(served);
        tokio::select! {
            result = served.as_mut() => return result,
            () = shutdown.begun() => {}
            // HTTP/1.1 has a timer for heads. This one is for a client that
            // does not even tell which HTTP it speaks.
            () = silence(&asked) => {}
        }
        served.as_mut().graceful_shutdown();
        served.await
    };
    // A client that went away is its own affair, so it is no warning.
    match AssertUnwindSafe(served).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::error!("a response body panicked, its connection was cut"),
    }
}

/// Ends when nothing was asked for too long after the connection was opened.
async fn silence(asked: &AtomicBool) {
    tokio::time::sleep(HEADER_READ_TIMEOUT).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn builder(tasks: &Tasks) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams(tasks.clone()));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(4 * STREAM_WINDOW);
    builder
}

/// Runs the streams of HTTP/2 connections as tasks of the server's owner.
#[derive(Clone)]
struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn("stream", async move {
            if AssertUnwindSafe(stream).catch_unwind().await.is_err() {
                tracing::error!("a response body panicked, its stream was cut");
            }
            Ok(())
        });
    }
}

/// Answers one request. A panic is a bug in one handler: it costs that request
/// a 500, not the process its life (the panic hook has told about it).
async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    let call = async { TowerToHyperService::new(router).call(request).await };
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Ok((StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()),
    }
}

#[cfg(test)]
mod tests;
