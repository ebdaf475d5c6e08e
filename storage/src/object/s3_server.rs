//! A stand-in for S3 in tests: objects in memory behind the protocol, with
//! faults on demand. Not shipped: behind the feature `conformance`.
//!
//! It speaks what a store client uses: put on condition, multipart, ranges,
//! listing by pages, deletion one by one and in bulk. It does not check
//! signatures, only that there is one.

mod keep;
mod protocol;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use tokio::sync::oneshot;

use super::S3Config;
use keep::Keep;
pub use protocol::Operation;

/// The only bucket.
const BUCKET: &str = "weir";

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 503 SlowDown, and nothing is done.
    Unavailable,
    /// 429, and nothing is done.
    TooMany,
    /// It is done, after a while.
    Slow(Duration),
    /// It is done, and answered with a 500.
    DoneButFailed,
    /// It is done, and the connection ends without an answer.
    AnswerLost,
}

/// A running stand-in; it ends when it is dropped. Its methods do not wait.
pub struct S3Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keep: Keep,
    /// Faults of the next requests of an operation, in order.
    next: Vec<(Operation, Fault)>,
    /// What every so manieth request meets.
    regular: Option<(u64, Fault)>,
    requests: BTreeMap<Operation, u64>,
    faults: u64,
}

impl S3Server {
    /// Starts it on a free port, with an empty bucket.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (end, ended) = oneshot::channel();
        let (bound, address) = mpsc::channel();
        let served = shared.clone();
        let thread = std::thread::spawn(move || serve(served, &bound, ended));
        let address = address.recv().expect("the stand-in binds a port");
        Self { address, shared, end: Some(end), thread: Some(thread) }
    }

    /// `s3://` with the bucket and a prefix.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// Where it is, `http://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it is reached.
    pub fn config(&self) -> S3Config {
        S3Config {
            endpoint: self.endpoint(),
            region: "eu-central-1".to_owned(),
            access_key_id: "weir".to_owned(),
            secret_access_key: "only-for-tests".to_owned(),
            allow_http: true,
        }
    }

    /// The next requests of this operation meet these faults, one each.
    pub fn fail(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.state().next.extend(faults.into_iter().map(|fault| (operation, fault)));
    }

    /// From now on one request of so many meets a fault; 0: none does.
    pub fn fail_every(&self, requests: u64, fault: Fault) {
        self.state().regular = (requests > 0).then_some((requests, fault));
    }

    /// How many requests met a fault: a test of faults that met none proves
    /// nothing.
    pub fn faults(&self) -> u64 {
        self.state().faults
    }

    /// How many requests of an operation came.
    pub fn requests(&self, operation: Operation) -> u64 {
        self.state().requests.get(&operation).copied().unwrap_or(0)
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.state().keep.objects.len()
    }

    /// Multipart uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> usize {
        self.state().keep.uploads.len()
    }

    /// How many keys a page of a listing holds; 1000 at first.
    pub fn page_keys(&self, keys: usize) {
        self.state().keep.page_keys = keys;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and says what it meets.
    fn meet(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state();
        *state.requests.entry(operation).or_default() += 1;
        let all: u64 = state.requests.values().sum();
        let fault = match state.next.iter().position(|(of, _)| *of == operation) {
            Some(place) => Some(state.next.remove(place).1),
            None => state.regular.filter(|(every, _)| all.is_multiple_of(*every)).map(|(_, fault)| fault),
        };
        state.faults += u64::from(fault.is_some());
        fault
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// In a thread with a runtime of its own: a test may block, and another
/// process may be the client.
fn serve(shared: Arc<Shared>, bound: &mpsc::Sender<SocketAddr>, ended: oneshot::Receiver<()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        bound.send(listener.local_addr().expect("it is bound")).expect("somebody waits for it");
        let router = Router::new().fallback(move |request: Request| {
            let shared = shared.clone();
            async move { protocol::answer(&shared, request).await }
        });
        tokio::select! {
            served = axum::serve(listener, router).into_future() => served.expect("it is served"),
            _ = ended => {}
        }
    });
    runtime.shutdown_background();
}
