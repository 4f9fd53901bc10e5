//! What the template must keep: which functions may send to themselves, what outlives the stack, whom an alarm reaches.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_core::{functions::COLLECT_EVENTS, lake};

use crate::{
    expanded::{get_att, holds, in_stage, list, of_type, properties, resource, section, statements, sub},
    project::read,
};

/// The queues that a function is woken by.
fn queues_read(function: &str) -> Vec<&'static Value> {
    let events = properties(function)["Events"].as_object();
    events.into_iter().flat_map(|events| events.values()).map(|event| &event["Properties"]["Queue"]).collect()
}

/// Whether a statement of the function's role lets it send to the queue.
fn may_send(function: &str, queue: &Value) -> bool {
    assert_eq!(properties(function)["Role"], get_att(&format!("{function}Role"), "Arn"));
    statements(function).iter().any(|statement| {
        let sends = |action: &Value| ["sqs:SendMessage", "sqs:*", "*"].iter().any(|sends| action == sends);
        statement["Effect"] == "Allow"
            && list(&statement["Action"]).iter().any(sends)
            && list(&statement["Resource"]).contains(queue)
    })
}

#[test]
fn a_function_that_may_send_to_a_queue_it_reads_allows_loops() {
    let mut loops = Vec::new();
    for function in of_type("::Serverless::Function") {
        let is_loop = queues_read(function).iter().any(|queue| may_send(function, queue));
        // Lambda's detection stays on where no loop is meant.
        let allows = properties(function)["RecursiveLoop"] == "Allow";
        assert_eq!(
            is_loop, allows,
            "{function}: RecursiveLoop: Allow belongs where a function may send to a queue it reads"
        );
        loops.extend(is_loop.then_some(function));
    }
    assert_eq!(loops, ["ActivateHubspot", "CollectEvents", "DispatchDbt", "ExtractPostgres", "LoadCommits"]);
}

/// The bucket keeps versions: what expires is gone when its last version is.
#[test]
fn copies_of_records_are_gone_a_day_after_their_time() {
    let rules = list(&properties("Lake")["LifecycleConfiguration"]["Rules"]);
    let expiring: Vec<&Value> =
        rules.iter().map(|rule| &rule["Fn::If"]).filter(|rule| rule[0] == "WithRecordsExpiry").collect();
    let prefixes: Vec<&Value> = expiring.iter().map(|rule| &rule[1]["Prefix"]).collect();
    assert_eq!(prefixes, ["archive/", "rejected/", "dead-letter/"]);
    for rule in expiring {
        assert_eq!(rule[1]["ExpirationInDays"], json!({ "Ref": "KeepRecordsDays" }));
        assert_eq!(rule[1]["NoncurrentVersionExpiration"], json!({ "NoncurrentDays": 1 }), "{rule}");
    }
}

/// A deployment asks the warehouse to list just this before it makes a stage; the emulator of Snowflake refuses the rest.
#[test]
fn the_role_of_the_lakes_reader_lists_and_reads_data_files_alone() {
    let policies = list(&properties("LakeReaderRole")["Policies"]);
    let statements = policies.iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
    let all = format!("{}*", lake::RAW);
    let (mut lists, mut reads) = (Vec::new(), Vec::new());
    for statement in statements {
        let has = |action: &str| list(&statement["Action"]).contains(&json!(action));
        lists.extend(has("s3:ListBucket").then_some(&statement["Condition"]));
        reads.extend(has("s3:GetObject").then_some(&statement["Resource"]));
    }
    assert_eq!(lists, [&json!({ "StringLike": { "s3:prefix": all } })]);
    assert_eq!(reads, [&json!({ "Fn::Sub": format!("${{Lake.Arn}}/{all}") })]);
}

#[test]
fn what_works_on_the_lake_may_use_its_key_and_keep_failed_runs() {
    for function in of_type("::Serverless::Function") {
        let shared =
            statements(function).into_iter().filter(|one| one["Sid"] == "UseLakeKey" || one["Sid"] == "KeepFailedRuns");
        let has = shared.count() == 2;
        // It is reached from outside, and what it takes goes to Kafka.
        assert_eq!(has, function != COLLECT_EVENTS.logical, "{function}");
        let ignores = list(&resource(function)["IgnoreGlobals"]).contains(&json!("EventInvokeConfig"));
        assert_eq!(has, !ignores, "{function} cannot keep its failed runs");
    }
}

#[test]
fn every_function_has_three_alarms_and_is_slow_at_four_fifths() {
    for function in of_type("::Serverless::Function") {
        for (kind, metric, statistic) in
            [("Failing", "Errors", "Sum"), ("Throttled", "Throttles", "Sum"), ("Slow", "Duration", "Maximum")]
        {
            let name = format!("{function}{kind}");
            let alarm = properties(&name);
            assert_eq!(resource(&name)["Condition"], "OnAws", "{name}");
            assert!(alarm["MetricName"] == metric && alarm["Statistic"] == statistic, "{name}: {alarm}");
            assert_eq!(alarm["Dimensions"][0]["Name"], "FunctionName", "{name}");
            assert_eq!(sub(&alarm["Dimensions"][0]["Value"]), format!("${{AWS::StackName}}-{function}"), "{name}");
            assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "Alarms" }]));
            assert_eq!(alarm["Threshold"] == 0, kind != "Slow", "{name}");
        }
        let seconds = in_stage(&properties(function)["Timeout"], "prod");
        assert_eq!(properties(&format!("{function}Slow"))["Threshold"], json!(seconds * 800), "{function}");
    }
}

/// A message that is throttled while it waits must not be taken a second time.
#[test]
fn a_message_is_a_functions_alone_for_six_times_its_timeout() {
    for function in of_type("::Serverless::Function") {
        for queue in queues_read(function) {
            let queue = queue["Fn::GetAtt"][0].as_str().expect("a queue");
            let visible = &properties(queue)["VisibilityTimeout"];
            for stage in ["dev", "staging", "prod"] {
                let timeout = in_stage(&properties(function)["Timeout"], stage);
                assert_eq!(in_stage(visible, stage), 6 * timeout, "{queue} in {stage}");
            }
            // Lambda makes no mapping otherwise, and neither does the emulator.
            let timeout = in_stage(&properties(function)["Timeout"], "local");
            assert!(in_stage(visible, "local") >= timeout, "{queue} on one machine");
        }
    }
}

#[test]
fn every_stage_but_one_machine_has_the_same_timings() {
    for mapping in ["Delay", "Timing", "Visibility"] {
        for (name, stages) in section("Mappings")[mapping].as_object().expect("timings") {
            assert!(
                stages["dev"] == stages["staging"] && stages["dev"] == stages["prod"],
                "{mapping} {name}: {stages}"
            );
        }
    }
}

#[test]
fn news_of_loads_waits_so_that_loads_that_come_together_make_one_run() {
    let delay = |queue: &str, stage: &str| in_stage(&properties(queue)["DelaySeconds"], stage);
    assert_eq!((delay("DispatchQueue", "prod"), delay("DispatchQueue", "local")), (20, 4));
    assert!(["ExtractQueue", "LoadQueue", "ActivateQueue"].into_iter().all(|queue| delay(queue, "prod") == 0));
}

#[test]
fn an_exhausted_chain_of_messages_raises_an_alarm() {
    let alarm = properties("HopsExhausted");
    assert!(alarm["Namespace"] == "Sluice" && alarm["MetricName"] == "HopsExhausted", "{alarm}");
    assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "Alarms" }]));
}

#[test]
fn a_watcher_that_says_nothing_raises_an_alarm() {
    let alarm = properties("SilentWatcher");
    assert_eq!((&alarm["MetricName"], &alarm["Threshold"]), (&json!("Rounds"), &json!(1)));
    assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "Alarms" }]));
    let minutes = alarm["EvaluationPeriods"].as_u64().zip(alarm["Period"].as_u64()).map(|(n, s)| n * s / 60);
    assert_eq!(minutes, Some(15), "three rounds of its schedule");
}

#[test]
fn messages_that_the_watcher_cannot_send_raise_an_alarm() {
    let alarm = properties("UnsentAlerts");
    assert_eq!((&alarm["MetricName"], &alarm["Threshold"]), (&json!("UnsentAlerts"), &json!(0)));
    assert_eq!(alarm["Dimensions"], properties("SilentWatcher")["Dimensions"]);
    assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "Alarms" }]), "the topic alone, not through the watcher");
}

/// Resources that stay when the stack is deleted.
fn retained() -> Vec<&'static str> {
    let is_retained = |name: &&str| resource(name)["DeletionPolicy"].as_str().is_some_and(|p| p.starts_with("Retain"));
    of_type("").into_iter().filter(is_retained).collect()
}

#[test]
fn what_is_retained_belongs_to_every_stack_and_stays_when_replaced() {
    let retained = retained();
    assert!(retained.len() >= 12, "{retained:?}");
    for name in &retained {
        let resource = resource(name);
        let named = ["BucketName", "QueueName", "Name"].iter().any(|key| !resource["Properties"][key].is_null());
        assert!(!named || resource["Condition"].is_null(), "{name}: a retained name cannot be made a second time");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name} is lost when it is replaced");
    }
    for name in ["Lake", "LakeKey", "LakePolicy", "SpoolQueue", "SpoolDead", "SpoolQueuePolicy"] {
        assert!(retained.contains(&name), "{name} is deleted with the stack");
    }
}

#[test]
fn events_that_wait_raise_an_alarm_also_where_none_are_collected_any_more() {
    for (alarm, queue) in [("SpoolWaiting", "SpoolQueue"), ("SpoolDeadAlarm", "SpoolDead")] {
        assert!(resource(queue)["Condition"].is_null(), "{queue} is part of every stack");
        assert_eq!(resource(alarm)["Condition"], "OnAws", "{queue} keeps events that nobody is told of");
        assert_eq!(properties(alarm)["AlarmActions"], json!([{ "Ref": "Alarms" }]), "{alarm}");
    }
}

#[test]
fn a_policy_stays_as_long_as_what_it_guards() {
    let retained = retained();
    for policy in of_type("::BucketPolicy").into_iter().chain(of_type("::QueuePolicy")) {
        let guards = [&properties(policy)["Queues"], &properties(policy)["Bucket"]];
        let guards: Vec<&Value> = guards.into_iter().flat_map(list).collect();
        assert!(!guards.is_empty(), "{policy}");
        let guarded = guards.iter().any(|name| retained.iter().any(|kept| name["Ref"] == *kept));
        assert_eq!(guarded, retained.contains(&policy), "{policy}");
    }
}

#[test]
fn no_alarm_trusts_an_age_without_failures_or_a_depth_that_stays() {
    assert!(!read("template.yaml").contains("ApproximateAgeOfOldestMessage"), "it leaves out one received three times");
    for (alarm, queue) in [("SpoolWaiting", "SpoolQueue"), ("LoadLagging", "LoadQueue")] {
        let metrics = list(&properties(alarm)["Metrics"]);
        assert!(metrics.iter().any(|metric| metric["Expression"] == "visible + taken"), "{alarm}");
        let metrics: Vec<&Value> = metrics.iter().map(|metric| &metric["MetricStat"]["Metric"]).collect();
        for name in ["ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"] {
            let metric = metrics.iter().find(|metric| metric["MetricName"] == name);
            let dimensions = &metric.unwrap_or_else(|| panic!("{alarm} has no {name}"))["Dimensions"];
            assert_eq!(sub(&dimensions[0]["Value"]), sub(&properties(queue)["QueueName"]), "{alarm}");
        }
    }
    // Nobody takes messages out of these: their depth would keep the alarm on for two weeks.
    for alarm in ["FailedRunsAlarm", "AlarmsDeadAlarm"] {
        let alarm = properties(alarm);
        assert!(alarm["MetricName"] == "NumberOfMessagesSent" && alarm["Statistic"] == "Sum", "{alarm}");
    }
}

/// A message whose cause is in no list of final ones is tried a number of times, and then somebody is told.
#[test]
fn what_a_queue_gives_up_raises_an_alarm() {
    for queue in of_type("AWS::SQS::Queue") {
        let redrive = &properties(queue)["RedrivePolicy"];
        let Some(dead) = redrive["deadLetterTargetArn"]["Fn::GetAtt"][0].as_str() else { continue };
        assert!(redrive["maxReceiveCount"].as_u64().is_some_and(|most| (1..=1000).contains(&most)), "{queue}");
        let alarm = properties(&format!("{dead}Alarm"));
        let dimensions = json!([{ "Name": "QueueName", "Value": get_att(dead, "QueueName") }]);
        assert_eq!((&alarm["Dimensions"], &alarm["Threshold"]), (&dimensions, &json!(0)), "{dead}");
        assert_eq!(alarm["AlarmActions"], json!([{ "Ref": "Alarms" }]), "{dead}");
    }
}

/// The bus names neither account nor rule when it publishes, so no condition on them may stand in its way; tests/deploy plays it.
#[test]
fn the_key_takes_publishers_for_the_topic_of_alarms_alone() {
    let conditions = |policy: &'static Value, sid: &str| {
        let said = list(&policy["Statement"]).iter().find(|one| one["Sid"] == sid);
        said.unwrap_or_else(|| panic!("no {sid}"))["Condition"].clone()
    };
    let topic = &properties("AlarmsPolicy")["PolicyDocument"];
    let account = json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
    assert_eq!((conditions(topic, "Bus"), conditions(topic, "CloudWatch")), (Value::Null, account));
    let name = format!(
        "arn:${{AWS::Partition}}:sns:${{AWS::Region}}:${{AWS::AccountId}}:{}",
        sub(&properties("Alarms")["TopicName"])
    );
    let for_topic = json!({ "StringEquals": { "kms:EncryptionContext:aws:sns:topicArn": { "Fn::Sub": name } } });
    assert_eq!(conditions(&properties("LakeKey")["KeyPolicy"], "PublishAlarms"), for_topic);
    let through =
        &conditions(&properties("LakeKey")["KeyPolicy"], "UseThroughServices")["StringEquals"]["kms:ViaService"];
    let services = ["s3", "sns"].map(|name| json!({ "Fn::Sub": format!("{name}.${{AWS::Region}}.amazonaws.com") }));
    assert_eq!(*through, json!(services));
}

#[test]
fn undelivered_news_is_kept() {
    for rule in of_type("::Events::Rule") {
        let chosen = |target: &'static Value| target.get("Fn::If").map_or(target, |branches| &branches[1]);
        for target in list(&properties(rule)["Targets"]).iter().map(chosen) {
            assert!(target["DeadLetterConfig"].is_object(), "{rule} has a target without a dead-letter queue");
        }
    }
}

#[test]
fn news_that_needs_a_person_has_a_subscriber() {
    let events = read("shared/sluice-core/src/event.rs");
    let announced: Vec<&str> = events.split("announce!(").skip(1).filter_map(|call| call.split('"').nth(3)).collect();
    assert_eq!(announced.len(), 9, "{announced:?}");
    // The rest is progress; to get it, add a rule.
    let for_nobody = ["RunStarted", "SyncCompleted"];
    let rules = ["FailureRule", "TableLoadedRule", "RunSucceededRule", "WatchRule"].map(properties);
    for name in announced.iter().filter(|name| !for_nobody.contains(name)) {
        let heard = rules.iter().any(|rule| holds(&rule["EventPattern"]["detail-type"], &json!(name)));
        assert!(heard, "{name} has no subscriber");
    }
}

#[test]
fn a_mapping_takes_one_topic_in_a_consumer_group_of_its_own() {
    let mappings = of_type("::EventSourceMapping");
    let (mut topics, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for name in &mappings {
        let mapping = properties(name);
        let [topic] = list(&mapping["Topics"]) else { panic!("{name} does not take one topic") };
        topics.insert(topic.as_str().expect("a topic's name"));
        for config in ["AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig"] {
            groups.insert(mapping[config]["Fn::If"][1]["ConsumerGroupId"]["Fn::Sub"].as_str().expect("a group"));
        }
    }
    assert_eq!(topics, BTreeSet::from(["order-lines", "purchases"]));
    assert_eq!((mappings.len(), groups.len()), (2, 4), "{mappings:?} {groups:?}");
}

/// A deployment may read the stack's secrets, as CloudFormation's handler does, and what it resolves is in nobody's policy.
#[test]
fn no_secret_is_resolved_into_the_stack() {
    assert!(!read("template.yaml").contains("{{resolve:"), "its value would stand where many may read it");
}

/// What an invocation cannot end, another goes on with.
#[test]
fn cloudformation_waits_for_the_last_invocation_of_the_account() {
    let waits = properties("Account")["ServiceTimeout"].as_i64().expect("seconds");
    let request = read("functions/provision-warehouse/src/request.rs");
    let longest =
        request.split("LONGEST: TimeDelta = TimeDelta::minutes(").nth(1).and_then(|rest| rest.split(')').next());
    let begins = longest.and_then(|minutes| minutes.parse::<i64>().ok()).expect("minutes") * 60;
    let lasts = properties("ProvisionWarehouse")["Timeout"].as_i64().expect("seconds");
    assert!(begins + lasts < waits && waits <= 3_600, "{begins} + {lasts} seconds, and it waits {waits}");
}

#[test]
fn the_lakes_reader_is_assumed_by_nobody_until_the_warehouse_is_let_in() {
    let trust = &properties("LakeReaderRole")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"];
    let own = sub(&properties("LakeReaderRole")["RoleName"]);
    let itself = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{own}");
    assert_eq!(sub(&trust["aws:PrincipalArn"]), itself);
}

#[test]
fn the_schedulers_role_trusts_the_group_of_the_stack_alone() {
    let trust = &properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(trust["aws:SourceArn"], get_att("Schedules", "Arn"));
}

#[test]
fn every_parameter_is_in_one_group() {
    let groups = list(&section("Metadata")["AWS::CloudFormation::Interface"]["ParameterGroups"]);
    let mut grouped: Vec<&str> =
        groups.iter().flat_map(|group| list(&group["Parameters"])).filter_map(Value::as_str).collect();
    grouped.sort_unstable();
    let mut parameters: Vec<&str> =
        section("Parameters").as_object().expect("parameters").keys().map(String::as_str).collect();
    parameters.sort_unstable();
    assert_eq!(grouped, parameters);
}
