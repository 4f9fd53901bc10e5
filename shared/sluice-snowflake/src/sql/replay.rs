//! A replay of a streaming table: a side table, what differs, and the swap.
//!
//! The side table has the columns of the live one. What differs is asked over both, partition by partition, within the
//! replayed ranges of offsets and only among the rows of the channels that the ranges belong to. The swap is one block
//! and one transaction: it finds the differing rows again, replaces them, and writes the ledger's row. Rows that agree
//! stay as they are, so that a replay of what is right changes nothing; rows above the ranges are never looked at.

use sluice_core::{DataFile, LakeId, Result, Table, TableId, commit, port::Row};
pub use sluice_pipeline::replay::Range;

use super::{
    HANDLER, OBSERVABILITY, block, ddl,
    ledger::{self, REPLAY, Status},
    load::{self, LOOK_AGAIN},
    quote,
    swap::{self, REPLACED, REPLAYED},
};

/// The code that the block raises when the table holds rows that the archive lacks.
pub const ARCHIVE_LACKS_ROWS: &str = "-20002";

/// One replay.
#[derive(Debug, Clone)]
pub struct Replay<'a> {
    pub table: &'a Table,
    pub topic: &'a str,
    pub lake: &'a LakeId,
    /// Upper-case letters and digits; the side table's name ends in it.
    pub id: &'a str,
    /// Who asked for it, as AWS knows them.
    pub by: &'a str,
    /// Not empty.
    pub ranges: &'a [Range],
}

/// Counts the live table's rows of a topic: NUMBER (a partition), ROW_COUNT, OFFSETS (how many different ones).
pub fn live(replay: &Replay<'_>) -> String {
    format!(
        "SELECT _KAFKA_PARTITION AS NUMBER, COUNT(*) AS ROW_COUNT, COUNT(DISTINCT _KAFKA_OFFSET) AS OFFSETS\nFROM {}\n\
         WHERE {}\nGROUP BY _KAFKA_PARTITION ORDER BY NUMBER",
        quote::table(&replay.table.table),
        replay.is_in_range("")
    )
}

impl Replay<'_> {
    pub fn side_table(&self) -> TableId {
        TableId { table: format!("{}__REPLAY_{}", self.table.table.table, self.id), ..self.table.table.clone() }
    }

    /// Makes the side table with the live table's columns.
    pub fn create(&self) -> String {
        ddl::raw_table(&Table { table: self.side_table(), ..self.table.clone() })
    }

    /// Fills the side table with what the files hold, whatever it held before.
    pub fn load(&self, files: &[DataFile]) -> Result<String> {
        let side = quote::table(&self.side_table());
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let text = format!(
            "DECLARE
  rows_mismatch EXCEPTION ({mismatch}, 'rows loaded differ from rows written');
BEGIN
  BEGIN TRANSACTION;
  DELETE FROM {side};
{copies}  LET loaded INTEGER := (SELECT COUNT(*) FROM {side});
  IF (loaded <> {rows}) THEN
    RAISE rows_mismatch;
  END IF;
{compare}  COMMIT;
  RETURN '{loaded}';
{handler}",
            mismatch = load::ROWS_MISMATCH,
            copies = load::copies(&side, files, ""),
            compare = commit::values(files).map_or_else(String::new, |values| load::compare_values(
                &side,
                &self.columns(),
                &values
            )),
            loaded = load::LOADED,
            handler = HANDLER,
        );
        block(&text, &self.table.table)
    }

    /// Fails when the block's answer says that the side table lacks values of a file.
    pub fn permit_loaded(&self, answer: &[Row]) -> Result<()> {
        let said = answer.first().and_then(|row| row.get(load::RESULT_COLUMN)).and_then(Option::as_deref);
        let names = self.columns();
        load::refuse_differing(said.unwrap_or_default(), names.iter().map(String::as_str))
            .map_err(|error| error.with("table", &self.table.table))
    }

    /// How side table and live table compare: NUMBER (a partition), ARCHIVED and HELD (offsets), ONLY_ARCHIVED, ONLY_HELD,
    /// DIFFERING and TWICE (rows that are there more than once).
    pub fn compare(&self) -> String {
        format!(
            "SELECT COALESCE(s._KAFKA_PARTITION, t._KAFKA_PARTITION) AS NUMBER,\n\
             COUNT(DISTINCT s._KAFKA_OFFSET) AS ARCHIVED, COUNT(DISTINCT t._KAFKA_OFFSET) AS HELD,\n\
             COUNT(CASE WHEN t._KAFKA_OFFSET IS NULL THEN 1 END) AS ONLY_ARCHIVED,\n\
             COUNT(CASE WHEN s._KAFKA_OFFSET IS NULL THEN 1 END) AS ONLY_HELD,\n\
             COUNT(CASE WHEN s._KAFKA_OFFSET IS NOT NULL AND t._KAFKA_OFFSET IS NOT NULL AND ({}) THEN 1 END) AS DIFFERING,\n\
             COUNT(t._KAFKA_OFFSET) - COUNT(DISTINCT t._KAFKA_OFFSET) AS TWICE\n\
             FROM {} FULL OUTER JOIN {}\n{ON}\n\
             GROUP BY COALESCE(s._KAFKA_PARTITION, t._KAFKA_PARTITION) ORDER BY NUMBER",
            self.differs(),
            self.side_rows(),
            self.live_rows(),
        )
    }

    /// Replaces what differs. Rows that only the live table holds end it, unless they are to go.
    pub fn swap(&self, files: usize, delete_only_held: bool) -> Result<String> {
        let is_table = ledger::is_table(self.lake, &self.table.table);
        let claim = swap::claim(self.lake, &self.table.table, self.id, "", LOOK_AGAIN);
        let (side, live) = (self.side_rows(), self.live_rows());
        let only_held = format!("FROM {live} LEFT JOIN {side}\n  {ON}\n  WHERE s._KAFKA_OFFSET IS NULL");
        let guard = if delete_only_held {
            format!("  INSERT INTO {REPLACED}\n  SELECT t._KAFKA_PARTITION, t._KAFKA_OFFSET {only_held};\n")
        } else {
            format!(
                "  LET lacking INTEGER := (SELECT COUNT(*) {only_held});
  IF (lacking > 0) THEN
    RAISE archive_lacks_rows;
  END IF;
"
            )
        };
        let columns = self.columns();
        let text = format!(
            "DECLARE
  archive_lacks_rows EXCEPTION ({ARCHIVE_LACKS_ROWS}, 'the table holds rows that the archive lacks');
BEGIN
  CREATE OR REPLACE TEMPORARY TABLE {REPLACED} (KAFKA_PARTITION NUMBER(10,0), KAFKA_OFFSET NUMBER(20,0));
{claim}{guard}  INSERT INTO {REPLACED}
  SELECT s._KAFKA_PARTITION, s._KAFKA_OFFSET FROM {side} LEFT JOIN {live}
  {ON}
  WHERE t._KAFKA_OFFSET IS NULL OR {differs};
  INSERT INTO {REPLACED}
  SELECT t._KAFKA_PARTITION, t._KAFKA_OFFSET FROM {live}
  GROUP BY t._KAFKA_PARTITION, t._KAFKA_OFFSET HAVING COUNT(*) > 1;
  DELETE FROM {table} t USING {REPLACED} p
  WHERE t._KAFKA_PARTITION = p.KAFKA_PARTITION AND t._KAFKA_OFFSET = p.KAFKA_OFFSET AND ({in_range});
  INSERT INTO {table} ({columns}, _SLUICE_LOADED_AT)
  SELECT {values}, SYSDATE() FROM {side} JOIN (SELECT DISTINCT KAFKA_PARTITION, KAFKA_OFFSET FROM {REPLACED}) p
  ON s._KAFKA_PARTITION = p.KAFKA_PARTITION AND s._KAFKA_OFFSET = p.KAFKA_OFFSET;
  INSERT INTO {OBSERVABILITY}.LOADS ({ledger_columns})
  SELECT {lake}, {name}, COALESCE(MAX(SEQUENCE), 0) + 1, {id}, '{loaded}', '{REPLAY}', \
             (SELECT COUNT(*) FROM (SELECT DISTINCT KAFKA_PARTITION, KAFKA_OFFSET FROM {REPLACED}) p), {files}, {reason}, SYSDATE()
  FROM {OBSERVABILITY}.LOADS WHERE {is_table};
  COMMIT;
  RETURN '{REPLAYED}';
{handler}",
            id = quote::literal(self.id),
            differs = self.differs(),
            table = quote::table(&self.table.table),
            in_range = self.is_in_range("t."),
            columns = columns.join(", "),
            values = columns.iter().map(|column| format!("s.{column}")).collect::<Vec<_>>().join(", "),
            ledger_columns = ledger::COLUMNS,
            lake = quote::literal(&self.lake.0),
            name = quote::literal(&self.table.table.to_string()),
            loaded = Status::Loaded.as_str(),
            reason = quote::literal(&self.reason()),
            handler = HANDLER,
        );
        block(&text, &self.table.table)
    }

    pub fn drop_side_table(&self) -> String {
        format!("DROP TABLE IF EXISTS {}", quote::table(&self.side_table()))
    }

    /// Every column but the time at which a row has reached the live table.
    fn columns(&self) -> Vec<String> {
        let own = self.table.columns.columns().iter().map(|column| quote::column(&column.name));
        let added = ddl::LOADED_COLUMNS.iter().chain(&ddl::KAFKA_COLUMNS).map(|(name, _)| (*name).to_owned());
        own.chain(added).filter(|name| name != "_SLUICE_LOADED_AT").collect()
    }

    /// Whether two rows of one place say different things. Which run brought them does not count.
    fn differs(&self) -> String {
        let own = self.table.columns.columns().iter().map(|column| quote::column(&column.name));
        let compared = own.chain(["_KAFKA_TIMESTAMP".to_owned()]);
        compared.map(|name| format!("s.{name} IS DISTINCT FROM t.{name}")).collect::<Vec<_>>().join(" OR ")
    }

    fn side_rows(&self) -> String {
        format!("(SELECT * FROM {} WHERE {}) s", quote::table(&self.side_table()), self.is_in_range(""))
    }

    fn live_rows(&self) -> String {
        format!("(SELECT * FROM {} WHERE {}) t", quote::table(&self.table.table), self.is_in_range(""))
    }

    fn is_in_range(&self, of: &str) -> String {
        let range = |Range { partition, first, last, channel }: &Range| {
            let prefix = format!("{channel}/");
            format!(
                "({of}_KAFKA_PARTITION = {partition} AND {of}_KAFKA_OFFSET BETWEEN {first} AND {last} \
                 AND LEFT({of}_SLUICE_RUN_ID, {}) = {})",
                prefix.chars().count(),
                quote::literal(&prefix)
            )
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(" OR ")
    }

    /// The ranges and who asked, for people who read the ledger.
    fn reason(&self) -> String {
        let range = |range: &Range| format!("{}-{}:{}-{}", self.topic, range.partition, range.first, range.last);
        format!("{} by {}", self.ranges.iter().map(range).collect::<Vec<_>>().join(" "), self.by)
    }
}

/// How the two tables' rows find each other.
const ON: &str = "ON s._KAFKA_PARTITION = t._KAFKA_PARTITION AND s._KAFKA_OFFSET = t._KAFKA_OFFSET";

#[cfg(test)]
mod tests {
    use sluice_core::{Kind, Sources};

    use super::*;
    use crate::sql::snapshot;

    fn ranges() -> Vec<Range> {
        let range = |partition, first, last| Range {
            partition,
            first,
            last,
            channel: format!("sluice-local_kafka_purchases_{partition}"),
        };
        vec![range(0, 3, 7), range(2, 0, 1)]
    }

    fn table() -> Table {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        sources.topic("purchases").expect("a table").clone()
    }

    fn file() -> DataFile {
        let file = serde_json::json!({
            "path": "raw/x/part-00000.parquet", "rows": 4, "bytes": 1, "checksum": "x",
            "values": [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
        });
        serde_json::from_value(file).expect("a file")
    }

    #[test]
    fn the_replay_of_a_shipped_table() {
        let (table, ranges, lake) = (table(), ranges(), LakeId("sluice-local".into()));
        let replay =
            Replay { table: &table, topic: "purchases", lake: &lake, id: "A1", by: "arn:user/o'n", ranges: &ranges };
        snapshot::check(
            "replay",
            &[
                live(&replay),
                replay.create(),
                replay.load(&[file()]).expect("a block"),
                replay.compare(),
                replay.swap(1, false).expect("a block"),
                replay.swap(1, true).expect("a block"),
                replay.drop_side_table(),
            ],
        );
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes_or_are_refused() {
        let (mut table, mut ranges, lake) = (table(), ranges(), LakeId(r"o'lake\".into()));
        for (column, name) in table.columns.0.iter_mut().zip(["a.b", "it's \"quoted\"", "select"]) {
            column.name = name.into();
        }
        ranges[0].channel = r"o'lake\_c_t'; --_0".into();
        let replay =
            Replay { table: &table, topic: "t'; --", lake: &lake, id: "A1", by: "arn:user/o'n", ranges: &ranges[..1] };
        snapshot::check("replay_hostile", &[replay.compare(), replay.swap(1, true).expect("a block")]);
        table.columns.0[0].name = "cash$$".into();
        let replay = Replay { table: &table, topic: "t", lake: &lake, id: "A1", by: "arn:user/o'n", ranges: &ranges };
        let error = replay.swap(1, false).expect_err("two dollar signs");
        assert!(error.kind() == Kind::Unsupported && error.is_final(), "{error}");
    }
}
