//! How an account is asked: a statement as a role.

use std::future::Future;

use sluice_core::{
    Result,
    port::{Row, Secrets},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{kinds::ACCOUNTADMIN, name::Name};
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

    /// The same for a question that needs a warehouse, in one of these: they are there, and the configured one may not be.
    fn ask(
        &self,
        warehouses: &[&Name],
        role: &str,
        statement: &str,
        tag: &str,
    ) -> impl Future<Output = Result<Vec<Row>>>;
}

/// The SQL API, for work that must be done by then.
pub struct AsRoles<'a, Sec> {
    pub api: &'a SqlApi<Sec>,
    pub deadline: Instant,
}

impl<Sec: Secrets> Account for AsRoles<'_, Sec> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        let warehouse = if needs_warehouse(statement) { self.api.warehouse() } else { "" };
        self.api.execute_as(role, warehouse, statement, Uuid::new_v4(), tag, self.deadline).await
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        let configured = Name::of([self.api.warehouse()]);
        let warehouse = warehouses.iter().find(|name| ***name == configured).or(warehouses.first());
        let warehouse = warehouse.map_or("", |name| name.last());
        self.api.execute_as(role, warehouse, statement, Uuid::new_v4(), tag, self.deadline).await
    }
}

/// Whether rows are read or written: SHOW, DESC and what makes or alters an object need no warehouse.
fn needs_warehouse(statement: &str) -> bool {
    let verb = statement.split(' ').next().unwrap_or_default();
    matches!(verb, "SELECT" | "INSERT" | "UPDATE") || (verb == "CREATE" && statement.contains("\nSELECT "))
}
