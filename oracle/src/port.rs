//! Ports that nobody listens on.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpListener;

use anyhow::{Context, Result};

/// Below the ports that the system hands out for outgoing connections, so that a
/// process that was killed finds its port free again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// One on 127.0.0.1. It depends on the host, not on the seed.
pub(crate) fn free() -> Result<u16> {
    let width = u64::from(PORTS.end - PORTS.start);
    let draw = |n: u32| PORTS.start + u16::try_from(RandomState::new().hash_one(n) % width).unwrap_or(0);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1000).map(draw).find(is_free).context("none of a thousand ports is free")
}
