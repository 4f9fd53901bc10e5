//! A table's replay and its proof with the statements that they send: what was planted is found and mended, and nothing else is
//! touched.

use std::{cell::RefCell, time::Duration};

use extract_postgres::handler;
use sluice_core::{
    Commit, Error, LakeId, Result, RunId, Sequence, Sources, Table,
    event::Announcement,
    extract::{Aside, AsideRows, ExtractRequest, Outcome as Extracted},
    lake,
    port::Bus,
};
use sluice_lambda::Invocation;
use sluice_pipeline::{
    prove::{Fault, Proof, Prove, SourceRows},
    rebuild::{Mode, Operator, Outcome, Rebuild, Report, Request, Step},
};
use sluice_snowflake::{Observer, RebuildTable};

use crate::{
    deliveries::{Messages, notification},
    evolve::{Database, Extractor},
    support::{LAKE, OneSecret, Warehouse, sources},
};

const SWAP: Mode = Mode::Swap { delete_unarchived: false };
const PRODUCTS: &str = "DLT__APPLICATION_DATA.PRODUCTS";
const RATES: &str = "SNOWPIPE__OPEN_EXCHANGE_RATES.EXCHANGE_RATES";

struct Bench {
    warehouse: Warehouse,
    sources: Sources,
    observer: Observer<OneSecret>,
    announced: RefCell<Vec<u64>>,
}

impl Bus for Bench {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.announced.borrow_mut().push(announcement.detail["rows"].as_u64().expect("rows"));
        Ok(())
    }
}

impl Operator for Bench {
    fn begins(&self, _: Step) {}

    fn has_added(&self) {}

    fn confirms(&self, _: &Report) -> Result<bool> {
        Ok(true)
    }
}

struct NoSource;

impl SourceRows for NoSource {
    async fn read(&self, _: AsideRows) -> Result<Aside> {
        Err(Error::unavailable("no source is here"))
    }
}

/// The function that extracts the table.
struct Function<'a>(Extractor<'a>, &'a Table);

impl Function<'_> {
    async fn ask(&self, rows: Option<AsideRows>) -> Result<sluice_core::extract::ExtractSummary> {
        let time = "2026-10-05T00:15:00Z".parse().expect("a time");
        let request = ExtractRequest { aside: rows, ..ExtractRequest::scheduled(self.1.table.clone(), time) };
        handler::handle(request, &Invocation::new("request", Duration::from_secs(60)), &self.0).await
    }
}

impl SourceRows for Function<'_> {
    async fn read(&self, rows: AsideRows) -> Result<Aside> {
        let summary = self.ask(Some(rows)).await?;
        assert_eq!(summary.outcome, Extracted::Aside);
        Ok(summary.aside.expect("what was written"))
    }
}

impl Bench {
    async fn new() -> Self {
        Bench::of(sources()).await
    }

    async fn of(sources: Sources) -> Self {
        let warehouse = Warehouse::empty().await.found(&sources).await;
        let http = sluice_http::Client::new().expect("a client");
        let observer = Observer::connect(LakeId(LAKE.into()), warehouse.config_of("loader"), OneSecret, http);
        Bench { warehouse, sources, observer, announced: RefCell::default() }
    }

    fn table(&self, name: &str) -> &Table {
        self.sources.tables.iter().find(|table| table.table.table == name).expect("a shipped table")
    }

    /// Commits rows, without their load.
    fn commit(&self, table: &str, sequence: u64, rows: &[String]) -> Commit {
        let table = self.table(table);
        let mut commit = self.warehouse.commit_of(table, sequence, rows.len() as u64, &rows.join(" UNION ALL "));
        commit.source_facts.clear();
        let key = lake::log_key(&table.table, commit.sequence);
        self.warehouse.put_object(&key, commit.encode().expect("a commit"));
        commit
    }

    async fn load(&self, commits: &[&Commit]) {
        let messages = Messages::default();
        commits.iter().for_each(|commit| messages.put(notification(commit)));
        messages.deliver(&self.warehouse, &self.sources).await;
    }

    async fn replay(&self, table: &str, id: &str, mode: Mode) -> (Report, Result<()>) {
        let table = self.table(table);
        let (lake_id, run_id) = (LakeId(LAKE.into()), RunId(id.to_owned()));
        let warehouse = &RebuildTable::new(&self.observer, table, id, "arn:x");
        let request = Request { table, lake_id: &lake_id, run_id: &run_id, mode };
        let store = &self.warehouse.lake();
        Box::pin(Rebuild { store, warehouse, bus: self, operator: self, request }.run()).await
    }

    /// Of a table whose source cannot be asked.
    async fn proof(&self, table: &str) -> Proof {
        let mut table = self.table(table).clone();
        table.source = sluice_core::sources::Source::HubspotContacts;
        self.proof_with(&table, &NoSource).await
    }

    async fn proof_with(&self, table: &Table, source: &impl SourceRows) -> Proof {
        let warehouse = &RebuildTable::new(&self.observer, table, "P1", "arn:x");
        let store = &self.warehouse.lake();
        let prove = Prove { store, warehouse, source, operator: self, table };
        Box::pin(prove.run(std::future::pending())).await.expect("a proof")
    }

    async fn damage(&self, statements: &str) {
        let block = format!("EXECUTE IMMEDIATE $$ BEGIN BEGIN TRANSACTION; {statements} COMMIT; END; $$");
        self.warehouse.run(&block).await.expect("a damage");
    }

    async fn rows(&self, table: &str, columns: &str) -> Vec<String> {
        self.warehouse.column(&format!("SELECT concat_ws(' ', {columns}) AS r FROM {table} ORDER BY r")).await
    }

    async fn sides(&self) -> Vec<String> {
        self.warehouse.column("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%REPLAY%'").await
    }
}

fn product(id: u64, price: &str) -> String {
    format!(
        "SELECT {id}::BIGINT AS audit_id, 1::BIGINT AS product_id, 'a' AS product_name, {price}::DECIMAL(18,4) AS price_usd, \
         'INSERT' AS operation, TIMESTAMP '2026-01-01 00:00:00' AS valid_ts"
    )
}

fn faults(proof: &Proof) -> Vec<(Fault, Vec<Sequence>, u64, Vec<String>)> {
    let told = proof.findings.iter();
    told.map(|found| (found.fault, found.commits.clone(), found.rows, found.columns.clone())).collect()
}

#[tokio::test]
async fn a_merged_table_is_proven_replayed_where_it_differs_and_proven_again() {
    let bench = Bench::new().await;
    let first = bench.commit("PRODUCTS", 1, &[product(1, "1.5"), product(2, "2.5")]);
    let second = bench.commit("PRODUCTS", 2, &[product(2, "2.5"), product(3, "3.5"), product(4, "NULL")]);
    bench.load(&[&second, &first]).await;
    let proof = bench.proof("PRODUCTS").await;
    assert!(proof.equal, "{proof:?}");
    assert_eq!((proof.committed, proof.built, proof.loaded, proof.held), (5, 4, 5, 4));
    let price = proof.columns.iter().find(|column| column.column == "PRICE_USD").expect("a column");
    assert_eq!((price.committed, price.table), (3, 3), "one is NULL");

    let before = bench.rows(PRODUCTS, "AUDIT_ID, PRICE_USD, _SLUICE_LOADED_AT").await;
    let live = "DLT.APPLICATION_DATA.PRODUCTS";
    bench
        .damage(&format!(
            "DELETE FROM {live} WHERE AUDIT_ID = 3; UPDATE {live} SET PRICE_USD = 9 WHERE AUDIT_ID = 1; \
             INSERT INTO {live} SELECT * FROM {live} WHERE AUDIT_ID = 4;"
        ))
        .await;
    let proof = bench.proof("PRODUCTS").await;
    let sequence = |number| vec![Sequence(number)];
    let found = [
        (Fault::NotInTable, sequence(2), 1, vec![]),
        (Fault::ChangedInTable, sequence(1), 1, vec!["PRICE_USD".to_owned()]),
        (Fault::TwiceInTable, sequence(2), 1, vec![]),
    ];
    assert_eq!(faults(&proof), found);
    assert!(bench.sides().await.is_empty(), "a side table is left");

    let (report, ended) = bench.replay("PRODUCTS", "A1", Mode::Compare).await;
    assert!(
        ended.is_ok() && report.outcome == Some(Outcome::Compared) && report.changes() == 3,
        "{report:?} {ended:?}"
    );
    assert_eq!(bench.sides().await, ["PRODUCTS__REPLAY_A1"]);
    let (report, ended) = bench.replay("PRODUCTS", "A2", SWAP).await;
    assert!(ended.is_ok() && report.outcome == Some(Outcome::Replayed), "{report:?} {ended:?}");
    let after = bench.rows(PRODUCTS, "AUDIT_ID, PRICE_USD, _SLUICE_LOADED_AT").await;
    assert_eq!(after[1], before[1], "what agrees is not written");
    let values =
        |rows: &[String]| rows.iter().map(|row| row.rsplitn(3, ' ').last().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(values(&after), values(&before));
    let entry = "SELECT concat_ws(' ', SEQUENCE, LOADER, ROWS_LOADED, REASON) FROM ADMIN__OBSERVABILITY.LOADS WHERE LOADER = 'replay'";
    assert_eq!(bench.warehouse.column(entry).await, ["0 replay 3 commits up to 2 by arn:x"]);
    let (report, ended) = bench.replay("PRODUCTS", "A3", SWAP).await;
    assert!(ended.is_ok() && report.outcome == Some(Outcome::NothingToChange), "{report:?} {ended:?}");
    assert!(bench.proof("PRODUCTS").await.equal);
    assert_eq!(*bench.announced.borrow(), [3, 0]);

    // The replay's entry is none of a commit: the next one loads.
    let third = bench.commit("PRODUCTS", 3, &[product(5, "5.5")]);
    let proof = bench.proof("PRODUCTS").await;
    assert_eq!(faults(&proof), [(Fault::NotLoaded, sequence(3), 1, vec![])]);
    bench.load(&[&third]).await;
    assert!(bench.proof("PRODUCTS").await.equal);
}

#[tokio::test]
async fn a_swap_whose_table_was_loaded_since_changes_nothing() {
    use sluice_pipeline::rebuild::{History, Swapped, Warehouse as _};
    let bench = Bench::new().await;
    let first = bench.commit("PRODUCTS", 1, &[product(1, "1.5")]);
    bench.load(&[&first]).await;
    bench.damage("UPDATE DLT.APPLICATION_DATA.PRODUCTS SET PRICE_USD = 9 WHERE AUDIT_ID = 1;").await;
    let table = bench.table("PRODUCTS");
    let replay = RebuildTable::new(&bench.observer, table, "A1", "arn:x");
    let standing = replay.look().await.expect("a look");
    let history = History::read(&bench.warehouse.lake(), table).await.expect("a log");
    let build = history.build(table, |_| true).expect("a build");
    replay.begin().await.expect("a side table");
    replay.add(&first).await.expect("a commit");
    let second = bench.commit("PRODUCTS", 2, &[product(2, "2.5")]);
    bench.load(&[&second]).await;
    let swap = async |mark: Option<String>| replay.swap(&build.scope, mark.as_deref(), false).await.expect("an answer");
    assert_eq!(swap(standing.mark).await, Swapped::Moved);
    assert_eq!(bench.rows(PRODUCTS, "AUDIT_ID, PRICE_USD").await, ["1 9.0000", "2 2.5000"]);
    let now = replay.look().await.expect("a look").mark;
    assert_eq!(swap(now.clone()).await, Swapped::Done, "the later commit's row is none of its business");
    assert_eq!(swap(now).await, Swapped::Done, "done again it changes nothing");
    assert_eq!(bench.rows(PRODUCTS, "AUDIT_ID, PRICE_USD").await, ["1 1.5000", "2 2.5000"]);
}

#[tokio::test]
async fn an_appended_table_is_told_row_by_row_beside_the_loads_of_snowpipe() {
    let bench = Bench::new().await;
    let rate = |day: &str, rate: &str| {
        format!(
            "SELECT DATE '{day}' AS rate_date, 'USD' AS base_currency, 'EUR' AS target_currency, \
             {rate}::DECIMAL(18,10) AS rate, 'final' AS rate_kind, TIMESTAMP '2026-01-01' AS source_timestamp, \
             'RUN' AS _sluice_run_id, SEQ::BIGINT AS _sluice_sequence"
        )
    };
    let commit = |sequence: u64, rows: &[String]| {
        let of = |run: &str, sequence: &str| {
            rows.iter().map(|row| row.replace("RUN", run).replace("SEQ", sequence)).collect::<Vec<_>>()
        };
        let commit = bench.commit("EXCHANGE_RATES", sequence, &of("", "0"));
        // A pipe takes run and sequence from the file.
        let rows = of(&commit.run_id.0, &sequence.to_string());
        bench.warehouse.put(&commit.files[0].path, &rows.join(" UNION ALL "));
        commit
    };
    // The same rates come twice, which appended rows may.
    let first = commit(1, &[rate("2026-01-01", "0.9"), rate("2026-01-02", "0.8")]);
    let second = commit(2, &[rate("2026-01-02", "0.8")]);
    bench.load(&[&first, &second]).await;
    let whole = bench.rows(RATES, "RATE_DATE, RATE, _SLUICE_SEQUENCE").await;
    assert_eq!(whole.len(), 3);
    assert!(bench.proof("EXCHANGE_RATES").await.equal);

    let live = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    bench
        .damage(&format!(
            "DELETE FROM {live} WHERE _SLUICE_SEQUENCE = 2; \
             INSERT INTO {live} SELECT * FROM {live} WHERE _SLUICE_SEQUENCE = 1 AND _SLUICE_ROW_NUMBER = 1;"
        ))
        .await;
    let proof = bench.proof("EXCHANGE_RATES").await;
    let told: Vec<_> =
        faults(&proof).into_iter().map(|(fault, commits, rows, _)| (fault, commits[0].0, rows)).collect();
    assert_eq!(told, [(Fault::NotInTable, 2, 1), (Fault::TwiceInTable, 1, 1)]);
    let (report, ended) = bench.replay("EXCHANGE_RATES", "A1", SWAP).await;
    assert!(ended.is_ok() && report.outcome == Some(Outcome::Replayed), "{report:?} {ended:?}");
    assert_eq!(bench.rows(RATES, "RATE_DATE, RATE, _SLUICE_SEQUENCE").await, whole);
    assert!(bench.proof("EXCHANGE_RATES").await.equal);

    // A row by hand, which no commit makes, goes only when it is to.
    bench
        .damage(&format!(
            "INSERT INTO {live} SELECT * FROM {live} WHERE _SLUICE_SEQUENCE = 2; \
            UPDATE {live} SET _SLUICE_ROW_NUMBER = 77, _SLUICE_SEQUENCE = 0 WHERE _SLUICE_SEQUENCE = 2;"
        ))
        .await;
    let (report, ended) = bench.replay("EXCHANGE_RATES", "A2", SWAP).await;
    assert_eq!(report.outcome, Some(Outcome::Refused));
    assert!(ended.expect_err("a refusal").to_string().contains("2 rows that no loaded commit"));
    let (report, ended) = bench.replay("EXCHANGE_RATES", "A3", Mode::Swap { delete_unarchived: true }).await;
    assert!(ended.is_ok() && report.outcome == Some(Outcome::Replayed), "{report:?} {ended:?}");
    assert_eq!(bench.rows(RATES, "RATE_DATE, RATE, _SLUICE_SEQUENCE").await, whole);
    assert!(bench.sides().await.is_empty(), "a side table is left");
}

#[tokio::test]
async fn a_source_row_changed_behind_the_cursor_is_proven_and_named() {
    let database = Database::new("proven").await;
    let bench = Bench::of(database.sources()).await;
    let table = bench.table("SUPPLIERS");
    let function = Function(database.deps(&bench.warehouse), table);
    let run = async || {
        let sequence = function.ask(None).await.expect("a run").sequence.expect("a commit");
        let store = bench.warehouse.lake();
        let commit = sluice_pipeline::log::read_commit(&store, &table.table, sequence).await.expect("a commit");
        bench.load(&[&commit]).await;
    };
    let names = "('Ann', 9.5), ('Bob', NULL), ('Cy', 1.5), ('Di', 2)";
    database.run(&format!("INSERT INTO suppliers (name, rating) VALUES {names}")).await;
    run().await;
    // A row that no run has read yet is no difference.
    database.run("INSERT INTO suppliers (name) VALUES ('Ed')").await;
    let proof = bench.proof_with(table, &function).await;
    assert_eq!((proof.equal, proof.source, proof.held), (true, Some(4), 4), "{proof:?}");
    run().await;
    let proof = bench.proof_with(table, &function).await;
    assert_eq!((proof.equal, proof.source, proof.held), (true, Some(5), 5), "{proof:?}");

    database.run("UPDATE suppliers SET name = 'Zed' WHERE supplier_id = 2").await;
    database.run("DELETE FROM suppliers WHERE supplier_id = 1").await;
    let proof = bench.proof_with(table, &function).await;
    let first = || vec![Sequence(1)];
    let found =
        [(Fault::GoneFromSource, first(), 1, vec![]), (Fault::ChangedInSource, first(), 1, vec!["NAME".to_owned()])];
    assert_eq!(faults(&proof), found);
    assert_eq!(bench.rows("DLT__APPLICATION_DATA.SUPPLIERS", "SUPPLIER_ID, NAME").await.len(), 5);
    let left = sluice_core::port::Listing::keys(&bench.warehouse.lake(), &lake::data_prefix(&table.table)).await;
    assert!(left.expect("keys").iter().all(|key| !key.contains("prove-")), "a file of a proof is left");
    database.run(&format!("DROP SCHEMA {} CASCADE", database.schema)).await;
}
