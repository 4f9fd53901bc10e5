//! What a round asks of AWS beside the lake: ages of secrets, and what functions and lake have used.

use std::{collections::BTreeSet, time::Duration};

use chrono::NaiveDate;
use sluice_aws::{SecretAges, Usage};
use sluice_core::{Result, functions};
use sluice_pipeline::watch::{EndedExtract, Surroundings, Used, UsedAmount};
use sluice_watch::monitors::SecretFacts;

use crate::{Config, channels::within, prefect::Prefect};

/// No more of a round's time goes into each.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Keys that `sluice warehouse rotate` gives: provision-warehouse knows their ages, and an alarm tells of them.
const OF_THE_WAREHOUSE: &str = "snowflake-";

pub struct OnAws<'a> {
    pub ages: &'a SecretAges,
    pub usage: &'a Usage,
    pub config: &'a Config,
    pub prefect: Prefect<'a>,
}

impl Surroundings for OnAws<'_> {
    async fn secrets(&self) -> Result<Vec<SecretFacts>> {
        let own = self.config.channels.secret.rsplit_once('/').map_or("", |(stack, _)| stack);
        let parts: BTreeSet<&str> = functions::ALL.iter().flat_map(|function| function.secrets).copied().collect();
        let mut secrets = Vec::new();
        for part in parts.into_iter().filter(|part| !part.starts_with(OF_THE_WAREHOUSE)) {
            let name = format!("{own}/{part}");
            if let Some(changed_at) = within(ANSWER_WITHIN, self.ages.changed_at(&name)).await? {
                secrets.push(SecretFacts { name, changed_at: Some(changed_at), expires_at: None });
            }
        }
        Ok(secrets)
    }

    async fn used(&self, from: NaiveDate, until: NaiveDate) -> Result<Vec<Used>> {
        let Some(stack) = &self.config.stack else { return Ok(Vec::new()) };
        let names: Vec<String> =
            functions::ALL.iter().map(|function| format!("{stack}-{}", function.logical)).collect();
        let functions =
            within(ANSWER_WITHIN, self.usage.functions(&names, from, until)).await?.into_iter().map(|function| Used {
                day: function.day,
                object: function.function,
                amount: UsedAmount::Invocations {
                    requests: function.requests,
                    gigabyte_seconds: function.gigabyte_seconds,
                    is_arm: function.is_arm,
                },
            });
        let bytes = within(ANSWER_WITHIN, self.usage.bucket(&self.config.lake_bucket, from, until)).await?;
        let stored = bytes.into_iter().map(|(day, bytes)| Used {
            day,
            object: self.config.lake_bucket.clone(),
            amount: UsedAmount::StoredBytes(bytes),
        });
        Ok(functions.chain(stored).collect())
    }

    async fn ended(&self, extracts: &[EndedExtract]) -> BTreeSet<String> {
        self.prefect.extracts(extracts).await
    }
}
