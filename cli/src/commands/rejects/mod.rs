//! `sluice rejects`: what was refused of a table or a topic, and what an operator has put aside.

mod follow;
mod read;
mod render;
mod tally;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sluice_core::{Table, functions::HUBSPOT, sources::Source};
use sluice_pipeline::{
    aside::{Aside, AsideRow},
    rejects::{self, MASKED, Refusal, RefusedByWarehouse},
};
use tally::Reason;

use crate::{
    args::RejectsArgs,
    commands::{Context, activate},
    failure::{Failure, Outcome},
    output,
};

/// Rows that were put aside are few; more than this are only counted.
const MOST_ASIDE: usize = 200;

/// The answer.
#[derive(Debug, Serialize)]
struct Rejects {
    table: String,
    topic: Option<String>,
    since: DateTime<Utc>,
    /// Files of rejected rows, or dead letters, that were read.
    read: usize,
    /// Dead letters that were not read: older ones, beyond what one look takes.
    unread: usize,
    reasons: Vec<Reason>,
    /// The newest, as many as were asked for.
    rows: Vec<Refusal>,
    /// What the warehouse itself refused of the topic's channels, the newest of each.
    refused_by_warehouse: Vec<RefusedByWarehouse>,
    put_aside: Vec<AsideRow>,
    /// Who was asked and gave no answer.
    problems: Vec<String>,
}

/// What is looked at.
struct Subject<'a> {
    table: &'a Table,
    topic: Option<&'a str>,
    show_pii: bool,
}

pub(super) async fn run(context: &Context<'_>, args: &RejectsArgs) -> Outcome {
    if args.name == HUBSPOT {
        return activate::rejects(context, args).await;
    }
    let platform = &context.platform;
    let table = match by_topic(&platform.place.sources.tables, &args.name) {
        Some(table) => table,
        None => platform.table(&args.name)?,
    };
    let topic = match &table.source {
        Source::Kafka { topic, .. } => Some(topic.as_str()),
        _ => None,
    };
    let subject = Subject { table, topic, show_pii: args.show_pii };
    let store = platform.store()?;
    if args.follow {
        return follow::run(&store, &subject, args.since, context.json).await;
    }
    let since = args.since.unwrap_or_else(|| Utc::now() - TimeDelta::days(7));
    let reading = read::all(&store, &subject, since, usize::from(args.limit));
    let found = context.progress.spin("reading what was refused", reading).await?;
    let mut problems = Vec::new();
    let refused = match topic {
        Some(topic) => answered(read::refused(&store, topic, platform.lake_id().await).await, &mut problems),
        None => None,
    };
    let aside = match platform.warehouse().await {
        Ok(warehouse) => warehouse.aside(&table.table, MOST_ASIDE).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let mut answer = Rejects {
        table: table.table.to_string(),
        topic: topic.map(str::to_owned),
        since,
        read: found.read,
        unread: found.unread,
        reasons: found.tally.reasons(),
        rows: found.tally.newest(),
        refused_by_warehouse: refused.unwrap_or_default(),
        put_aside: answered(aside, &mut problems).unwrap_or_default(),
        problems,
    };
    subject.hide(&mut answer);
    output::print(context.json, &answer, |answer| render::text(answer, Utc::now(), args.show_pii))
}

fn by_topic<'a>(tables: &'a [Table], name: &str) -> Option<&'a Table> {
    tables.iter().find(|table| matches!(&table.source, Source::Kafka { topic, .. } if topic == name))
}

fn answered<T>(asked: Outcome<T>, problems: &mut Vec<String>) -> Option<T> {
    asked.map_err(|failure| problems.push(failure.sentence())).ok()
}

impl Subject<'_> {
    /// Unless it was asked for, nothing is shown that may be about a person.
    fn masked(&self, refusal: Refusal) -> Refusal {
        match self.show_pii {
            true => refusal,
            false => Refusal { row: rejects::mask(self.table, refusal.row), ..refusal },
        }
    }

    fn hide(&self, answer: &mut Rejects) {
        answer.rows = std::mem::take(&mut answer.rows).into_iter().map(|row| self.masked(row)).collect();
        if self.show_pii {
            return;
        }
        // The warehouse's own words may quote a value.
        for refused in &mut answer.refused_by_warehouse {
            refused.reason = refused.reason.take().map(|_| MASKED.to_owned());
        }
        for row in &mut answer.put_aside {
            row.key = rejects::masked_key(self.table, &row.key).to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;

    use super::*;

    #[test]
    fn a_topic_is_found_by_its_name_and_a_table_is_not_one() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        let found = |name| by_topic(&sources.tables, name).map(|table| table.table.table.as_str());
        assert_eq!(found("purchases"), Some("PURCHASES"));
        assert_eq!(found("products"), None);
    }
}
