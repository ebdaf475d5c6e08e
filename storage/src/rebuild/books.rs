//! How far partitions and sources are stored: what a state says, and what the files
//! of flushes add to it.

use std::collections::{BTreeMap, BTreeSet};

use weir_proto::model::{ByteRange, LayoutId, RangeSet, SourceId, TenantId};

use super::published::Flush;
use crate::catalog::{CatalogError, Cell, Dump, LogPartition};

type Key = (LogPartition, SourceId);

/// The books that are brought forward.
pub(super) struct Books {
    dump: Dump,
    /// Paths that were given up: never published.
    pub(super) given_up: BTreeSet<String>,
    offsets: BTreeMap<LogPartition, u64>,
    generations: BTreeMap<LogPartition, u64>,
    covered: BTreeMap<Key, RangeSet>,
    /// Sources that the state knows.
    known: BTreeSet<Key>,
    /// Sources that only files know.
    found: BTreeMap<Key, Source>,
    layouts: BTreeMap<LayoutId, String>,
}

/// What files say of a source.
struct Source {
    tenant: TenantId,
    observed_micros: i64,
    created_micros: i64,
}

impl Books {
    /// As the state has them.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`].
    pub(super) fn of(dump: Dump) -> Result<Self, CatalogError> {
        let mut books = Self {
            given_up: BTreeSet::new(),
            offsets: BTreeMap::new(),
            generations: BTreeMap::new(),
            covered: BTreeMap::new(),
            known: BTreeSet::new(),
            found: BTreeMap::new(),
            layouts: BTreeMap::new(),
            dump: Dump { tables: BTreeMap::new(), ..dump },
        };
        for row in dump.rows("tombstones")? {
            books.given_up.insert(row[0].text()?.to_owned());
        }
        for row in dump.rows("offsets")? {
            books.offsets.insert(partition(&row)?, row[2].count()?);
        }
        for row in dump.rows("anchors")? {
            books.generations.insert(partition(&row)?, row[2].count()?);
        }
        for row in dump.rows("covered")? {
            let range = ByteRange::new(row[3].count()?, row[4].count()?);
            books.covered.entry(key(&row)?).or_default().insert(range);
        }
        for row in dump.rows("sources")? {
            books.known.insert(key(&row)?);
        }
        for row in dump.rows("layouts")? {
            books.layouts.insert(LayoutId(row[0].number()?), row[1].text()?.to_owned());
        }
        books.dump.tables = dump.tables;
        Ok(books)
    }

    /// A flush was published, if it is not in the state already.
    pub(super) fn add(&mut self, flush: &Flush) {
        for span in flush.spans() {
            let generation = self.generations.entry(span.partition.clone()).or_default();
            if span.generation < *generation {
                continue;
            }
            if span.generation > *generation {
                *generation = span.generation;
                self.offsets.remove(&span.partition);
            }
            let next = self.offsets.entry(span.partition.clone()).or_default();
            *next = span.to.max(*next);
        }
        for (file, footer) in flush.files.iter().zip(&flush.footers) {
            self.layouts.extend(footer.layouts.iter().map(|(id, layout)| (*id, layout.clone())));
            for ranges in &footer.ranges {
                for (source, covered) in &ranges.sources {
                    let key = (ranges.partition.clone(), *source);
                    self.covered.entry(key.clone()).or_default().extend(covered);
                    if self.known.contains(&key) {
                        continue;
                    }
                    let tenant = ranges.tenants.get(source).unwrap_or(&footer.tenant).clone();
                    let source = self.found.entry(key).or_insert(Source {
                        tenant,
                        observed_micros: file.observed.max_micros,
                        created_micros: file.created_micros,
                    });
                    source.observed_micros = source.observed_micros.max(file.observed.max_micros);
                    source.created_micros = source.created_micros.max(file.created_micros);
                }
            }
        }
    }

    /// What a catalog is restored from, and the next offsets in it.
    pub(super) fn finish(mut self) -> Result<(Dump, BTreeMap<LogPartition, u64>), CatalogError> {
        let offsets = self.offsets.iter().map(|(of, next)| row(of, [number(*next)?]));
        self.dump.replace("offsets", offsets)?;
        let known: BTreeSet<LogPartition> =
            self.dump.rows("anchors")?.iter().map(|row| partition(row)).collect::<Result<_, _>>()?;
        let anew = self.generations.iter().filter(|(of, generation)| **generation > 0 && !known.contains(of));
        let anchors = anew.map(|(of, generation)| row(of, [number(*generation)?, Cell::Null, Cell::Null]));
        self.dump.extend("anchors", anchors)?;
        let sources = self.found.iter().map(|((of, source), found)| {
            let cells = [
                Cell::Text(source.to_string()),
                Cell::Text(found.tenant.to_string()),
                Cell::Text("[]".to_owned()),
                Cell::Number(found.observed_micros),
                Cell::Number(found.created_micros),
            ];
            row(of, cells)
        });
        self.dump.extend("sources", sources)?;
        let covered = self.covered.iter().flat_map(|((of, source), covered)| {
            covered.ranges().iter().map(move |range| {
                row(of, [Cell::Text(source.to_string()), number(range.start)?, number(range.end)?])
            })
        });
        self.dump.replace("covered", covered)?;
        let layouts =
            self.layouts.iter().map(|(id, layout)| Ok(vec![Cell::Number(id.0), Cell::Text(layout.clone())]));
        self.dump.replace("layouts", layouts)?;
        Ok((self.dump, self.offsets))
    }
}

fn partition(row: &[&Cell]) -> Result<LogPartition, CatalogError> {
    let number = row[1].count()?;
    let partition = u32::try_from(number)
        .map_err(|_| CatalogError::Damaged(format!("a partition has the number {number}")))?;
    Ok(LogPartition { topic: row[0].text()?.to_owned(), partition })
}

fn key(row: &[&Cell]) -> Result<Key, CatalogError> {
    let source = row[2].text()?;
    let damaged = |_| CatalogError::Damaged(format!("source id {source:?} is no ULID"));
    Ok((partition(row)?, source.parse().map_err(damaged)?))
}

fn row<const N: usize>(of: &LogPartition, cells: [Cell; N]) -> Result<Vec<Cell>, CatalogError> {
    let mut row = vec![Cell::Text(of.topic.clone()), Cell::Number(i64::from(of.partition))];
    row.extend(cells);
    Ok(row)
}

fn number(value: u64) -> Result<Cell, CatalogError> {
    let over = |_| CatalogError::Damaged(format!("{value} is beyond what a catalog holds"));
    i64::try_from(value).map(Cell::Number).map_err(over)
}
