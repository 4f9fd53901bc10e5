//! The user that the functions are to the warehouse: the settings of it that no deployment makes.

use std::time::Duration;

use sluice_core::{Result, port::Row};
use sluice_snowflake::sql::session;

use super::Check;
use crate::{
    commands::ledger::{number, text},
    failure::Outcome,
    platform::{LOADER, Platform, Warehouse},
};

/// What helps where the settings cannot be read.
const FIX: &str = "check the user's grants (docs/deploy.md names them)";

pub(super) async fn checks(platform: &Platform) -> Vec<Check> {
    let warehouse = match platform.warehouse().await {
        Ok(warehouse) => warehouse,
        Err(failure) => return vec![Check::of("warehouse's user", Err(failure), FIX)],
    };
    vec![
        Check::of("DEFAULT_ROLE", default_role(&warehouse).await, FIX),
        Check::of("LOCK_TIMEOUT", lock_timeout(platform, &warehouse).await, FIX),
    ]
}

async fn default_role(warehouse: &Warehouse) -> Outcome<Check> {
    let rows = warehouse.ask_as_default_role("doctor", session::ROLE).await?;
    let found = rows.first().and_then(|row| text(row, "role_name"));
    Ok(role_check(&warehouse.user, &warehouse.role, found.as_deref()))
}

async fn lock_timeout(platform: &Platform, warehouse: &Warehouse) -> Outcome<Check> {
    let rows = warehouse.ask("doctor", session::LOCK_TIMEOUT).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    Ok(lock_check(&warehouse.user, &row, platform.time_limit(LOADER).await?)?)
}

/// Statements and the streaming token name their role. Snowpipe's API cannot: it runs as the user's own.
fn role_check(user: &str, role: &str, found: Option<&str>) -> Check {
    let found = found.unwrap_or("no role");
    if found.eq_ignore_ascii_case(role) {
        return Check::ok("DEFAULT_ROLE", format!("{user} runs as {found} where no role is named"));
    }
    Check::failed(
        "DEFAULT_ROLE",
        format!("{user} runs as {found} where no role is named, and the platform's is {role}: Snowpipe answers 404"),
        format!("ALTER USER {user} SET DEFAULT_ROLE = {role}, and grant it the role"),
    )
}

/// A load that waits for its table longer than its function lives cannot say so.
fn lock_check(user: &str, row: &Row, function: Duration) -> Result<Check> {
    let (seconds, limit) = (number(row, "value")?, function.as_secs());
    let set = match text(row, "level").unwrap_or_default().to_lowercase().as_str() {
        "" => "Snowflake's own value".to_owned(),
        level => format!("set for the {level}"),
    };
    let detail = format!("a load waits {seconds} s for its table ({set}), and {LOADER} runs {limit} s");
    if seconds < limit {
        return Ok(Check::ok("LOCK_TIMEOUT", detail));
    }
    let fix = format!("ALTER USER {user} SET LOCK_TIMEOUT = {}", limit * 4 / 5);
    Ok(Check::warning("LOCK_TIMEOUT", detail, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Health;

    #[test]
    fn a_user_whose_default_role_is_another_is_failed() {
        assert_eq!(role_check("SLUICE", "loader", Some("LOADER")).health, Health::Ok);
        for found in [Some("PUBLIC"), None] {
            let check = role_check("SLUICE", "LOADER", found);
            assert_eq!(check.health, Health::Failed, "{found:?}");
            assert!(check.fix.expect("a fix").starts_with("ALTER USER SLUICE SET DEFAULT_ROLE = LOADER"));
        }
    }

    #[test]
    fn a_load_must_wait_for_its_table_shorter_than_its_function_lives() {
        let check = |seconds: &str, level: &str| {
            let row = [("value", seconds), ("level", level)];
            let row = row.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into();
            lock_check("SLUICE", &row, Duration::from_secs(300)).expect("a check")
        };
        assert_eq!(check("240", "USER").health, Health::Ok);
        assert!(check("299", "ACCOUNT").detail.contains("set for the account"));
        for (seconds, level) in [("300", "USER"), ("43200", "")] {
            let check = check(seconds, level);
            assert_eq!(check.health, Health::Warning, "{seconds}");
            assert_eq!(check.fix.as_deref(), Some("ALTER USER SLUICE SET LOCK_TIMEOUT = 240"));
        }
        assert!(lock_check("SLUICE", &Row::new(), Duration::from_secs(300)).is_err(), "an empty answer is no success");
    }
}
