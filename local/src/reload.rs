//! A platform that runs takes over what is changed in `platform/`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::account;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of the folder as they were when the platform started.
pub(crate) struct Settings {
    folder: PathBuf,
    files: Files,
}

impl Settings {
    pub(crate) fn read(folder: PathBuf) -> Result<Self> {
        let files = read(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        Ok(Settings { folder, files })
    }

    /// Resolves when other settings are there that can be used. What is wrong with those that cannot is said once.
    pub(crate) async fn changed(&self) {
        let mut watch = self.watch();
        loop {
            tokio::time::sleep(LOOK).await;
            // A file that is gone is being replaced.
            let Ok(now) = read(&self.folder) else { continue };
            match watch.look(now) {
                None => {}
                Some(Ok(())) => return,
                Some(Err(problem)) => println!("\n  ! platform/ has changed and is not taken over: {problem}"),
            }
        }
    }

    fn watch(&self) -> Watch<'_> {
        Watch { settings: self, judged: self.files.clone(), last: self.files.clone() }
    }
}

struct Watch<'a> {
    settings: &'a Settings,
    judged: Files,
    last: Files,
}

impl Watch<'_> {
    /// The verdict on files that are others than those judged last. An editor may be half way through writing, so they are
    /// judged when they have stood still for a while.
    fn look(&mut self, now: Files) -> Option<sluice_core::Result<()>> {
        let stands_still = std::mem::replace(&mut self.last, now.clone()) == now;
        if !stands_still || now == self.judged {
            return None;
        }
        self.judged = now;
        if self.judged == self.settings.files {
            return None;
        }
        Some(account::judge(&self.settings.folder))
    }
}

fn read(folder: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    for folder in [folder.to_owned(), folder.join("schemas")] {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_setting =
                path.extension().is_some_and(|ending| ["yaml", "json", "avsc"].iter().any(|e| ending == *e));
            if is_setting && path.is_file() {
                files.insert(path.clone(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_are_other_and_right_are_taken_over() {
        let folder = std::env::temp_dir().join(format!("sluice-reload-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(folder.join("schemas")).expect("a folder");
        let shipped = include_str!("../../platform/sources.yaml");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
        let account = include_str!("../../platform/warehouse.yaml");
        write("sources.yaml", shipped);
        write("warehouse.yaml", account);
        let settings = Settings::read(folder.clone()).expect("read");
        let mut watch = settings.watch();
        let mut verdict = || {
            let mut look = || watch.look(read(&folder).expect("read")).map(|verdict| verdict.is_ok());
            [look(), look(), look()]
        };
        assert_eq!(verdict(), [None; 3], "nothing has changed");
        write("sources.yaml", "tables: []\nunknown: 1\n");
        assert_eq!(verdict(), [None, Some(false), None], "no platform runs with these, which is said once");
        write("sources.yaml", &shipped.replacen("description: ", "description: Once more. ", 1));
        assert_eq!(verdict(), [None, Some(true), None]);
        write("sources.yaml", shipped);
        assert_eq!(verdict(), [None; 3], "changed back");
        write("warehouse.yaml", "edition: none\n");
        assert_eq!(verdict(), [None, Some(false), None], "nor does one with an account that cannot be");
        write("warehouse.yaml", account);
        assert_eq!(verdict(), [None; 3], "changed back");
        write(".sources.yaml.swp", "an editor's own");
        assert_eq!(verdict(), [None; 3]);
        write("schemas/orders.json", "{}");
        assert_eq!(verdict(), [None, Some(true), None], "a further schema");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
