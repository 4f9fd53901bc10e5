//! What the template must keep: which functions may send to themselves, what outlives the stack, whom an alarm reaches.

use crate::project::{read, resource, resources};

/// The queues that a function is woken by.
fn queues_read(function: &str) -> Vec<String> {
    let text = resource(function);
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Queue: !GetAtt ")?.strip_suffix(".Arn"))
        .map(str::to_owned)
        .collect()
}

/// Whether a statement of the function's role lets it send to the queue.
fn may_send(function: &str, queue: &str) -> bool {
    let text = resource(function);
    let role = text.lines().find_map(|line| line.trim().strip_prefix("Role: !GetAtt ")?.strip_suffix(".Arn"));
    let role = resource(role.unwrap_or_else(|| panic!("{function} has no role")));
    let sends = |statement: &str| {
        let may = ["sqs:SendMessage", "sqs:*", "\"*\""].iter().any(|action| statement.contains(action));
        may && statement.contains("Effect: Allow") && statement.contains(&format!("!GetAtt {queue}.Arn"))
    };
    role.split("Sid: ").skip(1).any(sends)
}

#[test]
fn a_function_that_may_send_to_a_queue_it_reads_allows_loops() {
    let mut loops = Vec::new();
    for (function, _) in resources().into_iter().filter(|(_, kind)| kind == "AWS::Serverless::Function") {
        let is_loop = queues_read(&function).iter().any(|queue| may_send(&function, queue));
        // Lambda's detection stays on where no loop is meant.
        let allows = resource(&function).contains("      RecursiveLoop: Allow");
        assert_eq!(
            is_loop, allows,
            "{function}: RecursiveLoop: Allow belongs where a function may send to a queue it reads"
        );
        loops.extend(is_loop.then_some(function));
    }
    assert_eq!(loops, ["ExtractPostgres", "CollectEvents", "LoadCommits", "DispatchDbt"]);
}

#[test]
fn an_exhausted_chain_of_messages_raises_an_alarm() {
    let alarm = resource("HopsExhausted");
    assert!(alarm.contains("Namespace: Sluice\n") && alarm.contains("MetricName: HopsExhausted\n"), "{alarm}");
    assert!(alarm.contains("AlarmActions: [!Ref Alarms]"), "{alarm}");
}

/// Resources that stay when the stack is deleted.
fn retained() -> Vec<(String, String)> {
    let is_retained = |(name, _): &(String, String)| resource(name).contains("    DeletionPolicy: Retain");
    resources().into_iter().filter(is_retained).collect()
}

#[test]
fn what_is_retained_belongs_to_every_stack_and_stays_when_replaced() {
    let retained = retained();
    assert!(retained.len() >= 12, "{retained:?}");
    for (name, _) in &retained {
        let text = resource(name);
        assert!(!text.contains("    Condition: With"), "{name}: a retained name cannot be made a second time");
        assert!(text.contains("    UpdateReplacePolicy: Retain"), "{name} is lost when it is replaced");
    }
    for name in ["Lake", "LakeKey", "LakePolicy", "SpoolQueue", "SpoolDead", "SpoolQueuePolicy"] {
        assert!(retained.iter().any(|(kept, _)| kept == name), "{name} is deleted with the stack");
    }
}

#[test]
fn a_policy_stays_as_long_as_what_it_guards() {
    let retained = retained();
    for (policy, _) in
        resources().into_iter().filter(|(_, kind)| kind.ends_with("::BucketPolicy") || kind.ends_with("::QueuePolicy"))
    {
        let text = resource(&policy);
        let guards = |name: &str| {
            text.lines().any(|line| {
                let line = line.trim();
                (line.starts_with("Queues: ") || line.starts_with("Bucket: "))
                    && line.split(['[', ']', ',', ' ']).any(|word| word == name)
            })
        };
        let guarded = retained.iter().any(|(name, _)| guards(name));
        let is_kept = retained.iter().any(|(name, _)| *name == policy);
        assert_eq!(guarded, is_kept, "{policy}");
    }
}

#[test]
fn no_alarm_trusts_an_age_that_leaves_out_what_fails_or_a_depth_that_stays() {
    let template = read("template.yaml");
    assert!(!template.contains("ApproximateAgeOfOldestMessage"), "it leaves out a message received three times");
    for (alarm, queue) in [("SpoolWaiting", "SpoolQueue"), ("LoadLagging", "LoadQueue")] {
        let text = resource(alarm);
        assert!(text.contains("Expression: visible + taken"), "{text}");
        for metric in ["ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"] {
            assert!(text.contains(&format!("MetricName: {metric}\n")), "{alarm} has no {metric}");
        }
        assert_eq!(text.matches(&format!("!GetAtt {queue}.QueueName")).count(), 2);
    }
    // Nobody takes messages out of these: their depth would keep the alarm on for two weeks.
    for alarm in ["FailedRunsAlarm", "AlarmsDeadAlarm"] {
        let text = resource(alarm);
        assert!(text.contains("MetricName: NumberOfMessagesSent\n") && text.contains("Statistic: Sum"), "{text}");
    }
}

#[test]
fn only_this_account_publishes_alarms_and_undelivered_news_is_kept() {
    let policy = resource("AlarmsPolicy");
    let statements: Vec<&str> = policy.split("- Sid: ").skip(1).collect();
    assert_eq!(statements.len(), 2);
    for statement in statements {
        assert!(statement.contains("\"aws:SourceAccount\": !Ref AWS::AccountId"), "{statement}");
    }
    for (rule, _) in resources().into_iter().filter(|(_, kind)| kind == "AWS::Events::Rule") {
        let text = resource(&rule);
        let targets = text.matches("Id: ").count();
        assert_eq!(
            text.matches("DeadLetterConfig").count(),
            targets,
            "{rule} has a target without a dead-letter queue"
        );
    }
}

#[test]
fn news_that_needs_a_person_has_a_subscriber() {
    let events = read("shared/sluice-core/src/event.rs");
    let announced: Vec<&str> = events.split("announce!(").skip(1).filter_map(|call| call.split('"').nth(3)).collect();
    assert_eq!(announced.len(), 6, "{announced:?}");
    // The rest is progress; whoever wants it adds a rule.
    let for_nobody = ["RunStarted", "RunSucceeded"];
    let rules = format!("{}{}", resource("FailureRule"), resource("TableLoadedRule"));
    for name in announced.iter().filter(|name| !for_nobody.contains(name)) {
        assert!(rules.contains(name), "{name} has no subscriber");
    }
}

#[test]
fn a_mapping_takes_one_topic_in_a_consumer_group_of_its_own() {
    let mappings: Vec<(String, String)> =
        resources().into_iter().filter(|(_, kind)| kind == "AWS::Lambda::EventSourceMapping").collect();
    assert_eq!(mappings.len(), 4);
    let (mut topics, mut groups) = (Vec::new(), Vec::new());
    for (name, _) in &mappings {
        let text = resource(name);
        let topic = text.lines().find_map(|line| line.trim().strip_prefix("Topics: [!Ref ")?.strip_suffix(']'));
        let topic = topic.unwrap_or_else(|| panic!("{name} does not take one topic")).to_owned();
        assert!(read("template.yaml").contains(&format!("  {topic}: {{ Type: String, ")), "{topic} is not one name");
        topics.push(topic);
        groups.extend(
            text.split("ConsumerGroupId: !Sub ").skip(1).filter_map(|rest| Some(rest.split('"').nth(1)?.to_owned())),
        );
    }
    assert_eq!(groups.len(), 2 * mappings.len());
    for all in [&mut topics, &mut groups] {
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
    }
}
