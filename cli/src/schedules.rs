//! The stack's schedules: which table each runs, and switching them on and off.

use aws_config::SdkConfig;
use aws_sdk_scheduler::{Client, operation::get_schedule::GetScheduleOutput, types::ScheduleState};
use sluice_aws::classify;
use sluice_core::{Error, TableId};

use crate::{failure::Outcome, stack::Stack};

/// One schedule of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// `None` for a sweep, which serves all tables.
    pub table: Option<TableId>,
    /// `rate(1 hour)` or a cron expression.
    pub expression: String,
    pub enabled: bool,
}

/// The stack's group of schedules.
pub struct Schedules {
    client: Client,
    group: String,
    names: Vec<String>,
}

impl Schedules {
    pub fn of(aws: &SdkConfig, stack: &Stack) -> Outcome<Self> {
        let names = stack.of_type("AWS::Scheduler::Schedule").map(|resource| resource.physical.clone()).collect();
        Ok(Schedules { client: Client::new(aws), group: stack.resource("Schedules")?.to_owned(), names })
    }

    pub async fn list(&self) -> Outcome<Vec<Schedule>> {
        let mut schedules = Vec::new();
        for found in futures::future::try_join_all(self.names.iter().map(|name| self.get(name))).await? {
            let input = found.target().and_then(|target| target.input()).unwrap_or_default();
            schedules.push(Schedule {
                name: found.name().unwrap_or_default().to_owned(),
                table: table_of(input),
                expression: found.schedule_expression().unwrap_or_default().to_owned(),
                enabled: found.state() == Some(&ScheduleState::Enabled),
            });
        }
        Ok(schedules)
    }

    /// Sets a schedule's state. An update replaces the whole definition, so it is read first and sent back with nothing
    /// but the state changed.
    pub async fn switch(&self, name: &str, enabled: bool) -> Outcome {
        let found = self.get(name).await?;
        let state = if enabled { ScheduleState::Enabled } else { ScheduleState::Disabled };
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

/// The table in a schedule's input.
fn table_of(input: &str) -> Option<TableId> {
    serde_json::from_str::<serde_json::Value>(input).ok()?.get("table")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_belongs_to_the_table_in_its_input() {
        let input = r#"{"time": "<aws.scheduler.scheduled-time>", "table": "DLT.APPLICATION_DATA.PRODUCTS"}"#;
        assert_eq!(table_of(input).map(|table| table.table), Some("PRODUCTS".into()));
        for other in [r#"{"sweep": true}"#, "", "no JSON", r#"{"table": "no table"}"#] {
            assert_eq!(table_of(other), None, "{other}");
        }
    }
}
