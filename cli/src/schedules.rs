//! The stack's schedules: which table each runs, and switching them on and off.

use aws_config::SdkConfig;
use aws_sdk_scheduler::{Client, operation::get_schedule::GetScheduleOutput, types::ScheduleState};
use sluice_aws::classify;
use sluice_core::{Error, Kind, Sources, Table, TableId};

use crate::{
    failure::{Failure, Outcome},
    platform::extractor,
    stack::Stack,
};

/// One schedule of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub name: String,
    /// `None` for a sweep, which serves all tables.
    pub table: Option<TableId>,
    /// `rate(1 hour)` or a cron expression.
    pub expression: String,
    pub enabled: bool,
    /// Whether the stack's schedule of that name wakes a function that has other tables too: to pause one table is to name it
    /// in the schedule's input.
    pub shared: bool,
    /// A shared one is off for every table of the function, not for this one alone.
    pub is_off_for_all: bool,
}

/// The stack's group of schedules.
pub(crate) struct Schedules {
    client: Client,
    group: String,
    names: Vec<String>,
    tables: Vec<Table>,
}

impl Schedules {
    pub(crate) fn of(aws: &SdkConfig, stack: &Stack, sources: &Sources) -> Outcome<Self> {
        let names = stack.of_type("AWS::Scheduler::Schedule").map(|resource| resource.physical.clone()).collect();
        Ok(Schedules {
            client: Client::new(aws),
            group: stack.resource("Schedules")?.to_owned(),
            names,
            tables: sources.tables.clone(),
        })
    }

    /// Every schedule of the stack and, after one that wakes an extract function, each of the function's tables. One that
    /// somebody has deleted is none.
    pub(crate) async fn list(&self) -> Outcome<Vec<Schedule>> {
        let mut schedules = Vec::new();
        for found in futures::future::join_all(self.names.iter().map(|name| self.get(name))).await {
            let found = match found {
                Err(failure) if failure.kind() == Kind::NotFound => continue,
                found => found?,
            };
            let input = found.target().and_then(|target| target.input()).unwrap_or_default();
            let name = found.name().unwrap_or_default().to_owned();
            let enabled = found.state() == Some(&ScheduleState::Enabled);
            let function = found.target().map_or("", |target| target.arn());
            schedules.push(Schedule {
                name: name.clone(),
                table: table_of(input),
                expression: found.schedule_expression().unwrap_or_default().to_owned(),
                enabled,
                shared: false,
                is_off_for_all: false,
            });
            schedules.extend(woken(&self.tables, &name, function, input, enabled));
        }
        Ok(schedules)
    }

    /// Sets a schedule's state, or one table's in a shared schedule. An update replaces the whole definition, so it is read
    /// first and sent back with nothing but that changed.
    pub(crate) async fn switch(&self, schedule: &Schedule, enabled: bool) -> Outcome {
        let name = &*schedule.name;
        let mut found = self.get(name).await?;
        let mut state = if enabled { ScheduleState::Enabled } else { ScheduleState::Disabled };
        if let (true, Some(table)) = (schedule.shared, &schedule.table) {
            if enabled && found.state() != Some(&ScheduleState::Enabled) {
                return Err(Failure::from(
                    Error::conflict("the schedule of the table's function is off altogether").with("schedule", name),
                )
                .hint("`sluice resume --all` switches it on"));
            }
            state = found.state().cloned().unwrap_or(state);
            if let Some(target) = &mut found.target {
                target.input = Some(excepting(target.input().unwrap_or_default(), table, !enabled)?);
            }
        }
        let update = self
            .client
            .update_schedule()
            .name(name)
            .group_name(&self.group)
            .state(state)
            .set_schedule_expression(found.schedule_expression)
            .set_schedule_expression_timezone(found.schedule_expression_timezone)
            .set_flexible_time_window(found.flexible_time_window)
            .set_target(found.target)
            // An empty description is not one, to the service.
            .set_description(found.description.filter(|text| !text.is_empty()))
            .set_start_date(found.start_date)
            .set_end_date(found.end_date)
            .set_kms_key_arn(found.kms_key_arn)
            .set_action_after_completion(found.action_after_completion);
        update.send().await.map_err(|error| classify(error, format!("cannot change the schedule {name}")))?;
        Ok(())
    }

    async fn get(&self, name: &str) -> Outcome<GetScheduleOutput> {
        let get = self.client.get_schedule().name(name).group_name(&self.group).send().await;
        let found = get.map_err(|error| classify(error, format!("cannot read the schedule {name}")))?;
        if found.target().is_none() || found.schedule_expression().is_none() {
            return Err(Error::internal("a schedule came back without its target or expression")
                .with("schedule", name)
                .into());
        }
        Ok(found)
    }
}

/// The tables that a function is woken for, each as a schedule of its own.
fn woken(tables: &[Table], name: &str, function: &str, input: &str, enabled: bool) -> Vec<Schedule> {
    let input = serde_json::from_str::<serde_json::Value>(input).unwrap_or_default();
    if input["due"] != true {
        return Vec::new();
    }
    let is_excepted = |table: &TableId| {
        let name = table.to_string();
        input["except"].as_array().is_some_and(|except| except.iter().any(|excepted| excepted == &name))
    };
    let is_woken = |table: &&Table| extractor(table).is_some_and(|own| function.ends_with(&format!("-{own}")));
    let schedule = |table: &Table| {
        Some(Schedule {
            name: name.to_owned(),
            table: Some(table.table.clone()),
            expression: table.schedule.as_ref()?.expression(),
            enabled: enabled && !is_excepted(&table.table),
            shared: true,
            is_off_for_all: !enabled,
        })
    };
    tables.iter().filter(is_woken).filter_map(schedule).collect()
}

/// A waking's input with or without a table among those that are left out.
fn excepting(input: &str, table: &TableId, except: bool) -> Outcome<String> {
    let unusable = |error| Error::internal("the schedule's input is no JSON").because(error);
    let mut input: serde_json::Map<String, serde_json::Value> = serde_json::from_str(input).map_err(unusable)?;
    let name = serde_json::Value::from(table.to_string());
    let mut excepted = input.remove("except").and_then(|except| except.as_array().cloned()).unwrap_or_default();
    excepted.retain(|known| *known != name);
    if except {
        excepted.push(name);
    }
    if !excepted.is_empty() {
        input.insert("except".into(), excepted.into());
    }
    Ok(serde_json::Value::from(input).to_string())
}

/// The table in a schedule's input.
fn table_of(input: &str) -> Option<TableId> {
    serde_json::from_str::<serde_json::Value>(input).ok()?.get("table")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waking_stands_for_each_table_that_its_function_extracts() {
        let sources = Sources::parse(include_str!("../../platform/sources.yaml")).expect("valid sources");
        let told = |input: &str, enabled| {
            let function = "arn:aws:lambda:us-east-1:1:function:sluice-dev-ExtractExchangeRates";
            let woken = woken(&sources.tables, "waking", function, input, enabled);
            woken.into_iter().map(|s| (s.table.expect("a table").table, s.expression, s.enabled)).collect::<Vec<_>>()
        };
        let rates = |enabled| ("EXCHANGE_RATES".to_owned(), "cron(15 0,9 * * ? *)".to_owned(), enabled);
        let currencies = |enabled| ("CURRENCIES".to_owned(), "cron(15 1 ? * MON *)".to_owned(), enabled);
        let waking = r#"{"time": "t", "due": true}"#;
        assert_eq!(told(waking, true), [currencies(true), rates(true)]);
        assert_eq!(told(waking, false), [currencies(false), rates(false)]);
        assert!(told(r#"{"sweep": true}"#, true).is_empty());

        let table: TableId = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES".parse().expect("a table");
        let paused = excepting(waking, &table, true).expect("an input");
        assert_eq!(told(&paused, true), [currencies(true), rates(false)]);
        assert_eq!(excepting(&paused, &table, true).expect("an input"), paused, "once is enough");
        let resumed: serde_json::Value =
            serde_json::from_str(&excepting(&paused, &table, false).expect("an input")).expect("json");
        assert_eq!(resumed, serde_json::json!({"time": "t", "due": true}));
    }

    #[test]
    fn a_schedule_belongs_to_the_table_in_its_input() {
        let input = r#"{"time": "<aws.scheduler.scheduled-time>", "table": "DLT.APPLICATION_DATA.PRODUCTS"}"#;
        assert_eq!(table_of(input).map(|table| table.table), Some("PRODUCTS".into()));
        for other in [r#"{"sweep": true}"#, "", "no JSON", r#"{"table": "no table"}"#] {
            assert_eq!(table_of(other), None, "{other}");
        }
    }
}
