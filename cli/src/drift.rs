//! What the stack lists and the account lacks, or has otherwise: somebody has deleted or changed it by hand, and no deployment
//! that leaves it alone brings it back.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client,
    types::{
        StackDriftDetectionStatus::{DetectionFailed, DetectionInProgress},
        StackResourceDrift,
        StackResourceDriftStatus::{self, Deleted, Modified},
    },
};
use sluice_aws::classify;

use crate::{
    check::{Check, Health},
    failure::Outcome,
};

/// How often a comparison under way is looked at, and how often at most: CloudFormation takes minutes for a large stack.
const POLL: Duration = Duration::from_secs(1);
const POLLS: usize = 60;

const WHAT: &str = "resources";
/// What brings back what was deleted.
pub(crate) const MEND: &str = "`sluice deploy --env STAGE --mend` makes it again (docs/runbooks/parts-were-deleted.md)";
/// What a pause, and the account's own answer, change outside of the stack as they are to.
const OURS: [(&str, &str); 4] = [
    ("AWS::Scheduler::Schedule", "/State"),
    ("AWS::Scheduler::Schedule", "/Target/Input"),
    ("AWS::Lambda::EventSourceMapping", "/Enabled"),
    ("LakeReaderRole", "/AssumeRolePolicyDocument"),
];

/// Compares all that the stack lists with the account.
pub(crate) async fn check(aws: &SdkConfig, stack: &str) -> Check {
    compared(aws, stack).await.unwrap_or_else(|failure| {
        let fix = "check cloudformation:DetectStackDrift; CloudFormation makes one comparison of a stack at a time";
        Check::warning(WHAT, failure.message(), fix)
    })
}

/// The same for whom it is no matter where it cannot be compared.
pub(crate) async fn compared(aws: &SdkConfig, stack: &str) -> Outcome<Check> {
    let client = Client::new(aws);
    let attempt = || format!("cannot compare {stack} with the account");
    let begun = client.detect_stack_drift().stack_name(stack).send().await;
    let begun = begun.map_err(|error| classify(error, attempt()))?;
    let id = begun.stack_drift_detection_id().unwrap_or_default();
    let mut unread = None;
    for poll in 0.. {
        let asked = client.describe_stack_drift_detection_status().stack_drift_detection_id(id).send().await;
        let asked = asked.map_err(|error| classify(error, attempt()))?;
        match asked.detection_status() {
            Some(DetectionInProgress) if poll < POLLS => tokio::time::sleep(POLL).await,
            Some(DetectionInProgress) => {
                return Ok(Check::warning(WHAT, "CloudFormation is still comparing them", "ask again in a minute"));
            }
            Some(DetectionFailed) => {
                unread = Some(asked.detection_status_reason().unwrap_or("some could not be read").to_owned());
                break;
            }
            _ => break,
        }
    }
    // The first hundred that differ; a line shows fewer.
    let drifts = client.describe_stack_resource_drifts().stack_name(stack);
    let drifts = drifts.stack_resource_drift_status_filters(Deleted).stack_resource_drift_status_filters(Modified);
    let found = drifts.send().await.map_err(|error| classify(error, attempt()))?;
    let check = told(found.stack_resource_drifts());
    Ok(match unread {
        Some(reason) if check.health == Health::Ok => {
            Check::warning(WHAT, reason, "ask with leave to read all of them")
        }
        _ => check,
    })
}

fn told(found: &[StackResourceDrift]) -> Check {
    let names = |status: StackResourceDriftStatus| {
        let is_so = |one: &&StackResourceDrift| one.stack_resource_drift_status() == Some(&status) && !is_ours(one);
        let mut names: Vec<&str> = found.iter().filter(is_so).filter_map(|one| one.logical_resource_id()).collect();
        names.sort_unstable();
        names.join(", ")
    };
    match (names(Deleted), names(Modified)) {
        (deleted, changed) if deleted.is_empty() && changed.is_empty() => Check::ok(WHAT, "as the stack lists them"),
        (deleted, changed) if deleted.is_empty() => {
            let fix = "`sluice diff --env STAGE --mend` shows what setting them back would change";
            Check::warning(WHAT, format!("changed by hand: {changed}"), fix)
        }
        (deleted, _) => Check::failed(WHAT, format!("deleted by hand: {deleted}"), MEND),
    }
}

fn is_ours(drift: &StackResourceDrift) -> bool {
    let (name, kind) = (drift.logical_resource_id(), drift.resource_type());
    let is_known = |path: Option<&str>| {
        let fits = |(of, known): &(&str, &str)| {
            (Some(*of) == name || Some(*of) == kind) && path.is_some_and(|path| path.starts_with(known))
        };
        OURS.iter().any(fits)
    };
    let differences = drift.property_differences();
    !differences.is_empty() && differences.iter().all(|difference| is_known(difference.property_path()))
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::{primitives::DateTime, types::PropertyDifference};

    use super::*;

    fn drift(name: &str, kind: &str, status: StackResourceDriftStatus, paths: &[&str]) -> StackResourceDrift {
        let difference = |path: &&str| PropertyDifference::builder().property_path(*path).build();
        StackResourceDrift::builder()
            .logical_resource_id(name)
            .resource_type(kind)
            .stack_id("s")
            .timestamp(DateTime::from_secs(0))
            .stack_resource_drift_status(status)
            .set_property_differences(Some(paths.iter().map(difference).collect()))
            .build()
    }

    #[test]
    fn what_was_deleted_by_hand_fails_and_is_named_with_its_mend() {
        let queue = |name| drift(name, "AWS::SQS::Queue", Deleted, &[]);
        let changed = drift("LoadRole", "AWS::IAM::Role", Modified, &["/Policies/0"]);
        let check = told(&[queue("LoadQueue"), changed.clone(), queue("LoadDead")]);
        assert_eq!((check.health, check.detail.as_str()), (Health::Failed, "deleted by hand: LoadDead, LoadQueue"));
        assert!(check.fix.is_some_and(|fix| fix.contains("sluice deploy --env STAGE --mend")));
        let check = told(&[changed]);
        assert_eq!((check.health, check.detail.as_str()), (Health::Warning, "changed by hand: LoadRole"));
        assert_eq!(told(&[]).health, Health::Ok);
    }

    #[test]
    fn a_pause_and_the_readers_trust_are_no_damage() {
        let schedule = drift("LoadSweepSchedule", "AWS::Scheduler::Schedule", Modified, &["/State", "/Target/Input"]);
        let trust = |name| drift(name, "AWS::IAM::Role", Modified, &["/AssumeRolePolicyDocument/Statement/0"]);
        assert_eq!(told(&[schedule, trust("LakeReaderRole")]).health, Health::Ok);
        assert_eq!(told(&[trust("SchedulerRole")]).health, Health::Warning);
        let target = drift("LoadSweepSchedule", "AWS::Scheduler::Schedule", Modified, &["/State", "/Target/Arn"]);
        assert_eq!(told(&[target]).health, Health::Warning);
    }
}
