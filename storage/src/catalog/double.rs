//! A catalog before another one, for tests: it hands on every call, and a test
//! says which of them it changes or watches.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use weir_proto::model::{AgentId, ByteRange, LayoutId, TenantId};

use super::{
    Catalog, CatalogError, Commit, Delivery, Dump, FileEntry, Gap, Lease, LogPartition, Member, Owner,
    Progress, SettledMinute, Snapshot, TimeRange,
};

/// What a test changes of a catalog. Whatever implements it is a [`Catalog`].
#[async_trait]
pub trait Double: Send + Sync {
    /// The catalog that answers.
    fn inner(&self) -> &dyn Catalog;

    /// Comes before every call and may fail it.
    async fn before(&self) -> Result<(), CatalogError> {
        Ok(())
    }

    /// Stands in for [`Catalog::publish`].
    async fn on_publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        self.inner().publish(commit).await
    }

    /// Hears of each [`Catalog::snapshot`].
    fn on_snapshot(&self, _time: TimeRange) {}

    /// Hears of each [`Catalog::layouts`].
    fn on_layouts(&self) {}
}

#[async_trait]
impl<T: Double> Catalog for T {
    async fn lease(
        &self,
        partition: &LogPartition,
        owner: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Lease, CatalogError> {
        self.before().await?;
        self.inner().lease(partition, owner, now_micros, lasts).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), CatalogError> {
        self.before().await?;
        self.inner().release(lease).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, CatalogError> {
        self.before().await?;
        self.inner().owners().await
    }

    async fn announce(
        &self,
        member: &str,
        address: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Vec<Member>, CatalogError> {
        self.before().await?;
        self.inner().announce(member, address, now_micros, lasts).await
    }

    async fn depart(&self, member: &str) -> Result<(), CatalogError> {
        self.before().await?;
        self.inner().depart(member).await
    }

    async fn progress(&self, partition: &LogPartition) -> Result<Progress, CatalogError> {
        self.before().await?;
        self.inner().progress(partition).await
    }

    async fn restart(
        &self,
        topic: &str,
        partitions: Option<&[u32]>,
        now_micros: i64,
    ) -> Result<Vec<(LogPartition, u64)>, CatalogError> {
        self.before().await?;
        self.inner().restart(topic, partitions, now_micros).await
    }

    async fn publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        self.before().await?;
        self.on_publish(commit).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        table: &str,
        time: TimeRange,
    ) -> Result<Snapshot, CatalogError> {
        self.before().await?;
        self.on_snapshot(time);
        self.inner().snapshot(tenant, table, time).await
    }

    async fn gaps(&self, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
        self.before().await?;
        self.inner().gaps(tenant).await
    }

    async fn close_gaps(&self, source: &str, range: ByteRange) -> Result<u64, CatalogError> {
        self.before().await?;
        self.inner().close_gaps(source, range).await
    }

    async fn delivery(&self, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError> {
        self.before().await?;
        self.inner().delivery(tenant).await
    }

    async fn layouts(&self) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
        self.before().await?;
        self.on_layouts();
        self.inner().layouts().await
    }

    async fn dismiss(&self, agent: AgentId) -> Result<u64, CatalogError> {
        self.before().await?;
        self.inner().dismiss(agent).await
    }

    async fn abandon(&self, partition: &LogPartition, now_micros: i64) -> Result<bool, CatalogError> {
        self.before().await?;
        self.inner().abandon(partition, now_micros).await
    }

    async fn tombstone(&self, path: &str, now_micros: i64) -> Result<(), CatalogError> {
        self.before().await?;
        self.inner().tombstone(path, now_micros).await
    }

    async fn settle(&self, tenant: &TenantId, minutes: &[SettledMinute]) -> Result<(), CatalogError> {
        self.before().await?;
        self.inner().settle(tenant, minutes).await
    }

    async fn settled(&self, tenant: &TenantId, time: TimeRange) -> Result<Vec<SettledMinute>, CatalogError> {
        self.before().await?;
        self.inner().settled(tenant, time).await
    }

    async fn dump(&self, now_micros: i64) -> Result<Dump, CatalogError> {
        self.before().await?;
        self.inner().dump(now_micros).await
    }

    async fn claim_state(
        &self,
        path: &str,
        now_micros: i64,
        interval: Duration,
    ) -> Result<Option<Option<String>>, CatalogError> {
        self.before().await?;
        self.inner().claim_state(path, now_micros, interval).await
    }

    async fn restore(&self, dump: &Dump, files: &[FileEntry], now_micros: i64) -> Result<(), CatalogError> {
        self.before().await?;
        self.inner().restore(dump, files, now_micros).await
    }

    async fn paths(&self) -> Result<Vec<String>, CatalogError> {
        self.before().await?;
        self.inner().paths().await
    }
}
