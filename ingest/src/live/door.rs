//! How query processes ask for the live rows: Arrow Flight.

use std::sync::Arc;

use axum::Router;
use weir_storage::live::flight::{self, LiveSource};
use weir_storage::live::wire::{LiveRequest, LiveResponse};

use super::Live;

/// Answers with what is new to the asker.
pub(crate) fn router(live: Arc<Live>) -> Router {
    flight::service(live)
}

impl LiveSource for Live {
    fn answer(&self, request: &LiveRequest) -> LiveResponse {
        self.news(request)
    }
}
