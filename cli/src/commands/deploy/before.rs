//! What must be so before anything is made. Each check names what mends it.

use sluice_aws::{SecretAges, classify};
use sluice_core::Error;

use super::fits;
use crate::{
    check::{Check, Health},
    failure::{Failure, Outcome},
    place::Place,
    sam::Sam,
    stack::{self, Stack},
    stage::Stage,
    warehouse::account::PROVISIONER_SECRET,
};

/// At least this concurrency stays with the other functions of the account: AWS refuses to reserve it.
const LEFT_TO_OTHERS: i32 = 100;
/// How many invocations of one platform may run at once: 14 by its queues, and one of each function by schedules and the bus.
const AT_ONCE: i32 = 25;
/// What the template gives CollectConcurrency.
const COLLECT_CONCURRENCY: i32 = 20;
/// The oldest SAM that expands the template's loops.
const OLDEST_SAM: (u32, u32) = (1, 160);

/// How the account is before anything is made.
pub(crate) struct Before {
    pub checks: Vec<Check>,
    /// Whose credentials these are.
    pub account: String,
    /// The stack, where there is one that holds anything.
    pub stack: Option<Stack>,
}

impl Before {
    pub(crate) async fn look(stage: &Stage, place: &Place) -> Outcome<Self> {
        let account = account(place).await?;
        let status = stack::status(&place.aws, &stage.stack).await?;
        let stack = match status.as_deref() {
            None | Some("REVIEW_IN_PROGRESS") => None,
            Some(_) => Some(Stack::describe(&place.aws, &stage.stack).await?),
        };
        let mut checks =
            vec![pinned(stage, &account), fits::name(stage), filled_in(stage), fits::warehouse(stage, place)];
        let version = Sam::of(stage).version().await.map(|version| sam(&version));
        checks.push(Check::of("sam", version, "`tools/setup sam` puts it into this checkout"));
        checks.extend(stack.as_ref().map(changeable));
        checks.push(quota(stage, place, stack.as_ref()).await);
        checks.push(provisioner(stage, place).await);
        checks.extend(fits::cluster(stage));
        checks.extend(fits::stream_user(stage, place).await);
        Ok(Before { checks, account, stack })
    }

    /// Ends what would make something where a check has failed.
    pub(crate) fn must_hold(&self) -> Outcome {
        let failed: Vec<&Check> = self.checks.iter().filter(|check| check.health == Health::Failed).collect();
        match &failed[..] {
            [] => Ok(()),
            [one] => Err(refusal(format!("nothing was made: {}: {}", one.what, one.detail))
                .hint(one.fix.clone().unwrap_or_default())),
            several => Err(refusal(format!("nothing was made: {} checks have failed", several.len()))
                .hint("each line above names its fix")),
        }
    }
}

fn refusal(text: String) -> Failure {
    Failure::from(Error::config(text))
}

/// Whose credentials these are.
pub(super) async fn account(place: &Place) -> Outcome<String> {
    let identity = aws_sdk_sts::Client::new(&place.aws).get_caller_identity().send().await;
    let identity = identity.map_err(|error| classify(error, "cannot ask who is calling".into()))?;
    Ok(identity.account().unwrap_or_default().to_owned())
}

/// The account is the one that the stage is pinned to: what is made in another is found by nobody.
pub(super) fn pinned(stage: &Stage, account: &str) -> Check {
    if stage.account == account {
        return Check::ok("account", format!("{account}, as the stage {} wants", stage.name));
    }
    Check::failed(
        "account",
        format!("these credentials are of {account}, and the stage {} lives in {}", stage.name, stage.account),
        format!("log in to the stage's account, or set `account` in [{}.sluice.parameters]", stage.name),
    )
}

fn filled_in(stage: &Stage) -> Check {
    match &stage.left_to_fill_in()[..] {
        [] => Check::ok("parameters", "nothing is left to fill in"),
        left => Check::failed(
            "parameters",
            format!("still CHANGE-ME: {}", left.join(", ")),
            format!("docs/deploy.md says where each comes from; they stand in {}", stage.file.display()),
        ),
    }
}

fn sam(version: &str) -> Check {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if found >= OLDEST_SAM {
        return Check::ok("sam", version);
    }
    let (major, minor) = OLDEST_SAM;
    Check::failed(
        "sam",
        format!("{version} does not expand the template's loops; {major}.{minor} does"),
        "`tools/setup sam` puts a newer one into this checkout",
    )
}

/// Whether CloudFormation would take a change of the stack.
fn changeable(stack: &Stack) -> Check {
    match stack::before_a_change(&stack.status, stack.resources.is_empty()) {
        Some(fix) => Check::failed("stack", &*stack.status, fix),
        None => Check::ok("stack", &*stack.status),
    }
}

async fn quota(stage: &Stage, place: &Place, stack: Option<&Stack>) -> Check {
    match asked_quota(stage, place, stack).await {
        Ok(check) => check,
        Err(failure) => Check::warning(
            "concurrency",
            format!("cannot be looked at: {}", failure.message()),
            "ask for lambda:GetAccountSettings and lambda:GetFunctionConcurrency",
        ),
    }
}

async fn asked_quota(stage: &Stage, place: &Place, stack: Option<&Stack>) -> Outcome<Check> {
    let client = aws_sdk_lambda::Client::new(&place.aws);
    let settings = client.get_account_settings().send().await;
    let settings = settings.map_err(|error| classify(error, "cannot read Lambda's quotas".into()))?;
    let limits = settings.account_limit().ok_or_else(|| Error::internal("Lambda tells no quota"))?;
    let held = match stack.and_then(|stack| stack.find(sluice_core::functions::COLLECT_EVENTS.logical)) {
        None => 0,
        Some(name) => {
            let asked = client.get_function_concurrency().function_name(name).send().await;
            let found = asked.map_err(|error| classify(error, format!("cannot read the concurrency of {name}")))?;
            found.reserved_concurrent_executions().unwrap_or_default()
        }
    };
    let wanted = match stage.parameter("EnableCollect") {
        Some("true") => {
            stage.parameter("CollectConcurrency").map_or(COLLECT_CONCURRENCY, |n| n.parse().unwrap_or_default())
        }
        _ => 0,
    };
    let unreserved = limits.unreserved_concurrent_executions().unwrap_or_default();
    Ok(concurrency(limits.concurrent_executions(), unreserved + held, wanted))
}

/// `free` is what no function has reserved, but for what this stack has.
fn concurrency(limit: i32, free: i32, wanted: i32) -> Check {
    let ask = "ask for a higher quota (Service Quotas, AWS Lambda, Concurrent executions)";
    if wanted > 0 && free - wanted < LEFT_TO_OTHERS {
        return Check::failed(
            "concurrency",
            format!(
                "CollectEvents reserves {wanted}, and of {free} that are free AWS keeps {LEFT_TO_OTHERS} for other functions"
            ),
            format!("set CollectConcurrency=0, or {ask}"),
        );
    }
    let left = free - wanted;
    if left < AT_ONCE {
        let detail =
            format!("{left} of {limit} invocations at once; the platform may need {AT_ONCE}, others wait as throttled");
        return Check::warning("concurrency", detail, ask);
    }
    Check::ok("concurrency", format!("{left} of {limit} invocations at once are free"))
}

/// The one secret that is there before the stack.
async fn provisioner(stage: &Stage, place: &Place) -> Check {
    let (what, name) = ("first user of Snowflake", format!("{}/{PROVISIONER_SECRET}", stage.stack));
    // That it has a value is seen without reading the key, which who only plans may not do.
    match SecretAges::new(&place.aws).changed_at(&name).await {
        Ok(Some(_)) => Check::ok(what, format!("its key is in {name}")),
        Err(error) => {
            Check::warning(what, error.chain(), "it must hold the key; look again, or ask somebody who may look")
        }
        Ok(None) => Check::failed(
            what,
            format!("{name} has no value"),
            format!(
                "`tools/sluice warehouse bootstrap --stack {}` makes its key and says what to do with it",
                stage.stack
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_that_lambda_would_refuse_is_refused_before() {
        let check = |limit, free, wanted| concurrency(limit, free, wanted);
        assert_eq!(check(1000, 1000, 20).health, Health::Ok);
        let small = check(10, 10, 20);
        assert_eq!(small.health, Health::Failed);
        assert!(small.fix.expect("a fix").starts_with("set CollectConcurrency=0"));
        assert_eq!(check(10, 10, 0).health, Health::Warning);
        assert_eq!(check(1000, 119, 20).health, Health::Failed, "99 would be left to others");
        assert_eq!(check(1000, 120, 20).health, Health::Ok);
    }

    #[test]
    fn the_templates_own_concurrency_is_the_one_that_is_counted() {
        let template = include_str!("../../../../template.yaml");
        let parameter =
            template.lines().find(|line| line.starts_with("  CollectConcurrency: ")).expect("the parameter");
        assert!(parameter.contains(&format!("Default: {COLLECT_CONCURRENCY},")), "{parameter}");
    }

    #[test]
    fn a_sam_that_expands_no_loops_is_refused() {
        assert_eq!(sam("1.159.9").health, Health::Failed);
        assert_eq!(sam("1.160.0").health, Health::Ok);
        assert_eq!(sam("2.0.0").health, Health::Ok);
    }
}
