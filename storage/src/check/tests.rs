use std::fs;

use tempfile::TempDir;
use weir_proto::model::FileId;

use super::*;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Advance, Commit, LogPartition};
use crate::file::{Footer, WriteOptions, write};
use crate::object::{LocalStore, path_of};
use crate::sample::{batch, row};

/// A catalog and a store with files in them.
struct Site {
    dir: TempDir,
    catalog: SqliteCatalog,
    objects: LocalStore,
    stored: u64,
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(&dir.path().join("catalog")).await.unwrap();
        let objects = LocalStore::open(&dir.path().join("objects")).unwrap();
        Self { dir, catalog, objects, stored: 0 }
    }

    /// Puts a file of so many rows and commits what `said` makes of its entry.
    async fn store(&mut self, rows: u64, said: impl FnOnce(&mut FileEntry)) -> String {
        let (tenant, table) = (TenantId::default(), Table::Logs.name());
        let rows: Vec<_> = (0..rows).map(|n| row(n as i64, 1, n as i64, "text")).collect();
        let written =
            write(&batch(&rows), &Footer::new(table, tenant.clone()), &WriteOptions::default()).unwrap();
        let id = FileId::generate();
        let path = path_of(&tenant, table, 0, id);
        let mut entry = FileEntry {
            id,
            tenant,
            table: table.to_owned(),
            path: path.clone(),
            rows: written.rows,
            bytes: written.bytes.len() as u64,
            time: written.time,
            observed: written.observed,
            level: 0,
            created_micros: 0,
            crc32c: Some(written.crc32c),
        };
        self.objects.put_new(&path, written.bytes).await.unwrap();
        said(&mut entry);
        let partition = LogPartition { topic: "weir.logs".to_owned(), partition: 0 };
        let lease = self.catalog.lease(&partition, "a", 0, Duration::from_secs(60)).await.unwrap();
        let from = (self.stored > 0).then_some(self.stored);
        self.stored += 1;
        let advance = Advance { partition, epoch: lease.epoch, from, to: self.stored, anchor: None };
        let commit = Commit { files: vec![entry], advances: vec![advance], ..Commit::default() };
        self.catalog.publish(&commit).await.unwrap();
        path
    }

    fn place(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("objects").join(path)
    }

    async fn check(&self, depth: Depth) -> Found {
        check(&self.catalog, &self.objects, depth, i64::MAX).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_whole_is_counted() {
    let mut site = Site::new().await;
    for rows in [1, 20, 300] {
        site.store(rows, |_| ()).await;
    }
    for depth in [Depth::Sizes, Depth::Rows] {
        let found = site.check(depth).await;
        assert_eq!((found.files, found.rows, found.problems.len(), found.orphans.len()), (3, 321, 0, 0));
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let mut site = Site::new().await;
    let [missing, short, damaged] =
        [site.store(5, |_| ()).await, site.store(6, |_| ()).await, site.store(700, |_| ()).await];
    let rows = site.store(8, |entry| entry.rows += 1).await;
    let whole = site.store(9, |_| ()).await;
    fs::remove_file(site.place(&missing)).unwrap();
    let content = fs::read(site.place(&short)).unwrap();
    fs::write(site.place(&short), &content[..content.len() - 1]).unwrap();
    let mut content = fs::read(site.place(&damaged)).unwrap();
    content[40..80].fill(0x5a);
    fs::write(site.place(&damaged), content).unwrap();

    let told = |found: Found| {
        let mut told: Vec<_> =
            found.problems.into_iter().map(|problem| (problem.path, problem.what.to_string())).collect();
        told.sort();
        told
    };
    let sizes = told(site.check(Depth::Sizes).await);
    assert_eq!(
        sizes.iter().map(|(path, _)| path).collect::<BTreeSet<_>>(),
        BTreeSet::from([&missing, &short])
    );
    let all = told(site.check(Depth::Rows).await);
    let expected = BTreeSet::from([&missing, &short, &damaged, &rows]);
    assert_eq!(all.iter().map(|(path, _)| path).collect::<BTreeSet<_>>(), expected, "{all:?}");
    assert!(all.iter().any(|(path, what)| *path == rows && what == "8 rows, the catalog says 9"), "{all:?}");
    assert!(!all.iter().any(|(path, _)| *path == whole));
}

#[tokio::test]
async fn a_file_that_is_another_is_named_whatever_it_says() {
    let mut site = Site::new().await;
    let times = site.store(5, |entry| entry.time.max_micros += 1).await;
    let table = site.store(6, |entry| entry.table = "spans".to_owned()).await;
    let sum = site.store(7, |entry| entry.crc32c = Some(1)).await;
    let unknown = site.store(8, |entry| entry.crc32c = None).await;
    let found = site.check(Depth::Rows).await;
    let told = |path: &String| {
        let problem = found.problems.iter().find(|problem| problem.path == *path);
        problem.map(|problem| problem.what.to_string()).unwrap_or_default()
    };
    assert_eq!(told(&times), "its rows are of other times than the catalog says");
    assert_eq!(told(&table), "it says that it is of default/logs");
    assert!(told(&sum).ends_with("the catalog says 00000001: other bytes than were put"), "{}", told(&sum));
    assert_eq!(told(&unknown), "");
}

#[tokio::test]
async fn a_flipped_bit_is_named_wherever_it_is() {
    let mut site = Site::new().await;
    let path = site.store(300, |_| ()).await;
    let whole = fs::read(site.place(&path)).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 200) {
        let mut content = whole.clone();
        content[at] ^= 1 << (at % 8);
        fs::write(site.place(&path), content).unwrap();
        let found = site.check(Depth::Rows).await;
        assert!(matches!(found.problems[0].what, Wrong::Checksum { .. }), "{at}: {:?}", found.problems);
    }
    fs::write(site.place(&path), whole).unwrap();
    assert!(site.check(Depth::Rows).await.problems.is_empty());
}

#[tokio::test]
async fn an_orphan_is_removed_and_can_not_be_committed_any_more() {
    let mut site = Site::new().await;
    site.store(1, |_| ()).await;
    let orphan = path_of(&TenantId::default(), "logs", 0, FileId::generate());
    site.objects.put_new(&orphan, Bytes::from_static(b"left over")).await.unwrap();
    // It may be about to be committed.
    let young = check(&site.catalog, &site.objects, Depth::Sizes, 0).await.unwrap();
    assert_eq!((young.orphans.len(), young.young), (0, 1));
    let found = site.check(Depth::Sizes).await;
    assert_eq!(found.orphans.iter().map(|object| &object.path).collect::<Vec<_>>(), [&orphan]);
    let removed = remove_orphans(&site.catalog, &site.objects, &found.orphans, 0).await.unwrap();
    assert_eq!((removed, site.objects.exists(&orphan).await.unwrap()), (1, false));
    assert!(matches!(site.catalog.tombstone(&orphan, 0).await, Ok(()) | Err(CatalogError::PathInUse(_))));
    let found = site.check(Depth::Rows).await;
    assert_eq!((found.files, found.problems.len(), found.orphans.len()), (1, 0, 0));
}

#[tokio::test]
async fn what_was_committed_after_all_is_not_removed() {
    let mut site = Site::new().await;
    let path = site.store(1, |_| ()).await;
    let object = ObjectEntry { path: path.clone(), bytes: 1, modified_micros: 0 };
    assert_eq!(remove_orphans(&site.catalog, &site.objects, &[object], 0).await.unwrap(), 0);
    assert!(site.objects.exists(&path).await.unwrap());
}
