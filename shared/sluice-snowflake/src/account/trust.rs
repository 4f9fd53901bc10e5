//! The lake's side of a storage integration: what reads files for the warehouse must be let in by the lake's role.
//!
//! The integration is made first, because only then its identity is known; then the role trusts that identity; and stages and
//! pipes are made when the warehouse has shown that it gets through, for which a new trust needs some seconds.

use std::{cell::Cell, future::Future, time::Duration};

use sluice_core::{Error, Kind, Result, lake, port::Row};
use tokio::time::{Instant, sleep};

use super::{
    file::{Desired, lake_stage},
    kinds::{ACCOUNTADMIN, Kind as Of},
    name::Name,
    port::Account,
};
use crate::sql::integration;

/// How often the warehouse is asked whether it gets through.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// Who reads the lake for the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The principal of the trust.
    pub user: String,
    pub external_id: String,
}

/// The role that may read the lake.
pub trait ReaderRole {
    /// Lets this identity in and nobody else. Doing it again changes nothing.
    fn trust(&self, identity: &Identity) -> impl Future<Output = Result<()>>;
}

/// An account in which no stage and no pipe is made before the lake lets the warehouse in.
pub struct LetIn<'a, A, R> {
    account: &'a A,
    role: &'a R,
    /// The integration and where data files lie behind it; `None` where the file has none.
    lake: Option<(Name, String)>,
    deadline: Instant,
    is_in: Cell<bool>,
}

impl<'a, A: Account, R: ReaderRole> LetIn<'a, A, R> {
    pub fn new(account: &'a A, role: &'a R, desired: &Desired, deadline: Instant) -> Self {
        // The role may list data files and nothing else, so that the bucket itself would be refused for ever.
        let stage = desired.state.object(Of::Stage, &lake_stage());
        let lake = stage.and_then(|stage| {
            let integration = Name::parse(stage.text("storage_integration"))?;
            let is_made = desired.state.has(Of::StorageIntegration, &integration);
            is_made.then(|| (integration, format!("{}{}", stage.text("url"), lake::RAW)))
        });
        LetIn { account, role, lake, deadline, is_in: Cell::new(false) }
    }

    /// Sees to it that the warehouse gets through to the lake. The trust is written each time: a deployment that changes the role
    /// may have put back what the template says.
    pub async fn ensure(&self, tag: &str) -> Result<()> {
        let Some((name, location)) = self.lake.as_ref().filter(|_| !self.is_in.get()) else { return Ok(()) };
        let rows = self.account.run(ACCOUNTADMIN, &integration::describe(&name.to_string()), tag).await?;
        self.role.trust(&identity(&rows).map_err(|error| error.with("integration", name))?).await?;
        let mut refusal = self.refusal(name, location, tag).await?;
        while let Some(reason) = refusal {
            if Instant::now() + ASKED_EVERY >= self.deadline {
                let error = Error::new(Kind::Timeout, "the warehouse does not get through to the lake yet");
                return Err(error.with("integration", name).with("answer", reason).with_hint(
                    "a new trust takes some minutes at most: do it again; if it stays so, compare the role's policies",
                ));
            }
            sleep(ASKED_EVERY).await;
            refusal = self.refusal(name, location, tag).await?;
        }
        self.is_in.set(true);
        Ok(())
    }

    /// Why the warehouse does not get through.
    async fn refusal(&self, name: &Name, location: &str, tag: &str) -> Result<Option<String>> {
        let rows = self.account.run(ACCOUNTADMIN, &integration::validate(name.last(), location), tag).await?;
        let answer = rows.first().and_then(|row| row.values().next().cloned().flatten()).unwrap_or_default();
        let read: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        Ok((read["status"] != "success").then_some(answer))
    }
}

impl<A: Account, R: ReaderRole> Account for LetIn<'_, A, R> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        if reads_lake(statement) {
            self.ensure(tag).await?;
        }
        self.account.run(role, statement, tag).await
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.account.ask(warehouses, role, statement, tag).await
    }
}

/// Whether it makes what reads the lake.
fn reads_lake(statement: &str) -> bool {
    let head: Vec<&str> = statement.split_whitespace().take(4).collect();
    head.first() == Some(&"CREATE") && (head.contains(&"STAGE") || head.contains(&"PIPE"))
}

/// From the rows of DESC.
fn identity(rows: &[Row]) -> Result<Identity> {
    let value = |property: &'static str| {
        let row = rows.iter().find(|row| row.get("property").and_then(Option::as_deref) == Some(property));
        let value = row.and_then(|row| row.get("property_value").cloned().flatten()).filter(|value| !value.is_empty());
        value.ok_or_else(|| Error::internal("the integration does not say who it is").with("property", property))
    };
    let identity =
        Identity { user: value("STORAGE_AWS_IAM_USER_ARN")?, external_id: value("STORAGE_AWS_EXTERNAL_ID")? };
    if is_user(&identity.user) {
        return Ok(identity);
    }
    let error = Error::invalid_data("the integration names no user of IAM, so the lake's role does not trust it");
    Err(error.with("user", identity.user).as_final())
}

/// Whether it is one user of one account: what else a trust policy takes, such as `*`, would let in more than the warehouse.
fn is_user(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, user] = parts[..] else { return false };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = |name: &str| !name.is_empty() && !name.contains(['*', '?']);
    partition.starts_with("aws") && is_account && user.strip_prefix("user/").is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_user_of_an_account_is_trusted() {
        for (user, is_trusted) in [
            ("arn:aws:iam::123456789012:user/abc-1", true),
            ("arn:aws-us-gov:iam::123456789012:user/externalstages/ci", true),
            ("*", false),
            ("123456789012", false),
            ("arn:aws:iam::123456789012:root", false),
            ("arn:aws:iam::123456789012:role/x", false),
            ("arn:aws:iam::123456789012:user/*", false),
            ("arn:aws:iam::*:user/x", false),
            ("arn:aws:sts::123456789012:user/x", false),
        ] {
            let row = |property: &str, value: &str| -> Row {
                [("property", property), ("property_value", value)]
                    .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
                    .into()
            };
            let rows = [row("STORAGE_AWS_IAM_USER_ARN", user), row("STORAGE_AWS_EXTERNAL_ID", "sluice")];
            assert_eq!(identity(&rows).is_ok(), is_trusted, "{user}");
        }
    }
}
