//! Alerting in this process.

use std::sync::Arc;

use anyhow::{Result, bail};
use axum::Router;
use weir_alerting::HttpSource;
use weir_runtime::admin::Check;
use weir_runtime::server::LocalAddress;
use weir_runtime::{Handles, Shutdown};

use crate::config::Config;
use crate::node::{Deadline, stop_part};
use crate::role::rules;

/// Running alerting.
#[derive(Debug)]
pub struct Alerting {
    alerting: weir_alerting::Alerting,
    handles: Handles,
}

impl Alerting {
    /// Reads the rules and starts evaluating them. `own` is where this process
    /// answers questions, if it does.
    pub async fn start(config: &Config, own: Option<&LocalAddress>, handles: Handles) -> Result<Self> {
        let url = match (config.alerting.query_url.as_str(), own) {
            ("", Some(own)) => format!("http://{own}"),
            ("", None) => bail!("alerting.query_url is not set: name the query service that rules ask"),
            (url, _) => url.to_owned(),
        };
        let rules = rules::load(config)?;
        // Here, too: an alerting of its own must not run on a search that the
        // ingesters refuse.
        rules::check(config)?;
        let mut own = config.alerting.clone();
        if own.external_url.is_empty() {
            own.external_url.clone_from(&url);
        }
        let source = Arc::new(HttpSource::new(&url)?);
        let dir = config.paths().alerting();
        let alerting = weir_alerting::start(&own, rules, source, &dir, handles.clone()).await?;
        Ok(Self { alerting, handles })
    }

    /// What it answers.
    pub fn router(&self) -> Router {
        self.alerting.router()
    }

    /// It waits for whoever does not answer, so it can always do its work.
    pub fn check(&self) -> Check {
        let shutdown = self.handles.shutdown.clone();
        Check::new("alerting", move || match shutdown.has_begun() {
            false => Ok(()),
            true => Err("it has ended".to_owned()),
        })
    }

    /// Told when it has ended by itself, which only a failure makes it do.
    pub fn shutdown(&self) -> Shutdown {
        self.handles.shutdown.clone()
    }

    /// Lets messages under way arrive, ends.
    pub async fn stop(self, deadline: Deadline) -> Option<String> {
        self.alerting.stop(deadline.left()).await;
        stop_part("alerting", &self.handles, deadline.left()).await
    }
}
