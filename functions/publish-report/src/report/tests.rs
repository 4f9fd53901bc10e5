//! The report of a warehouse that answers, refuses or is away, and of a lake in memory.

mod world;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::executor::block_on;
use sluice_core::{Kind, LakeId, Result, Sources};
use sluice_testkit::lake::MemoryLake;
use world::{Warehouse, lake};

use super::{Cell, Entry, Questions, Report, Shown, Tile, build, csv, summary};
use crate::{event::Moment, files::Files, lightdash::Dialect};

fn files() -> Files {
    Files::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dbt"), Dialect::Snowflake).expect("the folder dbt")
}

fn sources() -> Sources {
    Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn report(warehouse: &Warehouse, files: &Files, ended: &[&str]) -> Result<Report> {
    let until = Instant::now() + Duration::from_secs(60);
    report_until(until, warehouse, files, ended)
}

fn report_until(until: Instant, warehouse: &Warehouse, files: &Files, ended: &[&str]) -> Result<Report> {
    report_of(Moment::OfNews(at("2026-03-15T09:00:00Z")), until, warehouse, files, &lake(ended))
}

fn report_of(
    moment: Moment,
    until: Instant,
    warehouse: &Warehouse,
    files: &Files,
    lake: &MemoryLake,
) -> Result<Report> {
    let questions = Questions { warehouse, until };
    block_on(build(&questions, lake, files, Dialect::Snowflake, &sources(), &LakeId("lake".into()), moment))
}

fn tile<'a>(report: &'a Report, id: &str) -> &'a Tile {
    let entries = report.sections.iter().flat_map(|section| section.entries());
    let tiles = entries.filter_map(|entry| match entry {
        Entry::Tile(tile) => Some(&**tile),
        Entry::Text { .. } => None,
    });
    tiles.into_iter().find(|tile| tile.id == id).expect("the tile")
}

fn said(tile: &Tile) -> String {
    tile.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_tile_that_the_warehouse_refuses_says_so_and_quotes_nothing() {
    let warehouse = Warehouse::answering("rpt_sales_by_product", Err(Kind::SchemaMismatch));
    let report = report(&warehouse, &files(), &["succeeded"]).expect("a report");
    let broken = tile(&report, "sales/top-products-by-revenue");
    assert_eq!(broken.shown, Shown::Nothing);
    assert!(
        said(broken).contains("refuses the query (SchemaMismatch)") && !said(broken).contains("4711"),
        "{}",
        said(broken)
    );
    assert_ne!(tile(&report, "sales/revenue-usd").shown, Shown::Nothing);
    let summary = summary::of(&report, "p".into(), 1);
    assert_eq!((summary.failed, summary.number), (1, 1));
    assert_eq!(summary.numbers.iter().filter(|line| line.section == "Sales").count(), 5);
}

#[test]
fn a_tile_that_fails_for_itself_costs_no_other_whatever_the_reason() {
    for kind in Kind::ALL {
        let warehouse = Warehouse::answering("rpt_sales_by_product", Err(kind));
        let report = report(&warehouse, &files(), &["succeeded"]).expect("a report");
        assert_eq!(tile(&report, "sales/top-products-by-revenue").shown, Shown::Nothing, "{kind}");
        assert_eq!(summary::of(&report, "p".into(), 1).failed, 1, "{kind}");
    }
    let slow = Warehouse::answering("rpt_sales_by_product", Err(Kind::Timeout));
    let report = report(&slow, &files(), &["succeeded"]).expect("a report");
    assert!(said(tile(&report, "sales/top-products-by-revenue")).contains("took too long to answer"));
}

#[test]
fn a_page_whose_time_is_over_says_what_was_not_asked() {
    let warehouse = Warehouse::answering("nothing", Ok(Vec::new()));
    let report = report_until(Instant::now(), &warehouse, &files(), &["succeeded"]).expect("a report");
    assert!(said(tile(&report, "sales/revenue-usd")).contains("the time for the page was over"));
    assert!(said(tile(&report, "platform/tables")).contains("the time for the page was over"));
    assert_eq!(warehouse.asked.borrow().len(), 1, "only whether it answers");
}

#[test]
fn a_warehouse_that_is_away_or_refuses_the_login_makes_no_report() {
    for kind in [Kind::Unavailable, Kind::Auth] {
        let warehouse = Warehouse::answering("AS \"one\"", Err(kind));
        assert_eq!(report(&warehouse, &files(), &["succeeded"]).expect_err("away").kind(), kind);
    }
    let leaves = Some("rpt_products");
    let warehouse = Warehouse { leaves, ..Warehouse::answering("nothing", Ok(Vec::new())) };
    assert_eq!(report(&warehouse, &files(), &["succeeded"]).expect_err("it went").kind(), Kind::Unavailable);
    let none = report(&Warehouse::answering("nothing", Ok(Vec::new())), &files(), &["failed"]).expect_err("no run");
    assert!(none.is_final() && none.kind() == Kind::NotFound, "{none}");
    assert!(none.to_string().contains("none of the last 1 runs of dbt has succeeded"), "{none}");
}

#[test]
fn a_run_that_may_have_published_meanwhile_is_named_on_the_page() {
    let warehouse = Warehouse::answering("nothing", Ok(Vec::new()));
    for (ended, is_named) in [
        (vec!["succeeded", "under way"], true),
        (vec!["succeeded", "failed"], false),
        (vec!["under way", "succeeded"], false),
        (vec!["succeeded", "failed", "under way"], true),
    ] {
        let report = report(&warehouse, &files(), &ended).expect("a report");
        let named = report.notes.iter().any(|note| note.text.contains("was under way while this page was made"));
        assert_eq!(named, is_named, "{ended:?}: {:?}", report.notes);
    }
    let lake = lake(&["succeeded"]);
    let meanwhile = Warehouse { publishes: Some((&lake, 2)), ..Warehouse::answering("nothing", Ok(Vec::new())) };
    let until = Instant::now() + Duration::from_secs(60);
    let of = Moment::Asked(at("2026-03-15T09:00:00Z"));
    let report = report_of(of, until, &meanwhile, &files(), &lake).expect("a report");
    assert_eq!(report.run.number, 1);
    assert!(report.notes.iter().any(|note| note.text.contains("Run 2 of dbt was under way")), "{:?}", report.notes);
}

#[test]
fn periods_count_from_the_newest_day_and_what_is_old_is_called_stale() {
    let warehouse = Warehouse::answering(
        "AS \"newest\" FROM ANALYTICS.REPORTING.rpt_sales_by_day",
        Ok(vec![vec![Some("2026-02-28".to_owned())]]),
    );
    let report = report(&warehouse, &files(), &["succeeded", "failed"]).expect("a report");
    let old = tile(&report, "sales/revenue-usd");
    assert!(
        said(old).contains("Stale: the newest day in Sales by day is 2026-02-28, 15 days before this page."),
        "{}",
        said(old)
    );
    assert!(said(old).contains("The period counts back from 2026-02-28."), "{}", said(old));
    let asked = warehouse.asked.borrow();
    assert!(
        asked.iter().any(|sql| sql.contains(">= ('2025-02-28')") && sql.contains("<= ('2026-02-28')")),
        "{asked:?}"
    );
    assert_eq!(said(tile(&report, "exchange-rates/newest-rate-date")), "", "a day behind is not stale");
    assert_eq!(report.run.number, 1);
    assert!(
        report.notes[0].text.contains("Run 2 of dbt has failed; the numbers are those of run 1"),
        "{:?}",
        report.notes
    );
}

#[test]
fn late_news_cuts_nothing_off_and_a_person_gets_the_moment_they_asked_for() {
    let warehouse = Warehouse::answering("nothing", Ok(Vec::new()));
    let early = at("2026-02-01T00:00:00Z");
    for (moment, expected) in [
        (Moment::OfNews(early), at("2026-03-15T08:00:00Z")),
        (Moment::OfNews(at("2026-03-15T09:00:00Z")), at("2026-03-15T09:00:00Z")),
        (Moment::Asked(early), early),
    ] {
        let until = Instant::now() + Duration::from_secs(60);
        let report = report_of(moment, until, &warehouse, &files(), &lake(&["succeeded"])).expect("a report");
        assert_eq!(report.at, expected, "{moment:?}");
    }
    let asked = warehouse.asked.borrow();
    assert!(asked.iter().any(|sql| sql.contains("<= ('2026-03-14')")), "the newest day of the data is there");
}

#[test]
fn what_is_cut_empty_or_unknown_is_said_at_the_number() {
    let many = vec![vec![Some("x".to_owned()), Some("1".to_owned())]; 60];
    let report = report(&Warehouse::answering("COUNT(CASE WHEN ((\"rpt_sales\".customer_id <> '-1') = true) THEN (\"rpt_sales\".customer_id) ELSE NULL END) AS \"rpt_sales_customers\"\nFROM ANALYTICS.REPORTING.rpt_sales AS \"rpt_sales\"\nWHERE", Ok(many)), &files(), &["succeeded"]).expect("a report");
    let cut = tile(&report, "customers/customers-by-lifecycle-stage");
    assert_eq!((cut.rows.len(), said(cut).as_str()), (50, "Only the first 50 rows are shown; there are more."));
    let report = self::report(&Warehouse::answering("rpt_products", Ok(Vec::new())), &files(), &["succeeded"])
        .expect("a report");
    assert!(said(tile(&report, "products/most-expensive-products")).contains("There are no rows"));
    let report =
        self::report(&Warehouse::answering("AS \"newest\"", Err(Kind::SchemaMismatch)), &files(), &["succeeded"])
            .expect("a report");
    assert!(
        said(tile(&report, "sales/revenue-usd")).contains("How far the data of Sales by day reaches is not known.")
    );
}

#[test]
fn personal_data_is_shown_only_where_the_chart_says_so() {
    let mut files = files();
    let chart = files.charts.get_mut("top-customers").and_then(|chart| chart.as_mut().ok()).expect("a chart");
    chart.dimensions.push("rpt_sales_email".to_owned());
    let warehouse = Warehouse::answering("nothing", Ok(Vec::new()));
    let hidden = report(&warehouse, &files, &["succeeded"]).expect("a report");
    let left_out = tile(&hidden, "customers/top-customers");
    assert!(
        left_out.shown == Shown::Nothing && said(left_out).contains("personal data (E-mail (masked))"),
        "{}",
        said(left_out)
    );
    assert!(!warehouse.asked.borrow().iter().any(|sql| sql.contains(".email")), "it was asked for");
    let chart = files.charts.get_mut("top-customers").and_then(|chart| chart.as_mut().ok()).expect("a chart");
    chart.description = Some("Personal data, for the sales team.".to_owned());
    let shown = report(&warehouse, &files, &["succeeded"]).expect("a report");
    assert!(said(tile(&shown, "customers/top-customers")).contains("Shows personal data: E-mail (masked)."));
}

#[test]
fn a_file_that_does_not_compile_is_left_out_in_words() {
    let mut files = files();
    files.charts.insert("revenue-gbp".to_owned(), Err("charts/revenue-gbp.yml: unknown field `limt`".to_owned()));
    files.problems.push("dashboards/x.yml: tabs: they are not compiled".to_owned());
    let report = report(&Warehouse::answering("nothing", Ok(Vec::new())), &files, &["succeeded"]).expect("a report");
    assert!(said(tile(&report, "sales/revenue-gbp")).contains("charts/revenue-gbp.yml: unknown field `limt`"));
    assert!(report.notes.iter().any(|note| note.text.contains("dashboards/x.yml: tabs")));
}

#[test]
fn the_platform_says_how_runs_tables_and_checks_stand() {
    let report = report(&Warehouse::answering("nothing", Ok(Vec::new())), &files(), &["succeeded", "succeeded"])
        .expect("a report");
    let cells = |id: &str| {
        tile(&report, id)
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.text.clone()).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    assert_eq!(cells("platform/runs")[1], ["2", "succeeded", "2026-03-15 08:00", "12.5", "3", "4", "1,234", "0.250"]);
    assert_eq!(cells("platform/credits"), [["0.500"]]);
    assert_eq!(cells("platform/checks"), [["not_null_x", "warn"]]);
    assert!(cells("platform/tables").iter().any(|row| row[0] == "DLT.APPLICATION_DATA.PRODUCTS" && row[2] == "never"));
    assert!(said(tile(&report, "platform/tables")).contains("STREAMING.PUBLIC.PURCHASES"), "what is left out is named");
}

#[test]
fn csv_keeps_nulls_apart_and_starts_no_formula() {
    let rows = vec![vec![
        Some("=1+1".to_owned()),
        Some("a\"b,c\n".to_owned()),
        Some("-5.20".to_owned()),
        None,
        Some(String::new()),
        Some("3".to_owned()),
    ]];
    let warehouse = Warehouse::answering("rpt_sales_by_product", Ok(rows));
    let report = report(&warehouse, &files(), &["succeeded"]).expect("a report");
    let csv = csv::of(tile(&report, "sales/top-products-by-revenue"));
    let line = csv.split_once("\r\n").expect("two lines").1;
    assert_eq!(line, "\"'=1+1\",\"a\"\"b,c\u{fffd}\",-5.20,,\"\",3\r\n");
}

#[test]
fn every_row_of_every_csv_has_as_many_fields_as_there_are_columns() {
    let report = report(&Warehouse::answering("nothing", Ok(Vec::new())), &files(), &["succeeded"]).expect("a report");
    assert_eq!(csv::of(tile(&report, "platform/rows-built")), "\"Rows built\"\r\n1234\r\n");
    for entry in report.sections.iter().flat_map(|section| section.entries()) {
        let Entry::Tile(tile) = entry else { continue };
        for line in csv::of(tile).lines() {
            let commas = line.split('"').step_by(2).flat_map(|outside| outside.matches(',')).count();
            assert_eq!(commas + 1, tile.columns.len().max(1), "{}: {line}", tile.id);
        }
    }
}

#[test]
fn what_is_no_number_is_quoted_in_a_column_of_numbers() {
    let rows = ["12,345", "=1+1", "+1", "NaN", "1 of 2", "-5.20", "1.5e3"].map(|text| vec![Cell::of(text)]);
    let report = report(&Warehouse::answering("nothing", Ok(Vec::new())), &files(), &["succeeded"]).expect("a report");
    let tile = Tile { rows: rows.to_vec(), ..tile(&report, "platform/rows-built").clone() };
    let csv = csv::of(&tile);
    let lines: Vec<&str> = csv.lines().skip(1).collect();
    assert_eq!(lines, ["\"12,345\"", "\"'=1+1\"", "\"'+1\"", "\"NaN\"", "\"1 of 2\"", "-5.20", "1.5e3"]);
}
