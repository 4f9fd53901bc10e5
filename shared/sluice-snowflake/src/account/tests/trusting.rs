//! The lake lets the warehouse in before anything is made that reads it.

use std::cell::{Cell, RefCell};

use futures::executor::block_on;
use sluice_core::{Kind as ErrorKind, Result, lake, port::Row};
use tokio::time::{Duration, Instant};

use super::{
    applying::{SHIPPED, file},
    model::Model,
};
use crate::account::{Account, Allowed, Applying, Identity, LetIn, Name, ReaderRole, apply, file::tests::settings};

/// An account whose integration gets through once the role trusts it, after being asked so often.
struct Guarded {
    model: Model,
    trusted: RefCell<Option<Identity>>,
    refusals: Cell<u32>,
    sent: RefCell<Vec<String>>,
    /// For each question for rows, how many warehouses it may be asked in.
    asked_in: RefCell<Vec<usize>>,
}

impl Guarded {
    fn new(refusals: u32) -> Self {
        let (trusted, sent) = (RefCell::default(), RefCell::default());
        let asked_in = RefCell::default();
        Guarded { model: Model::standard(), trusted, refusals: Cell::new(refusals), sent, asked_in }
    }

    fn answer(&self) -> &'static str {
        if self.trusted.borrow().is_none() {
            return r#"{"status": "failure", "actions": {"LIST": {"status": "failure"}}}"#;
        }
        match self.refusals.get() {
            0 => r#"{"status": "success", "actions": {"LIST": {"status": "success"}}}"#,
            left => {
                self.refusals.set(left - 1);
                r#"{"status": "failure", "actions": {"LIST": {"status": "failure"}}}"#
            }
        }
    }
}

impl Account for Guarded {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.sent.borrow_mut().push(statement.to_owned());
        if statement.contains("VALIDATE_STORAGE_INTEGRATION('SLUICE_LAKE', 's3://") {
            let listed = format!("'s3://{}/{}', 'sluice', 'list')", settings("dev").bucket, lake::RAW);
            assert!(statement.ends_with(&listed), "the role lists data files alone: {statement}");
            return Ok(vec![Row::from([("answer".to_owned(), Some(self.answer().to_owned()))])]);
        }
        let mut rows = self.model.run(role, statement, tag).await?;
        if statement.starts_with("DESC INTEGRATION") {
            let user =
                [("property", "STORAGE_AWS_IAM_USER_ARN"), ("property_value", "arn:aws:iam::123456789001:user/snow")];
            rows.push(user.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into());
        }
        Ok(rows)
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.asked_in.borrow_mut().push(warehouses.len());
        self.model.ask(warehouses, role, statement, tag).await
    }
}

impl ReaderRole for Guarded {
    async fn trust(&self, identity: &Identity) -> Result<()> {
        self.trusted.replace(Some(identity.clone()));
        Ok(())
    }
}

fn provisioned(account: &Guarded, within: Duration) -> Result<()> {
    let desired = file(SHIPPED);
    let inside = LetIn::new(account, account, &desired, Instant::now() + within);
    let until = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(900);
    let applying = Applying { run: "run-1", allowed: Allowed::default(), until, warehouse: "LOADING" };
    block_on(async {
        apply(&inside, &super::applying::Now, &desired, &applying).await?;
        inside.ensure("tag").await
    })
}

#[test]
fn the_role_trusts_the_integration_before_a_stage_or_pipe_is_made() {
    let account = Guarded::new(0);
    provisioned(&account, Duration::from_secs(60)).expect("an account");
    let trusted = account.trusted.borrow().clone().expect("an identity");
    assert_eq!((trusted.user.as_str(), trusted.external_id.is_empty()), ("arn:aws:iam::123456789001:user/snow", false));
    let sent = account.sent.borrow();
    let first = |part: &str| sent.iter().position(|text| text.contains(part)).unwrap_or_else(|| panic!("no {part}"));
    let (made, proven) = (first("CREATE STORAGE INTEGRATION"), first("VALIDATE_STORAGE_INTEGRATION"));
    assert!(made < proven && proven < first("CREATE STAGE") && proven < first("CREATE PIPE"));
    assert_eq!(sent.iter().filter(|text| text.contains("VALIDATE_STORAGE")).count(), 1, "it is asked once");
}

#[test]
fn no_stage_is_made_while_the_warehouse_does_not_get_through() {
    let account = Guarded::new(u32::MAX);
    let error = provisioned(&account, Duration::from_secs(1)).expect_err("no way in");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(account.sent.borrow().iter().all(|text| !text.starts_with("CREATE STAGE")));
    // The next one goes on where this one has ended.
    account.refusals.set(0);
    provisioned(&account, Duration::from_secs(60)).expect("an account");
}

#[test]
fn rows_are_asked_for_in_a_warehouse_that_is_there() {
    let account = Guarded::new(0);
    provisioned(&account, Duration::from_secs(60)).expect("an account");
    let asked_in = account.asked_in.borrow();
    assert!(!asked_in.is_empty() && asked_in.iter().all(|warehouses| *warehouses > 0), "{asked_in:?}");
}
