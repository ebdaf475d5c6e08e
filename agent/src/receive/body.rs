//! A request's bytes, within limits: on the wire, in memory, and decompressed.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_runtime::planted;

use super::refusal::{Refusal, Why};

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request waits for memory.
const MEMORY_WAIT: Duration = Duration::from_secs(2);

/// What a request costs in memory, in sizes of its body: the body, the message
/// made of it, its columns, and their encoding.
const WORK_FACTOR: usize = 4;

/// The same for a compressed body; most shrink to a tenth or less.
const COMPRESSED_WORK_FACTOR: usize = 40;

/// Memory for requests that are being worked on.
#[derive(Debug)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    total: usize,
}

/// A body, and the memory that is set aside until its request is answered.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) bytes: Bytes,
    pub(super) memory: Reserved,
}

/// Memory set aside. Given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Reserved(Option<OwnedSemaphorePermit>);

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let total = usize::try_from(bytes).unwrap_or(usize::MAX).clamp(1, u32::MAX as usize);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read(&self, body: Body, limit: usize, is_compressed: bool) -> Result<Wire, Refusal> {
        tokio::time::timeout(BODY_TIMEOUT, self.collect(body, limit, is_compressed)).await.unwrap_or_else(
            |_| {
                let text =
                    format!("the body did not come within {} s: send it again", BODY_TIMEOUT.as_secs());
                Err(Refusal::new(Why::Slow, text))
            },
        )
    }

    async fn collect(&self, mut body: Body, limit: usize, is_compressed: bool) -> Result<Wire, Refusal> {
        let factor = if is_compressed { COMPRESSED_WORK_FACTOR } else { WORK_FACTOR };
        let mut bytes = BytesMut::new();
        let mut memory = Reserved::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::malformed(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(Refusal::too_large(limit, false));
            }
            self.reserve(&mut memory, data.len().saturating_mul(factor)).await?;
            bytes.extend_from_slice(&data);
        }
        Ok(Wire { bytes: bytes.freeze(), memory })
    }

    /// Sets more memory aside. What needs more than there is gets all of it.
    async fn reserve(&self, memory: &mut Reserved, bytes: usize) -> Result<(), Refusal> {
        let held = memory.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.min(self.total.saturating_sub(held));
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let acquired = tokio::time::timeout(MEMORY_WAIT, self.free.clone().acquire_many_owned(permits)).await;
        let Ok(Ok(permit)) = acquired else { return Err(Refusal::busy()) };
        match &mut memory.0 {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Identity,
    Gzip,
}

impl Packing {
    /// As `content-encoding` says.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match value.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            other => {
                let text = format!("content-encoding {other:?} is not supported: use gzip, or none");
                Err(Refusal::new(Why::Unsupported, text))
            }
        }
    }

    /// The body as it was before it was packed, of at most `limit` bytes.
    pub(super) fn unpack(self, bytes: Bytes, limit: usize) -> Result<Bytes, Refusal> {
        if self == Self::Identity {
            return Ok(bytes);
        }
        let limit = if planted::is("limit-on-compressed-size") { usize::MAX } else { limit };
        let mut plain = Vec::new();
        // One more than allowed tells a body that is too large.
        let mut unpacked = MultiGzDecoder::new(&*bytes).take((limit as u64).saturating_add(1));
        let read = unpacked.read_to_end(&mut plain);
        read.map_err(|error| Refusal::malformed(format!("the body is no gzip: {error}")))?;
        if plain.len() > limit {
            return Err(Refusal::too_large(limit, true));
        }
        Ok(plain.into())
    }
}
