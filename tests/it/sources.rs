//! What `platform/sources.yaml` names is covered by the template: an entry needs no other edit.

use sluice_core::{
    Loader, Sources,
    functions::{self, EXTRACT_POSTGRES, LOAD_COMMITS},
    lake,
    sources::Source,
};

use serde_json::json;

use crate::{
    expanded::{get_att, in_stage, list, properties, statements, sub},
    project::read,
};

/// The function that brings the rows of a source, by its name in the template.
fn function(source: &Source) -> &'static str {
    source.function().unwrap_or_else(|| panic!("no function has the kind {}", source.kind())).logical
}

/// The function whose reads are partitioned: the plans of its tables are beside their commits.
const PARTITIONING: &str = EXTRACT_POSTGRES.logical;

/// The keys of the lake that a statement of the function's role names, as patterns.
fn patterns(function: &str, sid: &str) -> Vec<String> {
    let statement = statements(function).into_iter().find(|statement| statement["Sid"] == sid);
    let statement = statement.unwrap_or_else(|| panic!("{function}Role has no statement {sid}"));
    let resources = list(&statement["Resource"]).iter().filter_map(|resource| resource["Fn::Sub"].as_str());
    resources.filter_map(|resource| Some(resource.strip_prefix("${Lake.Arn}/")?.to_owned())).collect()
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
        for plan in plans.iter().filter(|_| own == PARTITIONING) {
            for statement in ["WriteFilesAndCommits", "ReadCommits"] {
                let covered = patterns(own, statement).iter().any(|pattern| covers(pattern, plan));
                assert!(covered, "{own}Role has no {plan} under {statement}");
            }
        }
        for key in &written {
            let covered = patterns(own, "WriteFilesAndCommits").iter().any(|pattern| covers(pattern, key));
            assert!(covered, "{own}Role may not write {key}: add the table's schema to the role in template.yaml");
            for other in functions::extracts().map(|other| other.logical).filter(|other| *other != own) {
                let reach = patterns(other, "WriteFilesAndCommits").iter().any(|pattern| covers(pattern, key));
                assert!(!reach, "{other}Role may write {key}, which is {own}'s");
            }
        }
        let failed_load = lake::failed_load_key(id);
        let covered =
            patterns(LOAD_COMMITS.logical, "KeepFailedAttempts").iter().any(|pattern| covers(pattern, &failed_load));
        assert!(covered, "LoadCommitsRole may not write {failed_load}");
        let readable = patterns(own, "ReadCommits");
        for key in [&commit, &last_run] {
            assert!(readable.iter().any(|pattern| covers(pattern, key)), "{own}Role may not read {key}");
        }
        assert!(!readable.iter().any(|pattern| covers(pattern, &written[0])), "{own}Role may read data files");
        let listing = statements(own).into_iter().find(|statement| statement["Sid"] == "ListLake").expect("ListLake");
        let prefixes = list(&listing["Condition"]["StringLikeIfExists"]["s3:prefix"]);
        let listed = prefixes.iter().filter_map(|prefix| prefix.as_str()).any(|pattern| covers(pattern, &commit));
        assert!(listed, "{own}Role may not list {}", lake::log_prefix(id));
    }
}

#[test]
fn entries_shown_in_the_documents_are_valid_and_one_takes_updates() {
    let page = read("docs/add-a-table.md");
    let entries: Vec<&str> =
        page.split("```yaml entry\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let shown = Sources::parse(&format!("tables:\n{}", entries.concat())).expect("valid entries").tables;
    let mut versions = Vec::new();
    for table in &shown {
        let Source::Postgres { cursor, .. } = &table.source else { panic!("{} is no PostgreSQL table", table.table) };
        let (own, data) = (function(&table.source), lake::log_key(&table.table, sluice_core::Sequence::FIRST));
        let reach = patterns(own, "WriteFilesAndCommits").iter().any(|pattern| covers(pattern, &data));
        assert!(reach, "{own}Role may not write {data}, as the page says");
        versions.extend(table.version_column.as_ref().map(|version| version == cursor));
    }
    // An update is loaded only where the cursor, which finds it, is the version too, which lets it win.
    assert_eq!(versions, [true], "one entry takes updates");
}

#[test]
fn each_extract_wakes_hourly_and_no_table_has_a_template_schedule() {
    let template = read("template.yaml");
    for name in functions::extracts().map(|function| function.logical) {
        let schedule = properties(&format!("{name}Schedule"));
        assert_eq!(schedule["ScheduleExpression"], "cron(15 * * * ? *)", "{name} is not woken each hour");
        let woken = sub(&schedule["Target"]["Arn"]);
        assert!(woken.ends_with(&format!(":function:${{AWS::StackName}}-{name}")), "{name}Schedule wakes {woken}");
        assert_eq!(schedule["Target"]["Input"], r#"{"time": "<aws.scheduler.scheduled-time>", "due": true}"#);
    }
    for table in tables() {
        assert!(!template.contains(&table.table.to_string()), "the template names {}", table.table);
        assert!(table.schedule.is_some(), "{} has no schedule", table.table);
    }
}

#[test]
fn a_part_of_a_read_has_its_own_invocation_and_is_taken_once() {
    let (extract, queue) = (properties(PARTITIONING), properties("ExtractQueue"));
    let parts = &extract["Events"]["Parts"]["Properties"];
    assert_eq!(in_stage(&queue["VisibilityTimeout"], "local"), 6 * in_stage(&extract["Timeout"], "local"));
    assert_eq!(parts["BatchSize"], 1);
    assert_eq!(parts["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], get_att("ExtractDead", "Arn"));
    assert_eq!(properties("ExtractDeadAlarm")["Dimensions"][0]["Value"], get_att("ExtractDead", "QueueName"));
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
