//! Visitors: they browse, look, put into the cart, and sometimes order.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_runtime::Handles;

use crate::http::Client;

/// What visitors do, and how many of a hundred do it.
const VISITS: [(u32, &str); 4] = [(35, "/browse"), (25, "/product"), (15, "/add"), (25, "/order")];

/// Lets visitors in, each on a way of their own, until told to end.
pub(super) fn start(frontend: &Client, per_second: u32, seed: u64, handles: &Handles) {
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5109);
    let (frontend, owner) = (frontend.clone(), handles.clone());
    handles.tasks.spawn("door", async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
        loop {
            tokio::select! {
                () = owner.shutdown.begun() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let path = choice(random.random_range(0..100));
            let frontend = frontend.clone();
            owner.tasks.spawn("visitor", async move {
                // What comes of it is the shop's affair; a visitor leaves.
                let _ = frontend.post(path, &[], Bytes::new()).await;
                Ok(())
            });
        }
    });
}

fn choice(mut number: u32) -> &'static str {
    for (share, path) in VISITS {
        if number < share {
            return path;
        }
        number -= share;
    }
    VISITS[0].1
}
