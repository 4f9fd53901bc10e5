//! The activation loop's model and ledger, over the SQL API.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sluice_core::{
    Error, LakeId, Result, RunId, TableId,
    port::{Row, Statements, required},
};
use sluice_pipeline::activate::{Entry, Ledger, Model, Seen, Size, State, Wanted};
use uuid::Uuid;

use crate::{
    answer::{optional, text, value},
    sql::activations as sql,
};

/// The key of the model's rows.
const ID: &str = "record_id";
/// Why a row is not sent.
const SUPPRESSED: &str = "suppressed_because";
/// The record's last change, as an extract has seen it, and what the names of the values begin with that it has seen.
const SEEN_AT: &str = "seen_at";
const SEEN: &str = "seen_";

/// A published model and what one destination is known to hold of it.
pub struct Activations<'a, S> {
    pub(crate) statements: S,
    pub(crate) lake_id: &'a LakeId,
    pub(crate) destination: &'a str,
    pub(crate) model: &'a TableId,
    pub(crate) run_id: &'a RunId,
}

impl<S: Statements> Activations<'_, S> {
    async fn execute(&self, statement: &str) -> Result<Vec<Row>> {
        self.statements.execute(statement, Uuid::new_v4(), &format!("sluice:activate:{}", self.run_id)).await
    }
}

impl<S: Statements> Model for Activations<'_, S> {
    async fn size(&self) -> Result<Size> {
        let rows = self.execute(&sql::size(self.model)).await?;
        let Some(row) = rows.first() else { return Ok(Size::default()) };
        Ok(Size { rows: value(row, &sql::ROWS.to_lowercase())?, columns: row.len() as u64 - 1 })
    }

    async fn rows(&self) -> Result<Vec<Wanted>> {
        self.execute(&sql::model(self.model)).await?.into_iter().map(wanted).collect()
    }
}

/// Every column that is none of ours is a property of that name.
fn wanted(mut row: Row) -> Result<Wanted> {
    let id = row.remove(ID).flatten().ok_or_else(|| {
        Error::config("a row of the model has no record_id").with_hint("the model's column record_id is its key")
    })?;
    let suppressed = row.remove(SUPPRESSED).flatten();
    let at: Option<DateTime<Utc>> = optional(&row, SEEN_AT)?;
    row.remove(SEEN_AT);
    let (seen, values): (Row, Row) = row.into_iter().partition(|(name, _)| name.starts_with(SEEN));
    let seen = seen.into_iter().map(|(name, value)| (name[SEEN.len()..].to_owned(), value)).collect();
    Ok(Wanted { id, values, suppressed, seen: at.map(|at| Seen { at, values: seen }) })
}

impl<S: Statements> Ledger for Activations<'_, S> {
    async fn count(&self) -> Result<u64> {
        let rows = self.execute(&sql::count(self.lake_id, self.destination)).await?;
        value(rows.first().unwrap_or(&Row::new()), "entries")
    }

    async fn entries(&self) -> Result<BTreeMap<String, Entry>> {
        let rows = self.execute(&sql::entries(self.lake_id, self.destination)).await?;
        rows.iter().map(|row| Ok((required(row, ID)?.to_owned(), entry(row)?))).collect()
    }

    async fn keep(&self, entries: &[(String, Entry)]) -> Result<()> {
        for statement in sql::keep(self.lake_id, self.destination, entries) {
            self.execute(&statement).await?;
        }
        Ok(())
    }
}

fn entry(row: &Row) -> Result<Entry> {
    let digests = serde_json::from_str(required(row, "digests")?)
        .map_err(|error| Error::internal("the ledger of activations holds no digests").because(error))?;
    Ok(Entry {
        state: State::parse(required(row, "state")?)?,
        digests,
        reason: text(row, "reason"),
        attempts: value(row, "attempts")?,
        written_at: optional(row, "written_at")?,
    })
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    /// Answers every statement with the same rows.
    struct Told(Vec<Row>);

    impl Statements for Told {
        async fn execute(&self, _: &str, _: Uuid, _: &str) -> Result<Vec<Row>> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_models_size_is_told_by_one_of_its_rows_and_an_empty_one_has_none() {
        let cell = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        for (rows, expected) in [
            (Vec::new(), Size::default()),
            (
                vec![Row::from([cell("record_id", "7"), cell("tier", "low"), cell("_sluice_rows", "1234567")])],
                Size { rows: 1_234_567, columns: 2 },
            ),
        ] {
            let activations = Activations {
                statements: Told(rows),
                lake_id: &LakeId("lake".into()),
                destination: "hubspot",
                model: &"A.B.C".parse().expect("a table"),
                run_id: &RunId("run".into()),
            };
            assert_eq!(block_on(activations.size()).expect("a size"), expected);
        }
    }

    #[test]
    fn a_models_columns_are_properties_but_for_the_key_and_what_was_seen() {
        let cell = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let row = Row::from([
            cell("record_id", Some("7")),
            cell("suppressed_because", None),
            cell("seen_at", Some("2026-01-31T12:00:00Z")),
            cell("seen_tier", Some("low")),
            cell("tier", Some("high")),
            cell("orders", None),
        ]);
        let wanted = wanted(row.clone()).expect("a row");
        assert_eq!((wanted.id.as_str(), wanted.suppressed), ("7", None));
        assert_eq!(wanted.values, [cell("tier", Some("high")), cell("orders", None)].into());
        let seen = wanted.seen.expect("it was seen");
        assert_eq!(seen.values, [cell("tier", Some("low"))].into());
        let mut without = row;
        without.insert("record_id".into(), None);
        assert!(super::wanted(without).is_err());
    }
}
