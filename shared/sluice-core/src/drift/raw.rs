//! The raw table as the commits tell of it. It only ever grows, so it keeps a column that the source has lost, with the
//! type that it had; a commit that says otherwise could never be loaded.

use crate::{Column, ColumnType, Commit, Error, Kind, Result, Schema, Table, names};

/// The raw table's columns after the newest commit.
pub(super) struct Raw(Vec<Column>);

impl Raw {
    /// Those that any commit has brought, and those that the contract made the table with.
    pub(super) fn of(table: &Table, newest: Option<&Commit>) -> Self {
        let mut raw = Self::committed(newest);
        table.columns.columns().iter().for_each(|column| raw.take(column));
        raw
    }

    fn committed(newest: Option<&Commit>) -> Self {
        let mut raw = Raw(Vec::new());
        newest.iter().flat_map(|commit| commit.raw_columns()).for_each(|column| raw.take(column));
        raw
    }

    fn take(&mut self, column: &Column) {
        if self.column(&column.name).is_none() {
            self.0.push(Column::optional(&column.name, column.column_type));
        }
    }

    /// The column that the warehouse takes for this one.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        same(&self.0, name)
    }

    /// What a commit of these columns has to remember of the table, because they do not tell it.
    pub(super) fn beyond(self, schema: &Schema) -> Vec<Column> {
        let is_told = |held: &Column| {
            same(schema.columns(), &held.name).is_some_and(|column| {
                held.column_type == column.column_type || !has_room(held.column_type, column.column_type)
            })
        };
        self.0.into_iter().filter(|held| !is_told(held)).collect()
    }
}

/// The column that the warehouse takes for one of this name.
pub(super) fn same<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    let folded = names::fold(name);
    columns.iter().find(|column| names::fold(&column.name) == folded)
}

/// The columns of earlier commits, newest first, of which a commit does not tell.
pub fn untold<'a>(commit: &Commit, earlier: impl IntoIterator<Item = &'a Commit>) -> Vec<Column> {
    let mut raw = Raw::committed(Some(commit));
    earlier.into_iter().flat_map(Commit::raw_columns).for_each(|column| raw.take(column));
    raw.0.into_iter().filter(|column| same(commit.schema.columns(), &column.name).is_none()).collect()
}

/// What the commit of a run that reads these columns remembers of its raw table.
pub fn kept(table: &Table, newest: Option<&Commit>, schema: &Schema) -> Vec<Column> {
    Raw::of(table, newest).beyond(schema)
}

/// Refuses a contract whose column has a type that the raw table's column cannot get: a person has changed the contract,
/// and every commit from then on would fail to load.
pub fn permit_contract(table: &Table, newest: Option<&Commit>) -> Result<()> {
    let raw = Raw::committed(newest);
    for column in table.columns.columns() {
        if let Some(held) = raw.column(&column.name).filter(|held| !becomes(held.column_type, column.column_type)) {
            let message = format!(
                "the raw table keeps '{}' as {}, and the contract says {}, which no warehouse makes of it in place; nothing \
                 was read",
                column.name, held.column_type, column.column_type
            );
            let hint = "change the type back, or give the column another name in platform/sources.yaml, with the present \
                        one as its source_name; if the raw table was made again with the new type, run with full_refresh";
            return Err(Error::new(Kind::SchemaMismatch, message).with("table", &table.table).with_hint(hint));
        }
    }
    Ok(())
}

/// Digits before and after the point.
fn digits(column_type: ColumnType) -> Option<(i16, i16)> {
    match column_type {
        ColumnType::Bigint => Some((19, 0)),
        ColumnType::Decimal(precision, scale) => Some((i16::from(precision) - i16::from(scale), i16::from(scale))),
        ColumnType::Text | ColumnType::Timestamp | ColumnType::Date | ColumnType::Boolean => None,
    }
}

/// Whether a raw column has room for every value of a type.
fn has_room(held: ColumnType, wanted: ColumnType) -> bool {
    match (digits(held), digits(wanted)) {
        (Some(held), Some(wanted)) => held.0 >= wanted.0 && held.1 >= wanted.1,
        _ => held == wanted,
    }
}

/// Whether a raw column has room for a type or can be given it in place: more digits before the point, never behind it.
fn becomes(held: ColumnType, wanted: ColumnType) -> bool {
    let grows = matches!((digits(held), digits(wanted)), (Some(held), Some(wanted)) if held.1 == wanted.1);
    grows || has_room(held, wanted)
}
