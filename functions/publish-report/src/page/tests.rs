//! The page holds whatever the warehouse holds, and nothing runs, loads or is styled but what its policy names.

use chrono::{DateTime, Utc};

use super::*;
use crate::report::Run;

const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\" style=\"x\" &amp; {{7*7}} \u{202e}";

fn cell(value: &str) -> Cell {
    Cell { value: Some(value.to_owned()), text: value.to_owned() }
}

fn tile(id: &str, shown: Shown, rows: usize) -> Tile {
    let columns = vec![
        Column { label: HOSTILE.to_owned(), description: Some(HOSTILE.to_owned()), is_number: false },
        Column { label: "Pounds".to_owned(), description: None, is_number: true },
    ];
    let row = vec![cell(HOSTILE), Cell { value: Some("12.5".to_owned()), text: "£12.50".to_owned() }];
    Tile {
        id: id.to_owned(),
        title: HOSTILE.to_owned(),
        description: Some(HOSTILE.to_owned()),
        width: 18,
        shown,
        columns,
        rows: vec![row; rows],
        source: Source::Sql(format!("SELECT '{HOSTILE}'")),
        day: None,
        notes: vec![Note::warning(HOSTILE)],
    }
}

fn report(rows: usize) -> Report {
    let at: DateTime<Utc> = "2026-03-15T09:00:00Z".parse().expect("a time");
    let drawn = Drawn::Pie { group: 0, value: 1 };
    let tiles = [
        tile("s/number", Shown::Number { column: 1, label: Some(HOSTILE.to_owned()) }, 1),
        tile("s/chart", Shown::Chart(drawn), rows),
        tile("s/table", Shown::Table, rows),
        tile("s/none", Shown::Nothing, 0),
    ];
    let mut entries = vec![Entry::Text { title: HOSTILE.to_owned(), content: HOSTILE.to_owned(), width: 36 }];
    entries.extend(tiles.map(|tile| Entry::Tile(Box::new(tile))));
    Report {
        at,
        lake: HOSTILE.to_owned(),
        run: Run { number: 7, ended_at: at },
        sections: vec![Section { slug: "s".to_owned(), name: HOSTILE.to_owned(), rows: vec![entries] }],
        notes: vec![Note::warning(HOSTILE)],
    }
}

/// The page without what its policy names by hash.
fn own(page: &str) -> String {
    page.replace(CHARTS, "").replace(SCRIPT, "").replace(STYLE, "")
}

#[test]
fn hostile_names_stay_text_everywhere() {
    let page = own(&render(&report(2)));
    assert_eq!(page.matches("<script").count(), 2, "only the page's own");
    for tag in ["<img", "<style>", "onerror='", "style=\""] {
        let expected = usize::from(tag == "<style>");
        assert_eq!(page.matches(tag).count(), expected, "{tag}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn the_page_asks_nobody_and_its_policy_names_what_it_runs() {
    let page = render(&report(2));
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    for unsafe_source in ["unsafe", "*", "http", "eval"] {
        assert!(!policy.contains(unsafe_source), "{policy}");
    }
    for part in [CHARTS, SCRIPT] {
        assert!(policy.contains(&hash(part)) && !part.contains("</script"));
    }
    let own = own(&page).replace("&lt;img src=x", "");
    for way in [" src=", "url(", "@import", "http:", "https:"] {
        assert!(!own.contains(way), "{way}");
    }
    assert!(
        !STYLE.contains("url(")
            && !STYLE.contains("@import")
            && !SCRIPT.contains("fetch(")
            && !SCRIPT.contains("innerHTML")
    );
}

#[test]
fn every_number_shows_its_query_its_run_and_what_must_be_said() {
    let page = own(&render(&report(2)));
    assert_eq!(page.matches("As of 2026-03-15 09:00 UTC, run 7").count(), 4);
    assert_eq!(page.matches("<summary>Query</summary>").count(), 4);
    assert_eq!(page.matches("<table").count(), 3, "behind the number, behind the chart, and the table itself");
    assert_eq!(page.matches("class=\"warning\"").count(), 5, "one of the page and one of each tile");
    assert!(page.contains("<td class=\"right\" data-v=\"12.5\">£12.50</td>"));
}

#[test]
fn the_page_stays_below_a_megabyte_with_as_much_as_the_dashboards_hold() {
    let mut large = report(2_000);
    for entry in large.sections[0].rows.iter_mut().flatten() {
        if let Entry::Tile(tile) = entry {
            tile.rows.iter_mut().for_each(|row| row[0] = cell("2026-03-15"));
        }
    }
    let bytes = render(&large).len();
    assert!(bytes < 1_000_000, "{bytes} bytes");
}
