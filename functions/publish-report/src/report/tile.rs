//! What is shown: sections of tiles, each with its rows, its query, and what has to be said of them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// When it was asked for; what is stale is so against this.
    pub at: DateTime<Utc>,
    pub lake: String,
    /// The run of dbt that has published the numbers.
    pub run: Run,
    pub sections: Vec<Section>,
    /// What has to be said of all of it.
    pub notes: Vec<Note>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub number: u64,
    pub ended_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub slug: String,
    pub name: String,
    /// From the top to the bottom.
    pub rows: Vec<Vec<Entry>>,
}

impl Section {
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().flatten()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Text { title: String, content: String, width: u8 },
    Tile(Box<Tile>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// `<section>/<tile>`.
    pub id: String,
    pub title: String,
    pub description: Option<String>,
    /// Of 36 columns.
    pub width: u8,
    pub shown: Shown,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    pub source: Source,
    /// The day that the numbers are of, where the data has days.
    pub day: Option<NaiveDate>,
    pub notes: Vec<Note>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub label: String,
    pub description: Option<String>,
    pub is_number: bool,
}

/// A value, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// As the warehouse has told it; `None` is NULL.
    pub value: Option<String>,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// The first row's value in this column.
    Number {
        column: usize,
        label: Option<String>,
    },
    Chart(Drawn),
    Table,
    /// Nothing could be asked; the notes say why.
    Nothing,
}

/// What a chart draws of the rows; columns by their place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Drawn {
    Cartesian {
        x: usize,
        series: Vec<DrawnSeries>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        flipped: bool,
        /// The column whose values are series.
        #[serde(skip_serializing_if = "Option::is_none")]
        pivot: Option<usize>,
        /// What the values are.
        #[serde(skip)]
        y: Option<String>,
        /// Of every series.
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<String>,
    },
    Pie {
        group: usize,
        value: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrawnSeries {
    pub column: usize,
    pub name: String,
    pub line: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Sql(String),
    /// Objects of the lake, in words.
    Lake(String),
}

/// Something that has to be said of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What the reader must know before the number is believed.
    pub is_warning: bool,
    pub text: String,
}

impl Note {
    pub fn warning(text: impl Into<String>) -> Self {
        Note { is_warning: true, text: text.into() }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Note { is_warning: false, text: text.into() }
    }
}

impl Cell {
    pub fn of(text: impl ToString) -> Self {
        let text = text.to_string();
        Cell { value: Some(text.clone()), text }
    }

    /// A count as it is read, with its digits as the value.
    pub fn count(number: u64) -> Self {
        Cell { value: Some(number.to_string()), text: grouped(number) }
    }

    pub fn none() -> Self {
        Cell { value: None, text: "none".to_owned() }
    }

    pub fn maybe(value: Option<impl ToString>) -> Self {
        value.map_or_else(Cell::none, Cell::of)
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Column {
    pub fn text(label: &str) -> Self {
        Column { label: label.to_owned(), description: None, is_number: false }
    }

    pub fn number(label: &str) -> Self {
        Column { is_number: true, ..Column::text(label) }
    }
}
