use std::time::Duration;

use tempfile::TempDir;
use weir_proto::model::{AgentId, ByteRange, LayoutId, RangeSet, SourceId, TenantId};
use weir_proto::schema::Table;

use super::*;
use crate::catalog::{
    Advance, Anchor, Commit, Gap, LaneState, LaneStatus, Lease, SourceCover, SqliteCatalog, Tally, TimeRange,
};
use crate::file::{FlushPart, Footer, LogSpan, PartitionRanges, WriteOptions, write};
use crate::object::{LocalStore, path_of};
use crate::sample::{batch, row};

const HOUR: Duration = Duration::from_secs(3600);

/// A catalog and a store, written to as an ingester does.
struct Site {
    dir: TempDir,
    catalog: SqliteCatalog,
    objects: LocalStore,
}

/// A flush that is put: its files, and what it says of one partition.
struct Put {
    files: Vec<FileEntry>,
    span: LogSpan,
    covered: ByteRange,
}

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

fn source() -> SourceId {
    SourceId::from_u128(7)
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&dir.path().join("catalog")).await.unwrap();
        let objects = LocalStore::open(&dir.path().join("objects")).unwrap();
        Self { dir, catalog, objects }
    }

    async fn lease(&self, number: u32, owner: &str) -> Lease {
        self.catalog.lease(&partition(number), owner, 0, HOUR).await.unwrap()
    }

    /// Puts the first `there` of `count` files of a flush of `[from, to)`.
    async fn put(
        &self,
        lease: &Lease,
        generation: u64,
        (from, to): (u64, u64),
        count: u32,
        there: u32,
    ) -> Put {
        let tenant = TenantId::default();
        let span = LogSpan { partition: lease.partition.clone(), from, to, epoch: lease.epoch, generation };
        let covered = ByteRange::new(from * 100, to * 100);
        let mut put = Put { files: Vec::new(), span: span.clone(), covered };
        let flush = FileId::generate();
        for number in 0..there {
            let mut footer = Footer::new(Table::Logs.name(), tenant.clone());
            footer.offsets = vec![span.clone()];
            let sources = [(source(), RangeSet::from_iter([covered]))].into();
            let ranges =
                PartitionRanges { partition: lease.partition.clone(), sources, tenants: BTreeMap::new() };
            footer.ranges = vec![ranges];
            footer.layouts = [(LayoutId(from as i64), "{}".to_owned())].into();
            footer.part = Some(FlushPart { flush, number, is_last: number + 1 == count });
            let rows: Vec<_> = (from..to).map(|n| row(n as i64, 1, n as i64, "text")).collect();
            let written = write(&batch(&rows), &footer, &WriteOptions::default()).unwrap();
            let id = FileId::generate();
            let path = path_of(&tenant, Table::Logs.name(), 0, id);
            let bytes = written.bytes.len() as u64;
            self.objects.put_new(&path, written.bytes).await.unwrap();
            put.files.push(FileEntry {
                id,
                tenant: tenant.clone(),
                table: Table::Logs.name().to_owned(),
                path,
                rows: written.rows,
                bytes,
                time: written.time,
                observed: written.observed,
                level: 0,
                created_micros: 0,
                crc32c: None,
            });
        }
        // The next one is later, also by its name.
        tokio::time::sleep(Duration::from_millis(2)).await;
        put
    }

    async fn publish(&self, put: &Put) {
        let LogSpan { partition, from, to, epoch, .. } = put.span.clone();
        let held = self.catalog.progress(&partition).await.unwrap();
        let mut ranges = held.covered.get(&source()).cloned().unwrap_or_default();
        ranges.insert(put.covered);
        let anchor = Some(Anchor { offset: to - 1, fingerprint: to });
        let advance =
            Advance { partition: partition.clone(), epoch, from: (from > 0).then_some(from), to, anchor };
        let cover = SourceCover {
            partition: partition.clone(),
            tenant: TenantId::default(),
            source: source(),
            ranges,
            resource: vec![("log.file.path".to_owned(), "/a.log".to_owned())],
            last_observed_micros: 5,
            tally: Tally::default(),
        };
        let gap = Gap {
            tenant: TenantId::default(),
            source: source().to_string(),
            range: ByteRange::new(1, 2),
            count: Some(3),
            reason: "hole".to_owned(),
            noticed_micros: 4,
        };
        let lane = LaneState {
            partition,
            agent: AgentId::from_u128(9),
            mark_micros: Some(6),
            heard_micros: 7,
            status: LaneStatus::Live,
            is_estimated: false,
        };
        let commit = Commit {
            files: put.files.clone(),
            advances: vec![advance],
            covered: vec![cover],
            gaps: vec![gap],
            filled: Vec::new(),
            layouts: [(LayoutId(from as i64), "{}".to_owned())].into(),
            lanes: vec![lane],
            now_micros: 8,
        };
        self.catalog.publish(&commit).await.unwrap();
    }

    async fn rebuild(&self) -> (SqliteCatalog, Rebuilt) {
        let place = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let catalog = SqliteCatalog::open(&place.join("catalog")).await.unwrap();
        let rebuilt = rebuild(&catalog, &self.objects, 10).await.unwrap();
        (catalog, rebuilt)
    }
}

async fn files(catalog: &SqliteCatalog) -> Vec<FileEntry> {
    let snapshot = catalog.snapshot(&TenantId::default(), "logs", TimeRange::ALL).await.unwrap();
    let mut files = snapshot.files;
    files.iter_mut().for_each(|file| file.created_micros = 0);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[tokio::test]
async fn what_a_state_and_the_files_say_is_all_there_again() {
    let site = Site::new().await;
    let lease = site.lease(0, "a").await;
    site.publish(&site.put(&lease, 0, (0, 10), 1, 1).await).await;
    let kept = crate::state::keep(&site.catalog, &site.objects, 9, HOUR).await.unwrap();
    assert!(kept.is_some());
    assert_eq!(crate::state::keep(&site.catalog, &site.objects, 9, HOUR).await.unwrap(), None, "not due");
    let (again, rebuilt) = site.rebuild().await;
    let (before, after) =
        (site.catalog.progress(&partition(0)).await.unwrap(), again.progress(&partition(0)).await.unwrap());
    assert_eq!(after, before);
    assert_eq!(files(&again).await, files(&site.catalog).await);
    let tenant = TenantId::default();
    assert_eq!(again.gaps(&tenant).await.unwrap(), site.catalog.gaps(&tenant).await.unwrap());
    assert_eq!(again.delivery(&tenant).await.unwrap(), site.catalog.delivery(&tenant).await.unwrap());
    assert_eq!(again.layouts().await.unwrap(), site.catalog.layouts().await.unwrap());
    assert_eq!((rebuilt.files, rebuilt.rows, rebuilt.state_micros), (1, 10, Some(9)));
    // A later state takes the place of the one before.
    let later = 10 + HOUR.as_micros() as i64;
    let next = crate::state::keep(&site.catalog, &site.objects, later, HOUR).await.unwrap();
    let there = site.objects.list().await.unwrap();
    let states: Vec<_> = there.iter().map(|it| &it.path).filter(|path| is_state(path)).collect();
    assert_eq!(states, [&next.unwrap()]);
    let found = crate::check::check(&site.catalog, &site.objects, crate::check::Depth::Rows, i64::MAX);
    let found = found.await.unwrap();
    assert!(found.problems.is_empty() && found.orphans.is_empty(), "a state is no orphan: {found:?}");
}

#[tokio::test]
async fn files_that_came_after_the_state_bring_it_forward() {
    let site = Site::new().await;
    let lease = site.lease(0, "a").await;
    site.publish(&site.put(&lease, 0, (0, 10), 1, 1).await).await;
    crate::state::keep(&site.catalog, &site.objects, 9, HOUR).await.unwrap();
    site.publish(&site.put(&lease, 0, (10, 15), 2, 2).await).await;
    let other = site.lease(1, "a").await;
    site.publish(&site.put(&other, 0, (0, 4), 1, 1).await).await;
    let (again, rebuilt) = site.rebuild().await;
    assert_eq!(files(&again).await, files(&site.catalog).await);
    assert_eq!(rebuilt.next_offsets, [(partition(0), 15), (partition(1), 4)].into());
    for number in [0, 1] {
        let (before, after) = (
            site.catalog.progress(&partition(number)).await.unwrap(),
            again.progress(&partition(number)).await.unwrap(),
        );
        assert_eq!((after.next_offset, after.covered), (before.next_offset, before.covered), "{number}");
    }
}

#[tokio::test]
async fn what_was_never_published_is_left_out() {
    let site = Site::new().await;
    let first = site.lease(0, "a").await;
    // An attempt whose commit failed, then one that went well.
    let failed = site.put(&first, 0, (0, 5), 1, 1).await;
    let committed = site.put(&first, 0, (0, 8), 1, 1).await;
    site.publish(&committed).await;
    // A zombie's, a new owner's, and one that died between two files.
    let zombie = site.put(&first, 0, (8, 30), 1, 1).await;
    site.catalog.release(&first).await.unwrap();
    let second = site.lease(0, "b").await;
    let taken = site.put(&second, 0, (8, 12), 1, 1).await;
    site.publish(&taken).await;
    let torn = site.put(&second, 0, (12, 20), 2, 1).await;
    let (again, rebuilt) = site.rebuild().await;
    assert_eq!(files(&again).await, files(&site.catalog).await);
    assert_eq!(rebuilt.next_offsets, [(partition(0), 12)].into());
    let left: Vec<_> = [&failed, &zombie, &torn].iter().map(|put| put.files[0].path.clone()).collect();
    let mut found = rebuilt.unpublished.clone();
    found.sort();
    let mut expected = left.clone();
    expected.sort();
    assert_eq!(found, expected);
    // It is the catalog for whoever goes on.
    let next = again.lease(&partition(0), "c", 0, HOUR).await.unwrap();
    assert_eq!(again.progress(&partition(0)).await.unwrap().next_offset, Some(12));
    drop(next);
}

#[tokio::test]
async fn offsets_of_another_log_are_other_messages() {
    let site = Site::new().await;
    let lease = site.lease(0, "a").await;
    site.publish(&site.put(&lease, 0, (0, 40), 1, 1).await).await;
    site.catalog.restart("weir.logs", None, 3).await.unwrap();
    let lease = site.lease(0, "a").await;
    site.publish(&site.put(&lease, 1, (0, 10), 1, 1).await).await;
    let (again, rebuilt) = site.rebuild().await;
    assert_eq!(files(&again).await, files(&site.catalog).await);
    assert_eq!(rebuilt.next_offsets, [(partition(0), 10)].into());
    assert_eq!(again.progress(&partition(0)).await.unwrap().generation, 1);
}

#[tokio::test]
async fn what_is_damaged_or_strange_is_named() {
    let site = Site::new().await;
    let lease = site.lease(0, "a").await;
    site.publish(&site.put(&lease, 0, (0, 10), 1, 1).await).await;
    let path = path_of(&TenantId::default(), "logs", 0, FileId::generate());
    site.objects.put_new(&path, Bytes::from_static(b"PAR1 no file PAR1")).await.unwrap();
    site.objects.put_new("notes.txt", Bytes::from_static(b"mine")).await.unwrap();
    site.objects
        .put_new("CATALOG/01ZZZZZZZZZZZZZZZZZZZZZZZZ.json.zst", Bytes::from_static(b"?"))
        .await
        .unwrap();
    let (_, rebuilt) = site.rebuild().await;
    assert_eq!(rebuilt.strangers, ["notes.txt"]);
    let named: Vec<_> = rebuilt.damaged.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(named, ["CATALOG/01ZZZZZZZZZZZZZZZZZZZZZZZZ.json.zst", &path]);
    assert_eq!(rebuilt.files, 1);
    let refused = rebuild(&site.catalog, &site.objects, 10).await.unwrap_err();
    assert!(refused.to_string().contains("empty catalog"), "{refused}");
}
