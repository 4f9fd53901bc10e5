//! The user that the functions are to the warehouse: the settings of it that no deployment makes.

use std::time::Duration;

use sluice_pipeline::observe::{LockWait, User};

use super::Check;
use crate::{
    failure::Outcome,
    platform::{LOADER, Platform},
    warehouse::{Observe, Warehouse},
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
    Ok(role_check(warehouse.user(), warehouse.default_role().await?.as_deref()))
}

async fn lock_timeout(platform: &Platform, warehouse: &Warehouse) -> Outcome<Check> {
    Ok(lock_check(&warehouse.user().name, &warehouse.lock_wait().await?, platform.time_limit(LOADER).await?))
}

/// Statements and the streaming token name their role. Snowpipe's API cannot: it runs as the user's own.
fn role_check(User { name: user, role }: &User, found: Option<&str>) -> Check {
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
fn lock_check(user: &str, wait: &LockWait, function: Duration) -> Check {
    let (seconds, limit) = (wait.limit.as_secs(), function.as_secs());
    let set = match &wait.level {
        None => "Snowflake's own value".to_owned(),
        Some(level) => format!("set for the {level}"),
    };
    let detail = format!("a load waits {seconds} s for its table ({set}), and {LOADER} runs {limit} s");
    if seconds < limit {
        return Check::ok("LOCK_TIMEOUT", detail);
    }
    let fix = format!("ALTER USER {user} SET LOCK_TIMEOUT = {}", limit * 4 / 5);
    Check::warning("LOCK_TIMEOUT", detail, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Health;

    #[test]
    fn a_user_whose_default_role_is_another_is_failed() {
        let check = |role: &str, found| role_check(&User { name: "SLUICE".into(), role: role.into() }, found);
        assert_eq!(check("loader", Some("LOADER")).health, Health::Ok);
        for found in [Some("PUBLIC"), None] {
            let check = check("LOADER", found);
            assert_eq!(check.health, Health::Failed, "{found:?}");
            assert!(check.fix.expect("a fix").starts_with("ALTER USER SLUICE SET DEFAULT_ROLE = LOADER"));
        }
    }

    #[test]
    fn a_load_must_wait_for_its_table_shorter_than_its_function_lives() {
        let check = |seconds, level: Option<&str>| {
            let wait = LockWait { limit: Duration::from_secs(seconds), level: level.map(str::to_owned) };
            lock_check("SLUICE", &wait, Duration::from_secs(300))
        };
        assert_eq!(check(240, Some("user")).health, Health::Ok);
        assert!(check(299, Some("account")).detail.contains("set for the account"));
        for (seconds, level) in [(300, Some("user")), (43_200, None)] {
            let check = check(seconds, level);
            assert_eq!(check.health, Health::Warning, "{seconds}");
            assert_eq!(check.fix.as_deref(), Some("ALTER USER SLUICE SET LOCK_TIMEOUT = 240"));
        }
    }
}
