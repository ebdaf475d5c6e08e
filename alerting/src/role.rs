//! Starting and stopping alerting.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router as HttpRouter;
use weir_runtime::Handles;

use crate::book::Book;
use crate::config::Config;
use crate::deliver::Deliverer;
use crate::error::StartError;
use crate::metric::AlertingMetrics;
use crate::route::Router;
use crate::rule::{Condition, RuleSet};
use crate::source::Source;
use crate::store::Store;
use crate::{api, notify, watch};

/// The database in the directory of alerting.
const DATABASE: &str = "alerting.db";

/// Running alerting. Dropping it leaves its tasks to their owner.
#[derive(Debug)]
pub struct Alerting {
    book: Arc<Book>,
    rules: Arc<RuleSet>,
    handles: Handles,
}

/// Starts evaluating rules and telling people. `dir` is where the state is kept.
///
/// # Errors
/// A setting that cannot work, or a state that cannot be opened: also when
/// another process has it.
pub async fn start(
    config: &Config,
    rules: RuleSet,
    source: Arc<dyn Source>,
    dir: &Path,
    handles: Handles,
) -> Result<Alerting, StartError> {
    config.validate().map_err(StartError::Config)?;
    let channels = notify::channels(config)?;
    let store = Store::open(&dir.join(DATABASE)).await.map_err(StartError::Store)?;
    let book = Book::new(
        store,
        handles.clock.clone(),
        AlertingMetrics::register(&handles.metrics),
        config.route.repeat_interval.0,
        config.external_url.clone(),
        Router::new(&config.route).map_err(StartError::Config)?,
        channels.values().map(|(channel, _)| channel.clone()).collect(),
    );
    book.open(rules.rules()).await.map_err(StartError::Store)?;
    let mut of_logs = Vec::new();
    for rule in rules.rules() {
        match &rule.condition {
            Condition::Logs(condition) => of_logs.push((rule.clone(), condition.clone())),
            Condition::Sql(condition) => {
                let watch = watch::sql::Watch {
                    rule: rule.clone(),
                    condition: condition.clone(),
                    book: book.clone(),
                    source: source.clone(),
                    handles: handles.clone(),
                };
                handles.tasks.spawn("rule", watch.run());
            }
        }
    }
    if !of_logs.is_empty() {
        let watch =
            watch::logs::Watch { rules: of_logs, book: book.clone(), source, handles: handles.clone() };
        handles.tasks.spawn("log rules", watch.run());
    }
    for (name, (_, notify)) in channels {
        let deliverer = Deliverer { book: book.clone(), channel: name, notify, handles: handles.clone() };
        handles.tasks.spawn("deliver", deliverer.run());
    }
    Ok(Alerting { book, rules: Arc::new(rules), handles })
}

impl Alerting {
    /// What it answers.
    pub fn router(&self) -> HttpRouter {
        api::router(self.book.clone(), self.rules.clone())
    }

    /// Lets messages under way arrive, then lets go of its state.
    pub async fn stop(self, deadline: Duration) {
        self.handles.shutdown.begin();
        let pending = self.handles.tasks.join(deadline).await;
        if !pending.is_empty() {
            tracing::warn!(?pending, "messages under way were not waited for, they are sent again");
        }
        self.book.store.close().await;
    }
}
