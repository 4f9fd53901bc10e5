//! Reading an account, explaining its roles and writing its file.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
};

use futures::executor::block_on;
use sluice_core::{Kind as ErrorKind, Result, port::Row};

use super::{
    applying::{SHIPPED, made, planned, seen},
    model::Model,
};
use crate::account::{
    Account, Desired, Name, explain,
    file::tests::{EVERY_FIELD, settings, sources},
    import, look,
    plan::Allowed,
};

#[test]
fn an_imported_account_has_an_empty_plan() {
    for (yaml, model) in [(EVERY_FIELD, Model::enterprise()), (SHIPPED, Model::standard())] {
        let (model, _) = made(yaml, model);
        // Made by somebody else's statements.
        for (role, text) in [
            ("SYSADMIN", "CREATE DATABASE IF NOT EXISTS SHOP COMMENT = 'It''s \"ours\": all of it'"),
            ("SYSADMIN", "CREATE SCHEMA IF NOT EXISTS SHOP.\"Web Orders\""),
            ("SYSADMIN", "CREATE WAREHOUSE IF NOT EXISTS SHOP WAREHOUSE_SIZE = LARGE AUTO_SUSPEND = 300"),
            ("USERADMIN", "CREATE ROLE IF NOT EXISTS SHOPKEEPER"),
            ("USERADMIN", "CREATE USER IF NOT EXISTS BOB DEFAULT_ROLE = SHOPKEEPER EMAIL = 'bob@example.com'"),
            ("SECURITYADMIN", "GRANT ROLE SHOPKEEPER TO USER BOB"),
            ("SECURITYADMIN", "GRANT USAGE, MONITOR ON WAREHOUSE SHOP TO ROLE SHOPKEEPER WITH GRANT OPTION"),
            ("SECURITYADMIN", "GRANT USAGE ON DATABASE SHOP TO ROLE SHOPKEEPER"),
            ("SECURITYADMIN", "GRANT USAGE ON ALL SCHEMAS IN DATABASE SHOP TO ROLE SHOPKEEPER"),
            ("SECURITYADMIN", "GRANT USAGE ON FUTURE SCHEMAS IN DATABASE SHOP TO ROLE SHOPKEEPER"),
            ("SECURITYADMIN", "GRANT SELECT ON FUTURE VIEWS IN SCHEMA SHOP.\"Web Orders\" TO ROLE SHOPKEEPER"),
            ("SECURITYADMIN", "GRANT SELECT ON FUTURE TABLES IN DATABASE SHOP TO ROLE SHOPKEEPER"),
        ] {
            block_on(model.run(role, text, "sluice:account:somebody"))
                .unwrap_or_else(|error| panic!("{text}: {}", error.chain()));
        }
        let text = import(&seen(&model), !model.standard, &settings("dev"), &sources());
        let desired = Desired::parse(&text, &settings("dev"), &sources());
        let desired = desired.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let plan = planned(&model, &desired);
        assert!(plan.is_empty() && plan.unnamed.is_empty(), "{}\n{text}", plan.to_text());
        // A grant on all there are and all that will come is one line.
        assert!(text.contains("- { grant: [USAGE], on: schemas, in: SHOP }\n"), "{text}");
        assert!(!text.contains("SHOP.PUBLIC"), "{text}");
    }
}

#[test]
fn a_role_is_explained_with_the_ways_to_it_and_from_it() {
    let (model, _) = made(SHIPPED, Model::standard());
    let explained = explain(&seen(&model), &Name::of(["SVC_DBT"])).expect("a role");
    let text = explained.to_text();
    for line in [
        "    select on future tables in DLT  through ANALYTICS_TRANSFORMER > ANALYTICS_SOURCES_READER > DLT.READER\n",
        "    create schema, usage on database ANALYTICS  through ANALYTICS_TRANSFORMER\n",
        "    user SVC_DBT\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(explained.out_of_reach.is_empty(), "{text}");
    assert_eq!(explain(&seen(&model), &Name::of(["NOBODY"])).expect_err("no role").kind(), ErrorKind::NotFound);
}

#[test]
fn what_lies_behind_a_closed_schema_is_told() {
    let yaml = SHIPPED.replace("      - { grant: [USAGE], on: schema ANALYTICS.REPORTING }\n", "");
    let (model, _) = made(&yaml, Model::standard());
    let explained = explain(&seen(&model), &Name::of(["ANALYTICS_REPORTER"])).expect("a role");
    assert!(
        explained.out_of_reach.iter().any(|text| text.contains("no privilege on the schema ANALYTICS.REPORTING")),
        "{}",
        explained.to_text()
    );
}

/// An account that answers one statement with this number of rows.
struct Full<'m> {
    model: &'m Model,
    statement: &'static str,
    rows: usize,
}

impl Account for Full<'_> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        let Some(rest) = statement.strip_prefix(self.statement) else {
            return self.model.run(role, statement, tag).await;
        };
        let from = rest
            .split('\'')
            .nth(1)
            .and_then(|name| name.strip_prefix('U'))
            .map_or(0, |n| n.parse::<usize>().expect("a number") + 1);
        let page = (from..self.rows).take(10_000);
        Ok(page
            .map(|n| {
                Row::from([("name".to_owned(), Some(format!("U{n:06}"))), ("owner".to_owned(), Some("X".to_owned()))])
            })
            .collect())
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.model.ask(warehouses, role, statement, tag).await
    }
}

#[test]
fn an_answer_that_may_be_cut_short_is_paged_or_refused() {
    let (model, desired) = made(SHIPPED, Model::standard());
    let plan = |statement: &'static str, rows: usize| {
        let account = Full { model: &model, statement, rows };
        block_on(look(&account, &desired, &Allowed::default(), "sluice:account:test"))
    };
    let (_, all) = plan("SHOW USERS", 25_000).expect("three pages");
    assert_eq!(all.unnamed.iter().filter(|what| what.starts_with("user U")).count(), 25_000);
    assert!(plan("SHOW GRANTS TO ROLE SVC_DBT", 9_999).is_ok());
    let error = plan("SHOW GRANTS TO ROLE SVC_DBT", 10_000).expect_err("cut short");
    assert!(
        error.kind() == ErrorKind::Unsupported && error.chain().contains("SHOW GRANTS TO ROLE SVC_DBT"),
        "{}",
        error.chain()
    );
}

/// An account whose every answer takes 50 ms, on a clock that goes on when everybody waits.
struct Far<'m> {
    model: &'m Model,
    now: Cell<u64>,
    waiting: RefCell<Vec<(u64, Waker)>>,
}

impl Far<'_> {
    async fn come(&self) {
        let at = self.now.get() + 50;
        let arrived = |context: &mut Context<'_>| {
            if self.now.get() >= at {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push((at, context.waker().clone()));
            Poll::Pending
        };
        std::future::poll_fn(arrived).await;
    }

    /// What it comes to, and how many milliseconds were waited for answers.
    fn timed<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let mut work = std::pin::pin!(work);
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return (done, self.now.get());
            }
            let mut waiting = self.waiting.borrow_mut();
            self.now.set(waiting.iter().map(|(at, _)| *at).min().expect("somebody waits for an answer"));
            waiting.retain(|(at, waker)| {
                let is_later = *at > self.now.get();
                if !is_later {
                    waker.wake_by_ref();
                }
                is_later
            });
        }
    }
}

impl Account for Far<'_> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.come().await;
        self.model.run(role, statement, tag).await
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.come().await;
        self.model.ask(warehouses, role, statement, tag).await
    }
}

#[test]
fn a_plan_of_a_large_account_takes_seconds() {
    let mut yaml = SHIPPED.to_owned();
    let (mut roles, mut schemas) = (String::new(), String::new());
    for number in 0..150 {
        roles.push_str(&format!("  TEAM_{number}:\n    grants:\n"));
        for warehouse in ["LOADING", "TRANSFORMING", "REPORTING", "DEVELOPER"] {
            roles.push_str(&format!(
                "      - {{ grant: [USAGE, OPERATE, MONITOR, MODIFY], on: warehouse {warehouse} }}\n"
            ));
        }
        for database in ["ADMIN", "ANALYTICS", "ANALYTICS_DEV"] {
            roles.push_str(&format!(
                "      - {{ grant: [USAGE, MONITOR, MODIFY, CREATE SCHEMA], on: database {database} }}\n"
            ));
        }
        roles.push_str("      - { grant: [USAGE, MONITOR, MODIFY, CREATE TABLE, CREATE VIEW, CREATE STAGE], on: schema ANALYTICS.MARTS }\n");
        schemas.push_str(&format!("  ANALYTICS_DEV.TEAM_{number}:\n"));
    }
    yaml = yaml.replacen("roles:\n", &format!("roles:\n{roles}"), 1);
    yaml = yaml.replacen("schemas:\n", &format!("schemas:\n{schemas}"), 1);
    let (model, desired) = made(&yaml, Model::standard());
    let grants = model.world.borrow().grants.len();
    assert!(grants > 5_000 && desired.state.objects.len() > 300, "{grants} {}", desired.state.objects.len());
    let far = Far { model: &model, now: Cell::new(0), waiting: RefCell::default() };
    let allowed = Allowed::default();
    let (looked, waited) = far.timed(look(&far, &desired, &allowed, "sluice:account:test"));
    let (state, plan) = looked.expect("a plan");
    assert!(plan.is_empty(), "{}", plan.to_text());
    // What is left of 10 seconds is for the comparison.
    assert!(waited <= 8_000, "{waited} ms for answers");
    let compared = std::time::Instant::now();
    assert!(crate::account::plan::plan(&desired, &state, &allowed).is_empty());
    let took = compared.elapsed();
    println!("{waited} ms for answers, {took:?} to compare");
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}
