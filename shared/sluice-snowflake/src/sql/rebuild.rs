//! A table's replay, and its proof: a side table, what differs, and the swap.
//!
//! A row is known by the table's key where loads merge or replace by it, and else by its place: the file that it came from and
//! its number there. What is compared are the columns of the raw table but those that a load adds.

use sluice_core::{Disposition, Error, LakeId, Result, Table, TableId, names};
use sluice_pipeline::rebuild::Scope;

use super::{
    HANDLER, OBSERVABILITY, block,
    ddl::LOADED_COLUMNS,
    evolve::Present,
    ledger::{self, REPLAY, Status},
    lock, quote,
    swap::{self, REPLACED, REPLAYED},
};

/// What it answers when the table was loaded since it was looked at.
pub const MOVED: &str = "loaded meanwhile";

/// The code that the block raises when the table holds rows that the side table lacks.
pub const LAKE_LACKS_ROWS: &str = "-20003";

/// Which copy of a row one is.
const COPY: &str = "_SLUICE_COPY";

const PLACE: [&str; 2] = ["_SLUICE_SOURCE_FILE", "_SLUICE_ROW_NUMBER"];

/// One replay or proof.
#[derive(Debug, Clone)]
pub struct Rebuild<'a> {
    pub table: &'a Table,
    pub lake: &'a LakeId,
    /// Upper-case letters and digits; the side tables' names end in it.
    pub id: &'a str,
    /// Who asked for it, as AWS knows them.
    pub by: &'a str,
    /// The raw table's columns, as they are now.
    pub columns: &'a [Present],
}

/// A side table and another one to compare it with.
pub struct Pair<'a> {
    of: &'a Rebuild<'a>,
    side: TableId,
    other: TableId,
    key: Vec<String>,
    /// Folded.
    compared: Vec<String>,
    /// Whether a row of the other table, `t`, counts although the side table lacks it.
    counts: String,
}

/// Holds what the lake makes.
pub fn side_table(table: &TableId, id: &str) -> TableId {
    TableId { table: format!("{}__REPLAY_{id}", table.table), ..table.clone() }
}

/// Holds what the source has.
pub fn source_table(table: &TableId, id: &str) -> TableId {
    side_table(table, &format!("{id}_SOURCE"))
}

pub fn drop_side(side: &TableId) -> String {
    format!("DROP TABLE IF EXISTS {}", quote::table(side))
}

/// The memory of a table's lock: RECENT.
pub fn mark(lake: &LakeId, table: &TableId) -> String {
    format!("SELECT RECENT FROM {}", lock::name(lake, table))
}

/// The ledger's entries of a table's commits: SEQUENCE, RUN_ID, STATUS, ROWS_LOADED, REASON.
pub fn entries(lake: &LakeId, table: &TableId) -> String {
    format!(
        "SELECT SEQUENCE, RUN_ID, STATUS, ROWS_LOADED, REASON FROM {OBSERVABILITY}.LOADS WHERE {} AND LOADER <> '{REPLAY}'\n\
         ORDER BY SEQUENCE",
        ledger::is_table(lake, table)
    )
}

impl<'a> Rebuild<'a> {
    pub fn side_table(&self) -> TableId {
        side_table(&self.table.table, self.id)
    }

    pub fn source_table(&self) -> TableId {
        source_table(&self.table.table, self.id)
    }

    /// Makes a side table with the raw table's columns.
    pub fn create(&self, side: &TableId) -> Result<String> {
        let columns =
            self.columns.iter().map(|column| Ok(format!("{} {}", quote::column(&column.name), data_type(column)?)));
        Ok(super::create_table(&quote::table(side), &columns.collect::<Result<Vec<_>>>()?))
    }

    /// The side table and the raw table.
    pub fn with_table(&'a self, scope: &Scope) -> Pair<'a> {
        let keyed = self.table.disposition != Disposition::Append && !self.table.key.is_empty();
        let key = if keyed { self.key() } else { PLACE.map(str::to_owned).to_vec() };
        let sequence = "COALESCE(t._SLUICE_SEQUENCE, 0)";
        let mut counts = vec![format!("{sequence} <= {}", scope.newest)];
        counts.extend(scope.left_alone.iter().map(|(first, last)| match first == last {
            true => format!("{sequence} <> {first}"),
            false => format!("NOT ({sequence} BETWEEN {first} AND {last})"),
        }));
        let (side, other) = (self.side_table(), self.table.table.clone());
        let compared = self.own_columns().map(|column| column.name.clone()).collect();
        Pair { of: self, side, other, key, compared, counts: counts.join(" AND ") }
    }

    /// The side table and what the source has, by the table's key. Of a row that is both behind the cursor and ahead, the one
    /// behind counts; one that is only ahead is yet to be read.
    pub fn with_source(&'a self) -> Pair<'a> {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        let compared =
            self.table.columns.columns().iter().map(|column| names::fold(&column.name)).filter(has).collect();
        let (side, other) = (self.side_table(), self.source_table());
        Pair { of: self, side, other, key: self.key(), compared, counts: "t._SLUICE_SEQUENCE = 0".to_owned() }
    }

    fn key(&self) -> Vec<String> {
        self.table.key.iter().map(|name| quote::column(name)).collect()
    }

    fn own_columns(&self) -> impl Iterator<Item = &Present> {
        self.columns.iter().filter(|column| LOADED_COLUMNS.iter().all(|(name, _)| *name != column.name))
    }
}

impl Pair<'_> {
    pub fn compared(&self) -> &[String] {
        &self.compared
    }

    /// How the tables compare, by the commit that brought a row: NUMBER, BUILT, HELD, ONLY_BUILT, ONLY_HELD, DIFFERING, TWICE,
    /// and for each compared column, numbered from 1, BUILT_n, HELD_n and DIFFERING_n.
    pub fn compare(&self) -> String {
        let in_both = format!("s.{COPY} = 1 AND t.{COPY} = 1");
        let counts = format!("s.{COPY} = 1 OR {}", self.counts);
        let once = format!("COALESCE(t.{COPY}, 1) = 1");
        let columns = self.compared.iter().map(|name| quote::column(name)).zip(1..).map(|(name, at)| {
            format!(
                ",\nCOUNT(CASE WHEN {once} THEN s.{name} END) AS BUILT_{at}, COUNT(CASE WHEN {counts} THEN t.{name} END) AS HELD_{at}, \
                 COUNT(CASE WHEN {in_both} AND s.{name} IS DISTINCT FROM t.{name} THEN 1 END) AS DIFFERING_{at}"
            )
        });
        format!(
            "SELECT COALESCE(s._SLUICE_SEQUENCE, t._SLUICE_SEQUENCE, 0) AS NUMBER,\n\
             COUNT(CASE WHEN {once} THEN s.{COPY} END) AS BUILT, COUNT(CASE WHEN {counts} THEN t.{COPY} END) AS HELD,\n\
             COUNT(CASE WHEN t.{COPY} IS NULL THEN 1 END) AS ONLY_BUILT,\n\
             COUNT(CASE WHEN s.{COPY} IS NULL AND {} THEN 1 END) AS ONLY_HELD,\n\
             COUNT(CASE WHEN {in_both} AND ({}) THEN 1 END) AS DIFFERING,\n\
             COUNT(CASE WHEN s.{COPY} = 1 AND t.{COPY} > 1 THEN 1 END) AS TWICE{}\n\
             FROM {} FULL OUTER JOIN {}\n{}\n\
             GROUP BY COALESCE(s._SLUICE_SEQUENCE, t._SLUICE_SEQUENCE, 0) ORDER BY NUMBER",
            self.counts,
            self.differs(),
            columns.collect::<String>(),
            self.side_rows(),
            self.other_rows(),
            self.on(),
        )
    }

    /// Replaces what differs in the raw table. Rows that only it holds end it, unless they are to go. With a mark the table's
    /// lock must not have moved since: loads that stand in line there are seen in the change itself.
    pub fn swap(&self, mark: Option<&str>, commits: &str, delete: bool) -> Result<String> {
        let Rebuild { lake, id, by, columns, .. } = *self.of;
        let stands = mark.map_or_else(String::new, |mark| format!(" AND RECENT = {}", quote::literal(mark)));
        let claim = swap::claim(lake, &self.other, id, &stands, MOVED);
        let (side, other, on) = (self.side_rows(), self.other_rows(), self.on());
        let (side_name, other_name) = (quote::table(&self.side), quote::table(&self.other));
        let is_key = |left: &str, right: &str| {
            self.key.iter().map(|name| format!("{left}.{name} = {right}.{name}")).collect::<Vec<_>>().join(" AND ")
        };
        let keys = |of: &str| self.key.iter().map(|name| format!("{of}{name}")).collect::<Vec<_>>().join(", ");
        let guard = match delete {
            true => format!(
                "  DELETE FROM {other_name} t WHERE {} AND NOT EXISTS (SELECT 1 FROM {side_name} s WHERE {});
  LET deleted INTEGER := SQLROWCOUNT;
",
                self.counts,
                is_key("s", "t")
            ),
            false => format!(
                "  LET lacking INTEGER := (SELECT COUNT(*) FROM {other} LEFT JOIN {side}\n  {on}\n  WHERE s.{COPY} IS NULL AND {});
  IF (lacking > 0) THEN
    RAISE lake_lacks_rows;
  END IF;
",
                self.counts
            ),
        };
        let moved: Vec<String> = columns.iter().map(|column| quote::column(&column.name)).collect();
        let moved: Vec<&String> = moved.iter().filter(|name| *name != "_SLUICE_LOADED_AT").collect();
        let list = |of: &str| moved.iter().map(|name| format!("{of}{name}")).collect::<Vec<_>>().join(", ");
        let definitions = self.key.iter().map(|name| {
            let column = columns.iter().find(|column| quote::column(&column.name) == *name);
            let column =
                column.ok_or_else(|| Error::config("the raw table lacks a column of the key").with("column", name))?;
            Ok(format!("{name} {}", data_type(column)?))
        });
        let text = format!(
            "DECLARE
  lake_lacks_rows EXCEPTION ({LAKE_LACKS_ROWS}, 'the table holds rows that no loaded commit makes');
BEGIN
  CREATE OR REPLACE TEMPORARY TABLE {REPLACED} ({definitions});
{claim}{guard}  INSERT INTO {REPLACED}
  SELECT {s_keys} FROM {side} LEFT JOIN {other}
  {on}
  WHERE t.{COPY} IS NULL OR t.{COPY} > 1 OR {differs};
  DELETE FROM {other_name} t USING {REPLACED} p
  WHERE {t_is_p};
  INSERT INTO {other_name} ({columns}, _SLUICE_LOADED_AT)
  SELECT {s_columns}, SYSDATE() FROM {side_name} s JOIN (SELECT DISTINCT {keys} FROM {REPLACED}) p
  ON {s_is_p};
  INSERT INTO {OBSERVABILITY}.LOADS ({ledger_columns})
  SELECT {lake}, {name}, 0, {id}, '{loaded}', '{REPLAY}', \
             {deleted}(SELECT COUNT(*) FROM (SELECT DISTINCT {keys} FROM {REPLACED}) p), 0, {reason}, SYSDATE();
  COMMIT;
  RETURN '{REPLAYED}';
{HANDLER}",
            definitions = definitions.collect::<Result<Vec<_>>>()?.join(", "),
            id = quote::literal(id),
            deleted = if delete { ":deleted + " } else { "" },
            differs = self.differs(),
            s_keys = keys("s."),
            keys = keys(""),
            t_is_p = is_key("t", "p"),
            s_is_p = is_key("s", "p"),
            columns = list(""),
            s_columns = list("s."),
            ledger_columns = ledger::COLUMNS,
            lake = quote::literal(&lake.0),
            name = quote::literal(&self.other.to_string()),
            loaded = Status::Loaded.as_str(),
            reason = quote::literal(&format!("{commits} by {by}")),
        );
        block(&text, &self.other)
    }

    fn on(&self) -> String {
        let on = self.key.iter().map(|name| format!("s.{name} = t.{name}"));
        format!("ON {}", on.collect::<Vec<_>>().join(" AND "))
    }

    fn differs(&self) -> String {
        let differs = self.compared.iter().map(|name| quote::column(name));
        differs.map(|name| format!("s.{name} IS DISTINCT FROM t.{name}")).collect::<Vec<_>>().join(" OR ")
    }

    fn side_rows(&self) -> String {
        format!("(SELECT *, 1 AS {COPY} FROM {}) s", quote::table(&self.side))
    }

    /// Of several rows of one key, the first is compared and the others are copies.
    fn other_rows(&self) -> String {
        format!(
            "(SELECT *, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY _SLUICE_SEQUENCE NULLS LAST) AS {COPY} FROM {}) t",
            self.key.join(", "),
            quote::table(&self.other)
        )
    }
}

/// The type of a raw table's column in a statement that makes one like it.
fn data_type(column: &Present) -> Result<String> {
    match (column.data_type.as_str(), column.precision, column.scale) {
        ("NUMBER", Some(precision), Some(scale)) => Ok(format!("NUMBER({precision},{scale})")),
        ("TEXT", ..) => Ok("VARCHAR".to_owned()),
        ("TIMESTAMP_NTZ", ..) => Ok("TIMESTAMP_NTZ(6)".to_owned()),
        (kind @ ("DATE" | "BOOLEAN"), ..) => Ok(kind.to_owned()),
        (other, ..) => {
            let error = Error::unsupported("the raw table has a column of a type that no contract has");
            Err(error.with("column", &column.name).with("type", other).as_final())
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Kind, Sequence, Sources};

    use super::*;
    use crate::sql::{load::side, load::tests::commit, snapshot};

    fn present(name: &str, data_type: &str, number: Option<(u8, i8)>) -> Present {
        let (precision, scale) = number.unzip();
        Present { name: name.into(), data_type: data_type.into(), precision, scale }
    }

    type Own<'a> = (&'a str, &'a str, Option<(u8, i8)>);

    fn columns(own: &[Own<'_>]) -> Vec<Present> {
        let added = [
            ("_SLUICE_RUN_ID", "TEXT", None),
            ("_SLUICE_SEQUENCE", "NUMBER", Some((20, 0))),
            ("_SLUICE_LOADED_AT", "TIMESTAMP_NTZ", None),
            ("_SLUICE_SOURCE_FILE", "TEXT", None),
            ("_SLUICE_ROW_NUMBER", "NUMBER", Some((20, 0))),
        ];
        own.iter().chain(&added).map(|(name, data_type, number)| present(name, data_type, *number)).collect()
    }

    #[test]
    fn the_statements_of_a_replay_and_of_a_proof() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        let table = |name: &str| sources.tables.iter().find(|table| table.table.table == name).expect("a table");
        let lake = LakeId("sluice-local".into());
        let of = columns(&[
            ("AUDIT_ID", "NUMBER", Some((19, 0))),
            ("PRODUCT_ID", "NUMBER", Some((19, 0))),
            ("PRODUCT_NAME", "TEXT", None),
            ("PRICE_USD", "NUMBER", Some((18, 4))),
            ("OPERATION", "TEXT", None),
            ("VALID_TS", "TIMESTAMP_NTZ", None),
        ]);
        let rebuild = Rebuild { table: table("PRODUCTS"), lake: &lake, id: "A1", by: "arn:user/o'n", columns: &of };
        // One whose columns only quoting keeps apart.
        let rates = columns(&[("RATE", "NUMBER", Some((18, 10))), ("It's \"so\"", "DATE", None)]);
        let appended = Rebuild { table: table("EXCHANGE_RATES"), columns: &rates, ..rebuild.clone() };
        let scope =
            Scope { newest: Sequence(9), left_alone: vec![(Sequence(1), Sequence(3)), (Sequence(5), Sequence(5))] };
        let (side, source) = (rebuild.side_table(), rebuild.source_table());
        let added = |name: &str, rows, side: &TableId| side::add(&commit(name, rows), side).expect("a block");
        let files = commit("DLT.APPLICATION_DATA.PRODUCTS", 2).files;
        snapshot::check(
            "rebuild",
            &[
                mark(&lake, &rebuild.table.table),
                entries(&lake, &rebuild.table.table),
                rebuild.create(&side).expect("a table"),
                added("DLT.APPLICATION_DATA.PRODUCTS", 2, &side),
                rebuild.with_table(&scope).compare(),
                rebuild.with_table(&scope).swap(Some(",1,2,"), "commits 1-9", false).expect("a block"),
                rebuild.with_table(&scope).swap(None, "commits 1-9", true).expect("a block"),
                rebuild.create(&source).expect("a table"),
                side::fill(&source, &files[..1], &files[1..]).expect("a block"),
                rebuild.with_source().compare(),
                drop_side(&source),
                drop_side(&side),
            ],
        );
        let side = appended.side_table();
        snapshot::check(
            "rebuild_others",
            &[
                added("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 1, &side),
                added("DLT.OPEN_EXCHANGE_RATES.CURRENCIES", 1, &side),
                appended.with_table(&scope).compare(),
                appended.with_table(&scope).swap(None, "commits 1-9", true).expect("a block"),
            ],
        );
    }

    #[test]
    fn a_column_of_a_type_that_no_contract_has_is_named() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        let (lake, columns) = (LakeId("l".into()), [present("N", "FLOAT", None)]);
        let rebuild = Rebuild { table: &sources.tables[0], lake: &lake, id: "A1", by: "b", columns: &columns };
        let error = rebuild.create(&rebuild.side_table()).expect_err("no such type");
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("column=N"), "{error}");
    }
}
