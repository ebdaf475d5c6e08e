//! Threads of their own for questions.
//!
//! Planning and expressions recurse as deep as a question is nested, so the
//! stacks are deep; and a question that computes for seconds must not keep the
//! threads that answer HTTP from answering. Dropping the executor ends what
//! runs on it.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A stack for the deepest plan that the gate lets pass, in builds without
/// optimization too.
const STACK_BYTES: usize = 8 << 20;

/// Reads of files wait on these. Few, for each has a stack and the process a
/// memory limit.
const READERS: usize = 4;

/// The threads.
#[derive(Debug)]
pub(super) struct Executor(Option<Runtime>);

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Owned(JoinHandle<()>);

impl Executor {
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .max_blocking_threads(READERS)
            .thread_stack_size(STACK_BYTES)
            .thread_name("query")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> Owned {
        let runtime = self.0.as_ref().expect("taken only when dropped");
        Owned(runtime.spawn(task))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
