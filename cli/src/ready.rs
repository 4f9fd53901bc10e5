//! What must be so before schedules are switched on: the account provisioned, the secrets filled, warehouse and dbt reachable.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sluice_aws::CachedSecrets;
use sluice_core::{
    Sources,
    env::Env,
    functions::{self, DISPATCH_DBT, Function, Role},
    port::Secrets,
};
use sluice_dbt::{DbtCloud, DbtCloudConfig};
use sluice_pipeline::{dispatch::Jobs, observe::Question};

use crate::{
    check::Check,
    failure::Outcome,
    platform::Platform,
    stack::{Resource, Stack},
    warehouse::Observe,
};

pub(crate) struct Readiness {
    pub checks: Vec<Check>,
    /// Whether the warehouse has answered.
    pub warehouse: bool,
}

pub(crate) async fn look(platform: &Platform) -> Readiness {
    let mut checks = vec![account(platform.stack.outputs.get("AccountStatus").map(String::as_str))];
    checks.extend(secrets(platform).await);
    let answered = warehouse(platform).await;
    let answers = answered.is_ok();
    let fix = "check the secret snowflake-loader and the account in the stack's parameters";
    checks.push(Check::of("warehouse", answered, fix));
    let fix = match platform.stack.parameter("DbtRunner") {
        Ok("snowflake") => "deploy the dbt project as docs/running-dbt.md says",
        _ => "check the secret dbt and DbtJobUrl",
    };
    checks.push(Check::of("dbt", dbt(platform).await, fix));
    Readiness { checks, warehouse: answers }
}

/// What the last deployment has made of the warehouse's account.
fn account(status: Option<&str>) -> Check {
    match status {
        Some("provisioned") => Check::ok("account", "provisioned"),
        Some(status) if status.starts_with("provisioned") => {
            Check::warning("account", status, "`sluice warehouse plan` shows what is left, and apply asks about it")
        }
        Some(status) => Check::failed("account", status, "do what it says, then deploy again"),
        None => Check::warning("account", "the stack says nothing of it", "deploy this version of the template"),
    }
}

/// Each secret that a function of the stack needs can be read and holds a JSON object. What it holds is looked at no further.
async fn secrets(platform: &Platform) -> Vec<Check> {
    let store = CachedSecrets::new(&platform.place.aws);
    let needed = needed(&platform.stack, &platform.place.sources);
    let mut checks = Vec::new();
    for resource in platform.stack.of_type("AWS::SecretsManager::Secret") {
        let what = format!("secret {}", resource.logical);
        let is_needed = needed.contains(&resource.logical);
        let fix = "put its JSON in (docs/deploy.md says which)";
        checks.push(match store.get(&resource.physical).await {
            Err(_) if !is_needed => Check::ok(what, "not needed"),
            Err(error) => Check::failed(what, error.to_string(), "put its value in, or ask for leave to read it"),
            Ok(secret) => match serde_json::from_str::<Map<String, Value>>(secret.expose()) {
                Ok(fields) if !fields.is_empty() => Check::ok(what, "readable"),
                Ok(_) => empty(what, own_name(&resource.physical, &platform.stack.name), is_needed, fix),
                Err(_) if !is_needed => Check::warning(what, "its value is no JSON object with fields", fix),
                Err(_) => Check::failed(what, "its value is no JSON object with fields", fix),
            },
        });
    }
    checks
}

/// An empty object is the value of few secrets.
fn empty(what: String, name: Option<&str>, is_needed: bool, fix: &str) -> Check {
    match name {
        Some("kafka" | "schema-registry") => {
            Check::warning(what, "an empty object: right only where no user is asked for", fix)
        }
        Some("alerts") => Check::warning(what, "an empty object: alerts go to the topic alone", fix),
        _ if is_needed => Check::failed(what, "an empty object", fix),
        _ => Check::warning(what, "an empty object", fix),
    }
}

/// The stack's secrets without which a function of it fails, by their names in the template.
fn needed(stack: &Stack, sources: &Sources) -> BTreeSet<String> {
    let has = |name: &str, value: &str| stack.parameters.get(name).is_some_and(|given| given == value);
    let works = |function: &Function| match function.role {
        Role::Extract => sources.tables.iter().any(|table| table.source.is_of(function)),
        Role::Activate => has("EnableActivate", "true"),
        // A secret without a value is a platform whose alerts go to the topic alone.
        Role::Watch => false,
        _ => stack.find(function.logical).is_some(),
    };
    let names: BTreeSet<&str> = functions::ALL
        .iter()
        .filter(|function| works(function))
        .flat_map(|function| function.secrets)
        .copied()
        .collect();
    let is_named = |resource: &&Resource| {
        let own = own_name(&resource.physical, &stack.name);
        let unread = [("dbt", has("DbtRunner", "snowflake")), ("kafka", has("KafkaAuth", "IAM"))];
        names.iter().any(|name| own == Some(*name) && !unread.contains(&(*name, true)))
    };
    stack.of_type("AWS::SecretsManager::Secret").filter(is_named).map(|secret| secret.logical.clone()).collect()
}

/// What a secret is called behind the stack's name. Its ARN ends with a hyphen and six characters of AWS.
fn own_name<'a>(physical: &'a str, stack: &str) -> Option<&'a str> {
    let name = physical.rsplit_once(":secret:").map_or(physical, |(_, name)| name);
    let own = name.strip_prefix(stack)?.strip_prefix('/')?;
    match own.len().checked_sub(7).and_then(|at| own.split_at_checked(at)) {
        Some((own, ending)) if physical.starts_with("arn:") && ending.starts_with('-') => Some(own),
        _ => Some(own),
    }
}

async fn warehouse(platform: &Platform) -> Outcome<Check> {
    let warehouse = platform.warehouse().await?;
    let loads = warehouse.loads().await?;
    if let Some(run) = warehouse.last_dbt_run().await?.filter(|run| run.status == "failed") {
        let fix = "its RunFailed event names the nodes; the files of the run are under dbt/artifacts/ in the lake";
        return Ok(Check::failed("warehouse", format!("answers; dbt run {} failed", run.number), fix));
    }
    let failed: u64 = loads.values().map(|loads| loads.failed).sum();
    let detail = format!("answers; {} commits loaded", loads.values().map(|loads| loads.loaded).sum::<u64>());
    Ok(match failed {
        0 => Check::ok("warehouse", detail),
        _ => Check::warning(
            "warehouse",
            format!("{detail}, {failed} failed"),
            "`sluice status` says why; then `sluice retry`",
        ),
    })
}

/// Who runs dbt answers, and knows the job or the project.
async fn dbt(platform: &Platform) -> Outcome<Check> {
    let mut env = Env::of(platform.environment(DISPATCH_DBT.logical).await?);
    if env.optional("SLUICE_DBT_RUNNER").as_deref() == Some("snowflake") {
        let project = env.required("SLUICE_DBT_PROJECT");
        let statement = format!("DESCRIBE DBT PROJECT {project}");
        platform.warehouse().await?.ask(&Question { statement, role: None, rows: 1 }).await?;
        return Ok(Check::ok("dbt", format!("Snowflake has the project {project}")));
    }
    let config = DbtCloudConfig::from_env(&mut env);
    let config = env.finish(config)?;
    let (http, secrets) = (sluice_http::Client::new()?, CachedSecrets::new(&platform.place.aws));
    DbtCloud::new(&http, &secrets, &config).recent("sluice").await?;
    Ok(Check::ok("dbt", format!("answers; job {} of account {}", config.job_id, config.account_id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Health;

    fn stack(parameters: &[(&str, &str)], functions: &[&str]) -> Stack {
        let secret = |(logical, own): (&str, &str)| Resource {
            logical: logical.to_owned(),
            physical: format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:s/{own}-AbCdEf"),
            resource_type: "AWS::SecretsManager::Secret".to_owned(),
        };
        let function = |name: &&str| Resource {
            logical: (*name).to_owned(),
            physical: format!("s-{name}"),
            resource_type: "AWS::Lambda::Function".to_owned(),
        };
        let secrets = [
            ("DbtSecret", "dbt"),
            ("HubspotSecret", "hubspot"),
            ("HubspotActivateSecret", "hubspot-activate"),
            ("KafkaSecret", "kafka"),
            ("AlertsSecret", "alerts"),
        ];
        Stack {
            name: "s".to_owned(),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            resources: secrets.map(secret).into_iter().chain(functions.iter().map(function)).collect(),
            ..Stack::default()
        }
    }

    #[test]
    fn only_secrets_that_a_function_of_the_stack_reads_are_needed() {
        let sources = Sources::parse(include_str!("../../platform/sources.yaml")).expect("valid sources");
        let of = |parameters: &[(&str, &str)], functions: &[&str]| {
            needed(&stack(parameters, functions), &sources).into_iter().collect::<Vec<_>>().join(" ")
        };
        let always = ["DispatchDbt", "WatchPlatform"];
        assert_eq!(of(&[], &always), "DbtSecret HubspotSecret");
        assert_eq!(of(&[("DbtRunner", "snowflake")], &always), "HubspotSecret");
        let all = of(&[("EnableActivate", "true")], &["DispatchDbt", "CollectEvents"]);
        assert_eq!(all, "DbtSecret HubspotActivateSecret HubspotSecret KafkaSecret");
        // A role proves itself without a password.
        assert_eq!(of(&[("KafkaAuth", "IAM")], &["DispatchDbt", "CollectEvents"]), "DbtSecret HubspotSecret");
    }

    #[test]
    fn an_empty_secret_is_right_only_where_nothing_is_asked_for() {
        let of = |name, is_needed| empty("secret".to_owned(), Some(name), is_needed, "fix");
        assert_eq!(of("kafka", true).health, Health::Warning);
        assert!(of("alerts", false).detail.ends_with("alerts go to the topic alone"));
        assert_eq!((of("postgres", true).health, of("postgres", false).health), (Health::Failed, Health::Warning));
    }

    #[test]
    fn a_stack_without_an_account_is_failed_and_a_difference_only_told() {
        assert_eq!(account(Some("provisioned")).health, Health::Ok);
        assert_eq!(account(Some("provisioned, but for 1 difference: pipe A.B.C")).health, Health::Warning);
        let none = account(Some("not provisioned: the secret has no key"));
        assert!(none.health == Health::Failed && none.detail.contains("no key"));
    }
}
