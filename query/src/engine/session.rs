//! One planner for each question, all over one runtime.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::{Result, TableReference};
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use object_store::ObjectStore;
use weir_runtime::Clock;
use weir_storage::catalog::Catalog;

use super::function::line::Layouts;
use super::function::{SWITCHED_OFF, has_event, has_word};
use super::report::{Report, ReportTable};
use super::rows::Rows;
use super::{reading_order, store, view};
use crate::Config;

const CATALOG: &str = "weir";
const SCHEMA: &str = "public";
const REPORTS: &str = "weir";

/// Most footers are smaller; one read fetches them whole.
const FOOTER_BYTES: usize = 128 << 10;

/// Spill files that are merged at once. Each holds buffers; without a bound,
/// merging what was spilled for want of memory runs out of memory itself.
const SPILL_FILES_MERGED: usize = 8;

/// How many of the largest memory holders an out-of-memory message names.
const HOLDERS: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// What all questions share: functions, rules, runtime.
#[derive(Debug)]
pub(super) struct Sessions {
    base: SessionState,
}

impl Sessions {
    pub(super) fn new(
        config: &Config,
        threads: usize,
        objects: Arc<dyn ObjectStore>,
        spill: PathBuf,
    ) -> Result<Self> {
        let runtime = runtime(config, spill)?;
        store::install(&runtime, objects)?;
        let mut base = SessionStateBuilder::new()
            .with_config(session_config(config, threads))
            .with_runtime_env(Arc::new(runtime))
            .with_default_features()
            .with_physical_optimizer_rules(reading_order::rules())
            .build();
        restrict(&mut base)?;
        Ok(Self { base })
    }

    /// The tables that a statement names, whether they exist or not.
    pub(super) fn named(&self, statement: &Statement) -> Result<Vec<TableReference>> {
        self.base.resolve_table_references(statement)
    }

    /// A planner that sees `rows` and the catalog's tables, and nothing else.
    pub(super) fn session(
        &self,
        rows: &Arc<Rows>,
        layouts: Layouts,
        catalog: &Arc<dyn Catalog>,
        clock: &Clock,
    ) -> Result<SessionState> {
        let public = MemorySchemaProvider::new();
        for (name, table) in view::tables(rows, layouts)? {
            public.register_table(name.to_owned(), table)?;
        }
        let reports = MemorySchemaProvider::new();
        for report in Report::ALL {
            let table = ReportTable::new(report, rows.clone(), catalog.clone(), clock.clone());
            reports.register_table(report.name().to_owned(), Arc::new(table))?;
        }
        for (name, table) in view::derived(rows) {
            reports.register_table(name.to_owned(), table)?;
        }
        let tables = MemoryCatalogProvider::new();
        tables.register_schema(SCHEMA, Arc::new(public))?;
        tables.register_schema(REPORTS, Arc::new(reports))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(tables));
        let mut session = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_catalog_list(Arc::new(catalogs))
            .build();
        session.mark_start_execution();
        Ok(session)
    }
}

/// A session without tables, for conditions on rows in hand.
pub(crate) fn expression_session() -> Result<SessionState> {
    let mut session = SessionStateBuilder::new().with_default_features().build();
    session.config_mut().options_mut().sql_parser.map_string_types_to_utf8view = false;
    restrict(&mut session)?;
    Ok(session)
}

fn runtime(config: &Config, spill: PathBuf) -> Result<RuntimeEnv> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(config.pool_bytes()), HOLDERS);
    let mode = match config.spill.0 {
        0 => DiskManagerMode::Disabled,
        _ => DiskManagerMode::Directories(vec![spill]),
    };
    let spill = DiskManagerBuilder::default()
        .with_mode(mode)
        .with_max_temp_directory_size(config.spill.0)
        .with_max_spill_merge_fan_in(SPILL_FILES_MERGED);
    let caches = CacheManagerConfig::default().with_metadata_cache_limit(config.footer_cache_bytes());
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(spill)
        .with_cache_manager(caches)
        .build()
}

/// The part of the pool that each sort keeps for merging what it sorted. Keys
/// of several columns are copied for that; the default of 10 MB does not fit
/// into a small pool, and is little for a large one.
const MERGE_SHARE: usize = 16;

fn session_config(config: &Config, threads: usize) -> SessionConfig {
    let merge_bytes = config.pool_bytes() / MERGE_SHARE;
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let options = config.options_mut();
    options.execution.parquet.metadata_size_hint = Some(FOOTER_BYTES);
    options.execution.sort_spill_reservation_bytes = merge_bytes;
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.reorder_filters = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

/// Takes away what allocates without asking the memory pool; adds our own.
fn restrict(base: &mut SessionState) -> Result<()> {
    use datafusion::execution::FunctionRegistry;
    for name in SWITCHED_OFF {
        base.deregister_udf(name)?;
    }
    base.register_udf(Arc::new(has_word::has_word()))?;
    base.register_udf(Arc::new(has_event::has_event()))?;
    Ok(())
}
