//! Texts that have no form in UTF-8.
//!
//! A database in another encoding converts its texts as it sends them, and ends the read at the first character that it cannot
//! convert (0x81 in WIN1252, say). So such a database is asked before: whether all texts of the read can be converted, and if
//! not, in ever smaller ranges of the cursor, which rows cannot. Those are read by themselves, and rejected with their bytes.
//! However many they are, [`AT_ONCE`] of them are known at a time: the read goes on in steps, each up to the last one known.
//! A database in UTF-8 converts nothing, and one that knows no encoding (SQL_ASCII) sends bytes; see [`crate::decode`].

use sluice_core::Result;
use tokio_postgres::error::SqlState;

use crate::{
    error::classify,
    position::Range,
    reading::{Reading, SourceTable},
    sql::{self, Untranslatable},
    type_map::Wire,
};

pub(crate) const RULE: &str = "has a character without a form in UTF-8";

/// The most such rows that one step of a read has: they are held in memory, and the statement names them.
const AT_ONCE: usize = 1_000;

/// What a step of a read leaves out, because the server cannot send it as UTF-8.
#[derive(Default)]
pub(crate) struct Aside {
    pub rows: Vec<Untranslatable>,
    /// The step ends with this value of the cursor; `None`: it is the last one.
    pub to: Option<i64>,
}

/// The rows of the range's first step that the server cannot send as UTF-8. Within the transaction, which goes on.
pub(crate) async fn untranslatable(
    reading: &Reading,
    source: &SourceTable<'_>,
    range: Option<&Range>,
) -> Result<Aside> {
    let texts: Vec<usize> = {
        let fields = reading.shape.fields.iter().enumerate();
        fields.filter(|(_, field)| field.wire == Wire::Text).map(|(at, _)| at).collect()
    };
    if !reading.session.converts || texts.is_empty() {
        return Ok(Aside::default());
    }
    let probe = Probe { reading, source };
    if probe.converts(&texts, range).await? {
        return Ok(Aside::default());
    }
    let mut rows = Vec::new();
    if range.is_none_or(|range| range.above.is_none()) {
        rows.extend(probe.without_cursor(&texts).await?);
    }
    let Some((first, last)) = probe.extent(range).await? else { return Ok(Aside { rows, to: None }) };
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
        rows.push(Untranslatable { cursor: Some(first), fields: probe.failing(&texts, &part).await? });
        if rows.len() >= AT_ONCE && !parts.is_empty() {
            return Ok(Aside { rows, to: Some(first) });
        }
    }
    Ok(Aside { rows, to: None })
}

struct Probe<'a> {
    reading: &'a Reading,
    source: &'a SourceTable<'a>,
}

impl Probe<'_> {
    /// The rows without a cursor value, which no range is of.
    async fn without_cursor(&self, texts: &[usize]) -> Result<Option<Untranslatable>> {
        if !self.reading.shape.cursor(self.source).nullable {
            return Ok(None);
        }
        let part = Range { above: None, to: i64::MIN };
        let fields = self.failing(texts, &part).await?;
        Ok(Some(Untranslatable { cursor: None, fields }).filter(|rows| !rows.fields.is_empty()))
    }

    /// Which of the texts cannot be converted.
    async fn failing(&self, texts: &[usize], part: &Range) -> Result<Vec<usize>> {
        let mut fields = Vec::new();
        for field in texts {
            if !self.converts(&[*field], Some(part)).await? {
                fields.push(*field);
            }
        }
        Ok(fields)
    }

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
