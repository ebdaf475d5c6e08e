//! The catalog's SQL, one text for every database it runs on.
//!
//! Only what SQLite and Postgres both understand: `$1` placeholders, `BIGINT`
//! and `TEXT`, `ON CONFLICT`, `RETURNING`, row values. What differs between
//! the two is named in [`Dialect`] and nowhere else. Times are microseconds,
//! identifiers their text, attribute lists JSON text.

/// The version of the tables below. A change of meaning raises it; a new
/// table, or a new column with a default, does not.
pub(crate) const FORMAT_VERSION: i64 = 1;

/// Where the databases part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
    /// Postgres 12 or later.
    Postgres,
}

impl Dialect {
    /// The type of a column that numbers its rows.
    const fn identity(self) -> &'static str {
        match self {
            // AUTOINCREMENT: the number of a deleted commit never comes back.
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    }

    /// Counts the tables of a name, 0 or 1.
    pub(crate) const fn table_of_name(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
            Self::Postgres => {
                "SELECT COUNT(*) FROM pg_catalog.pg_tables
                WHERE schemaname = current_schema() AND tablename = $1"
            }
        }
    }

    /// Counts the columns of a table ($1) and a name ($2), 0 or 1.
    pub(crate) const fn column_of_name(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT COUNT(*) FROM pragma_table_info($1) WHERE name = $2",
            Self::Postgres => {
                "SELECT COUNT(*) FROM information_schema.columns
                WHERE table_schema = current_schema() AND table_name = $1 AND column_name = $2"
            }
        }
    }

    /// Run by a commit before it looks for tombstones: none is written until
    /// it has ended. Other commits are not kept out. SQLite has one writer.
    pub(crate) const fn bar_tombstones(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("LOCK TABLE tombstones IN SHARE MODE"),
        }
    }

    /// Run by a tombstone before it looks for files: no file is committed
    /// until it has ended.
    pub(crate) const fn bar_commits(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("LOCK TABLE tombstones IN ROW EXCLUSIVE MODE"),
        }
    }
}

/// The statements that create an empty catalog, to be run in one transaction.
pub(crate) fn create_tables(dialect: Dialect) -> Vec<String> {
    let statements = TABLES.iter().chain(LATER_TABLES);
    let tables = statements.map(|statement| statement.replace("{identity}", dialect.identity()));
    tables.chain(LATER_COLUMNS.iter().map(LaterColumn::add)).collect()
}

/// A column that the first catalogs did not have. Null in rows that are older.
pub(crate) struct LaterColumn {
    /// `table.name`.
    pub(crate) label: &'static str,
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    kind: &'static str,
}

impl LaterColumn {
    /// The statement that adds it.
    pub(crate) fn add(&self) -> String {
        format!("ALTER TABLE {} ADD COLUMN {} {}", self.table, self.name, self.kind)
    }
}

/// Opening a catalog for writing adds those that are missing.
pub(crate) const LATER_COLUMNS: [LaterColumn; 1] =
    [LaterColumn { label: "files.crc32c", table: "files", name: "crc32c", kind: "BIGINT" }];

/// `docs/formats/catalog-v1.md` says what each of them means.
const TABLES: &[&str] = &[
    "CREATE TABLE weir_format (version BIGINT NOT NULL)",
    "CREATE TABLE leases (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        owner TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        until_micros BIGINT NOT NULL,
        PRIMARY KEY (topic, partition_number))",
    "CREATE TABLE offsets (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        next_offset BIGINT NOT NULL,
        PRIMARY KEY (topic, partition_number))",
    "CREATE TABLE commits (
        id {identity},
        at_micros BIGINT NOT NULL)",
    "CREATE TABLE sources (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        source_id TEXT NOT NULL,
        tenant TEXT NOT NULL,
        resource TEXT NOT NULL,
        last_observed_micros BIGINT NOT NULL,
        committed_micros BIGINT NOT NULL,
        PRIMARY KEY (topic, partition_number, source_id))",
    "CREATE INDEX sources_by_tenant ON sources (tenant)",
    "CREATE TABLE covered (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        source_id TEXT NOT NULL,
        range_start BIGINT NOT NULL,
        range_end BIGINT NOT NULL,
        PRIMARY KEY (topic, partition_number, source_id, range_start),
        FOREIGN KEY (topic, partition_number, source_id)
            REFERENCES sources (topic, partition_number, source_id))",
    "CREATE TABLE files (
        id TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL,
        table_name TEXT NOT NULL,
        path TEXT NOT NULL UNIQUE,
        row_count BIGINT NOT NULL,
        byte_count BIGINT NOT NULL,
        time_min_micros BIGINT NOT NULL,
        time_max_micros BIGINT NOT NULL,
        observed_min_micros BIGINT NOT NULL,
        observed_max_micros BIGINT NOT NULL,
        level BIGINT NOT NULL,
        created_micros BIGINT NOT NULL,
        commit_id BIGINT NOT NULL REFERENCES commits (id))",
    "CREATE INDEX files_by_time ON files (tenant, table_name, time_max_micros)",
    "CREATE TABLE gaps (
        id {identity},
        tenant TEXT NOT NULL,
        source TEXT NOT NULL,
        range_start BIGINT NOT NULL,
        range_end BIGINT NOT NULL,
        event_count BIGINT NOT NULL,
        reason TEXT NOT NULL,
        noticed_micros BIGINT NOT NULL)",
    "CREATE INDEX gaps_by_tenant ON gaps (tenant, noticed_micros)",
    "CREATE TABLE layouts (
        layout_id BIGINT NOT NULL PRIMARY KEY,
        layout TEXT NOT NULL)",
    "CREATE TABLE tombstones (
        path TEXT NOT NULL PRIMARY KEY,
        at_micros BIGINT NOT NULL)",
];

/// Tables that the first catalogs did not have. Opening one for writing adds
/// what is missing.
pub(crate) const LATER_TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS lanes (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        agent_id TEXT NOT NULL,
        mark_micros BIGINT,
        heard_micros BIGINT NOT NULL,
        status TEXT NOT NULL,
        is_estimated BIGINT NOT NULL,
        PRIMARY KEY (topic, partition_number, agent_id))",
    "CREATE TABLE IF NOT EXISTS anchors (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        generation BIGINT NOT NULL,
        message_offset BIGINT,
        fingerprint BIGINT,
        PRIMARY KEY (topic, partition_number))",
    "CREATE TABLE IF NOT EXISTS states (
        name TEXT NOT NULL PRIMARY KEY,
        path TEXT NOT NULL,
        at_micros BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS members (
        name TEXT NOT NULL PRIMARY KEY,
        address TEXT NOT NULL,
        until_micros BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS settled_minutes (
        tenant TEXT NOT NULL,
        minute_micros BIGINT NOT NULL,
        span_count BIGINT NOT NULL,
        settled_micros BIGINT NOT NULL,
        PRIMARY KEY (tenant, minute_micros))",
    "CREATE TABLE IF NOT EXISTS service_edges (
        tenant TEXT NOT NULL,
        minute_micros BIGINT NOT NULL,
        parent TEXT NOT NULL,
        child TEXT NOT NULL,
        calls BIGINT NOT NULL,
        errors BIGINT NOT NULL,
        PRIMARY KEY (tenant, minute_micros, parent, child))",
    "CREATE TABLE IF NOT EXISTS tallies (
        topic TEXT NOT NULL,
        partition_number BIGINT NOT NULL,
        source_id TEXT NOT NULL,
        agent_id TEXT,
        appended_micros BIGINT,
        event_micros BIGINT,
        event_count BIGINT NOT NULL,
        duplicate_count BIGINT NOT NULL,
        counted_from BIGINT,
        counted_to BIGINT,
        counted BIGINT,
        PRIMARY KEY (topic, partition_number, source_id))",
];
/// The names of [`LATER_TABLES`].
pub(crate) const LATER_NAMES: [&str; 7] =
    ["lanes", "anchors", "states", "members", "settled_minutes", "service_edges", "tallies"];

pub(crate) const FORMAT_INSERT: &str = "INSERT INTO weir_format (version) VALUES ($1)";
pub(crate) const FORMAT_READ: &str = "SELECT version FROM weir_format";

/// Takes, renews or leaves alone, in one statement: two owners at once cannot
/// both read the same epoch. No row comes back when somebody else's lease runs.
pub(crate) const LEASE_TAKE: &str = "
    INSERT INTO leases (topic, partition_number, owner, epoch, until_micros)
    VALUES ($1, $2, $3, 1, $4)
    ON CONFLICT (topic, partition_number) DO UPDATE SET
        epoch = CASE WHEN leases.owner = excluded.owner THEN leases.epoch ELSE leases.epoch + 1 END,
        owner = excluded.owner,
        until_micros = excluded.until_micros
    WHERE leases.owner = excluded.owner OR leases.until_micros <= $5
    RETURNING epoch, until_micros";
pub(crate) const LEASE_READ: &str =
    "SELECT owner, epoch, until_micros FROM leases WHERE topic = $1 AND partition_number = $2";
/// A released lease keeps its epoch and has nobody as owner, so that the next
/// owner, whoever it is, gets a higher one.
pub(crate) const LEASE_RELEASE: &str = "
    UPDATE leases SET owner = '', until_micros = 0
    WHERE topic = $1 AND partition_number = $2 AND owner = $3 AND epoch = $4";
/// An update and not a read, so that it also locks the row until the commit.
pub(crate) const LEASE_CHECK: &str = "
    UPDATE leases SET epoch = epoch
    WHERE topic = $1 AND partition_number = $2 AND epoch = $3 AND owner <> ''";

/// Waits until no commit of the partition is under way, and lets none begin.
/// For Postgres only: SQLite has one writer.
pub(crate) const LEASE_HOLD: &str =
    "SELECT epoch FROM leases WHERE topic = $1 AND partition_number = $2 FOR SHARE";
pub(crate) const OWNERS: &str = "
    SELECT leases.topic, leases.partition_number, leases.owner, leases.epoch, leases.until_micros,
        members.address
    FROM leases LEFT JOIN members ON members.name = leases.owner
    WHERE leases.owner <> '' ORDER BY leases.topic, leases.partition_number";

pub(crate) const MEMBER_UPSERT: &str = "
    INSERT INTO members (name, address, until_micros) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET address = excluded.address, until_micros = excluded.until_micros";
pub(crate) const MEMBER_DELETE: &str = "DELETE FROM members WHERE name = $1";
/// Who is long gone is forgotten, unless a lease still names it: where its
/// partitions were served is worth knowing until somebody takes them.
pub(crate) const MEMBERS_FORGET: &str = "
    DELETE FROM members WHERE until_micros < $1
        AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.owner = members.name)";
pub(crate) const MEMBERS: &str =
    "SELECT name, address, until_micros FROM members WHERE until_micros > $1 ORDER BY name";

pub(crate) const OFFSET_ADVANCE: &str = "
    UPDATE offsets SET next_offset = $4
    WHERE topic = $1 AND partition_number = $2 AND next_offset = $3";
pub(crate) const OFFSET_FIRST: &str = "
    INSERT INTO offsets (topic, partition_number, next_offset) VALUES ($1, $2, $3)
    ON CONFLICT (topic, partition_number) DO NOTHING";
pub(crate) const OFFSET_READ: &str =
    "SELECT next_offset FROM offsets WHERE topic = $1 AND partition_number = $2";
/// A message is told from others by 64 bits, which the column holds as they are.
pub(crate) const ANCHOR_UPSERT: &str = "
    INSERT INTO anchors (topic, partition_number, generation, message_offset, fingerprint)
    VALUES ($1, $2, 0, $3, $4)
    ON CONFLICT (topic, partition_number) DO UPDATE SET
        message_offset = excluded.message_offset, fingerprint = excluded.fingerprint";
pub(crate) const ANCHOR_READ: &str =
    "SELECT generation, message_offset, fingerprint FROM anchors WHERE topic = $1 AND partition_number = $2";
/// Nobody has the partition, and no publication under an earlier lease passes.
pub(crate) const RESTART_LEASE: &str = "
    UPDATE leases SET owner = '', until_micros = 0, epoch = epoch + 1
    WHERE topic = $1 AND partition_number = $2";
pub(crate) const RESTART_OFFSET: &str = "DELETE FROM offsets WHERE topic = $1 AND partition_number = $2";
pub(crate) const RESTART_ANCHOR: &str = "
    INSERT INTO anchors (topic, partition_number, generation) VALUES ($1, $2, 1)
    ON CONFLICT (topic, partition_number) DO UPDATE SET
        generation = anchors.generation + 1, message_offset = NULL, fingerprint = NULL";
/// Two at once cannot both claim it: the second finds a row that is too young.
pub(crate) const STATE_CLAIM: &str = "
    INSERT INTO states (name, path, at_micros) VALUES ('last', $1, $2)
    ON CONFLICT (name) DO UPDATE SET path = excluded.path, at_micros = excluded.at_micros
    WHERE states.at_micros < $3";
pub(crate) const STATE_READ: &str = "SELECT path FROM states WHERE name = 'last'";
/// What a catalog must not hold that is to be filled from objects.
pub(crate) const HELD: &str = "
    SELECT (SELECT COUNT(*) FROM files) + (SELECT COUNT(*) FROM offsets) + (SELECT COUNT(*) FROM leases)";
pub(crate) const OFFSETS_OF_TOPIC: &str =
    "SELECT partition_number, next_offset FROM offsets WHERE topic = $1 ORDER BY partition_number";

pub(crate) const OFFSETS: &str = "SELECT topic, partition_number, next_offset FROM offsets";

pub(crate) const COMMIT_INSERT: &str = "INSERT INTO commits (at_micros) VALUES ($1) RETURNING id";

pub(crate) const FILE_INSERT: &str = "
    INSERT INTO files (id, tenant, table_name, path, row_count, byte_count, time_min_micros,
        time_max_micros, observed_min_micros, observed_max_micros, level, created_micros, commit_id,
        crc32c)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT DO NOTHING";
/// Newest rows first; the id makes the order one and the same for everybody.
pub(crate) const FILES_OF_TIME: &str = "
    SELECT id, tenant, table_name, path, row_count, byte_count, time_min_micros, time_max_micros,
        observed_min_micros, observed_max_micros, level, created_micros, crc32c
    FROM files
    WHERE tenant = $1 AND table_name = $2 AND time_max_micros >= $3 AND time_min_micros <= $4
    ORDER BY time_max_micros DESC, id DESC";
pub(crate) const FILE_OF_PATH: &str = "SELECT COUNT(*) FROM files WHERE path = $1";
pub(crate) const PATHS: &str = "SELECT path FROM files ORDER BY path";

pub(crate) const TOMBSTONE_INSERT: &str =
    "INSERT INTO tombstones (path, at_micros) VALUES ($1, $2) ON CONFLICT (path) DO NOTHING";
pub(crate) const TOMBSTONE_OF_PATH: &str = "SELECT COUNT(*) FROM tombstones WHERE path = $1";

pub(crate) const COVERED_OF_PARTITION: &str = "
    SELECT source_id, range_start, range_end FROM covered
    WHERE topic = $1 AND partition_number = $2 ORDER BY source_id, range_start";
pub(crate) const COUNTED_OF_PARTITION: &str = "
    SELECT source_id, counted_from, counted_to, counted FROM tallies
    WHERE topic = $1 AND partition_number = $2 AND counted IS NOT NULL";
pub(crate) const SOURCES_OF_TENANT: &str = "
    SELECT topic, partition_number, source_id, resource, last_observed_micros, committed_micros
    FROM sources WHERE tenant = $1 ORDER BY topic, partition_number, source_id";
pub(crate) const TALLIES_OF_TENANT: &str = "
    SELECT tallies.topic, tallies.partition_number, tallies.source_id, agent_id, appended_micros,
        event_micros, event_count, duplicate_count, counted_from, counted_to, counted
    FROM tallies JOIN sources ON sources.topic = tallies.topic
        AND sources.partition_number = tallies.partition_number
        AND sources.source_id = tallies.source_id
    WHERE sources.tenant = $1";
pub(crate) const COVERED_OF_TENANT: &str = "
    SELECT covered.topic, covered.partition_number, covered.source_id, range_start, range_end
    FROM covered JOIN sources ON sources.topic = covered.topic
        AND sources.partition_number = covered.partition_number
        AND sources.source_id = covered.source_id
    WHERE sources.tenant = $1
    ORDER BY covered.topic, covered.partition_number, covered.source_id, range_start";

pub(crate) const GAPS_OF_TENANT: &str = "
    SELECT source, range_start, range_end, event_count, reason, noticed_micros
    FROM gaps WHERE tenant = $1 ORDER BY noticed_micros, id";
/// A sum of BIGINT is no BIGINT everywhere.
pub(crate) const LOSSES_OF_TENANT: &str = "
    SELECT source, reason, CAST(COUNT(*) AS BIGINT),
        CAST(SUM(CASE WHEN event_count = 0 THEN 1 ELSE 0 END) AS BIGINT), CAST(SUM(event_count) AS BIGINT)
    FROM gaps WHERE tenant = $1 GROUP BY source, reason";
pub(crate) const GAPS_WITHIN: &str =
    "DELETE FROM gaps WHERE source = $1 AND range_start >= $2 AND range_end <= $3";
/// A hole of which this much came: nothing of it is left, or less.
pub(crate) const HOLE_FILLED: &str = "
    DELETE FROM gaps WHERE source = $1 AND reason = $2 AND range_start <= $3 AND range_end >= $4
        AND event_count > 0 AND event_count <= $5";
pub(crate) const HOLE_SHRINKS: &str = "
    UPDATE gaps SET event_count = event_count - $5
    WHERE source = $1 AND reason = $2 AND range_start <= $3 AND range_end >= $4 AND event_count > $5";
/// Holes of a source that are covered by now.
pub(crate) const HOLES_COVERED: &str = "
    DELETE FROM gaps WHERE source = $1 AND reason = $2 AND EXISTS (
        SELECT 1 FROM covered WHERE covered.source_id = gaps.source
            AND covered.range_start <= gaps.range_start AND covered.range_end >= gaps.range_end)";
pub(crate) const LANES: &str = "
    SELECT topic, partition_number, agent_id, mark_micros, heard_micros, status, is_estimated
    FROM lanes ORDER BY topic, partition_number, agent_id";
pub(crate) const LANES_OF_PARTITION: &str = "
    SELECT topic, partition_number, agent_id, mark_micros, heard_micros, status, is_estimated
    FROM lanes WHERE topic = $1 AND partition_number = $2 ORDER BY agent_id";
pub(crate) const LANES_DISMISS: &str = "DELETE FROM lanes WHERE agent_id = $1 AND status = $2";
pub(crate) const LANES_FORGET: &str = "DELETE FROM lanes WHERE topic = $1 AND partition_number = $2";
pub(crate) const OFFSET_FORGET: &str = "DELETE FROM offsets WHERE topic = $1 AND partition_number = $2";
/// No row is changed where more spans were counted already.
pub(crate) const MINUTE_UPSERT: &str = "
    INSERT INTO settled_minutes (tenant, minute_micros, span_count, settled_micros) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant, minute_micros) DO UPDATE SET
        span_count = excluded.span_count, settled_micros = excluded.settled_micros
    WHERE settled_minutes.span_count <= excluded.span_count";
pub(crate) const EDGES_DELETE: &str = "DELETE FROM service_edges WHERE tenant = $1 AND minute_micros = $2";
pub(crate) const EDGE_INSERT: &str = "
    INSERT INTO service_edges (tenant, minute_micros, parent, child, calls, errors)
    VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const MINUTES: &str = "
    SELECT minute_micros, span_count, settled_micros FROM settled_minutes
    WHERE tenant = $1 AND minute_micros >= $2 AND minute_micros <= $3 ORDER BY minute_micros";
pub(crate) const EDGES: &str = "
    SELECT minute_micros, parent, child, calls, errors FROM service_edges
    WHERE tenant = $1 AND minute_micros >= $2 AND minute_micros <= $3
    ORDER BY minute_micros, parent, child";

pub(crate) const LAYOUTS: &str = "SELECT layout_id, layout FROM layouts";

/// Rows per statement of a [`ManyRows`]. SQLite looks a placeholder up by
/// walking all before it, so a statement's cost grows with the square of its
/// rows: with 500, most of a large publication went into that.
pub(crate) const ROWS_PER_STATEMENT: usize = 40;

/// A statement over several rows at once. A flush may touch tens of thousands
/// of sources, and a round trip for each would be most of its time.
pub(crate) struct ManyRows {
    columns: usize,
    before: &'static str,
    after: &'static str,
}

pub(crate) const SOURCES_UPSERT: ManyRows = ManyRows {
    columns: 7,
    before: "INSERT INTO sources (topic, partition_number, source_id, tenant, resource,
        last_observed_micros, committed_micros) VALUES ",
    after: " ON CONFLICT (topic, partition_number, source_id) DO UPDATE SET
        tenant = excluded.tenant, resource = excluded.resource,
        last_observed_micros = excluded.last_observed_micros,
        committed_micros = excluded.committed_micros",
};
pub(crate) const TALLIES_UPSERT: ManyRows = ManyRows {
    columns: 11,
    before:
        "INSERT INTO tallies (topic, partition_number, source_id, agent_id, appended_micros, event_micros,
        event_count, duplicate_count, counted_from, counted_to, counted) VALUES ",
    after: " ON CONFLICT (topic, partition_number, source_id) DO UPDATE SET
        agent_id = excluded.agent_id, appended_micros = excluded.appended_micros,
        event_micros = CASE WHEN tallies.event_micros IS NULL OR excluded.event_micros > tallies.event_micros
            THEN excluded.event_micros ELSE tallies.event_micros END,
        event_count = tallies.event_count + excluded.event_count,
        duplicate_count = tallies.duplicate_count + excluded.duplicate_count,
        counted_from = excluded.counted_from, counted_to = excluded.counted_to, counted = excluded.counted",
};
pub(crate) const COVERED_DELETE: ManyRows = ManyRows {
    columns: 3,
    before: "DELETE FROM covered WHERE (topic, partition_number, source_id) IN (VALUES ",
    after: ")",
};
pub(crate) const COVERED_INSERT: ManyRows = ManyRows {
    columns: 5,
    before: "INSERT INTO covered (topic, partition_number, source_id, range_start, range_end) VALUES ",
    after: "",
};
pub(crate) const GAPS_INSERT: ManyRows = ManyRows {
    columns: 7,
    before: "INSERT INTO gaps (tenant, source, range_start, range_end, event_count, reason,
        noticed_micros) VALUES ",
    after: "",
};
pub(crate) const LAYOUTS_INSERT: ManyRows = ManyRows {
    columns: 2,
    before: "INSERT INTO layouts (layout_id, layout) VALUES ",
    after: " ON CONFLICT (layout_id) DO NOTHING",
};

pub(crate) const LANES_UPSERT: ManyRows = ManyRows {
    columns: 7,
    before: "INSERT INTO lanes (topic, partition_number, agent_id, mark_micros, heard_micros, status,
        is_estimated) VALUES ",
    after: " ON CONFLICT (topic, partition_number, agent_id) DO UPDATE SET
        mark_micros = excluded.mark_micros, heard_micros = excluded.heard_micros,
        status = excluded.status, is_estimated = excluded.is_estimated",
};

impl ManyRows {
    /// The statement for this many rows, at least one.
    pub(crate) fn text(&self, rows: usize) -> String {
        let mut text = String::from(self.before);
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..self.columns {
                let separator = if column == 0 { "$" } else { ",$" };
                text.push_str(separator);
                text.push_str(&(row * self.columns + column + 1).to_string());
            }
            text.push(')');
        }
        text.push_str(self.after);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_across_rows() {
        assert_eq!(
            LAYOUTS_INSERT.text(2),
            "INSERT INTO layouts (layout_id, layout) VALUES ($1,$2),($3,$4) ON CONFLICT (layout_id) DO NOTHING"
        );
    }

    #[test]
    fn no_statement_has_more_placeholders_than_sqlite_takes() {
        let all = [
            SOURCES_UPSERT,
            TALLIES_UPSERT,
            COVERED_DELETE,
            COVERED_INSERT,
            GAPS_INSERT,
            LAYOUTS_INSERT,
            LANES_UPSERT,
        ];
        for statement in all {
            assert!(statement.columns * ROWS_PER_STATEMENT <= 32_766, "{}", statement.before);
        }
    }
}
