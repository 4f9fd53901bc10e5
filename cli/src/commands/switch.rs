//! `sluice pause` and `sluice resume`: schedules and the stream's event sources, off and on.

use serde::Serialize;
use sluice_core::{Error, Loader, Table, TableId};

use crate::{
    args::SwitchArgs,
    commands::Context,
    failure::{Failure, Outcome},
    mappings::Mapping,
    output::{self, Side},
    schedules::{Schedule, Schedules},
};

/// What was done.
#[derive(Debug, Serialize)]
struct Switched {
    enabled: bool,
    changed: usize,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    /// `schedule` or `event source`.
    what: &'static str,
    name: String,
    /// What it serves.
    serves: String,
    was_enabled: bool,
    changed: bool,
}

pub(super) async fn run(context: &Context<'_>, args: &SwitchArgs, enabled: bool) -> Outcome {
    let platform = &context.platform;
    let table = args.table.as_deref().map(|name| platform.table(name)).transpose()?;
    let word = if enabled { "resuming" } else { "pausing" };
    let spinner = context.progress.spinner(word);
    let mut items = Vec::new();
    if table.is_none_or(|table| table.loader != Loader::Streaming) {
        let schedules = Schedules::of(&platform.place.aws, &platform.stack, &platform.place.sources)?;
        for schedule in chosen(schedules.list().await?, table.map(|table| &table.table)) {
            if schedule.enabled != enabled {
                schedules.switch(&schedule, enabled).await?;
            }
            items.push(item(schedule, enabled));
        }
    }
    if table.is_none_or(|table| table.loader == Loader::Streaming) {
        items.extend(stream(context, enabled, table).await?);
    }
    spinner.finish_and_clear();
    if items.is_empty() {
        return Err(Failure::from(Error::not_found("the stack has no schedule for this table"))
            .hint("give it a `schedule` in platform/sources.yaml and deploy"));
    }
    let changed = items.iter().filter(|item| item.changed).count();
    output::print(context.json, &Switched { enabled, changed, items }, render)
}

/// The mappings of the stream, or the one of a table's topic. Missing, that is an error only where a streaming table was
/// asked for by name.
async fn stream(context: &Context<'_>, enabled: bool, table: Option<&Table>) -> Outcome<Vec<Item>> {
    let platform = &context.platform;
    let mappings = Mapping::list(&platform.place.aws, &platform.stack).await?;
    let is_chosen = |mapping: &Mapping| table.is_none_or(|table| mapping.serves(table));
    let mut items = Vec::new();
    for mapping in mappings.into_iter().filter(is_chosen) {
        if mapping.enabled != enabled {
            mapping.switch(enabled).await?;
        }
        items.push(Item {
            what: "event source",
            serves: format!("topic {}", mapping.topics.join(", ")),
            was_enabled: mapping.enabled,
            changed: mapping.enabled != enabled,
            name: mapping.name,
        });
    }
    match table {
        Some(table) if items.is_empty() => {
            let hint = match platform.place.is_local {
                true => "on one machine the poller inside `make up` takes its place, as long as that runs",
                false => "name its topic in KafkaTopics and deploy, or switch your own event source",
            };
            let none = Error::not_found("this stack has no event source for the table's topic");
            Err(Failure::from(none.with("table", &table.table)).hint(hint))
        }
        _ => Ok(items),
    }
}

/// Those of a table, or all of the stack's own.
fn chosen(schedules: Vec<Schedule>, table: Option<&TableId>) -> Vec<Schedule> {
    let is_chosen = |schedule: &Schedule| match table {
        Some(_) => schedule.table.as_ref() == table,
        None => !schedule.shared,
    };
    schedules.into_iter().filter(is_chosen).collect()
}

fn item(schedule: Schedule, enabled: bool) -> Item {
    Item {
        what: "schedule",
        serves: schedule.table.map_or_else(|| "all tables".to_owned(), |table| table.to_string()),
        name: schedule.name,
        was_enabled: schedule.enabled,
        changed: schedule.enabled != enabled,
    }
}

fn render(switched: &Switched) -> String {
    let word = |enabled| if enabled { "on" } else { "off" };
    let rows: Vec<Vec<String>> = switched
        .items
        .iter()
        .map(|item| {
            let state = match item.changed {
                true => format!("{} → {}", word(item.was_enabled), word(switched.enabled)),
                false => format!("{} already", word(switched.enabled)),
            };
            vec![item.serves.clone(), format!("{} {}", item.what, item.name), state]
        })
        .collect();
    let table = output::table(&[("SERVES", Side::Left), ("WHAT", Side::Left), ("STATE", Side::Left)], &rows);
    let end = match (switched.changed, switched.enabled) {
        (0, _) => "nothing to change",
        (_, true) => "runs that were missed are not made up for: the next one reads from where the last one stopped",
        (_, false) => "what is under way goes on; `sluice resume` starts it again, and so may a deployment",
    };
    format!("{table}\n\n{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: &str, table: Option<&str>, enabled: bool) -> Schedule {
        let table = table.map(|table| table.parse().expect("a table"));
        let expression = "rate(1 hour)".into();
        Schedule { name: name.into(), table, expression, enabled, shared: false, is_off_for_all: false }
    }

    #[test]
    fn a_table_has_its_own_schedules_and_all_means_all() {
        let all =
            vec![schedule("a", Some("A.B.C"), true), schedule("b", Some("A.B.D"), true), schedule("s", None, true)];
        let table: TableId = "A.B.C".parse().expect("a table");
        let names = |chosen: Vec<Schedule>| chosen.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names(chosen(all.clone(), Some(&table))), ["a"]);
        assert_eq!(names(chosen(all.clone(), None)), ["a", "b", "s"]);
        let of_waking = |table: &str| Schedule { shared: true, ..schedule("w", Some(table), true) };
        let woken = vec![schedule("w", None, true), of_waking("A.B.C"), of_waking("A.B.D")];
        assert_eq!(chosen(woken.clone(), Some(&table)), [of_waking("A.B.C")]);
        assert_eq!(chosen(woken, None), [schedule("w", None, true)]);
    }

    #[test]
    fn what_was_changed_and_what_was_so_already_are_told_apart() {
        let items = vec![item(schedule("a", Some("A.B.C"), true), false), item(schedule("s", None, false), false)];
        let changed = items.iter().filter(|item| item.changed).count();
        let text = render(&Switched { enabled: false, changed, items });
        assert!(text.contains("schedule a  on → off") && text.contains("off already"), "{text}");
        assert!(render(&Switched { enabled: true, changed: 0, items: Vec::new() }).contains("nothing to change"));
    }
}
