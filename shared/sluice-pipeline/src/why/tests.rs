use std::cell::RefCell;

use futures::executor::block_on;
use sluice_core::{Error, Kind, Result, Sources};

use super::*;
use crate::observe::{Answer, AnswerColumn, AnswerKind};

const SALES: &str = "ANALYTICS.MARTS.SALES";
const LINES: &str = "ANALYTICS.MARTS.FCT_PURCHASES";
const PURCHASES: &str = "STREAMING.PUBLIC.PURCHASES";
const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";

fn lineage() -> Lineage {
    Lineage::parse(include_bytes!("../../../../dbt/lineage.json")).expect("a lineage")
}

#[test]
fn each_table_comes_after_those_whose_rows_lead_to_it() {
    let lineage = lineage();
    let steps = plan(&lineage, SALES, "TOTAL_GBP");
    assert_eq!(steps[0].table, SALES);
    for (at, step) in steps.iter().enumerate() {
        assert!(step.ways.iter().all(|way| way.from < at && way.link.table == step.table), "{}", step.table);
        assert_eq!(step.ways.is_empty(), at == 0, "{}", step.table);
        assert_eq!(step.is_raw, !lineage.models.contains_key(&step.table));
    }
    let raw: Vec<&str> = steps.iter().filter(|step| step.is_raw).map(|step| step.table.as_str()).collect();
    for table in [PURCHASES, PRODUCTS, "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES"] {
        assert!(raw.contains(&table), "{table} is not in {raw:?}");
    }
    let lines = steps.iter().find(|step| step.table == LINES).expect("the lines");
    for column in ["EVENT_ID", "QUANTITY", "UNIT_PRICE_USD", "GBP_RATE", "LINE_GBP"] {
        assert!(lines.columns.iter().any(|shown| shown == column), "{column} is not in {:?}", lines.columns);
    }
}

#[test]
fn a_count_of_rows_comes_from_the_rows() {
    let steps = plan(&lineage(), SALES, "TOTAL_TRANSACTIONS");
    let tables: Vec<&str> = steps.iter().map(|step| step.table.as_str()).collect();
    assert_eq!(tables, [SALES, LINES]);
    assert_eq!(steps[1].columns, ["EVENT_ID"]);
}

#[test]
fn a_lineage_of_another_version_is_refused() {
    let error = Lineage::parse(br#"{"version": 2, "models": {}, "unresolved": []}"#).expect_err("a later version");
    assert!(error.kind() == Kind::Unsupported && error.hint().is_some(), "{error:?}");
}

/// A warehouse in which the cell has some rows, each step two, and formulas may be unknown.
struct Warehouse {
    cells: usize,
    total: &'static str,
    knows_formulas: bool,
    asked: RefCell<Vec<(String, Option<String>, u64)>>,
}

impl Warehouse {
    fn new(cells: usize, total: &'static str, knows_formulas: bool) -> Self {
        Warehouse { cells, total, knows_formulas, asked: RefCell::default() }
    }
}

fn answer(columns: &[String], rows: Vec<Vec<&str>>) -> Answer {
    let column = |name: &String| AnswerColumn { name: name.clone(), kind: AnswerKind::Text };
    let cells = |row: Vec<&str>| row.into_iter().map(|cell| Some(cell.to_owned())).collect();
    Answer { columns: columns.iter().map(column).collect(), rows: rows.into_iter().map(cells).collect() }
}

fn named(columns: &[&str], row: Vec<&str>) -> Answer {
    answer(&columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), vec![row])
}

impl Traces for Warehouse {
    async fn answer(&self, inquiry: &Inquiry<'_>, role: Option<&str>, rows: u64) -> Result<Answer> {
        let table = inquiry.steps[inquiry.at].table.clone();
        self.asked.borrow_mut().push((table, role.map(str::to_owned), rows));
        let unknown = || Err(Error::config("a function of another warehouse"));
        Ok(match inquiry.ask {
            Ask::Rows(columns) if inquiry.at == 0 => answer(columns, vec![vec!["7.00"; columns.len()]; self.cells]),
            Ask::Rows(columns) => answer(columns, vec![vec!["x"; columns.len()]; 2]),
            Ask::Over(_) if !self.knows_formulas => return unknown(),
            Ask::Over(_) => named(&["VALUE", "ROW_COUNT"], vec![self.total, "2"]),
            Ask::Compare([]) => named(&["ROW_COUNT"], vec!["2"]),
            Ask::Compare(_) if !self.knows_formulas => return unknown(),
            Ask::Compare(formulas) => {
                let names: Vec<String> = (0..formulas.len()).map(|at| format!("D{at}")).collect();
                let columns: Vec<&str> = ["ROW_COUNT"].into_iter().chain(names.iter().map(String::as_str)).collect();
                named(&columns, [vec!["2"], vec!["0"; formulas.len()]].concat())
            }
            Ask::Commits => named(&["SEQUENCE", "RUN_ID", "ROW_COUNT"], vec!["3", "r", "2"]),
            Ask::Offsets => named(
                &["TOPIC", "NUMBER", "FIRST_OFFSET", "LAST_OFFSET", "ROW_COUNT"],
                vec!["purchases", "1", "5", "9", "2"],
            ),
        })
    }
}

fn follow(warehouse: &Warehouse) -> Result<Trace> {
    let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    let raw = |name: &str| sources.tables.iter().find(|table| table.table.to_string() == name);
    let cell = Cell { column: "TOTAL_GBP".into(), conditions: vec![("CUSTOMER_ID".into(), "42".into())] };
    let request = Request { table: SALES, cell: &cell, role: Some("ANALYST"), shown: 5 };
    block_on(trace(warehouse, &lineage(), raw, &request))
}

#[test]
fn a_number_is_followed_to_its_offsets_and_commits_and_worked_out_again() {
    let warehouse = Warehouse::new(1, "7.00", true);
    let trace = follow(&warehouse).expect("a trace");
    let recomputed = trace.recomputed.clone().expect("worked out again");
    assert_eq!((recomputed.over.as_str(), recomputed.rows, recomputed.is_same), (LINES, 2, true));
    let found = |table: &str| trace.steps.iter().find(|found| found.table == table).expect("a step");
    assert_eq!(
        found(PURCHASES).offsets[0],
        Offsets { topic: "purchases".into(), partition: 1, first: 5, last: 9, rows: 2 }
    );
    assert_eq!(found(PRODUCTS).commits[0], CommitFacts { sequence: 3, run_id: "r".into(), rows: 2 });
    let formulas = &found(LINES).formulas;
    let line = formulas.iter().find(|formula| formula.column == "LINE_GBP").expect("a formula");
    assert_eq!(line.different, Some(0));
    assert!(found(PURCHASES).rows.columns.contains(&"_KAFKA_OFFSET".to_owned()));
    assert!(warehouse.asked.borrow().iter().all(|(_, role, _)| role.as_deref() == Some("ANALYST")));
}

#[test]
fn a_number_that_its_rows_do_not_give_is_told_so() {
    let trace = follow(&Warehouse::new(1, "8.00", true)).expect("a trace");
    assert!(!trace.recomputed.expect("worked out again").is_same);
    let without = follow(&Warehouse::new(1, "8.00", false)).expect("a trace all the same");
    assert_eq!(without.recomputed, None);
    let formulas = without.steps.iter().flat_map(|found| &found.formulas);
    assert!(formulas.clone().count() > 0 && formulas.clone().all(|formula| formula.different.is_none()));
    assert!(without.steps.iter().all(|found| found.count.is_some()));
}

#[test]
fn a_cell_is_one_row() {
    for (cells, kind) in [(0, Kind::NotFound), (2, Kind::Config)] {
        let error = follow(&Warehouse::new(cells, "7.00", true)).expect_err("no cell");
        assert!(error.kind() == kind && error.hint().is_some(), "{error:?}");
    }
}
