//! The load of one commit: one scripting block, so one request and one transaction.
//!
//! The temporary table is made before the transaction, because DDL would commit it. The first statement inside updates
//! the raw table's lock (see [`lock`]): it makes deliveries stand in line, table by table, and it decides. A commit
//! that the lock remembers changes no row of it, and what another session has committed a moment ago cannot be missed
//! there, while a look into the ledger can. The ledger is asked as well, for commits that are older than the lock, and it
//! alone may say that a commit is loaded. The last statement writes it. Whatever fails in between rolls everything back and
//! reaches the caller with its own code.

use sluice_core::{Commit, DataFile, Disposition, Error, Loader, Result, commit, port::Row};

use super::{
    OBSERVABILITY, ddl,
    ledger::{self, Status},
    lock, quote,
};

/// What the block answers when it has loaded the commit.
pub const LOADED: &str = "loaded";

/// What the block answers when an earlier delivery had loaded it.
pub const ALREADY_LOADED: &str = "already loaded";

/// What the block answers when the lock remembers the commit, or is not there, and the ledger does not know it (yet).
pub const LOOK_AGAIN: &str = "look again";

/// The column of the block's one row.
pub const RESULT_COLUMN: &str = "anonymous block";

/// How a block's answer begins when it has loaded nothing, because a column's values are not all there; the column's number
/// follows, from 1.
const VALUES_DIFFER: &str = "values differ in column ";

/// How the answer begins of a block that has merged rows of one key; the number of rows that the table did not get follows.
const MERGED_AWAY: &str = "loaded, merged away: ";

/// What the ledger says of it.
const MERGED_REASON: &str =
    "CASE WHEN :merged > 0 THEN 'rows merged away, because others of the commit have their key: ' || :merged END";

/// The code that the block raises when the files hold another number of rows than the commit says.
pub const ROWS_MISMATCH: &str = "-20001";

/// The longest text of a statement that Snowflake takes, in bytes.
pub const STATEMENT_BYTES: usize = 1_000_000;

/// The most files that one COPY takes.
const FILES_PER_COPY: usize = 1_000;

/// Temporary, so private to the request: one name does for all.
const INCOMING: &str = "ADMIN.OBSERVABILITY.INCOMING";

/// Where a row came from, as COPY tells it.
const ORIGIN: [&str; 2] = ["_SLUICE_SOURCE_FILE", "_SLUICE_ROW_NUMBER"];

/// The same as COPY is asked for it.
const ORIGIN_METADATA: &str = "  INCLUDE_METADATA = (_SLUICE_SOURCE_FILE = METADATA$FILENAME, \
    _SLUICE_ROW_NUMBER = METADATA$FILE_ROW_NUMBER)\n";

/// How every block ends: a failure rolls everything back and goes on to the caller.
pub(crate) const HANDLER: &str = "EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
";

/// Renders the block that loads a commit. Refuses what no block can do: a merge without a key, a table that Snowpipe or
/// a stream loads, and a name that would end the block's quotation.
pub fn render(commit: &Commit) -> Result<String> {
    if commit.loader != Loader::Copy {
        let error = Error::unsupported("only a table whose loader is copy is loaded by a block");
        return Err(error.with("table", &commit.table).as_final());
    }
    if commit.disposition == Disposition::Merge && commit.key.is_empty() {
        let error = Error::invalid_data("a merge needs a key and the commit has none");
        return Err(error.with("table", &commit.table).as_final());
    }
    let block = block(commit);
    if block.contains("$$") {
        let error = Error::unsupported("a name in the commit holds two dollar signs in a row");
        return Err(error.with("table", &commit.table).as_final());
    }
    let statement = format!("EXECUTE IMMEDIATE $$\n{block}$$");
    if statement.len() > STATEMENT_BYTES {
        let error = Error::unsupported("the commit's files and columns do not fit into one statement");
        let error =
            error.with("files", commit.files.len()).with("bytes", statement.len()).with("limit", STATEMENT_BYTES);
        return Err(error.with("table", &commit.table).as_final().with_hint(
            "move the table's cursor back with `sluice reset`, then read it in smaller steps: a shorter range by `sluice \
             run TABLE --from … --to …`, or fewer and larger files",
        ));
    }
    Ok(statement)
}

/// How many rows the block says gave way to others of their key within the commit; `None` when it says nothing of them. An
/// error when it has loaded nothing, because values are missing or too many.
pub fn merged_away(commit: &Commit, answer: &[Row]) -> Result<Option<u64>> {
    let said = answer.first().and_then(|row| row.get(RESULT_COLUMN)).and_then(Option::as_deref).unwrap_or_default();
    let names = commit.schema.columns().iter().map(|column| column.name.as_str());
    refuse_differing(said, names).map_err(|error| error.with("table", &commit.table))?;
    let rows = said.strip_prefix(MERGED_AWAY).map(str::parse).transpose();
    rows.map_err(|_| Error::internal("the block's answer holds no number of rows").with("answer", said))
}

/// Fails when the answer says that a column's values differ, and names the column.
pub fn refuse_differing<'a>(said: &str, mut names: impl Iterator<Item = &'a str>) -> Result<()> {
    let Some(number) = said.strip_prefix(VALUES_DIFFER) else { return Ok(()) };
    let name = number.parse::<usize>().ok().and_then(|number| names.nth(number.checked_sub(1)?)).unwrap_or(number);
    Err(values_differ(name))
}

fn values_differ(column: &str) -> Error {
    let message = "the warehouse read another number of values from the files than were written; nothing was merged";
    let hint = "compare the raw table's column and the file format SLUICE_PARQUET with what the foundation makes; when they \
                are right, `sluice retry`";
    Error::invalid_data(message).with("column", column).with_hint(hint).as_final()
}

/// Asks how the values of a commit that Snowpipe has loaded compare: DIFFERING is the number of a column that has more or
/// fewer than the commit says, 0 if none has. `None` for a commit that does not count.
pub fn piped_values(commit: &Commit) -> Option<String> {
    let differing = first_differing(&column_names(commit), &commit::values(&commit.files)?);
    Some(format!(
        "SELECT {differing} AS DIFFERING FROM {} WHERE _SLUICE_RUN_ID = {} AND _SLUICE_SEQUENCE = {}",
        quote::table(&commit.table),
        quote::literal(&commit.run_id.0),
        commit.sequence
    ))
}

/// Fails when the answer to [`piped_values`] names a column.
pub fn refuse_piped(commit: &Commit, answer: &[Row]) -> Result<()> {
    let number = answer.first().map(|row| sluice_core::port::required(row, "differing")).transpose()?.unwrap_or("0");
    let names = commit.schema.columns().iter().map(|column| column.name.as_str());
    match number {
        "0" => Ok(()),
        number => {
            refuse_differing(&format!("{VALUES_DIFFER}{number}"), names).map_err(|e| e.with("table", &commit.table))
        }
    }
}

fn block(commit: &Commit) -> String {
    let is_commit = ledger::is_commit(&commit.lake_id, &commit.table, commit.sequence);
    let (count_merged, tell_merged, reason) = match merges_rows(commit) {
        true => (
            count_merged(commit),
            format!("  IF (merged > 0) THEN\n    RETURN '{MERGED_AWAY}' || merged;\n  END IF;\n"),
            MERGED_REASON,
        ),
        false => (String::new(), String::new(), "NULL"),
    };
    format!(
        "DECLARE
  rows_mismatch EXCEPTION ({ROWS_MISMATCH}, 'rows loaded differ from rows committed');
BEGIN
  {incoming};
  BEGIN TRANSACTION;
  {claim};
  LET claimed INTEGER := SQLROWCOUNT;
  LET done INTEGER := (SELECT COUNT(*) FROM {OBSERVABILITY}.LOADS WHERE {is_commit} AND STATUS = 'loaded');
  IF (done > 0) THEN
    ROLLBACK;
    RETURN '{ALREADY_LOADED}';
  END IF;
  IF (claimed = 0) THEN
    ROLLBACK;
    RETURN '{LOOK_AGAIN}';
  END IF;
{copies}  LET loaded INTEGER := (SELECT COUNT(*) FROM {INCOMING});
  IF (loaded <> {rows}) THEN
    RAISE rows_mismatch;
  END IF;
{compare}{count_merged}{apply}  INSERT INTO {OBSERVABILITY}.LOADS ({columns})
  SELECT {values};
  COMMIT;
{tell_merged}  RETURN '{LOADED}';
{HANDLER}",
        incoming = incoming(commit),
        claim = lock::claim(commit),
        copies = copies(INCOMING, &commit.files, ORIGIN_METADATA),
        rows = commit.rows,
        compare = commit::values(&commit.files).map_or_else(String::new, |values| compare_values(
            INCOMING,
            &column_names(commit),
            &values
        )),
        apply = apply(commit),
        columns = ledger::COLUMNS,
        values = ledger::values(commit, Status::Loaded, commit.rows, reason),
    )
}

fn column_names(commit: &Commit) -> Vec<String> {
    commit.schema.columns().iter().map(|column| quote::column(&column.name)).collect()
}

/// Ends the block when a column of a table has more or fewer values than were written. A column that COPY has met in no file
/// is NULL without a word.
pub(crate) fn compare_values(of: &str, names: &[String], values: &[u64]) -> String {
    let differing = first_differing(names, values);
    format!(
        "  LET differing INTEGER := (SELECT {differing} FROM {of});
  IF (differing > 0) THEN
    ROLLBACK;
    RETURN '{VALUES_DIFFER}' || differing;
  END IF;
"
    )
}

/// The number of the first column that has another count, or 0.
fn first_differing(names: &[String], values: &[u64]) -> String {
    let cases = names.iter().zip(values).zip(1..);
    let cases: String = cases.map(|((name, count), at)| format!(" WHEN COUNT({name}) <> {count} THEN {at}")).collect();
    format!("CASE{cases} ELSE 0 END")
}

/// Whether rows of one key become one.
fn merges_rows(commit: &Commit) -> bool {
    commit.disposition != Disposition::Append && !commit.key.is_empty() && commit.rows > 0
}

/// How many rows are left out because another one of the commit has their key.
fn count_merged(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    format!(
        "  LET merged INTEGER := (SELECT {} - COUNT(*) FROM (SELECT DISTINCT {} FROM {INCOMING}) k);\n",
        commit.rows,
        key.join(", ")
    )
}

fn incoming(commit: &Commit) -> String {
    let mut columns: Vec<String> = commit.schema.columns().iter().map(ddl::column_definition).collect();
    columns.push("_SLUICE_SOURCE_FILE VARCHAR".to_owned());
    columns.push("_SLUICE_ROW_NUMBER NUMBER(20,0)".to_owned());
    format!("CREATE OR REPLACE TEMPORARY TABLE {INCOMING} (\n    {}\n  )", columns.join(",\n    "))
}

/// FORCE, because the table is new and Snowflake's memory of loaded files is not what guards. `metadata` is a line of its
/// own, or nothing.
pub(crate) fn copies(into: &str, files: &[DataFile], metadata: &str) -> String {
    let mut copies = String::new();
    for files in files.chunks(FILES_PER_COPY) {
        let folder = common_folder(files);
        let stage = quote::literal(&format!("@{OBSERVABILITY}.LAKE/{folder}"));
        let files: Vec<String> =
            files.iter().map(|file| quote::literal(file.path.strip_prefix(folder).unwrap_or(&file.path))).collect();
        copies.push_str(&format!(
            "  COPY INTO {into}
  FROM {stage}
  FILES = ({})
  {}
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
{metadata}  ON_ERROR = ABORT_STATEMENT
  FORCE = TRUE;
",
            files.join(", "),
            ddl::file_format_clause()
        ));
    }
    copies
}

/// The deepest folder that all files are in, with its slash: what is said once need not be said for each file, and a
/// statement has a limit.
fn common_folder(files: &[DataFile]) -> &str {
    let Some((first, rest)) = files.split_first() else { return "" };
    let mut common = first.path.as_str();
    for file in rest {
        let same = common.char_indices().zip(file.path.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
        common = &common[..same.unwrap_or(common.len().min(file.path.len()))];
    }
    common.rfind('/').map_or("", |slash| &common[..=slash])
}

/// A reset has no rows, and none is what it must change: an empty replacement would empty the table.
fn apply(commit: &Commit) -> String {
    if commit.reset.is_some() {
        return String::new();
    }
    match commit.disposition {
        Disposition::Append => insert(commit, "  "),
        Disposition::Replace => replace(commit),
        Disposition::Merge => merge(commit),
    }
}

/// Sequences may arrive out of order, and the rows of the highest one are the table.
fn replace(commit: &Commit) -> String {
    format!(
        "  LET newer INTEGER := (SELECT COUNT(*) FROM {} WHERE HIGHEST > {});
  IF (newer = 0) THEN
    DELETE FROM {};
{}  END IF;
",
        lock::name(&commit.lake_id, &commit.table),
        commit.sequence,
        quote::table(&commit.table),
        insert(commit, "    ")
    )
}

fn insert(commit: &Commit, indent: &str) -> String {
    let (columns, values) = row(commit, "");
    // Appended rows are facts, each of which counts; a replaced table has one row per key.
    let one_per_key = match commit.disposition {
        Disposition::Append => String::new(),
        Disposition::Merge | Disposition::Replace if commit.key.is_empty() => String::new(),
        Disposition::Merge | Disposition::Replace => format!("\n{indent}{}", newest_per_key(commit)),
    };
    format!(
        "{indent}INSERT INTO {} ({columns})\n{indent}SELECT {values} FROM {INCOMING}{one_per_key};\n",
        quote::table(&commit.table)
    )
}

/// With a version column the newer version wins, and of equal versions the later load; without one a row never changes.
/// No version is older than any: a comparison with NULL would be neither true nor false, and the row would stay for ever.
fn merge(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    let on: Vec<String> = key.iter().map(|name| format!("t.{name} = s.{name}")).collect();
    let (columns, values) = row(commit, "s.");
    let update = commit.version_column.as_deref().map(quote::column).map(|version| {
        format!(
            "  WHEN MATCHED AND (s.{version} > t.{version} OR (t.{version} IS NULL AND s.{version} IS NOT NULL)
    OR (s.{version} IS NOT DISTINCT FROM t.{version} AND {} > COALESCE(t._SLUICE_SEQUENCE, 0)))
    THEN UPDATE SET {}
",
            commit.sequence,
            assignments(commit)
        )
    });
    format!(
        "  MERGE INTO {} t
  USING (
    SELECT * FROM {INCOMING}
    {}
  ) s
  ON {}
{}  WHEN NOT MATCHED THEN INSERT ({columns})
    VALUES ({values});
",
        quote::table(&commit.table),
        newest_per_key(commit),
        on.join(" AND "),
        update.unwrap_or_default()
    )
}

/// One row per key, the same one each time. NULLS LAST, because Snowflake would rank a missing version highest.
fn newest_per_key(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    let version = commit.version_column.as_deref().map(|name| format!("{} DESC NULLS LAST, ", quote::column(name)));
    let [file, number] = ORIGIN;
    format!(
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {}{file} DESC, {number} DESC) = 1",
        key.join(", "),
        version.unwrap_or_default()
    )
}

/// The target's columns and, in the same order, their values.
fn row(commit: &Commit, from: &str) -> (String, String) {
    let mut columns: Vec<String> = commit.schema.columns().iter().map(|column| quote::column(&column.name)).collect();
    let mut values: Vec<String> = columns.iter().map(|column| format!("{from}{column}")).collect();
    for (column, value) in loaded_values(commit, from) {
        columns.push(column.to_owned());
        values.push(value);
    }
    (columns.join(", "), values.join(", "))
}

fn assignments(commit: &Commit) -> String {
    let changing = commit.schema.columns().iter().filter(|column| !commit.key.contains(&column.name));
    let mut assignments: Vec<String> =
        changing.map(|column| quote::column(&column.name)).map(|column| format!("{column} = s.{column}")).collect();
    assignments.extend(loaded_values(commit, "s.").map(|(column, value)| format!("{column} = {value}")));
    assignments.join(", ")
}

fn loaded_values(commit: &Commit, from: &str) -> [(&'static str, String); 5] {
    let [file, number] = ORIGIN;
    [
        ("_SLUICE_RUN_ID", quote::literal(&commit.run_id.0)),
        ("_SLUICE_SEQUENCE", commit.sequence.to_string()),
        ("_SLUICE_LOADED_AT", "SYSDATE()".to_owned()),
        (file, format!("{from}{file}")),
        (number, format!("{from}{number}")),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use sluice_core::{Kind, Sources, Table, lake};

    use super::*;
    use crate::sql::snapshot;

    /// A commit of a shipped table, with one file of one row for each of `rows`.
    pub(crate) fn commit(table: &str, rows: u64) -> Commit {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        of(sources.table(&table.parse().expect("a table name")).expect("a shipped table"), rows)
    }

    fn of(table: &Table, rows: u64) -> Commit {
        let run = sluice_core::RunId("0198c5a0-0000-7000-8000-000000000001".into());
        let file = |part: u64| {
            serde_json::json!({
                "path": lake::data_key(&table.table, &run, part as usize), "rows": 1, "bytes": 1, "checksum": "x"
            })
        };
        let commit = serde_json::json!({
            "format_version": 1, "lake_id": "sluice-local", "table": table.table, "sequence": 7, "run_id": run,
            "loader": table.loader, "disposition": table.disposition, "key": table.key,
            "version_column": table.version_column, "schema": table.columns, "schema_fingerprint": "", "rows": rows,
            "files": (0..rows).map(file).collect::<Vec<_>>(),
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
        });
        serde_json::from_value(commit).expect("a valid commit")
    }

    fn check(name: &str, commit: &Commit) {
        snapshot::check(name, &[render(commit).expect("a block")]);
    }

    #[test]
    fn a_merge_of_rows_that_never_change_inserts_what_is_absent() {
        check("load_products", &commit("DLT.APPLICATION_DATA.PRODUCTS", 2));
    }

    #[test]
    fn a_commit_that_counts_its_values_has_them_compared_before_the_merge() {
        let mut counted = commit("DLT.APPLICATION_DATA.PRODUCTS", 2);
        counted.files[0].values = vec![1; 6];
        assert_eq!(commit::values(&counted.files), None, "one file does not tell");
        counted.files[1].values = vec![1, 1, 0, 1, 1, 1];
        check("load_counted", &counted);

        let said = |text: &str| vec![Row::from([(RESULT_COLUMN.to_owned(), Some(text.to_owned()))])];
        assert_eq!(merged_away(&counted, &said(LOADED)).expect("loaded"), None);
        assert_eq!(merged_away(&counted, &said("loaded, merged away: 7")).expect("loaded"), Some(7));
        let error = merged_away(&counted, &said("values differ in column 3")).expect_err("nothing is loaded");
        assert!(error.is_final() && error.to_string().contains("column=product_name"), "{error}");
    }

    #[test]
    fn a_merge_with_a_version_updates_only_to_a_newer_one() {
        check("load_contacts", &commit("AIRBYTE.HUBSPOT.CONTACTS", 2));
    }

    #[test]
    fn a_replace_yields_to_a_higher_sequence() {
        check("load_currencies", &commit("DLT.OPEN_EXCHANGE_RATES.CURRENCIES", 2));
    }

    #[test]
    fn an_append_adds_every_row() {
        let append = Commit { disposition: Disposition::Append, ..commit("DLT.APPLICATION_DATA.PRODUCTS", 1) };
        check("load_append", &append);
    }

    #[test]
    fn a_commit_without_files_still_gets_its_ledger_row() {
        let empty = commit("DLT.APPLICATION_DATA.PRODUCTS", 0);
        assert!(!render(&empty).expect("a block").contains("COPY INTO"));
        check("load_empty", &empty);
    }

    #[test]
    fn a_reset_writes_its_ledger_row_and_touches_no_table() {
        let reset = sluice_core::Reset { to: sluice_core::Sequence(3), by: "b".into(), reason: "r".into() };
        let reset = Commit { reset: Some(reset), ..commit("DLT.OPEN_EXCHANGE_RATES.CURRENCIES", 0) };
        assert!(!render(&reset).expect("a block").contains("OPEN_EXCHANGE_RATES.CURRENCIES ("));
        check("load_reset", &reset);
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let mut hostile = commit("AIRBYTE.HUBSPOT.CONTACTS", 1);
        hostile.table = "ORDER.GROUP.TABLE".parse().expect("a table name");
        hostile.lake_id.0 = r"o'lake\".into();
        hostile.run_id.0 = "'; DROP TABLE x; --".into();
        hostile.files[0].path = r"raw/it's/a\b/🦀.parquet".into();
        let names = ["a.b", "it's \"quoted\"", "select", "🦀; drop table x --", "order", r"back\slash"];
        for (column, name) in hostile.schema.0.iter_mut().zip(names) {
            column.name = name.into();
        }
        hostile.key = vec!["a.b".into(), "select".into()];
        hostile.version_column = Some("order".into());
        check("load_hostile", &hostile);
    }

    #[test]
    fn many_files_are_copied_a_thousand_at_a_time() {
        let block = render(&commit("DLT.APPLICATION_DATA.PRODUCTS", 2_001)).expect("a block");
        let copies: Vec<usize> =
            block.split("COPY INTO").skip(1).map(|copy| copy.matches(".parquet").count()).collect();
        assert_eq!(copies, [1_000, 1_000, 1]);
    }

    #[test]
    fn a_block_of_the_most_files_that_a_commit_may_have_fits_into_a_statement() {
        let many = |count: usize, part: &dyn Fn(usize) -> sluice_core::RunId| {
            let mut commit = commit("DLT.APPLICATION_DATA.PRODUCTS", 1);
            let file = commit.files[0].clone();
            let path = |number: usize| lake::data_key(&commit.table, &part(number), number % 100);
            commit.files = (0..count).map(|number| DataFile { path: path(number), ..file.clone() }).collect();
            commit.rows = count as u64;
            commit
        };
        let run = sluice_core::RunId("0198c5a0-0000-7000-8000-000000000001".into());
        let parts = |number: usize| lake::part_run(&run, number / 100, &run);
        let block = render(&many(sluice_core::MOST_FILES, &parts)).expect("it fits");
        assert!(block.len() < STATEMENT_BYTES, "{} bytes", block.len());
        assert!(render(&many(3 * sluice_core::MOST_FILES, &|_| run.clone())).is_ok(), "of one run even more files fit");
        let error = render(&many(3 * sluice_core::MOST_FILES, &parts)).expect_err("too long");
        assert_eq!((error.kind(), error.is_final()), (Kind::Unsupported, true));
        assert!(error.chain().contains("files=") && error.hint().is_some(), "{error:?}");
    }

    #[test]
    fn files_are_named_below_the_deepest_folder_that_they_share() {
        let file =
            |path: &str| DataFile { path: path.into(), ..commit("DLT.APPLICATION_DATA.PRODUCTS", 1).files[0].clone() };
        for (paths, folder) in [
            (&["a/b/part-0"][..], "a/b/"),
            (&["a/b/part-0", "a/b/part-1"], "a/b/"),
            (&["a/b/part-0", "a/bc/part-0"], "a/"),
            (&["a/b/p", "a/b/part"], "a/b/"),
            (&["a", "b"], ""),
            (&["ä/é", "ä/è"], "ä/"),
        ] {
            let files: Vec<DataFile> = paths.iter().map(|path| file(path)).collect();
            assert_eq!(common_folder(&files), folder, "{paths:?}");
        }
    }

    #[test]
    fn what_no_block_can_do_is_refused() {
        let mut keyless = commit("DLT.APPLICATION_DATA.PRODUCTS", 1);
        keyless.key.clear();
        assert_eq!(render(&keyless).expect_err("no key").kind(), Kind::InvalidData);

        let mut dollars = commit("DLT.APPLICATION_DATA.PRODUCTS", 1);
        dollars.schema.0[2].name = "cash$$".into();
        assert_eq!(render(&dollars).expect_err("two dollar signs").kind(), Kind::Unsupported);

        let piped = commit("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 1);
        assert_eq!(render(&piped).expect_err("a pipe's table").kind(), Kind::Unsupported);
    }
}
