//! How an account is asked: a statement as a role.

use std::future::Future;

use sluice_core::{
    Result,
    port::{Row, Secrets},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::kinds::ACCOUNTADMIN;
use crate::{SnowflakeConfig, client::SqlApi};

/// The user that makes an account what its file says, and its secret behind the stack's name. It is there before the file
/// is, and in no file.
pub const PROVISIONER: &str = "SLUICE_PROVISIONER";
pub const PROVISIONER_SECRET: &str = "snowflake-provisioner";

impl SnowflakeConfig {
    /// The same account as the user that provisions it for a stack.
    #[must_use]
    pub fn as_provisioner(self, stack: &str) -> Self {
        let secret = format!("{stack}/{PROVISIONER_SECRET}");
        SnowflakeConfig { user: PROVISIONER.to_owned(), role: ACCOUNTADMIN.to_owned(), secret, ..self }
    }
}

/// An account that runs statements as whatever role the user holds. One call is one request, and calls may overlap.
pub trait Account {
    fn run(&self, role: &str, statement: &str, tag: &str) -> impl Future<Output = Result<Vec<Row>>>;
}

/// The SQL API, for work that must be done by then.
pub struct AsRoles<'a, Sec> {
    pub api: &'a SqlApi<Sec>,
    pub deadline: Instant,
}

impl<Sec: Secrets> Account for AsRoles<'_, Sec> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.api.execute_as(role, needs_warehouse(statement), statement, Uuid::new_v4(), tag, self.deadline).await
    }
}

/// Whether rows are read or written: SHOW, DESC and what makes or alters an object need no warehouse.
fn needs_warehouse(statement: &str) -> bool {
    let verb = statement.split(' ').next().unwrap_or_default();
    matches!(verb, "SELECT" | "INSERT" | "UPDATE") || (verb == "CREATE" && statement.contains("\nSELECT "))
}
