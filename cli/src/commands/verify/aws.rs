//! Probes of AWS. They read, but for one that puts an object and deletes it.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::TemplateStage;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use aws_sdk_lambda::types::RecursiveLoop;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::{Value, json};
use sluice_aws::classify;
use sluice_core::{
    functions::{self, Function, Trigger},
    port::{Deletion, ObjectStore, PutIfAbsent},
};
use uuid::Uuid;

use super::finding::Finding;
use crate::{commands::logs, failure::Outcome, platform::Platform};

/// How many puts race for one key.
const RACING: usize = 8;
/// From this share of its memory on, a function is near its end.
const FULL: f64 = 0.9;

/// The functions that the stack has.
fn deployed(platform: &Platform) -> impl Iterator<Item = &'static Function> {
    functions::ALL.iter().copied().filter(|function| platform.stack.find(function.logical).is_some())
}

/// As wanted of as many, unless there was none to ask about.
fn some(count: usize, what: &str, wanted: String) -> Finding {
    if count == 0 { Finding::Unseen(format!("no {what}")) } else { Finding::AsWanted(wanted) }
}

/// CloudFormation has expanded the template's loops: what it says it runs is what the stack has.
pub(super) async fn loops(platform: &Platform) -> Outcome<Finding> {
    let name = &platform.stack.name;
    let client = aws_sdk_cloudformation::Client::new(&platform.place.aws);
    let asked = client.get_template().stack_name(name).template_stage(TemplateStage::Processed).send().await;
    let found = asked.map_err(|error| classify(error, format!("cannot read the template of {name}")))?;
    let made = platform.stack.resources.iter().map(|resource| resource.logical.as_str()).collect::<Vec<_>>();
    Ok(expanded(found.template_body().unwrap_or_default(), &made))
}

fn expanded(template: &str, made: &[&str]) -> Finding {
    let fix = "deploy with SAM 1.160 or newer; `language_extensions = true` in samconfig.toml".to_owned();
    let Ok(template) = serde_json::from_str::<Value>(template) else {
        return Finding::Otherwise { seen: "CloudFormation has no expanded template of the stack".to_owned(), fix };
    };
    let names =
        template["Resources"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    if let Some(unexpanded) = names.iter().find(|name| name.starts_with("Fn::ForEach")) {
        return Finding::Otherwise { seen: format!("{unexpanded} is not expanded"), fix };
    }
    match made.iter().find(|name| !names.iter().any(|known| known == *name)) {
        Some(unknown) => Finding::Otherwise { seen: format!("the stack has {unknown}, which its template lacks"), fix },
        None => some(
            made.len(),
            "resource is in the stack",
            format!("no loop is left, and the template has all {} resources of the stack", made.len()),
        ),
    }
}

/// What no emulator makes is there.
pub(super) fn on_aws(platform: &Platform) -> Finding {
    let count = |resource_type: &str| platform.stack.of_type(resource_type).count();
    let (alarms, dashboards) = (count("AWS::CloudWatch::Alarm"), count("AWS::CloudWatch::Dashboard"));
    if platform.stack.parameters.get("Stage").is_some_and(|stage| stage == "local") {
        return Finding::Unseen("a local stack has no alarms and no dashboard".to_owned());
    }
    if alarms == 0 || dashboards == 0 {
        let seen = format!("{alarms} alarms, {dashboards} dashboards");
        return Finding::Otherwise {
            seen,
            fix: "the condition OnAws of the template does not hold; deploy again".to_owned(),
        };
    }
    Finding::AsWanted(format!("{alarms} alarms, {dashboards} dashboard"))
}

/// Functions that wait by messages to their own queues may.
pub(super) async fn recursion(platform: &Platform) -> Outcome<Finding> {
    let client = aws_sdk_lambda::Client::new(&platform.place.aws);
    let mut allowed = 0;
    for function in deployed(platform).filter(|function| function.triggers.contains(&Trigger::Queue)) {
        let name = platform.stack.resource(function.logical)?;
        let asked = client.get_function_recursion_config().function_name(name).send().await;
        let found = asked.map_err(|error| classify(error, format!("cannot read the recursion settings of {name}")))?;
        if found.recursive_loop() != Some(&RecursiveLoop::Allow) {
            let seen = format!("Lambda ends chains of messages of {name} after sixteen invocations");
            return Ok(Finding::Otherwise {
                seen,
                fix: "deploy again: the template says RecursiveLoop: Allow".to_owned(),
            });
        }
        allowed += 1;
    }
    Ok(some(
        allowed,
        "function reads a queue",
        format!("loops are allowed to all {allowed} functions that read a queue"),
    ))
}

/// IAM itself says that no function's role may do what none must.
pub(super) async fn roles_no_wider(platform: &Platform) -> Outcome<Finding> {
    let bucket = platform.stack.output("LakeBucket")?;
    let forbidden: [(&[&str], String); 3] = [
        (&["s3:DeleteObject", "s3:DeleteObjectVersion"], format!("arn:aws:s3:::{bucket}/raw/A/B/C/log/1.json")),
        (
            &[
                "iam:CreateUser",
                "iam:PutRolePolicy",
                "lambda:UpdateFunctionCode",
                "kms:ScheduleKeyDeletion",
                "s3:DeleteBucket",
            ],
            "*".to_owned(),
        ),
        (&["secretsmanager:GetSecretValue"], "arn:aws:secretsmanager:us-east-1:123456789012:secret:others".to_owned()),
    ];
    let client = aws_sdk_iam::Client::new(&platform.place.aws);
    let mut judged = 0;
    for function in deployed(platform) {
        let role = platform.role(function.logical).await?;
        for (actions, resource) in &forbidden {
            let asked = client.simulate_principal_policy().policy_source_arn(&role).resource_arns(resource);
            let asked =
                asked.set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect())).send().await;
            let found = asked.map_err(|error| classify(error, format!("cannot simulate the role {role}")))?;
            for result in found.evaluation_results() {
                if result.eval_decision() == &PolicyEvaluationDecisionType::Allowed {
                    let seen = format!("{role} may {} on {resource}", result.eval_action_name());
                    let fix = "take it out of the role: the template names no such right".to_owned();
                    return Ok(Finding::Otherwise { seen, fix });
                }
                judged += 1;
            }
        }
    }
    let count = deployed(platform).count();
    Ok(some(
        judged,
        "action was judged",
        format!("{judged} forbidden actions are denied to the roles of {count} functions"),
    ))
}

/// Of racing puts that are to be the first, one is.
pub(super) async fn conditional_put(platform: &Platform) -> Outcome<Finding> {
    let store = platform.store()?;
    let key = format!("verify/{}", Uuid::now_v7());
    let puts = (0..RACING).map(|n| store.put_if_absent(&key, Bytes::from(n.to_string())));
    let outcomes = join_all(puts).await;
    store.delete(&key).await?;
    let mut won = 0;
    for outcome in outcomes {
        won += usize::from(matches!(outcome?, PutIfAbsent::Stored(_)));
    }
    Ok(match won {
        1 => Finding::AsWanted(format!("one of {RACING} racing puts has won")),
        _ => Finding::Otherwise {
            seen: format!("{won} of {RACING} racing puts have won"),
            fix: "do not run extracts here: two could commit the same number".to_owned(),
        },
    })
}

/// How functions start, and how much of their memory they use, as Lambda reports it of each invocation.
pub(super) async fn memory(platform: &Platform, now: DateTime<Utc>) -> Outcome<Finding> {
    if platform.place.is_local {
        return Ok(Finding::Unseen("only Lambda reports memory and cold starts".to_owned()));
    }
    let mut reports = BTreeMap::new();
    for function in deployed(platform) {
        let name = platform.stack.resource(function.logical)?;
        let lines =
            logs::matching(platform, name, r#"{ $.type = "platform.report" }"#, now - TimeDelta::days(1)).await?;
        reports.insert(function.logical, lines.iter().filter_map(|line| Report::read(line)).collect());
    }
    Ok(used(&reports))
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Report {
    /// Of its memory.
    share: f64,
    /// Milliseconds; `None` of a warm start.
    cold: Option<f64>,
}

impl Report {
    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| json!({}));
        let metrics = &line["record"]["metrics"];
        let share =
            metrics["maxMemoryUsedMB"].as_f64()? / metrics["memorySizeMB"].as_f64().filter(|size| *size > 0.0)?;
        Some(Report { share, cold: metrics["initDurationMs"].as_f64() })
    }
}

fn used(reports: &BTreeMap<&'static str, Vec<Report>>) -> Finding {
    let all = || reports.iter().flat_map(|(name, reports)| reports.iter().map(move |report| (*name, report)));
    let most = |value: fn(&Report) -> Option<f64>| {
        let valued = all().filter_map(|(name, report)| Some((name, value(report)?)));
        valued.max_by(|(_, one), (_, other)| one.total_cmp(other))
    };
    let Some((name, share)) = most(|report| Some(report.share)) else {
        return Finding::Unseen("no function has run within a day".to_owned());
    };
    let percent = share * 100.0;
    if share >= FULL {
        let seen = format!("{name} has used {percent:.0} % of its memory");
        return Finding::Otherwise { seen, fix: "raise its MemorySize in the template".to_owned() };
    }
    let cold =
        most(|report| report.cold).map_or_else(String::new, |(name, ms)| format!(", a cold start {ms:.0} ms ({name})"));
    Finding::AsWanted(format!("at most {percent:.0} % of a function's memory ({name}){cold}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_is_left_or_a_resource_too_many_is_no_proof() {
        let template = r#"{"Resources": {"Lake": {}, "LoadDead": {}}}"#;
        assert!(matches!(expanded(template, &["Lake", "LoadDead"]), Finding::AsWanted(_)));
        assert!(matches!(expanded(template, &[]), Finding::Unseen(_)), "nothing was looked at");
        let seen = |template: &str, made: &[&str]| match expanded(template, made) {
            Finding::Otherwise { seen, .. } => seen,
            other => panic!("{other:?}"),
        };
        assert!(seen(r#"{"Resources": {"Fn::ForEach::Dead": []}}"#, &[]).contains("is not expanded"));
        assert!(seen(template, &["Other"]).contains("the stack has Other"));
        assert!(seen("Resources:", &[]).contains("no expanded template"));
    }

    #[test]
    fn memory_is_judged_by_lambdas_own_reports() {
        let line = r#"{"type": "platform.report", "record": {"metrics": {"initDurationMs": 412.5, "maxMemoryUsedMB": 61, "memorySizeMB": 256}}}"#;
        let report = Report::read(line).expect("a report");
        assert_eq!(report.cold, Some(412.5));
        let warm = Report { share: 0.5, cold: None };
        let of = |reports: Vec<Report>| used(&BTreeMap::from([("LoadCommits", reports)]));
        let text = "at most 50 % of a function's memory (LoadCommits), a cold start 412 ms (LoadCommits)";
        assert_eq!(of(vec![report, warm]), Finding::AsWanted(text.to_owned()));
        assert!(matches!(of(vec![Report { share: 0.95, cold: None }]), Finding::Otherwise { .. }));
        assert!(matches!(of(Vec::new()), Finding::Unseen(_)));
        assert_eq!(Report::read("no JSON"), None);
    }
}
