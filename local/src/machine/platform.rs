//! The settings that the functions take along: the project's `platform/`, or a copy of it for data of another time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use sluice_core::{Sources, sources::Source};

use super::state::Folders;

const FIRST_DATE: &str = "first_date:";
const DATE_LENGTH: usize = "2025-10-30".len();

/// The folder of the settings. With another first day of rates than the project's it is a copy in the state folder: no
/// file of the project is changed.
pub(crate) fn prepare(folders: &Folders, rates_from: Option<NaiveDate>) -> Result<PathBuf> {
    let own = folders.root.join("platform");
    let Some(from) = rates_from else { return Ok(own) };
    let copy = folders.state("platform");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    copy_folder(&own, &copy)?;
    let path = copy.join("sources.yaml");
    let yaml = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(&path, with_first_date(&yaml, from)).with_context(|| format!("cannot write {}", path.display()))?;
    let begins_there = |source: &Source| match source {
        Source::ExchangeRates { first_date, .. } => *first_date == from,
        _ => true,
    };
    let sources = Sources::read(&path)?;
    ensure!(
        sources.tables.iter().all(|table| begins_there(&table.source)),
        "platform/sources.yaml has a first_date that cannot be replaced for this data; write it as {FIRST_DATE} {from}"
    );
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Every first date replaced, and nothing else: the rest of the file stays letter for letter.
fn with_first_date(yaml: &str, from: NaiveDate) -> String {
    let mut pieces = yaml.split(FIRST_DATE);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let spaces = piece.len() - piece.trim_start_matches([' ', '"', '\'']).len();
        let is_date = piece.get(spaces..spaces + DATE_LENGTH).is_some_and(|date| date.parse::<NaiveDate>().is_ok());
        text.push_str(FIRST_DATE);
        if is_date {
            text.push_str(&piece[..spaces]);
            text.push_str(&from.to_string());
            text.push_str(&piece[spaces + DATE_LENGTH..]);
        } else {
            text.push_str(piece);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_time_gets_settings_of_its_own() {
        let base = std::env::temp_dir().join(format!("sluice-platform-{}", uuid::Uuid::new_v4()));
        let folders = Folders::find(&base).expect("the project's folder is above");
        let from: NaiveDate = "2009-11-24".parse().expect("a date");
        assert_eq!(prepare(&folders, None).expect("the project's own"), folders.root.join("platform"));
        for _ in 0..2 {
            let copy = prepare(&folders, Some(from)).expect("a copy");
            let own = fs::read_to_string(folders.root.join("platform/sources.yaml")).expect("read");
            let copied = fs::read_to_string(copy.join("sources.yaml")).expect("read");
            assert_eq!(own.lines().count(), copied.lines().count());
            let differing = own.lines().zip(copied.lines()).filter(|(own, copied)| own != copied);
            assert_eq!(
                differing.map(|(_, copied)| copied.contains("first_date: 2009-11-24")).collect::<Vec<_>>(),
                [true]
            );
            assert!(copy.join("schemas/purchases.json").exists());
        }
        fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn only_a_first_date_is_replaced() {
        let from: NaiveDate = "1997-01-01".parse().expect("a date");
        for (yaml, expected) in [
            ("{ first_date: 2025-10-30 }", "{ first_date: 1997-01-01 }"),
            ("first_date: \"2025-10-30\"\nx: 2025-10-30", "first_date: \"1997-01-01\"\nx: 2025-10-30"),
            ("# first_date: the first day", "# first_date: the first day"),
            ("first_date:", "first_date:"),
        ] {
            assert_eq!(with_first_date(yaml, from), expected);
        }
    }
}
