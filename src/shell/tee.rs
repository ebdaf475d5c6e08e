//! A command's output: to where it would have gone, and into a stream.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Stream;

/// What one read asks for: what a pipe holds.
const BLOCK_BYTES: usize = 64 * 1024;

/// Between two attempts to write where the other end has made writes not wait.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// Copies one stream of a command. Each read is written before anything else is
/// done with it, and nothing that is done with it waits for anybody.
#[derive(Debug)]
pub(crate) struct Tee {
    began: Instant,
    /// When something was last copied, milliseconds since it began.
    copied: AtomicU64,
    is_writing: AtomicBool,
    has_ended: AtomicBool,
}

impl Tee {
    /// Begins to copy `from` to `to`, on a thread of its own.
    ///
    /// # Errors
    /// `to` is closed, or there is no thread.
    pub(crate) fn start(
        from: impl Read + Send + 'static,
        to: impl AsFd,
        into: &Arc<Stream>,
    ) -> io::Result<Arc<Self>> {
        // Without a buffer between, and without the lock of the process's own.
        let to = File::from(to.as_fd().try_clone_to_owned()?);
        let tee = Arc::new(Self {
            began: Instant::now(),
            copied: AtomicU64::new(0),
            is_writing: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        });
        let (copying, into) = (Arc::clone(&tee), Arc::clone(into));
        std::thread::Builder::new().name("tee".to_owned()).spawn(move || {
            copying.copy(from, to, &into);
            copying.has_ended.store(true, Ordering::SeqCst);
        })?;
        Ok(tee)
    }

    /// True once the stream has ended, or nobody has written to it for so long:
    /// whoever holds it open beside the command is not waited for.
    pub(crate) fn is_over(&self, quiet: Duration) -> bool {
        let since = Duration::from_millis(self.copied.load(Ordering::SeqCst));
        let is_quiet = !self.is_writing.load(Ordering::SeqCst) && self.began.elapsed() >= since + quiet;
        self.has_ended.load(Ordering::SeqCst) || is_quiet
    }

    /// The command has ended: its quiet begins now.
    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.copied.store(now, Ordering::SeqCst);
    }

    /// Ends with the stream, or when nobody reads the copy any more: the
    /// command shall then hear of it as if it had written there itself.
    fn copy(&self, mut from: impl Read, mut to: File, into: &Stream) {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = match from.read(&mut block) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let bytes = block.get(..read).unwrap_or_default();
            self.is_writing.store(true, Ordering::SeqCst);
            let written = write_all(&mut to, bytes);
            self.is_writing.store(false, Ordering::SeqCst);
            self.touch();
            // What was printed is shipped, whether it was seen or not.
            into.push(bytes);
            if written.is_err() {
                return;
            }
        }
    }
}

/// Writes all of it, also to a terminal that somebody has set not to wait.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
