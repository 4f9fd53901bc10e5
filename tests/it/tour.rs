//! docs/tour.md leads through twelve files: they are there, hold what the page names, and are short enough for an hour.

use crate::project::read;

const FILES: usize = 12;
const LINES: usize = 2_500;

/// The stops of the page: a file, and what to look at in it.
fn stops(page: &str) -> Vec<(String, Vec<String>)> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("](../"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let path = cells[1].split("](../").nth(1).and_then(|rest| rest.split(')').next()).expect("a link to the file");
        (path.to_owned(), cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_tour_leads_through_twelve_files_that_hold_what_it_names() {
    let stops = stops(&read("docs/tour.md"));
    assert_eq!(stops.len(), FILES, "{stops:?}");
    for (path, names) in stops {
        let text = read(&path);
        assert!(!names.is_empty(), "the tour says nothing to look at in {path}");
        for name in names {
            let marks = ["fn ", "struct ", "trait ", "enum "].map(|word| format!("{word}{name}"));
            let is_query = path.ends_with(".sql") && text.contains(&format!("{name} as ("));
            let is_there = is_query || marks.iter().any(|mark| text.contains(mark.as_str()));
            assert!(is_there, "{path} has no {name}, which docs/tour.md names");
        }
    }
}

#[test]
fn the_tour_takes_an_hour() {
    let code = |path: &str| read(path).split("#[cfg(test)]").next().unwrap_or_default().lines().count();
    let lines: usize = stops(&read("docs/tour.md")).iter().map(|(path, _)| code(path)).sum();
    assert!(lines <= LINES, "the files of docs/tour.md have {lines} lines of at most {LINES}");
}

/// Files and functions of the list below a heading.
fn steps(page: &str, heading: &str) -> Vec<(String, String)> {
    let list = page.split(&format!("\n### {heading}\n\n")).nth(1).and_then(|rest| rest.split("\n\n").next());
    let steps = list.expect("the list").lines().map(|line| {
        let [_, file, _, name, _] = line.split('`').collect::<Vec<_>>()[..] else { panic!("{line} is no step") };
        (file.to_owned(), name.to_owned())
    });
    steps.collect()
}

#[test]
fn the_way_of_a_row_stays_short_and_each_step_is_called_by_one_before() {
    let page = read("docs/tour.md");
    for (heading, most) in [("A purchase", 35), ("A product", 65)] {
        let steps = steps(&page, heading);
        assert!((20..=most).contains(&steps.len()), "{heading} takes {} steps of at most {most}", steps.len());
        let mut before = String::new();
        for (at, (file, name)) in steps.iter().enumerate() {
            let text = read(file);
            let is_there = [format!("fn {name}"), format!(", {name});")].iter().any(|mark| text.contains(mark));
            assert!(is_there, "{file} has no {name}, which docs/tour.md names");
            if let Some(folder) = file.strip_suffix("handler.rs") {
                before += &read(&format!("{folder}main.rs"));
            }
            assert!(at == 0 || before.contains(&format!("{name}(")), "no step before calls {name} of {file}");
            before += &text;
        }
    }
}
