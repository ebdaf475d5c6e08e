//! From a question to an answer.
//!
//! The order is what makes an answer whole: the live rows are pinned, then the
//! catalog's snapshot is read, then pinned batches that the snapshot holds as
//! files are dropped. Whatever is flushed in between is there once.
//!
//! ```text
//! admit -> gate -> pin -> plan -> span of time -> snapshot -> scan -> run
//! ```

mod answer;
mod bounds;
mod executor;
mod failure;
mod function;
mod newest;
mod question;
mod reading_order;
mod report;
mod rows;
mod scan;
mod session;
mod store;
mod table;
mod traces;
mod view;
mod window;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use object_store::ObjectStore;
use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_runtime::{Clock, Handles};
use weir_storage::catalog::Catalog;
use weir_storage::live::LiveRows;

use answer::Part;
pub use answer::{Answer, Batches};
use executor::Executor;
use failure::query_error;
pub(crate) use function::SWITCHED_OFF;
pub(crate) use function::{has_event, has_word};
use question::Question;
use session::Sessions;
pub(crate) use session::expression_session;
pub(crate) use traces::{TraceRequest, Wanted};

use crate::admit::Admission;
use crate::search::Search;
use crate::telemetry::Telemetry;
use crate::{Config, QueryError, SearchRequest};

/// Batches that wait for a slow reader. More would only hold memory.
const PARTS_WAITING: usize = 2;

/// A question in SQL.
#[derive(Clone, Debug)]
pub struct SqlRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// The statement.
    pub query: String,
}

/// Answers questions over files and live rows.
pub struct Engine {
    config: Config,
    parts: Parts,
    admission: Admission,
    telemetry: Telemetry,
    executor: Executor,
}

/// What a question works with.
#[derive(Clone)]
struct Parts {
    catalog: Arc<dyn Catalog>,
    live: Arc<dyn LiveRows>,
    sessions: Arc<Sessions>,
    clock: Clock,
}

impl Engine {
    /// Starts the threads that questions run on. `spill` is the directory for
    /// sorts and joins that do not fit into memory; it is created when one does.
    ///
    /// # Errors
    /// [`QueryError::Start`] when a thread or a directory cannot be had.
    pub fn new(
        config: Config,
        catalog: Arc<dyn Catalog>,
        objects: Arc<dyn ObjectStore>,
        live: Arc<dyn LiveRows>,
        spill: PathBuf,
        handles: &Handles,
    ) -> Result<Self, QueryError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let sessions = Sessions::new(&config, threads, objects, spill)
            .map_err(|error| QueryError::Start { step: "sessions", source: error.into() })?;
        let executor = Executor::start(threads)
            .map_err(|error| QueryError::Start { step: "threads", source: error.into() })?;
        Ok(Self {
            admission: Admission::new(config.concurrency, config.waiting),
            telemetry: Telemetry::new(&handles.metrics),
            parts: Parts { catalog, live, sessions: Arc::new(sessions), clock: handles.clock.clone() },
            executor,
            config,
        })
    }

    /// Answers a statement. Returns once the columns are known; rows follow.
    /// Dropping the answer ends the question.
    ///
    /// # Errors
    /// See [`QueryError`]; an error while rows come ends their stream.
    pub async fn sql(&self, request: SqlRequest) -> Result<Answer, QueryError> {
        let statement = crate::gate::check(&request.query)?;
        self.ask(request.tenant, Ask::Sql(statement)).await
    }

    /// Finds the newest rows that match, newest first.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn search(&self, request: SearchRequest) -> Result<Answer, QueryError> {
        let search = Search::compile(&request)?;
        self.ask(request.tenant, Ask::Search(search)).await
    }

    /// The spans of traces: those named, or the newest that match.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub(crate) async fn traces(&self, request: TraceRequest) -> Result<Answer, QueryError> {
        self.ask(request.tenant.clone(), Ask::Traces(request)).await
    }

    /// The limits of answers.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn catalog(&self) -> &dyn Catalog {
        self.parts.catalog.as_ref()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    async fn ask(&self, tenant: TenantId, ask: Ask) -> Result<Answer, QueryError> {
        let running = self.telemetry.started();
        let after = self.config.deadline.0;
        let deadline = Instant::now() + after;
        let permit = self.admission.enter(deadline, after).await;
        let permit = match permit {
            Ok(permit) => permit,
            Err(error) => {
                running.ended(Some(&error));
                return Err(error);
            }
        };
        let (out, parts) = mpsc::channel(PARTS_WAITING);
        let work = self.parts.clone();
        let task = self.executor.run(async move {
            let outlet = Outlet(out);
            let done = tokio::time::timeout_at(deadline, work.answer(tenant, ask, &outlet)).await;
            drop(permit);
            let done = done.unwrap_or(Err(QueryError::Deadline { after }));
            running.ended(done.as_ref().err());
            outlet.end(done).await;
        });
        answer::answer(parts, task).await
    }
}

/// What is asked, read and checked.
enum Ask {
    Sql(Statement),
    Search(Search),
    Traces(TraceRequest),
}

impl Parts {
    async fn answer(&self, tenant: TenantId, ask: Ask, out: &Outlet) -> Result<(), QueryError> {
        match ask {
            Ask::Sql(statement) => {
                let tables = Question::tables(self, &statement)?;
                let question = Question::pin(self, tenant, &tables).await?;
                let mut rows = question.plan(statement).await?;
                out.head(rows.schema(), &question).await?;
                while let Some(batch) = rows.next().await {
                    out.rows(batch.map_err(query_error)?).await?;
                }
                Ok(())
            }
            Ask::Search(search) => {
                let question = Question::pin(self, tenant, &[Table::Logs]).await?;
                newest::find(&question, &search, out).await
            }
            Ask::Traces(request) => {
                let question = Question::pin(self, tenant, &[Table::Spans]).await?;
                traces::find(&question, &request, out).await
            }
        }
    }
}

/// The way of an answer out of its task.
struct Outlet(mpsc::Sender<Part>);

impl Outlet {
    async fn head(&self, schema: SchemaRef, question: &Question<'_>) -> Result<(), QueryError> {
        self.send(Part::Head(schema, question.completeness())).await
    }

    async fn rows(&self, batch: RecordBatch) -> Result<(), QueryError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.send(Part::Rows(batch)).await
    }

    async fn end(&self, done: Result<(), QueryError>) {
        let last = done.map_or_else(Part::Failed, |()| Part::Done);
        // Nobody is left to tell when this fails.
        let _ = self.0.send(last).await;
    }

    async fn send(&self, part: Part) -> Result<(), QueryError> {
        self.0.send(part).await.map_err(|_| QueryError::internal("whoever asked went away"))
    }
}
