//! Asks the warehouse for every tile.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{Error, LakeId, Result, Sources, port::ObjectStore};
use sluice_pipeline::observe::Observe;

use super::{
    format, platform,
    questions::Questions,
    reach::Reach,
    runs::Runs,
    tile::{Cell, Column, Drawn, DrawnSeries, Entry, Note, Report, Run, Section, Shown, Source, Tile},
};
use crate::{
    event::Moment,
    files::Files,
    lightdash::{self, Chart, Dashboard, Dialect, Drawing, Field, Query, Table},
};

/// No tile has more rows: the page has to stay small.
const MOST_ROWS: u64 = 2_000;
/// How many questions are asked at the same time.
const SIDE_BY_SIDE: usize = 4;
/// A chart of personal data says so in its description, or it is not shown.
const SAYS_PERSONAL: &str = "personal data";

/// The report at that moment. Periods such as "the last 90 days" count from that day, or from the newest day of a view whose
/// data ends before.
pub async fn build(
    questions: &Questions<'_, impl Observe>,
    store: &impl ObjectStore,
    files: &Files,
    dialect: Dialect,
    sources: &Sources,
    lake: &LakeId,
    moment: Moment,
) -> Result<Report> {
    let runs = Runs::recent(store).await?;
    let published = runs.published().ok_or_else(|| nothing_published(&runs))?;
    let run = Run { number: published.number, ended_at: published.ended_at };
    let at = moment.of_run_that_ended(published.ended_at);
    let today = at.date_naive();
    questions.answers().await?;
    let reach = reach(questions, files, today).await?;
    let asking = Asking { questions, files, dialect, reach: &reach, today };
    let mut sections = Vec::new();
    for dashboard in &files.dashboards {
        sections.push(asking.section(dashboard).await?);
    }
    sections.push(platform::section(questions, store, sources, &runs, files, &reach, today).await?);
    let mut notes: Vec<Note> = runs
        .since(published)
        .map(|end| {
            Note::warning(format!(
                "Run {} of dbt has {}; the numbers are those of run {}.",
                end.number,
                end.status.as_str(),
                run.number
            ))
        })
        .collect();
    if let Some(later) = Runs::recent(store).await?.may_have_published_since(run.number) {
        notes.push(Note::warning(format!(
            "Run {later} of dbt was under way while this page was made: some numbers may already be its own. If it succeeds, its page follows."
        )));
    }
    let left_out = |problem: &String| {
        Note::warning(format!("A file is left out, because the report does not compile it: {problem}."))
    };
    notes.extend(files.problems.iter().map(left_out));
    Ok(Report { at, lake: lake.0.clone(), run, sections, notes })
}

fn nothing_published(runs: &Runs) -> Error {
    let what = match runs.ended.len() {
        0 => "no dbt run has ended yet".to_owned(),
        ended => format!("none of the last {ended} runs of dbt has succeeded"),
    };
    Error::not_found(format!("{what}, so there is nothing to report")).as_final()
}

/// How far each view reaches that has a column which says so.
async fn reach(
    questions: &Questions<'_, impl Observe>,
    files: &Files,
    today: NaiveDate,
) -> Result<BTreeMap<String, Reach>> {
    let asked = files.tables.values().filter_map(|table| Some((table, Query::newest(table)?)));
    let reach = async |(table, statement): (&Table, String)| {
        let rows = match questions.rows(statement, 1).await? {
            Ok(rows) => rows,
            Err(_) => return Ok((table.name.clone(), Reach { newest: None })),
        };
        let newest = rows.into_iter().flatten().flatten().next();
        let newest = newest.and_then(|text| text.get(..10)?.parse::<NaiveDate>().ok());
        // A day to come is no measure of how far the data reaches.
        Ok((table.name.clone(), Reach { newest: newest.map(|newest| newest.min(today)) }))
    };
    stream::iter(asked).map(reach).buffered(SIDE_BY_SIDE).try_collect().await
}

struct Asking<'a, W> {
    questions: &'a Questions<'a, W>,
    files: &'a Files,
    dialect: Dialect,
    reach: &'a BTreeMap<String, Reach>,
    today: NaiveDate,
}

impl<W: Observe> Asking<'_, W> {
    async fn section(&self, dashboard: &Dashboard) -> Result<Section> {
        let entry = async |tile: &lightdash::Tile| match tile {
            lightdash::Tile::Text { title, content, width } => {
                Ok(Entry::Text { title: title.clone(), content: content.clone(), width: *width })
            }
            lightdash::Tile::Chart { slug, chart, width } => {
                self.tile(dashboard, slug, chart, *width).await.map(|tile| Entry::Tile(Box::new(tile)))
            }
        };
        let entries = stream::iter(dashboard.rows.iter().flatten()).map(entry).buffered(SIDE_BY_SIDE);
        let mut entries = entries.try_collect::<Vec<Entry>>().await?.into_iter();
        let rows = dashboard.rows.iter().map(|row| entries.by_ref().take(row.len()).collect()).collect();
        Ok(Section { slug: dashboard.slug.clone(), name: dashboard.name.clone(), rows })
    }

    async fn tile(&self, dashboard: &Dashboard, slug: &str, chart: &str, width: u8) -> Result<Tile> {
        let id = format!("{}/{slug}", dashboard.slug);
        let (chart, table, query) = match self.query(dashboard, slug, chart) {
            Ok(compiled) => compiled,
            Err(why) => return Ok(nothing(id, chart.to_owned(), width, format!("Left out: {why}."))),
        };
        let personal = &query.personal;
        let says_so = chart.description.as_ref().is_some_and(|text| text.to_lowercase().contains(SAYS_PERSONAL));
        if !personal.is_empty() && !says_so {
            let why = format!(
                "Left out: it would show personal data ({}), and its description does not say so.",
                personal.join(", ")
            );
            return Ok(nothing(id, chart.name.clone(), width, why));
        }
        let limit = query.limit.min(MOST_ROWS);
        // One row more tells whether a chart would show less than there is; a table is meant to be that long.
        let is_complete = !matches!(chart.drawing, Drawing::Table) || query.limit > MOST_ROWS;
        let statement = query.with_limit(if is_complete { limit + 1 } else { limit });
        let mut tile = Tile {
            title: chart.name.clone(),
            description: chart.description.clone(),
            shown: shown(&chart, &query.fields),
            columns: query.fields.iter().map(column).collect(),
            rows: Vec::new(),
            source: Source::Sql(statement.clone()),
            day: self.reach.get(&table.name).and_then(|reach| reach.newest),
            notes: self.notes(table, &query),
            id,
            width,
        };
        if !personal.is_empty() {
            tile.notes.push(Note::warning(format!("Shows personal data: {}.", personal.join(", "))));
        }
        match self.questions.rows(statement, limit + 1).await? {
            Ok(mut rows) => {
                if rows.len() as u64 > limit && is_complete {
                    tile.notes.push(Note::warning(format!("Only the first {limit} rows are shown; there are more.")));
                }
                rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                tile.rows = rows.into_iter().map(|row| cells(&query.fields, row)).collect();
                if tile.rows.is_empty() {
                    tile.notes.push(Note::warning("There are no rows for this.".to_owned()));
                }
            }
            Err(why) => {
                tile.shown = Shown::Nothing;
                tile.notes.push(Note::warning(format!("Nothing is shown: {why}.")));
            }
        }
        Ok(tile)
    }

    fn query(&self, dashboard: &Dashboard, slug: &str, chart: &str) -> lightdash::Compiled<(Chart, &Table, Query)> {
        let found = self
            .files
            .charts
            .get(chart)
            .ok_or_else(|| format!("dashboards/{}.yml: there is no chart {chart}", dashboard.slug))?;
        let chart = found.clone()?;
        let file = format!("charts/{}.yml", chart.slug);
        let table = self
            .files
            .tables
            .get(&chart.table)
            .ok_or_else(|| format!("{file}: tableName: there is no view {} that compiles", chart.table))?;
        let chart = dashboard.filtered(slug, chart, table);
        let query = Query::of(&chart, table, self.dialect, self.from(table));
        Ok((chart, table, query.map_err(|why| format!("{file}: {why}"))?))
    }

    /// The day from which periods count.
    fn from(&self, table: &Table) -> NaiveDate {
        self.reach.get(&table.name).and_then(|reach| reach.newest).unwrap_or(self.today)
    }

    fn notes(&self, table: &Table, query: &Query) -> Vec<Note> {
        let mut notes = Vec::new();
        let Some(reach) = self.reach.get(&table.name) else { return notes };
        match (reach.newest, reach.days_behind(self.today)) {
            (Some(newest), Some(days)) if reach.is_stale(self.today) => {
                notes.push(Note::warning(format!(
                    "Stale: the newest day in {} is {newest}, {days} days before this page.",
                    table.label
                )));
                if query.is_relative {
                    notes.push(Note::plain(format!("The period counts back from {newest}.")));
                }
            }
            (None, _) => {
                notes.push(Note::warning(format!("How far the data of {} reaches is not known.", table.label)))
            }
            _ => {}
        }
        notes
    }
}

fn nothing(id: String, title: String, width: u8, why: String) -> Tile {
    Tile {
        id,
        title,
        description: None,
        width,
        shown: Shown::Nothing,
        columns: Vec::new(),
        rows: Vec::new(),
        source: Source::Lake("nothing was asked".to_owned()),
        day: None,
        notes: vec![Note::warning(why)],
    }
}

fn column(field: &Field) -> Column {
    let is_number = field.kind == lightdash::Kind::Number;
    Column { label: field.label.clone(), description: field.description.clone(), is_number }
}

fn cells(fields: &[Field], row: Vec<Option<String>>) -> Vec<Cell> {
    fields.iter().zip(row).map(|(field, value)| format::cell(field, value)).collect()
}

/// Fields become places: the page knows columns and no ids.
fn shown(chart: &Chart, fields: &[Field]) -> Shown {
    let place = |id: &String| fields.iter().position(|field| field.id == *id).unwrap_or_default();
    match &chart.drawing {
        Drawing::Table => Shown::Table,
        Drawing::BigNumber { field, label } => Shown::Number { column: place(field), label: label.clone() },
        Drawing::Pie { group, metric } => Shown::Chart(Drawn::Pie { group: place(group), value: place(metric) }),
        Drawing::Cartesian { x, series, flipped, y_name, .. } => {
            let drawn = |series: &lightdash::Series| {
                let column = place(&series.field);
                DrawnSeries {
                    column,
                    name: series.name.clone().unwrap_or_else(|| fields[column].label.clone()),
                    line: series.is_line,
                    color: series.color.clone(),
                    stack: series.stack.clone(),
                }
            };
            Shown::Chart(Drawn::Cartesian {
                x: place(x),
                series: series.iter().map(drawn).collect(),
                flipped: *flipped,
                pivot: chart.pivot.as_ref().map(place),
                y: y_name.clone(),
                format: common(series.iter().map(|series| fields[place(&series.field)].format.as_ref())),
            })
        }
    }
}

/// What all of them say; an axis with pounds and dollars has no sign.
fn common<'a>(mut formats: impl Iterator<Item = Option<&'a String>>) -> Option<String> {
    let first = formats.next().flatten()?;
    formats.all(|format| format == Some(first)).then(|| first.clone())
}
