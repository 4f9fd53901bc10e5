//! What is beside warehouse and lake in a drill: secrets that grow old, and what the account is told to have used.

use std::{cell::Cell, collections::BTreeSet};

use anyhow::{Result, ensure};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use sluice_http::{Client, Request};
use sluice_pipeline::watch::{EndedExtract, Surroundings, Used};
use sluice_watch::{monitors::SecretFacts, random::Random};

use super::plant::{Fault, Plants, SEED};

/// A secret that was changed a month ago, and one of which nobody has thought.
const CHANGED: TimeDelta = TimeDelta::days(30);
const FORGOTTEN: TimeDelta = TimeDelta::days(400);

/// Credits of a day of the warehouse that loads.
const CREDITS: f64 = 2.0;

pub(super) struct Beside {
    http: Client,
    emulator: String,
    changed_at: Cell<DateTime<Utc>>,
}

impl Beside {
    pub(super) fn new(http: Client, port: u16) -> Self {
        let emulator = format!("http://127.0.0.1:{port}/_emulator/usage");
        Beside { http, emulator, changed_at: Cell::default() }
    }

    /// What a day leaves beside the tables. The account tells of the day before.
    pub(super) async fn play(&self, day: NaiveDate, plants: &Plants) -> Result<()> {
        let is = |fault: Fault| plants.fault == Some(fault);
        let age = if is(Fault::OldSecret) { FORGOTTEN } else { CHANGED };
        self.changed_at.set(day.and_time(chrono::NaiveTime::MIN).and_utc() - age);
        let used = day - Days::new(1);
        let mut random = Random::of(SEED, "credits", i64::from(used.to_epoch_days()));
        let credits = CREDITS * (0.08 * random.normal()).exp();
        let credits = if is(Fault::WarehouseCostsThreeTimes) { 3.0 * credits } else { credits };
        let (start, end) = (format!("{used} 13:00:00"), format!("{used} 14:00:00"));
        let queries = 0.7 * credits;
        self.show("WAREHOUSE_METERING_HISTORY", json!({
            "START_TIME": start, "END_TIME": end, "WAREHOUSE_ID": 1, "WAREHOUSE_NAME": "LOADING", "CREDITS_USED": credits,
            "CREDITS_USED_COMPUTE": credits, "CREDITS_USED_CLOUD_SERVICES": 0.01, "CREDITS_ATTRIBUTED_COMPUTE_QUERIES": queries,
        }))
        .await?;
        self.show("QUERY_ATTRIBUTION_HISTORY", json!({
            "QUERY_ID": format!("q-{used}"), "WAREHOUSE_NAME": "LOADING", "QUERY_TAG": "sluice:load:SHADOW.PUBLIC.ORDERS:1:drill",
            "USER_NAME": "SLUICE_LOADER", "START_TIME": start, "END_TIME": end, "CREDITS_ATTRIBUTED_COMPUTE": queries,
        }))
        .await?;
        self.show(
            "METERING_DAILY_HISTORY",
            json!({
                "SERVICE_TYPE": "WAREHOUSE_METERING", "USAGE_DATE": used.to_string(), "CREDITS_BILLED": credits + 0.05,
            }),
        )
        .await
    }

    async fn show(&self, view: &str, row: Value) -> Result<()> {
        let shown = Request::post(&self.emulator).json(&json!({"view": view, "rows": [row]}))?;
        let answer = self.http.send_once(&shown).await?;
        ensure!(answer.is_success(), "the emulator does not show {view}: {}", String::from_utf8_lossy(&answer.body));
        Ok(())
    }
}

impl Surroundings for Beside {
    async fn secrets(&self) -> sluice_core::Result<Vec<SecretFacts>> {
        let changed_at = Some(self.changed_at.get());
        Ok(vec![SecretFacts { name: "drill/hubspot".to_owned(), changed_at, expires_at: None }])
    }

    async fn used(&self, _: NaiveDate, _: NaiveDate) -> sluice_core::Result<Vec<Used>> {
        Ok(Vec::new())
    }

    async fn ended(&self, extracts: &[EndedExtract]) -> BTreeSet<String> {
        extracts.iter().map(|ended| ended.table.clone()).collect()
    }
}
