//! Whether what a stage says fits: names within AWS's lengths, the brokers' user where Lambda reads it, and the file of the account.

use std::path::Path;

use sluice_aws::CachedSecrets;
use sluice_core::{Kind, Sources, port::Secrets};

use crate::{
    check::Check,
    place::Place,
    stage::Stage,
    warehouse::account::{Deployment, Desired, Settings},
};

/// The longest name that begins with the stack's, a schedule's, is 64 letters: `-extract-exchange-rates` takes the rest.
const LONGEST_STACK: usize = 41;

/// The stack's name is part of those of its bucket, its functions and its schedules.
pub(super) fn name(stage: &Stage) -> Check {
    let stack = &stage.stack;
    let is_plain = stack.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_plain && stack.len() <= LONGEST_STACK {
        return Check::ok("name", stack);
    }
    Check::failed(
        "name",
        format!("{stack} is no part of a bucket's name, or has more than {LONGEST_STACK} letters"),
        format!("give stack_name in [{}.deploy.parameters] small letters, digits and hyphens", stage.name),
    )
}

/// The file of the account, as `ProvisionWarehouse` will read it: what it refuses rolls a first deployment back.
pub(super) fn warehouse(stage: &Stage, place: &Place) -> Check {
    // What a stack knows only when it stands has a value of the same form.
    let deployment = Deployment {
        lake: stage.stack.clone(),
        bucket: stage.stack.clone(),
        reader_role: format!("arn:aws:iam::{}:role/{}", stage.account, stage.stack),
        external_id: stage.stack.clone(),
        addresses: (stage.parameter("Network") == Some("NAT")).then(|| "192.0.2.1".to_owned()),
    };
    let environment = stage.parameter("Stage").unwrap_or(&stage.name);
    account_file(&place.account_file(), &Settings::of(environment, deployment), &place.sources)
}

fn account_file(file: &Path, settings: &Settings, sources: &Sources) -> Check {
    let what = "warehouse.yaml";
    match Desired::read(file, settings, sources) {
        Ok(_) => Check::ok(what, format!("is right for {}", settings.environment)),
        Err(error) => Check::failed(what, error.chain(), "step 5 of docs/deploy.md has the lists that `prod` needs"),
    }
}

/// Lambda's mapping takes a cluster of the stage's own account and region; `None` where the stream has no cluster that is named.
pub(super) fn cluster(stage: &Stage) -> Option<Check> {
    let arn = stage.parameter("KafkaClusterArn").filter(|_| stage.parameter("Kafka") == Some("MSK"))?;
    Some(near(arn, &stage.region, &stage.account))
}

fn near(arn: &str, region: &str, account: &str) -> Check {
    let what = "cluster of Kafka";
    if arn.contains(&format!(":kafka:{region}:{account}:cluster/")) {
        return Check::ok(what, arn);
    }
    Check::failed(
        what,
        format!("{arn} is no cluster of account {account} in {region}"),
        "set KafkaClusterArn to one that is, or Kafka=SASL with its brokers where they are reached over the network",
    )
}

/// Lambda reads the brokers' user when it makes a stream; `None` where there is no stream with a user.
pub(super) async fn stream_user(stage: &Stage, place: &Place) -> Option<Check> {
    if !takes_user(stage.parameter("Kafka"), stage.parameter("KafkaAuth")) {
        return None;
    }
    let name = format!("{}/kafka", stage.stack);
    let held = CachedSecrets::new(&place.aws).get(&name).await;
    Some(user(&name, held.err().map(|error| error.kind())))
}

fn takes_user(kafka: Option<&str>, auth: Option<&str>) -> bool {
    match kafka {
        Some("SASL") => true,
        Some("MSK") => auth.is_some_and(|auth| auth != "IAM"),
        _ => false,
    }
}

fn user(name: &str, problem: Option<Kind>) -> Check {
    let what = "user of Kafka";
    match problem {
        None => Check::ok(what, format!("it is in {name}")),
        Some(Kind::Auth) => Check::warning(
            what,
            format!("{name} cannot be read"),
            "it must hold username and password; ask somebody who may read it",
        ),
        Some(_) => Check::failed(
            what,
            format!("{name} has no value, and Lambda reads it when it makes the stream"),
            "the first deployment takes Kafka=NONE; put the user into the secret that it makes, then set Kafka",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Health;

    #[test]
    fn a_stream_with_a_user_waits_for_the_secret() {
        for (kafka, auth, takes) in [
            (None, None, false),
            (Some("NONE"), Some("PLAIN"), false),
            (Some("SERVERLESS"), Some("IAM"), false),
            (Some("MSK"), None, false),
            (Some("MSK"), Some("SCRAM-SHA-512"), true),
            (Some("SASL"), Some("PLAIN"), true),
        ] {
            assert_eq!(takes_user(kafka, auth), takes, "{kafka:?} {auth:?}");
        }
        let missing = user("sluice-dev/kafka", Some(Kind::NotFound));
        assert_eq!(missing.health, Health::Failed);
        assert!(missing.fix.expect("a fix").contains("Kafka=NONE"));
        assert_eq!(user("sluice-dev/kafka", Some(Kind::Auth)).health, Health::Warning);
        assert_eq!(user("sluice-dev/kafka", None).health, Health::Ok);
    }

    #[test]
    fn a_file_that_lacks_a_list_of_networks_is_refused_before_the_build() {
        let platform = Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform");
        let sources = std::fs::read_to_string(platform.join("sources.yaml")).expect("the shipped sources");
        let sources = Sources::parse(&sources).expect("valid sources");
        let check = |environment: &str, addresses: Option<&str>, lists: bool| {
            let addresses = addresses.map(str::to_owned);
            let mut settings = Settings::of(environment, Deployment { addresses, ..Deployment::default() });
            for list in ["operators", "dbt", "lightdash"].into_iter().filter(|_| lists) {
                settings.values.insert(list.to_owned(), "198.51.100.0/24".to_owned());
            }
            account_file(&platform.join("warehouse.yaml"), &settings, &sources)
        };
        assert_eq!(check("dev", None, false).health, Health::Ok);
        assert_eq!(check("prod", Some("192.0.2.1"), true).health, Health::Ok);
        for (missing, refused) in
            [("${lightdash}", check("prod", Some("192.0.2.1"), false)), ("${egress}", check("prod", None, true))]
        {
            assert_eq!(refused.health, Health::Failed);
            assert!(refused.detail.contains(missing), "{}", refused.detail);
        }
    }

    #[test]
    fn a_cluster_of_another_account_is_refused_before_anything_is_made() {
        let near = |arn: &str| near(arn, "us-east-1", "123456789012").health;
        assert_eq!(near("arn:aws:kafka:us-east-1:123456789012:cluster/shop/abc"), Health::Ok);
        for arn in [
            "arn:aws:kafka:us-east-1:210987654321:cluster/shop/abc",
            "arn:aws:kafka:eu-west-1:123456789012:cluster/shop/abc",
            "arn:aws:kafka:us-east-1:123456789012:vpc-connection/210987654321/shop/abc",
        ] {
            assert_eq!(near(arn), Health::Failed, "{arn}");
        }
    }

    #[test]
    fn the_longest_name_of_the_stack_is_that_of_a_schedule() {
        let template = include_str!("../../../../template.yaml");
        let after_stack = |line: &str| line.split("${AWS::StackName}-").nth(1)?.split('"').next().map(str::len);
        let rounds = template
            .lines()
            .filter(|line| line.contains(", Starts: "))
            .filter_map(|line| line.split("Name: ").nth(1)?.split(',').next().map(str::len));
        let named = template.lines().filter(|line| line.contains("FunctionName: !Sub")).filter_map(after_stack);
        let longest = rounds.chain(named).max().expect("names");
        assert_eq!(LONGEST_STACK + 1 + longest, 64);
    }
}
