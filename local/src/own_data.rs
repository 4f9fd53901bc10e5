//! The user's own data from one run to the next: what is added to a folder's files is loaded alone.
//!
//! The sources only grow: a log of changes has rising numbers, a topic takes records at its end, a contact that changes has
//! a later date than all before it. Files that have changed in another way start again from nothing.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use anyhow::{Context, Result};
use sluice_testkit::{
    formats::{self, Loaded},
    generate::{Contact, Dataset, RateTable},
};

use crate::machine::{
    registry::Registry,
    state::{Folders, replace, replaced},
};

/// What a folder may hold.
pub(crate) const FILES: [&str; 4] = ["products.csv", "contacts.csv", "purchases.ndjson", "rates.csv"];

/// Where the files lie that the sources have been filled from.
const TAKEN: &str = "own-data";

/// Lines that a folder has and its last run had not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Added {
    changes: usize,
    contacts: usize,
    purchases: usize,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let lines = [(self.changes, "product change"), (self.contacts, "contact"), (self.purchases, "purchase")];
        let lines: Vec<String> = lines.into_iter().filter_map(|(count, what)| counted(count, what)).collect();
        f.write_str(&if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") })
    }
}

/// Takes the files over as what the sources hold from here on. Files that the state cannot grow into make it start again from nothing.
/// On a platform that is `open` people buy: its topic holds more than the files, so they cannot be continued.
pub(crate) async fn take(
    folders: &Folders,
    folder: &Path,
    data: &Dataset,
    published: RateTable,
    open: bool,
) -> Result<()> {
    let taken = folders.state(TAKEN);
    replaced(&taken).with_context(|| format!("cannot tidy up {}", taken.display()))?;
    let before = formats::load(&taken, published, chrono::NaiveDate::MAX).ok().map(|Loaded { dataset, .. }| dataset);
    let grown = match before {
        Some(before) if open && before != *data => Err("people may have bought in between".to_owned()),
        Some(before) => added(&before, data).map(Some),
        None if folders.state("ministack").exists() => Err("an earlier run did not say what it took".to_owned()),
        None => Ok(None),
    };
    match grown {
        Ok(None) => {}
        Ok(Some(added)) => println!("  · added to the files since the last run: {added}"),
        Err(why) => {
            println!("  · lines were changed or removed, so everything starts again from nothing: {why}");
            Registry::take_over(folders).await?;
            folders.forget()?;
        }
    }
    copy(folder, &taken)
}

/// What was added, or why the new data is no continuation of the old.
fn added(old: &Dataset, new: &Dataset) -> Result<Added, String> {
    rates(&old.rates, &new.rates)?;
    Ok(Added {
        changes: further("products.csv", &old.products, &new.products)?,
        contacts: contacts(&old.contacts, &new.contacts)?,
        purchases: further("purchases.ndjson", &old.purchases, &new.purchases)?,
    })
}

fn further<T: PartialEq>(file: &str, old: &[T], new: &[T]) -> Result<usize, String> {
    match new.strip_prefix(old) {
        Some(further) => Ok(further.len()),
        None => Err(format!("{file} has other lines than before, not only further ones after them")),
    }
}

fn contacts(old: &[Contact], new: &[Contact]) -> Result<usize, String> {
    let newest = old.iter().map(|contact| contact.lastmodifieddate).max().unwrap_or(i64::MIN);
    let mut known: BTreeMap<i64, &Contact> = old.iter().map(|contact| (contact.id, contact)).collect();
    let mut added = 0;
    for contact in new {
        let before = known.remove(&contact.id);
        let is_seen = match before {
            Some(before) if before == contact => continue,
            Some(_) => contact.lastmodifieddate > newest,
            None => contact.lastmodifieddate >= newest,
        };
        if !is_seen {
            let id = contact.id;
            return Err(format!(
                "contacts.csv: contact {id} is new or changed, and others have a later lastmodifieddate"
            ));
        }
        added += 1;
    }
    match known.keys().next() {
        Some(id) => Err(format!("contacts.csv: contact {id} is gone")),
        None => Ok(added),
    }
}

fn rates(old: &RateTable, new: &RateTable) -> Result<(), String> {
    let newest = old.dates().next_back();
    let differs = |day: &chrono::NaiveDate| old.day(*day) != new.day(*day) && Some(*day) <= newest;
    match old.dates().chain(new.dates()).find(differs) {
        Some(day) => Err(format!("the rates of {day} are others")),
        None => Ok(()),
    }
}

/// Copies the files whole or not at all, however the process ends.
fn copy(folder: &Path, taken: &Path) -> Result<()> {
    let draft = taken.with_extension("draft");
    let copied = || -> io::Result<()> {
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        fs::create_dir_all(&draft)?;
        for file in FILES.iter().filter(|file| folder.join(file).exists()) {
            fs::copy(folder.join(file), draft.join(file))?;
        }
        replace(taken, &draft)
    };
    copied().with_context(|| format!("cannot copy {} to {}", folder.display(), taken.display()))
}

#[cfg(test)]
mod tests {
    use sluice_testkit::generate::{Scale, generate};

    use super::*;

    fn data() -> Dataset {
        generate(7, Scale::times(0.01), RateTable::invented())
    }

    #[test]
    fn lines_at_the_end_of_each_file_are_added() {
        let new = data();
        let mut old = new.clone();
        old.products.pop();
        old.purchases.truncate(new.purchases.len() - 3);
        let latest = old.contacts.iter().map(|contact| contact.lastmodifieddate).max().expect("contacts");
        let mut new = new;
        new.contacts[0].lastmodifieddate = latest + 1_000;
        let days: Vec<_> = old.rates.dates().collect();
        old.rates = old.rates.between(days[0], days[days.len() - 2]);
        let added = added(&old, &new).expect("a continuation");
        assert_eq!(added, Added { changes: 1, contacts: 1, purchases: 3 });
        assert_eq!(added.to_string(), "1 product change, 1 contact, 3 purchases");
        assert_eq!(super::added(&new, &new).expect("the same").to_string(), "nothing");
    }

    #[test]
    fn every_other_change_begins_anew_with_its_reason() {
        type Change = fn(&mut Dataset);
        let cases: [(Change, &str); 8] = [
            (|new| new.products[3].product_id += 1, "products.csv"),
            (|new| drop(new.products.remove(3)), "products.csv"),
            (|new| new.purchases[0].value.push(b' '), "purchases.ndjson"),
            (|new| new.purchases.truncate(1), "purchases.ndjson"),
            (|new| new.contacts[0].email = Some("other@example.com".into()), "contact"),
            (|new| drop(new.contacts.remove(0)), "is gone"),
            (|new| new.rates.insert("2026-03-04".parse().expect("a day"), "GBP", 1), "the rates of 2026-03-04"),
            (|new| new.rates.insert("2026-03-07".parse().expect("a Saturday"), "GBP", 1), "the rates of 2026-03-07"),
        ];
        for (change, said) in cases {
            let (old, mut new) = (data(), data());
            change(&mut new);
            let why = added(&old, &new).expect_err(said);
            assert!(why.contains(said), "{why}");
        }
    }

    #[tokio::test]
    async fn a_state_is_kept_while_its_files_grow_and_forgotten_when_they_change() {
        let base = std::env::temp_dir().join(format!("sluice-own-{}", uuid::Uuid::new_v4()));
        let folders = Folders::find(&base).expect("the project's folder is above");
        let _lock = folders.take().expect("a folder");
        let (folder, mark) = (base.join("files"), folders.state("ministack"));
        fs::create_dir_all(&folder).expect("a folder");
        let example = folders.root.join("docs/start/my-shop");
        for file in FILES.iter().filter(|file| example.join(file).exists()) {
            fs::copy(example.join(file), folder.join(file)).expect("copied");
        }
        let take = async |open| {
            let load = || formats::load(&folder, RateTable::invented(), chrono::NaiveDate::MAX).expect("good files");
            take(&folders, &folder, &load().dataset, RateTable::invented(), open).await.expect("taken over");
        };
        take(false).await;
        fs::create_dir_all(&mark).expect("the state of a run");
        let add = |file: &str, line: &str| {
            let text = fs::read_to_string(folder.join(file)).expect("read");
            fs::write(folder.join(file), text + line).expect("written");
        };
        take(false).await;
        add("products.csv", "4,1,Notebook,15,UPDATE,2026-03-06\n");
        take(false).await;
        assert!(mark.exists(), "a further line is only added");
        take(true).await;
        assert!(mark.exists(), "nothing is added");
        // As a process leaves it that was killed between its two moves, and one killed after them.
        let before = folders.state(TAKEN).with_extension("before");
        fs::rename(folders.state(TAKEN), &before).expect("moved");
        take(false).await;
        assert!(mark.exists() && !before.exists(), "what was taken is known however the process ended");
        fs::create_dir_all(&before).expect("a folder");
        take(false).await;
        assert!(mark.exists() && !before.exists());
        add("products.csv", "5,1,Notebook,16,UPDATE,2026-03-07\n");
        take(true).await;
        assert!(!mark.exists(), "people have bought on what was there before");
        fs::create_dir_all(&mark).expect("the state of a run");
        fs::write(folder.join("contacts.csv"), "id\n1\n").expect("written");
        take(false).await;
        assert!(!mark.exists());
        fs::create_dir_all(&mark).expect("the state of a run");
        fs::remove_dir_all(folders.state(TAKEN)).expect("removed");
        take(false).await;
        assert!(!mark.exists(), "nobody knows what such a state holds");
        fs::remove_dir_all(&base).expect("removed");
    }
}
