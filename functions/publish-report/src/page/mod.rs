//! The report as one HTML page that needs nothing else: no network, no script but its own, no style but its own.
//!
//! Every number stands in a table of the page; the charts are drawn of those tables, so without scripts nothing is missing but
//! the drawings. What comes from the warehouse passes [`html::text`] or an attribute made by [`html::attribute`].

mod html;
#[cfg(test)]
mod tests;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::report::{Cell, Column, Drawn, Entry, Note, Report, Section, Shown, Source, Tile};
use html::{attribute, text};

/// ECharts, as far as it is needed; made by `tools/report/build` from the lock file.
const CHARTS: &str = include_str!("../../page/charts.js");
/// A text of a table that is longer may wrap.
const WRAPPED: usize = 48;
/// The columns that a row of tiles has.
const FULL: u8 = 36;
const SCRIPT: &str = include_str!("../../page/page.js");
const STYLE: &str = include_str!("../../page/page.css");

/// The whole page.
pub fn render(report: &Report) -> String {
    let style = format!("{STYLE}{}", widths());
    let policy = format!(
        "default-src 'none'; script-src '{}' '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(CHARTS),
        hash(SCRIPT),
        hash(&style)
    );
    let title = format!("Report of {}", report.lake);
    let sections: String = report.sections.iter().map(|section| self::section(section, report)).collect();
    let links: String = report
        .sections
        .iter()
        .map(|section| format!("<li><a href=\"#{0}\">{1}</a></li>", attribute(&section.slug), text(&section.name)))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the numbers</a>\n\
         <header>\n<div class=\"top\"><p class=\"brand\">Sluice</p><h1>{title}</h1>\n{facts}</div>\n\
         </header>\n<nav aria-label=\"Sections\"><ul>{links}</ul></nav>\n\
         <main id=\"main\">\n{notes}{sections}</main>\n\
         <footer><p>Made by publish-report of {title_lake}. Everything on this page is in this file; it asks nobody for anything.</p></footer>\n\
         <script>{CHARTS}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        title = text(&title),
        title_lake = text(&report.lake),
        facts = facts(report),
        notes = notes(&report.notes, "page-notes"),
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// A class for each width of a tile: there is no style at an element.
fn widths() -> String {
    let rule = |width: u8| format!(".w{width}{{flex:{width} 1 0}}");
    format!("@media (min-width:64rem){{{}}}", (1..=FULL).map(rule).collect::<String>())
}

fn facts(report: &Report) -> String {
    let fact = |name: &str, value: String| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let warned = report.sections.iter().flat_map(Section::entries).filter(|entry| is_warned(entry)).count();
    let judged = match warned + report.notes.len() {
        0 => "<span class=\"pill good\">nothing is stale or left out</span>".to_owned(),
        1 => "<span class=\"pill bad\">1 tile or note to read first</span>".to_owned(),
        count => format!("<span class=\"pill bad\">{count} tiles or notes to read first</span>"),
    };
    format!(
        "<dl class=\"facts\">{}{}{}</dl>\n",
        fact(
            "Run of dbt",
            format!("{}, ended {} UTC", report.run.number, report.run.ended_at.format("%Y-%m-%d %H:%M"))
        ),
        fact("As of", format!("{} UTC", report.at.format("%Y-%m-%d %H:%M"))),
        fact("State", judged)
    )
}

fn is_warned(entry: &Entry) -> bool {
    matches!(entry, Entry::Tile(tile) if tile.notes.iter().any(|note| note.is_warning))
}

fn notes(notes: &[Note], class: &str) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let note = |note: &Note| match note.is_warning {
        true => format!("<li class=\"warning\"><span aria-hidden=\"true\">▲</span> {}</li>", text(&note.text)),
        false => format!("<li>{}</li>", text(&note.text)),
    };
    format!("<ul class=\"{class}\">{}</ul>\n", notes.iter().map(note).collect::<String>())
}

fn section(section: &Section, report: &Report) -> String {
    let slug = attribute(&section.slug);
    let entry = |entry: &Entry| match entry {
        Entry::Text { title, content, width } => {
            let card = if *width < FULL { " tile" } else { "" };
            format!("<div class=\"about{card} w{width}\"><h3>{}</h3><p>{}</p></div>\n", text(title), text(content))
        }
        Entry::Tile(tile) => self::tile(tile, report),
    };
    let row = |row: &Vec<Entry>| format!("<div class=\"row\">\n{}</div>\n", row.iter().map(entry).collect::<String>());
    let rows: String = section.rows.iter().map(row).collect();
    let name = text(&section.name);
    format!(
        "<section id=\"{slug}\" aria-labelledby=\"{slug}-name\">\n<h2 id=\"{slug}-name\">{name}</h2>\n{rows}</section>\n"
    )
}

fn tile(tile: &Tile, report: &Report) -> String {
    let id = attribute(&tile.id.replace('/', "-"));
    let (kind, body) = match &tile.shown {
        Shown::Nothing => ("nothing", String::new()),
        Shown::Number { column, label } => {
            let cell = tile.rows.first().and_then(|row| row.get(*column));
            let value = cell.map_or("none", |cell| cell.text.as_str());
            // A label that says the title again says nothing.
            let label = label.as_ref().filter(|label| !tile.title.eq_ignore_ascii_case(label));
            let label = label.map(|label| format!(" <span class=\"unit\">{}</span>", text(label))).unwrap_or_default();
            ("number", format!("<p class=\"figure\"><strong>{}</strong>{label}</p>\n", text(value)))
        }
        Shown::Chart(drawn) => {
            // Serialising these structs of strings and numbers cannot fail.
            let spec = serde_json::to_string(drawn).unwrap_or_default();
            let axis = axis(drawn, &tile.title);
            ("chart", format!("{axis}<div class=\"drawing\" data-chart=\"{}\"></div>\n", attribute(&spec)))
        }
        Shown::Table => ("table", table(tile, &id)),
    };
    let description =
        tile.description.as_ref().map(|words| format!("<p class=\"words\">{}</p>\n", text(words))).unwrap_or_default();
    let behind = match &tile.shown {
        // What a number is read from is a table of one row.
        Shown::Chart(_) | Shown::Number { .. } => {
            format!("<details><summary>Table</summary>{}</details>\n", table(tile, &id))
        }
        Shown::Table | Shown::Nothing => String::new(),
    };
    let csv = match tile.shown {
        Shown::Nothing => String::new(),
        _ => format!(
            "<button type=\"button\" class=\"csv\" data-name=\"{id}\">CSV<span class=\"hidden\"> of {}</span></button>\n",
            text(&tile.title)
        ),
    };
    format!(
        "<article id=\"{id}\" class=\"tile {kind} w{width}\" aria-labelledby=\"{id}-title\">\n<h3 id=\"{id}-title\">{title}</h3>\n{above}{body}{below}{notes}\
         <div class=\"foot\"><p class=\"asof\">{asof}</p>\n{behind}{source}{csv}</div>\n</article>\n",
        width = tile.width,
        title = text(&tile.title),
        // A number comes before the words about it, a drawing after them.
        above = if kind == "number" { "" } else { &description },
        below = if kind == "number" { &description } else { "" },
        notes = notes(&tile.notes, "notes"),
        asof = as_of(tile, report),
        source = source(&tile.source),
    )
}

/// What the values of a chart are, unless its title begins with that.
fn axis(drawn: &Drawn, title: &str) -> String {
    match drawn {
        Drawn::Cartesian { y: Some(y), flipped: false, .. } if !title.to_lowercase().starts_with(&y.to_lowercase()) => {
            format!("<p class=\"axis\">{}</p>\n", text(y))
        }
        _ => String::new(),
    }
}

fn as_of(tile: &Tile, report: &Report) -> String {
    let run = format!("run {}", report.run.number);
    match tile.day {
        Some(day) => format!("As of {day}, {run}"),
        None => format!("As of {} UTC, {run}", report.run.ended_at.format("%Y-%m-%d %H:%M")),
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Sql(sql) => {
            format!("<details><summary>Query</summary><pre tabindex=\"0\"><code>{}</code></pre></details>\n", text(sql))
        }
        Source::Lake(words) => format!("<details><summary>Source</summary><p>{}</p></details>\n", text(words)),
    }
}

fn table(tile: &Tile, id: &str) -> String {
    let heading = |column: &Column| {
        let title =
            column.description.as_ref().map(|words| format!(" title=\"{}\"", attribute(words))).unwrap_or_default();
        let class = if column.is_number { " class=\"right\"" } else { "" };
        format!("<th scope=\"col\"{class}{title}>{}</th>", text(&column.label))
    };
    let row = |row: &Vec<Cell>| {
        let cells: String = row.iter().zip(&tile.columns).map(|(cell, column)| self::cell(cell, column)).collect();
        format!("<tr>{cells}</tr>\n")
    };
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}-title\"><table data-tile=\"{id}\"><caption class=\"hidden\">{}</caption>\
         <thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        text(&tile.title),
        tile.columns.iter().map(heading).collect::<String>(),
        tile.rows.iter().map(row).collect::<String>()
    )
}

/// A number has its value as the warehouse has told it beside what is read. A long text may wrap, and nothing else does.
fn cell(cell: &Cell, column: &Column) -> String {
    let long = if cell.text.chars().count() > WRAPPED { " class=\"long\"" } else { "" };
    match (&cell.value, column.is_number) {
        (None, true) => "<td class=\"right none\">none</td>".to_owned(),
        (None, false) => "<td class=\"none\">none</td>".to_owned(),
        (Some(value), true) if *value == cell.text => format!("<td class=\"right\">{}</td>", text(value)),
        (Some(value), true) => format!("<td class=\"right\" data-v=\"{}\">{}</td>", attribute(value), text(&cell.text)),
        (Some(value), false) if *value == cell.text => format!("<td{long}><bdi>{}</bdi></td>", text(value)),
        (Some(value), false) => {
            format!("<td{long} data-v=\"{}\"><bdi>{}</bdi></td>", attribute(value), text(&cell.text))
        }
    }
}
