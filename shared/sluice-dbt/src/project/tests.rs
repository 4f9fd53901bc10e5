use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

use sluice_core::port::{PutIfAbsent, Stored};

use super::*;

/// A warehouse that answers by script and keeps what it was asked.
#[derive(Default)]
struct Warehouse {
    asked: RefCell<Vec<String>>,
    answers: RefCell<VecDeque<Result<Vec<Row>>>>,
    states: RefCell<VecDeque<Progress>>,
}

impl Statements for Warehouse {
    async fn execute(&self, statement: &str, _: Uuid, _: &str) -> Result<Vec<Row>> {
        self.asked.borrow_mut().push(statement.to_owned());
        self.answers.borrow_mut().pop_front().expect("an answer")
    }
}

impl Submissions for Warehouse {
    async fn submit(&self, statement: &str, _: Uuid, tag: &str, limit: Duration) -> Result<String> {
        self.asked.borrow_mut().push(format!("{statement} [{tag}, {}]", limit.as_secs()));
        Ok("01-a".into())
    }

    async fn look(&self, handle: &str) -> Result<Progress> {
        self.asked.borrow_mut().push(format!("look {handle}"));
        Ok(self.states.borrow_mut().pop_front().expect("a state"))
    }

    async fn cancel(&self, handle: &str) -> Result<()> {
        self.asked.borrow_mut().push(format!("cancel {handle}"));
        Ok(())
    }
}

#[derive(Default)]
struct Store(BTreeMap<String, Bytes>);

impl ObjectStore for Store {
    async fn put(&self, _: &str, _: Bytes) -> Result<Stored> {
        Err(Error::internal("nothing is put here"))
    }

    async fn put_if_absent(&self, _: &str, _: Bytes) -> Result<PutIfAbsent> {
        Err(Error::internal("nothing is put here"))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).cloned())
    }

    async fn first_key(&self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
}

fn config() -> DbtProjectConfig {
    DbtProjectConfig { project: "ADMIN.DBT.SLUICE".parse().expect("a name") }
}

const LIMIT: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_run_is_one_statement_with_its_cause_as_tag() {
    let (warehouse, store, config) = (Warehouse::default(), Store::default(), config());
    let jobs = DbtProject::new(&warehouse, &store, &config, LIMIT);
    let run = jobs.start("sluice dispatch 7", &["dbt build --select it's+".into()]).await.expect("a run");
    assert_eq!((run.id.as_str(), run.state), ("01-a", JobState::UnderWay));
    jobs.cancel("01-a").await.expect("an answer");
    assert_eq!(
        *warehouse.asked.borrow(),
        [
            "EXECUTE DBT PROJECT ADMIN.DBT.SLUICE ARGS = 'build --select it''s+ --target snowflake' [sluice dispatch 7, 4200]",
            "cancel 01-a"
        ]
    );
    let two = jobs.start("c", &["dbt a".into(), "dbt b".into()]).await.expect_err("two steps");
    assert_eq!(two.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_run_is_found_by_its_tag_and_its_one_row_tells_how_it_went() {
    let ended = |success: &str, exception: &str| {
        Progress::Ended(vec![row(&[("0|1 success", success), ("exception", exception), ("stdout", "a row's value")])])
    };
    let failed = |reason: &str| JobState::Failed { reason: reason.into() };
    let cases = [
        (Progress::UnderWay, JobState::UnderWay),
        (Progress::Cancelled, JobState::Cancelled),
        (Progress::Failed { reason: "no such project".into() }, failed("no such project")),
        (ended("true", "None"), JobState::Succeeded),
        (ended("false", "Database Error in sales\nand more"), failed("Database Error in sales")),
        (ended("false", "None"), failed("dbt gave no reason")),
    ];
    for (progress, expected) in cases {
        let (warehouse, store, config) = (Warehouse::default(), Store::default(), config());
        let tag = "sluice dispatch 7 (r) start 1: why";
        warehouse.answers.borrow_mut().push_back(Ok(vec![row(&[("query_id", "01-a"), ("query_tag", tag)])]));
        warehouse.states.borrow_mut().push_back(progress);
        let jobs = DbtProject::new(&warehouse, &store, &config, LIMIT);
        let runs = jobs.recent("sluice dispatch 7 (r) start 1: ").await.expect("runs");
        assert_eq!(runs, [JobRun { id: "01-a".into(), cause: tag.into(), state: expected }]);
        assert_eq!(warehouse.asked.borrow()[1], "look 01-a");
    }
    for rows in [vec![], vec![row(&[("stdout", "x")])]] {
        assert!(outcome(&rows).is_err(), "an answer that says nothing is no success: {rows:?}");
    }
}

#[tokio::test]
async fn a_file_goes_through_the_lake_and_one_that_is_not_there_is_none() {
    let (warehouse, config) = (Warehouse::default(), config());
    let store = Store([("dbt/artifacts/snowflake/01-a/manifest.json".to_owned(), Bytes::from_static(b"{}"))].into());
    let jobs = DbtProject::new(&warehouse, &store, &config, LIMIT);
    let location = || Ok(vec![row(&[("location", "snow://dbt/ADMIN.DBT.SLUICE/results/query_id_01-a/")])]);
    warehouse.answers.borrow_mut().extend([location(), Ok(vec![])]);
    assert_eq!(jobs.artifact("01-a", "manifest.json").await.expect("a file").as_deref(), Some(&b"{}"[..]));
    let copy = "COPY FILES INTO '@ADMIN.OBSERVABILITY.LAKE/dbt/artifacts/snowflake/01-a/' \
                FROM 'snow://dbt/ADMIN.DBT.SLUICE/results/query_id_01-a/target/' FILES = ('manifest.json')";
    assert_eq!(warehouse.asked.borrow()[1], copy);

    warehouse.answers.borrow_mut().extend([location(), Ok(vec![])]);
    assert_eq!(jobs.artifact("01-a", "sources.json").await.expect("no file"), None);
    warehouse.answers.borrow_mut().push_back(Err(Error::not_found("no such run")));
    assert_eq!(jobs.artifact("01-a", "manifest.json").await.expect("no file"), None);
    warehouse.answers.borrow_mut().push_back(Err(Error::invalid_data("no such location").as_final()));
    assert_eq!(jobs.artifact("01-a", "manifest.json").await.expect("no file"), None);
    for error in [Error::unavailable("away"), Error::invalid_data("the answer's body ends too early")] {
        warehouse.answers.borrow_mut().push_back(Err(error));
        jobs.artifact("01-a", "manifest.json").await.expect_err("no answer is not absence");
    }
}

#[test]
fn a_project_is_named_with_its_database_and_schema() {
    let read = |name: &str| {
        let mut env = Env::of([("SLUICE_DBT_PROJECT".to_owned(), name.to_owned())]);
        let config = DbtProjectConfig::from_env(&mut env);
        env.finish(config)
    };
    assert_eq!(read("ADMIN.DBT.SLUICE").expect("usable").project.to_string(), "ADMIN.DBT.SLUICE");
    for name in ["", "SLUICE", "ADMIN.DBT.SLUICE ARGS", "admin.dbt.sluice"] {
        assert!(read(name).is_err(), "{name} was accepted");
    }
}
