//! The report in short.

use sluice_pipeline::reports::{Line, Summary};

use super::tile::{Entry, Report, Shown};

/// What the page at that key says.
pub fn of(report: &Report, page: String, bytes: usize) -> Summary {
    let mut numbers = Vec::new();
    let (mut tiles, mut failed) = (0, 0);
    for section in &report.sections {
        for entry in section.entries() {
            let Entry::Tile(tile) = entry else { continue };
            tiles += 1;
            failed += usize::from(tile.shown == Shown::Nothing);
            let Shown::Number { column, .. } = tile.shown else { continue };
            let cell = tile.rows.first().and_then(|row| row.get(column));
            numbers.push(Line {
                section: section.name.clone(),
                title: tile.title.clone(),
                value: cell.map_or_else(|| "none".to_owned(), |cell| cell.text.clone()),
                warnings: tile.notes.iter().filter(|note| note.is_warning).map(|note| note.text.clone()).collect(),
            });
        }
    }
    let notes = report.notes.iter().map(|note| note.text.clone()).collect();
    Summary { number: report.run.number, at: report.at, page, bytes, tiles, failed, numbers, notes }
}
