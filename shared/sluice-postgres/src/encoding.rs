//! Texts that have no form in UTF-8.
//!
//! A database in another encoding converts its texts as it sends them, and ends the read at the first character that it cannot
//! convert (0x81 in WIN1252, say). So such a database is asked before: whether all texts of the read can be converted, and if
//! not, in ever smaller ranges of the cursor, which rows cannot. Those are read by themselves, and rejected with their bytes.
//! However many they are, [`AT_ONCE`] of them are known at a time: the read goes on in steps, each up to the last one known.
//! A cursor value that more rows have than that is looked through by itself, in ever smaller ranges of its tables' blocks: a
//! row keeps its table, block and item as long as the transaction lasts.
//! A database in UTF-8 converts nothing, and one that knows no encoding (SQL_ASCII) sends bytes; see [`crate::decode`].

use sluice_core::Result;
use tokio_postgres::{Row, error::SqlState};

use crate::{
    error::classify,
    reading::{Reading, SourceTable},
    sql::{self, At, Blocks, Place, Stretch, Untranslatable},
    type_map::Wire,
};

pub(crate) const RULE: &str = "has a character without a form in UTF-8";

const FAILED: &str = "cannot look for texts without a form in UTF-8";

/// The most such rows that one step of a read has: they are held in memory, and the statement names them.
const AT_ONCE: usize = 1_000;

/// What a step of a read leaves out, because the server cannot send it as UTF-8.
#[derive(Default)]
pub(crate) struct Aside {
    pub rows: Vec<Untranslatable>,
    /// Cursor values with such rows that more than [`AT_ONCE`] rows have: each is a stretch of its own, or several.
    pub crowded: Vec<i64>,
    /// The step ends with this value of the cursor, or this block; `None`: it is the last one.
    pub to: Option<i64>,
}

impl Aside {
    fn len(&self) -> usize {
        self.rows.len() + self.crowded.len()
    }
}

/// The rows of the stretch's first step that the server cannot send as UTF-8. Within the transaction, which goes on.
pub(crate) async fn untranslatable(reading: &Reading, source: &SourceTable<'_>, stretch: &Stretch) -> Result<Aside> {
    let texts: Vec<usize> = {
        let fields = reading.shape.fields.iter().enumerate();
        fields.filter(|(_, field)| field.wire == Wire::Text).map(|(at, _)| at).collect()
    };
    if !reading.session.converts || texts.is_empty() {
        return Ok(Aside::default());
    }
    let failed = |error| classify(error, FAILED);
    reading.session.client.batch_execute(sql::MAY_FAIL).await.map_err(failed)?;
    let aside = Probe { reading, source, texts }.first_step(stretch).await?;
    reading.session.client.batch_execute(sql::NO_MORE_MAY_FAIL).await.map_err(failed)?;
    Ok(aside)
}

/// The blocks of each table that has rows of a cursor value, from the first with such a row to the last.
pub(crate) async fn blocks(reading: &Reading, source: &SourceTable<'_>, value: i64) -> Result<Vec<Stretch>> {
    let Reading { session, shape, scope, .. } = reading;
    let statement = sql::blocks(source.schema, source.table, &shape.cursor(source), scope, value);
    let failed = |error| classify(error, "cannot ask for the blocks of a cursor value");
    let rows = session.client.query(&statement, &[]).await.map_err(failed)?;
    let blocks = |row: &Row| {
        let part = |at| row.try_get(at).map_err(failed);
        Ok(Stretch::Blocks(Blocks { value, table: part(0)?, first: part(1)?, last: part(2)? }))
    };
    rows.iter().map(blocks).collect()
}

struct Probe<'a> {
    reading: &'a Reading,
    source: &'a SourceTable<'a>,
    /// The fields that are texts.
    texts: Vec<usize>,
}

impl Probe<'_> {
    async fn first_step(&self, stretch: &Stretch) -> Result<Aside> {
        let mut aside = Aside::default();
        if self.within(stretch).await? {
            return Ok(aside);
        }
        if stretch.is_first() {
            aside.rows.extend(self.without_cursor().await?);
        }
        let Some(ends) = self.ends(stretch).await? else { return Ok(aside) };
        // Halves of what cannot be converted, until a half is one value, or one block.
        let mut parts = vec![ends];
        while let Some((first, last)) = parts.pop() {
            if self.within(&stretch.part(first, last)).await? {
                continue;
            }
            if first < last {
                // Rounded down, whatever the signs: each half is shorter than the whole.
                let middle = (i128::from(first) + i128::from(last)).div_euclid(2) as i64;
                parts.extend([(middle + 1, last), (first, middle)]);
                continue;
            }
            match stretch.part(first, first) {
                block @ Stretch::Blocks(_) => aside.rows.extend(self.in_block(&block).await?),
                Stretch::All | Stretch::Range(_) => self.at(first, &mut aside).await?,
            }
            if aside.len() >= AT_ONCE && !parts.is_empty() {
                aside.to = Some(first);
                return Ok(aside);
            }
        }
        Ok(aside)
    }

    /// The first and the last that the stretch is cut by: values of the cursor, or blocks.
    async fn ends(&self, stretch: &Stretch) -> Result<Option<(i64, i64)>> {
        if let Stretch::Blocks(Blocks { first, last, .. }) = stretch {
            return Ok(Some((*first, *last)));
        }
        let Reading { session, shape, scope, .. } = self.reading;
        let statement = sql::count(self.source.schema, self.source.table, &shape.cursor(self.source), scope, stretch);
        let failed = |error| classify(error, "cannot ask for the range of the cursor");
        let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
        let (first, last): (Option<i64>, Option<i64>) =
            (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
        Ok(first.zip(last))
    }

    /// The rows without a cursor value, which no range is of.
    async fn without_cursor(&self) -> Result<Option<Untranslatable>> {
        if !self.reading.shape.cursor(self.source).nullable {
            return Ok(None);
        }
        self.failing(At::NoValue).await
    }

    /// The rows of one cursor value. Where several have it, those of them that cannot be converted; where very many have it,
    /// the value.
    async fn at(&self, value: i64, aside: &mut Aside) -> Result<()> {
        let Reading { shape, scope, .. } = self.reading;
        let condition = sql::condition_at(&shape.cursor(self.source), scope, &At::Value(value));
        let places = self.places(&condition, Some(AT_ONCE + 1)).await?;
        match places.len() {
            0 | 1 => aside.rows.extend(self.failing(At::Value(value)).await?),
            2..=AT_ONCE => aside.rows.extend(self.among(places).await?),
            _ => aside.crowded.push(value),
        }
        Ok(())
    }

    /// A block has a few hundred rows at most.
    async fn in_block(&self, block: &Stretch) -> Result<Vec<Untranslatable>> {
        let Reading { shape, scope, .. } = self.reading;
        let condition = sql::condition_within(&shape.cursor(self.source), scope, block);
        self.among(self.places(&condition, None).await?).await
    }

    async fn among(&self, places: Vec<Place>) -> Result<Vec<Untranslatable>> {
        let mut found = Vec::new();
        for place in places {
            found.extend(self.failing(At::Row(place)).await?);
        }
        Ok(found)
    }

    async fn places(&self, condition: &str, limit: Option<usize>) -> Result<Vec<Place>> {
        let Reading { session, .. } = self.reading;
        let statement = sql::places(self.source.schema, self.source.table, condition, limit);
        let failed = |error| classify(error, "cannot ask for the rows of a cursor value");
        let rows = session.client.query(&statement, &[]).await.map_err(failed)?;
        let place = |row: &Row| {
            let part = |at| row.try_get(at).map_err(failed);
            Ok(Place { table: part(0)?, block: part(1)?, item: part(2)? })
        };
        rows.iter().map(place).collect()
    }

    /// The rows there with those texts that cannot be converted, if there are any.
    async fn failing(&self, at: At) -> Result<Option<Untranslatable>> {
        let condition = sql::condition_at(&self.reading.shape.cursor(self.source), &self.reading.scope, &at);
        let mut fields = Vec::new();
        for field in &self.texts {
            if !self.converts(&[*field], &condition).await? {
                fields.push(*field);
            }
        }
        Ok(Some(Untranslatable { at, fields }).filter(|rows| !rows.fields.is_empty()))
    }

    async fn within(&self, stretch: &Stretch) -> Result<bool> {
        let Reading { shape, scope, .. } = self.reading;
        self.converts(&self.texts, &sql::condition_within(&shape.cursor(self.source), scope, stretch)).await
    }

    async fn converts(&self, texts: &[usize], condition: &str) -> Result<bool> {
        let Reading { session, shape, .. } = self.reading;
        let texts: Vec<_> = texts.iter().map(|at| &shape.fields[*at]).collect();
        let statement = sql::converted(self.source.schema, self.source.table, &texts, condition);
        let failed = |error| classify(error, FAILED);
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
}
