//! Texts that have no form in UTF-8.
//!
//! A database in another encoding converts its texts as it sends them, and ends the read at the first character that it cannot
//! convert (0x81 in WIN1252, say). So such a database is asked before: whether all texts of the read can be converted, and if
//! not, in ever smaller ranges of the cursor, which rows cannot. Those are read by themselves, and rejected with their bytes.
//! A database in UTF-8 converts nothing, and one that knows no encoding (SQL_ASCII) sends bytes; see [`crate::decode`].

use sluice_core::{Error, Result};
use tokio_postgres::error::SqlState;

use crate::{
    error::classify,
    position::Range,
    reading::{Reading, SourceTable},
    sql::{self, Untranslatable},
    type_map::Wire,
};

pub(crate) const RULE: &str = "has a character without a form in UTF-8";

/// A read with more such rows is one of a database that has to be mended.
const MOST_ROWS: usize = 1_000;

/// The rows of the read that the server cannot send as UTF-8. Within the transaction, which goes on.
pub(crate) async fn untranslatable(
    reading: &Reading,
    source: &SourceTable<'_>,
    range: Option<&Range>,
) -> Result<Vec<Untranslatable>> {
    let texts: Vec<usize> = {
        let fields = reading.shape.fields.iter().enumerate();
        fields.filter(|(_, field)| field.wire == Wire::Text).map(|(at, _)| at).collect()
    };
    let mut found = Vec::new();
    if !reading.session.converts || texts.is_empty() {
        return Ok(found);
    }
    let probe = Probe { reading, source };
    if probe.converts(&texts, range).await? {
        return Ok(found);
    }
    let Some((first, last)) = probe.extent(range).await? else { return Ok(found) };
    // Halves of what cannot be converted, until a half is one value.
    let mut parts = vec![(first, last)];
    while let Some((first, last)) = parts.pop() {
        let part = Range { above: first.checked_sub(1), to: last };
        if probe.converts(&texts, Some(&part)).await? {
            continue;
        }
        if first < last {
            // Rounded down, whatever the signs: each half is shorter than the whole.
            let middle = (i128::from(first) + i128::from(last)).div_euclid(2) as i64;
            parts.extend([(middle + 1, last), (first, middle)]);
            continue;
        }
        let mut fields = Vec::new();
        for field in &texts {
            if !probe.converts(&[*field], Some(&part)).await? {
                fields.push(*field);
            }
        }
        found.push(Untranslatable { cursor: first, fields });
        if found.len() > MOST_ROWS {
            let message = format!("more than {MOST_ROWS} rows have a text without a form in UTF-8");
            return Err(Error::invalid_data(message)
                .with("source", format_args!("{}.{}", source.schema, source.table))
                .with_hint("convert the database to UTF-8, or leave the columns out of the table's entry")
                .as_final());
        }
    }
    Ok(found)
}

struct Probe<'a> {
    reading: &'a Reading,
    source: &'a SourceTable<'a>,
}

impl Probe<'_> {
    async fn converts(&self, texts: &[usize], range: Option<&Range>) -> Result<bool> {
        let Reading { session, shape, scope, .. } = self.reading;
        let texts: Vec<_> = texts.iter().map(|at| &shape.fields[*at]).collect();
        let cursor = shape.cursor(self.source);
        let statement = sql::converted(self.source.schema, self.source.table, &texts, &cursor, scope, range);
        let failed = |error| classify(error, "cannot look for texts without a form in UTF-8");
        session.client.batch_execute(sql::MAY_FAIL).await.map_err(failed)?;
        match session.client.query_one(&statement, &[]).await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.code(),
                    Some(&SqlState::UNTRANSLATABLE_CHARACTER | &SqlState::CHARACTER_NOT_IN_REPERTOIRE)
                ) =>
            {
                session.client.batch_execute(sql::HAS_FAILED).await.map_err(failed)?;
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The smallest and the largest cursor value of the read.
    async fn extent(&self, range: Option<&Range>) -> Result<Option<(i64, i64)>> {
        let Reading { session, shape, scope, .. } = self.reading;
        let statement = sql::count(self.source.schema, self.source.table, &shape.cursor(self.source), scope, range);
        let failed = |error| classify(error, "cannot ask for the range of the cursor");
        let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
        let (first, last): (Option<i64>, Option<i64>) =
            (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
        Ok(first.zip(last))
    }
}
