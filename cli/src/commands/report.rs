//! `sluice report`: the newest report, as files on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chrono::Utc;
use serde::Serialize;
use serde_json::json;
use sluice_core::{
    Error, Result, functions, lake,
    port::{Listing, ObjectStore},
};
use sluice_pipeline::reports::{self, Summary};

use crate::{
    args::ReportArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Serialize)]
struct Taken {
    /// The page's file.
    page: PathBuf,
    #[serde(flatten)]
    report: Summary,
}

pub(super) async fn run(context: &Context<'_>, args: &ReportArgs) -> Outcome {
    let store = context.platform.store()?;
    if args.publish {
        let event = json!({"publish": true, "time": args.time.unwrap_or_else(Utc::now)});
        let publishing = context.platform.invoke(functions::PUBLISH_REPORT.logical, &event);
        context.progress.spin("asking the warehouse for the report", publishing).await?;
    }
    let newest = context.progress.spin("looking for the newest report", reports::newest(&store)).await?;
    let report = newest.ok_or_else(|| {
        let none = Failure::from(Error::not_found("there is no report yet"));
        none.hint("one is made after each dbt run that succeeds; `sluice report --publish` makes one now")
    })?;
    let folder = args.to.clone().unwrap_or_else(|| PathBuf::from("sluice-report"));
    let taking = take(&store, report.number, &folder);
    let page = context.progress.spin("downloading it", taking).await?;
    if args.open {
        open(&page)?;
    }
    output::print(context.json, &Taken { page, report }, render)
}

/// The page and the rows behind its tiles, in the place of those that were taken before.
async fn take(store: &(impl ObjectStore + Listing), number: u64, folder: &Path) -> Result<PathBuf> {
    let prefix = lake::report_prefix(number);
    for key in store.keys(&prefix).await? {
        let name = key.strip_prefix(&prefix).unwrap_or_default();
        let parts: Vec<&str> = name.split('/').collect();
        // Somebody else's object may be called as it likes; no file is written outside of the folder.
        if parts.iter().any(|part| part.is_empty() || *part == "." || *part == "..") {
            continue;
        }
        let Some(body) = store.get(&key).await? else { continue };
        let path = parts.iter().fold(folder.to_owned(), |path, part| path.join(part));
        let unwritable = |error| Error::config("cannot write the report").with("file", path.display()).because(error);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(unwritable)?;
        fs::write(&path, &body).map_err(unwritable)?;
    }
    Ok(folder.join("index.html"))
}

/// Hands the page to whatever shows pages here.
fn open(page: &Path) -> Outcome {
    let page = fs::canonicalize(page).unwrap_or_else(|_| page.to_owned());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(program).arg(&page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.map(drop).map_err(|error| {
        let cannot = Error::config(format!("cannot start {program}, which opens the page")).because(error);
        Failure::from(cannot).hint(format!("open {} in a browser", page.display()))
    })
}

fn render(taken: &Taken) -> String {
    let report = &taken.report;
    let mut lines = vec![format!(
        "{}  run {}, made {} UTC, {} tiles",
        taken.page.display(),
        report.number,
        report.at.format("%Y-%m-%d %H:%M"),
        report.tiles
    )];
    if report.failed > 0 {
        lines.push(format!("{} of them could not be shown; the page says why", report.failed));
    }
    lines.extend(report.notes.iter().map(|note| format!("! {note}")));
    lines.push(String::new());
    lines.extend(report.lines());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::executor::block_on;
    use sluice_core::port::{PutIfAbsent, Stored};

    use super::*;

    struct Lake(Vec<(String, &'static str)>);

    impl ObjectStore for Lake {
        async fn put(&self, _: &str, _: Bytes) -> Result<Stored> {
            Err(Error::unsupported("it is only read"))
        }

        async fn put_if_absent(&self, _: &str, _: Bytes) -> Result<PutIfAbsent> {
            Err(Error::unsupported("it is only read"))
        }

        async fn get(&self, key: &str) -> Result<Option<Bytes>> {
            Ok(self.0.iter().find(|(other, _)| other == key).map(|(_, body)| Bytes::from_static(body.as_bytes())))
        }

        async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
            Ok(self.keys(prefix).await?.into_iter().next())
        }
    }

    impl Listing for Lake {
        async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
            Ok(self.0.iter().map(|(key, _)| key.clone()).filter(|key| key.starts_with(prefix)).collect())
        }
    }

    #[test]
    fn a_report_is_taken_whole_and_writes_nothing_outside_of_its_folder() {
        let folder = std::env::temp_dir().join(format!("sluice-report-{}", std::process::id()));
        let key = |name: &str| format!("{}{name}", lake::report_prefix(3));
        let lake = Lake(vec![
            (key("index.html"), "<p>"),
            (key("sales/pounds.csv"), "a"),
            (key("../../outside"), "x"),
            (key("sales//x"), "x"),
        ]);
        let page = block_on(take(&lake, 3, &folder.join("in"))).expect("taken");
        assert_eq!(fs::read_to_string(&page).expect("the page"), "<p>");
        assert_eq!(fs::read_to_string(folder.join("in/sales/pounds.csv")).expect("the rows"), "a");
        assert!(!folder.join("outside").exists() && !folder.join("in/outside").exists());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
