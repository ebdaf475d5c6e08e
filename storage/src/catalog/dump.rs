//! What the catalog knows beside its files, as rows of text and numbers: how far
//! partitions and sources are stored, lanes, losses, layouts, tombstones. The
//! files are found by what they say of themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CatalogError;
use super::row::from_column;

/// The rows of the catalog's tables at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// 1.
    pub version: u32,
    /// When, microseconds.
    pub at_micros: i64,
    /// By the table's name.
    pub tables: BTreeMap<String, Rows>,
}

impl Dump {
    /// The version of the format: `docs/formats/state-v1.md`.
    pub const VERSION: u32 = 1;

    /// One that holds nothing.
    pub fn empty(at_micros: i64) -> Self {
        Self { version: Self::VERSION, at_micros, tables: BTreeMap::new() }
    }

    /// The cells of a table that is dumped, in the order of [`TABLES`]' columns;
    /// none where it is not there.
    pub(crate) fn rows(&self, name: &str) -> Result<Vec<Vec<&Cell>>, CatalogError> {
        let Some(rows) = self.tables.get(name) else { return Ok(Vec::new()) };
        rows.cells(Table::of_name(name)?)
    }

    /// Puts other rows in a table, in the order of [`TABLES`]' columns.
    pub(crate) fn replace(
        &mut self,
        name: &str,
        rows: impl Iterator<Item = Result<Vec<Cell>, CatalogError>>,
    ) -> Result<(), CatalogError> {
        let columns = Table::of_name(name)?.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.tables.insert(name.to_owned(), Rows { columns, rows: rows.collect::<Result<_, _>>()? });
        Ok(())
    }

    /// Adds rows to a table, in the order of [`TABLES`]' columns.
    pub(crate) fn extend(
        &mut self,
        name: &str,
        rows: impl Iterator<Item = Result<Vec<Cell>, CatalogError>>,
    ) -> Result<(), CatalogError> {
        let held: Vec<Vec<Cell>> =
            self.rows(name)?.into_iter().map(|row| row.into_iter().cloned().collect()).collect();
        self.replace(name, held.into_iter().map(Ok).chain(rows))
    }
}

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// What the cells are.
    pub columns: Vec<String>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Nothing.
    Null,
}

/// A table that is dumped: its name, and its columns with whether they are text.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, bool)],
}

const PARTITION: [(&str, bool); 2] = [("topic", true), ("partition_number", false)];

/// In the order in which they can be filled.
pub(crate) const TABLES: [Table; 9] = [
    Table { name: "offsets", columns: &[PARTITION[0], PARTITION[1], ("next_offset", false)] },
    Table {
        name: "anchors",
        columns: &[
            PARTITION[0],
            PARTITION[1],
            ("generation", false),
            ("message_offset", false),
            ("fingerprint", false),
        ],
    },
    Table {
        name: "sources",
        columns: &[
            PARTITION[0],
            PARTITION[1],
            ("source_id", true),
            ("tenant", true),
            ("resource", true),
            ("last_observed_micros", false),
            ("committed_micros", false),
        ],
    },
    Table {
        name: "tallies",
        columns: &[
            PARTITION[0],
            PARTITION[1],
            ("source_id", true),
            ("agent_id", true),
            ("appended_micros", false),
            ("event_micros", false),
            ("event_count", false),
            ("duplicate_count", false),
            ("counted_from", false),
            ("counted_to", false),
            ("counted", false),
        ],
    },
    Table {
        name: "covered",
        columns: &[
            PARTITION[0],
            PARTITION[1],
            ("source_id", true),
            ("range_start", false),
            ("range_end", false),
        ],
    },
    Table {
        name: "gaps",
        columns: &[
            ("tenant", true),
            ("source", true),
            ("range_start", false),
            ("range_end", false),
            ("event_count", false),
            ("reason", true),
            ("noticed_micros", false),
        ],
    },
    Table { name: "layouts", columns: &[("layout_id", false), ("layout", true)] },
    Table { name: "tombstones", columns: &[("path", true), ("at_micros", false)] },
    Table {
        name: "lanes",
        columns: &[
            PARTITION[0],
            PARTITION[1],
            ("agent_id", true),
            ("mark_micros", false),
            ("heard_micros", false),
            ("status", true),
            ("is_estimated", false),
        ],
    },
];

impl Cell {
    pub(crate) fn text(&self) -> Result<&str, CatalogError> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(CatalogError::Damaged(format!("{other:?} stands where a text should be"))),
        }
    }

    pub(crate) fn number(&self) -> Result<i64, CatalogError> {
        match self {
            Self::Number(number) => Ok(*number),
            other => Err(CatalogError::Damaged(format!("{other:?} stands where a number should be"))),
        }
    }

    /// A number that counts.
    pub(crate) fn count(&self) -> Result<u64, CatalogError> {
        from_column("a number of the state", self.number()?)
    }
}

impl Table {
    fn of_name(name: &str) -> Result<&'static Self, CatalogError> {
        let unknown = || CatalogError::Invalid(format!("no table {name} is dumped"));
        TABLES.iter().find(|table| table.name == name).ok_or_else(unknown)
    }

    /// The columns, separated by commas.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl Rows {
    /// The cells of the table's columns, row by row.
    fn cells(&self, table: &Table) -> Result<Vec<Vec<&Cell>>, CatalogError> {
        let lacks = |what: &str| CatalogError::Damaged(format!("the state of {} lacks {what}", table.name));
        let place = |(name, _): &(&str, bool)| {
            self.columns.iter().position(|held| held == name).ok_or_else(|| lacks(name))
        };
        let places: Vec<usize> = table.columns.iter().map(place).collect::<Result<_, _>>()?;
        if self.rows.iter().any(|row| row.len() != self.columns.len()) {
            return Err(lacks("a cell"));
        }
        Ok(self.rows.iter().map(|row| places.iter().map(|place| &row[*place]).collect()).collect())
    }
}
