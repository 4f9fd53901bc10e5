//! What `platform/sources.yaml` names is covered by the template: an entry needs no other edit.

use sluice_core::{Loader, Sources, lake, sources::Source};

use crate::project::{read, resource};

/// The extract function that reads from a source.
fn function(source: &Source) -> &'static str {
    match source {
        Source::Postgres { .. } => "ExtractPostgres",
        Source::Currencies | Source::ExchangeRates { .. } => "ExtractExchangeRates",
        Source::HubspotContacts => "ExtractHubspot",
        Source::Kafka { .. } => "StreamKafka",
    }
}

/// The function whose reads are divided: the plans of its tables are beside their commits.
const DIVIDING: &str = "ExtractPostgres";

const EXTRACTS: [&str; 3] = ["ExtractPostgres", "ExtractExchangeRates", "ExtractHubspot"];

/// The keys of the lake that a statement of the function's role names, as patterns.
fn patterns(function: &str, sid: &str) -> Vec<String> {
    let role = resource(&format!("{function}Role"));
    let statement = role.split("- Sid: ").find(|statement| statement.starts_with(sid));
    let statement = statement.unwrap_or_else(|| panic!("{function}Role has no statement {sid}"));
    let after = statement.split("${Lake.Arn}/").skip(1);
    after.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
}

/// Whether a pattern of IAM, in which `*` stands for anything, covers a key.
fn covers(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((before, after)) => key.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| covers(after, &rest[at..]))
        }),
    }
}

fn tables() -> Vec<sluice_core::Table> {
    let sources = Sources::parse(&read("platform/sources.yaml")).expect("valid sources");
    sources.tables.into_iter().filter(|table| table.loader != Loader::Streaming).collect()
}

#[test]
fn every_table_may_be_written_and_read_by_its_function_and_by_no_other() {
    let run = sluice_core::RunId("run".into());
    for table in tables() {
        let id = &table.table;
        let commit = lake::log_key(id, sluice_core::Sequence::FIRST);
        let last_run = lake::last_run_key(id);
        let written = [lake::data_key(id, &run, 0), lake::rejected_key(id, &run), commit.clone(), last_run.clone()];
        let own = function(&table.source);
        let plans = [lake::split_plan_key(id, 1), lake::split_part_key(id, 1, 0), lake::split_end_key(id, 1)];
        for plan in plans.iter().filter(|_| own == DIVIDING) {
            for statement in ["WriteFilesAndCommits", "ReadCommits"] {
                let covered = patterns(own, statement).iter().any(|pattern| covers(pattern, plan));
                assert!(covered, "{own}Role has no {plan} under {statement}");
            }
        }
        for key in &written {
            let covered = patterns(own, "WriteFilesAndCommits").iter().any(|pattern| covers(pattern, key));
            assert!(covered, "{own}Role may not write {key}: add the table's schema to the role in template.yaml");
            for other in EXTRACTS.iter().filter(|other| **other != own) {
                let reach = patterns(other, "WriteFilesAndCommits").iter().any(|pattern| covers(pattern, key));
                assert!(!reach, "{other}Role may write {key}, which is {own}'s");
            }
        }
        let failed_load = lake::failed_load_key(id);
        let covered = patterns("LoadCommits", "KeepFailedAttempts").iter().any(|pattern| covers(pattern, &failed_load));
        assert!(covered, "LoadCommitsRole may not write {failed_load}");
        let readable = patterns(own, "ReadCommits");
        for key in [&commit, &last_run] {
            assert!(readable.iter().any(|pattern| covers(pattern, key)), "{own}Role may not read {key}");
        }
        assert!(!readable.iter().any(|pattern| covers(pattern, &written[0])), "{own}Role may read data files");
        let role = resource(&format!("{own}Role"));
        let prefix = role.split("\"s3:prefix\":").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let listed = prefix.split('"').any(|pattern| covers(pattern, &commit));
        assert!(listed, "{own}Role may not list {}", lake::log_prefix(id));
    }
}

#[test]
fn the_entries_that_the_documents_show_are_valid_and_one_of_them_takes_updates() {
    let page = read("docs/add-a-table.md");
    let entries: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let shown = Sources::parse(&format!("tables:\n{}", entries.concat())).expect("valid entries").tables;
    let takes_updates = shown.iter().any(|table| match &table.source {
        Source::Postgres { cursor, .. } => table.version_column.as_ref() == Some(cursor),
        _ => false,
    });
    assert!(takes_updates, "no entry has its cursor as the version, without which an update is not loaded");
    for told in ["**Updates** are seen only if", "**Deletes** are not seen", "up to three connections"] {
        assert!(page.contains(told), "docs/add-a-table.md does not say: {told}");
    }
}

#[test]
fn every_extract_is_woken_each_hour_and_no_table_has_a_schedule_in_the_template() {
    let template = read("template.yaml");
    for name in EXTRACTS {
        let schedule = resource(&format!("{name}Schedule"));
        assert!(schedule.contains("ScheduleExpression: cron(15 * * * ? *)"), "{name} is not woken each hour");
        assert!(schedule.contains(&format!("Arn: !GetAtt {name}.Arn")), "{name}Schedule wakes another function");
        assert!(schedule.contains(r#"{"time": "<aws.scheduler.scheduled-time>", "due": true}"#), "{name}Schedule");
    }
    for table in tables() {
        assert!(!template.contains(&table.table.to_string()), "the template names {}", table.table);
        assert!(table.schedule.is_some(), "{} has no schedule", table.table);
    }
}

#[test]
fn a_part_of_a_read_has_an_invocation_of_its_own_and_is_taken_by_no_second_one() {
    let (extract, queue) = (resource(DIVIDING), resource("ExtractQueue"));
    let number = |text: &str, name: &str| -> u32 {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no number {name}"))
    };
    assert_eq!(number(&queue, "VisibilityTimeout:"), 6 * number(&extract, "Timeout:"));
    assert_eq!(number(&extract, "BatchSize:"), 1);
    assert!(extract.contains("FunctionResponseTypes: [ReportBatchItemFailures]"));
    assert!(queue.contains("deadLetterTargetArn: !GetAtt ExtractDead.Arn"));
    assert!(resource("ExtractDeadAlarm").contains("!GetAtt ExtractDead.QueueName"));
    // What is put there must raise no event that loads it.
    assert!(!lake::split_plan_key(&tables()[0].table, 1).starts_with("raw/"));
}

#[test]
fn a_pattern_covers_what_iam_would_let_through() {
    for (pattern, key, expected) in [
        ("raw/A/B/*", "raw/A/B/C/data/r/part-00000.parquet", true),
        ("raw/A/B/*/log/*", "raw/A/B/C/log/9-1.json", true),
        ("raw/A/B/*/log/*", "raw/A/B/C/data/r/part-00000.parquet", false),
        ("raw/A/B/*", "raw/A/BC/D/log/9-1.json", false),
        ("raw/A/B", "raw/A/B", true),
    ] {
        assert_eq!(covers(pattern, key), expected, "{pattern} and {key}");
    }
}
