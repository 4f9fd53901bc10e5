use sluice_core::{DataFile, Kind, Sources, Table, lake, port::Row};

use super::*;
use crate::sql::snapshot;

/// A commit of a shipped table, with one file of one row for each of `rows`.
pub(crate) fn commit(table: &str, rows: u64) -> Commit {
    let sources = Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("the shipped sources");
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
    assert_eq!(left_out(&counted, &said(LOADED)).expect("loaded"), None);
    for (text, not_taken) in [("loaded, merged away: 7", 0), ("loaded, merged away: 7, not taken: 2", 2)] {
        assert_eq!(left_out(&counted, &said(text)).expect("loaded"), Some(LeftOut { merged_away: 7, not_taken }));
    }
    assert!(left_out(&counted, &said("loaded, merged away: many")).is_err());
    assert!(STANDING_REASON.contains(&format!("'{NOT_TAKEN_REASON}, because")), "status finds the ledger's rows by it");
    let error = left_out(&counted, &said("values differ in column 3")).expect_err("nothing is loaded");
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
    let reset =
        sluice_core::Reset { to: sluice_core::Sequence(3), by: "b".into(), reason: "r".into(), erased_before: None };
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
    let copies: Vec<usize> = block.split("COPY INTO").skip(1).map(|copy| copy.matches(".parquet").count()).collect();
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
