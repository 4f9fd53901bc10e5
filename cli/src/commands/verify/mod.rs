//! `sluice verify`: what one machine cannot prove, asked of an account, row by row. On one machine the same questions go to the
//! emulators, and the report says that it proves nothing but those.

mod alerts;
mod aws;
mod canary;
mod finding;
mod list;
mod probes;
mod warehouse;

use std::fs;

use serde::Serialize;
use sluice_core::Error;

use crate::{
    args::{StageArgs, Target, VerifyArgs},
    commands::deploy::Asked,
    failure::{Failure, Outcome},
    output::{self, WIDTH, shortened},
    place::checkout,
    platform::{LOADER, Platform},
    progress::Progress,
};
use finding::Finding;
use list::Row;
use probes::{Of, PROBES, Probe};

/// How a row of the list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Proven,
    /// As wanted, of an emulator: nothing is proven of the real thing.
    Emulated,
    Wrong,
    /// This platform cannot show it now.
    Unseen,
    /// A person has to.
    ByHand,
}

impl Standing {
    fn mark(self) -> char {
        match self {
            Standing::Proven => '✓',
            Standing::Emulated => '~',
            Standing::Wrong => '✗',
            Standing::Unseen => '?',
            Standing::ByHand => '·',
        }
    }
}

#[derive(Debug, Serialize)]
struct Verdict {
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<String>,
    claim: String,
    standing: Standing,
    /// What was seen, or why nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
    /// What to do: the fix, or the command of a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    platform: String,
    /// Whether AWS is the real one, and whether Snowflake is.
    real_aws: bool,
    real_warehouse: bool,
    verdicts: Vec<Verdict>,
}

pub(super) async fn run(target: &Target, args: &VerifyArgs, progress: &Progress, json: bool) -> Outcome {
    let rows = rows()?;
    if let Some(unknown) = args.only.iter().find(|id| PROBES.iter().all(|probe| probe.id != id.as_str())) {
        let known = PROBES.iter().map(|probe| probe.id).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("there is no probe {unknown}")).hint(format!("there are {known}")));
    }
    let is_left_out = |id: &&String| PROBES.iter().any(|probe| probe.id == **id && !is_asked(probe, args));
    if let Some(id) = args.only.iter().find(is_left_out) {
        return Err(Failure::usage(format!("{id} writes, and --read-only leaves it out")));
    }
    let platform = open(target, args, progress).await?;
    let url = platform.environment(LOADER).await?.get("SLUICE_SNOWFLAKE_URL").cloned().unwrap_or_default();
    let mut report = Report {
        platform: platform.place.title(),
        real_aws: platform.place.aws.endpoint_url().is_none(),
        real_warehouse: !url.starts_with("http://"),
        verdicts: Vec::new(),
    };
    for row in rows {
        let probe = row.probe.as_ref().and_then(|id| PROBES.iter().find(|probe| probe.id == id));
        let verdict = match probe {
            Some(probe) if !is_asked(probe, args) => continue,
            Some(probe) => {
                let text = format!("asking: {}", shortened(&row.claim, 60));
                let found = progress.spin(text, probe.ask(&platform, args.table.as_deref())).await;
                report.judge(row, probe, found)
            }
            None if !args.only.is_empty() => continue,
            None => Verdict {
                probe: None,
                claim: row.claim,
                standing: Standing::ByHand,
                seen: None,
                next: Some(row.command),
            },
        };
        report.verdicts.push(verdict);
    }
    output::print(json, &report, Report::to_text)?;
    report.outcome(&args.only)
}

fn is_asked(probe: &Probe, args: &VerifyArgs) -> bool {
    let is_named = args.only.is_empty() || args.only.iter().any(|id| id == probe.id);
    is_named && !(args.read_only && probe.writes)
}

fn rows() -> Outcome<Vec<Row>> {
    let file = checkout()?.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&file)
        .map_err(|error| Error::config(format!("cannot read {}, which has the list", file.display())).because(error))?;
    let rows = list::rows(&text);
    if rows.is_empty() {
        return Err(Failure::from(Error::config(format!(
            "{} has no list of what one machine cannot prove",
            file.display()
        )))
        .hint("take the file of this version of sluice"));
    }
    Ok(rows)
}

/// The stage's platform, in the account that it is pinned to; or that of the target.
async fn open(target: &Target, args: &VerifyArgs, progress: &Progress) -> Outcome<Platform> {
    let Some(env) = &args.env else {
        return progress.spin("looking at the stack", Platform::open(target)).await;
    };
    let stage = StageArgs { env: env.clone(), config: args.config.clone() };
    let asked = Asked::of(target, &stage, progress, false).await?;
    asked.account().await?;
    progress.spin("looking at the stack", Platform::at(asked.place)).await
}

impl Report {
    fn judge(&self, row: Row, probe: &Probe, found: Outcome<Finding>) -> Verdict {
        let is_real = match probe.of {
            Of::Aws => self.real_aws,
            Of::Warehouse => self.real_warehouse,
            Of::Both => self.real_aws && self.real_warehouse,
        };
        let (standing, seen, next) = match found {
            Ok(Finding::AsWanted(seen)) if is_real => (Standing::Proven, seen, None),
            Ok(Finding::AsWanted(seen)) => (Standing::Emulated, seen, None),
            // An emulator that does otherwise says nothing of the service; the platform's own part must hold on both.
            Ok(Finding::Otherwise { seen, .. }) if !is_real && probe.of != Of::Both => {
                (Standing::Unseen, format!("of the emulator: {seen}"), None)
            }
            Ok(Finding::Otherwise { seen, fix }) => (Standing::Wrong, seen, Some(fix)),
            Ok(Finding::Unseen(why)) => (Standing::Unseen, why, None),
            // The platform's own part is to work; a service that refuses to tell is not known.
            Err(failure) if probe.of == Of::Both => (Standing::Wrong, failure.sentence(), None),
            Err(failure) => (Standing::Unseen, failure.sentence(), None),
        };
        Verdict { probe: Some(probe.id.to_owned()), claim: row.claim, standing, seen: Some(seen), next }
    }

    /// Whether nothing is wrong, and what was named was shown.
    fn outcome(&self, named: &[String]) -> Outcome {
        let wrong = self.count(Standing::Wrong);
        if wrong > 0 {
            return Err(
                Failure::different(format!("{wrong} of the rows are not as wanted")).hint("each says what to do")
            );
        }
        let is_shown = |id: &&String| {
            let of = |verdict: &&Verdict| verdict.probe.as_ref() == Some(*id);
            self.verdicts.iter().find(of).is_some_and(|verdict| verdict.standing != Standing::Unseen)
        };
        match named.iter().find(|id| !is_shown(id)) {
            None => Ok(()),
            Some(id) => Err(Failure::from(Error::not_found(format!("{id} was not shown"))).hint("its row says why")),
        }
    }

    fn count(&self, standing: Standing) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.standing == standing).count()
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.platform);
        match (self.real_aws, self.real_warehouse) {
            (true, true) => {}
            (false, false) => text.push_str(
                "AWS and Snowflake are emulators: what is marked ~ is as wanted, and proves nothing of either.\n",
            ),
            (false, true) => text.push_str("AWS is an emulator: what is marked ~ proves nothing of it.\n"),
            (true, false) => text.push_str("Snowflake is an emulator: what is marked ~ proves nothing of it.\n"),
        }
        text.push('\n');
        for Verdict { probe, claim, standing, seen, next } in &self.verdicts {
            let name = probe.as_ref().map_or_else(String::new, |id| format!("{id}: "));
            text.push_str(&format!("{}\n", shortened(&format!("{} {name}{claim}", standing.mark()), WIDTH)));
            text.extend(seen.iter().map(|seen| format!("    {seen}\n")));
            text.extend(next.iter().map(|next| format!("    do: {next}\n")));
        }
        text.push_str(&format!(
            "\n{} proven, {} as wanted of emulators, {} wrong, {} unseen, {} by hand\n",
            self.count(Standing::Proven),
            self.count(Standing::Emulated),
            self.count(Standing::Wrong),
            self.count(Standing::Unseen),
            self.count(Standing::ByHand)
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(real_aws: bool, real_warehouse: bool) -> Report {
        Report { platform: "p".to_owned(), real_aws, real_warehouse, verdicts: Vec::new() }
    }

    fn standing(report: &Report, of: Of, found: Outcome<Finding>) -> Standing {
        let row = Row { claim: "c".to_owned(), command: "`d`".to_owned(), probe: Some("x".to_owned()) };
        report.judge(row, &Probe { id: "x", of, writes: false }, found).standing
    }

    #[test]
    fn an_emulator_proves_nothing_of_the_service_that_it_plays() {
        let wanted = || Ok(Finding::AsWanted("seen".to_owned()));
        assert_eq!(standing(&report(true, true), Of::Both, wanted()), Standing::Proven);
        assert_eq!(standing(&report(true, false), Of::Aws, wanted()), Standing::Proven);
        assert_eq!(standing(&report(true, false), Of::Both, wanted()), Standing::Emulated);
        assert_eq!(standing(&report(false, true), Of::Aws, wanted()), Standing::Emulated);
        let wrong = || Ok(Finding::Otherwise { seen: "s".to_owned(), fix: "f".to_owned() });
        assert_eq!(standing(&report(false, false), Of::Both, wrong()), Standing::Wrong);
        assert_eq!(standing(&report(false, false), Of::Aws, wrong()), Standing::Unseen);
        assert_eq!(standing(&report(true, false), Of::Aws, wrong()), Standing::Wrong);
        let failed = || Err(Failure::from(Error::unavailable("away")));
        assert_eq!(standing(&report(true, true), Of::Aws, failed()), Standing::Unseen);
        assert_eq!(standing(&report(true, true), Of::Both, failed()), Standing::Wrong);
    }

    #[test]
    fn a_probe_that_was_named_and_not_shown_is_no_success() {
        let named = ["loops".to_owned()];
        let mut told = report(true, true);
        assert!(told.outcome(&[]).is_ok());
        assert_eq!(told.outcome(&named).expect_err("no row names it").exit_code(), 1);
        let mut judged = |found| {
            let row = Row { claim: "c".to_owned(), command: "`d`".to_owned(), probe: None };
            told.verdicts = vec![told.judge(row, &PROBES[0], Ok(found))];
            told.outcome(&named)
        };
        assert!(judged(Finding::AsWanted("s".to_owned())).is_ok());
        assert_eq!(judged(Finding::Unseen("no right".to_owned())).expect_err("unseen").exit_code(), 1);
        let wrong = Finding::Otherwise { seen: "s".to_owned(), fix: "f".to_owned() };
        assert_eq!(judged(wrong).expect_err("wrong").exit_code(), 3);
    }

    #[test]
    fn a_report_counts_each_standing_and_says_what_is_an_emulator() {
        let mut told = report(true, false);
        let row = Row { claim: "a claim".to_owned(), command: "`d`".to_owned(), probe: None };
        let found = Ok(Finding::Otherwise { seen: "30 rows".to_owned(), fix: "look".to_owned() });
        told.verdicts.push(told.judge(row, &PROBES[0], found));
        let text = told.to_text();
        assert!(text.contains("Snowflake is an emulator"), "{text}");
        assert!(text.contains("✗ loops: a claim\n    30 rows\n    do: look\n"), "{text}");
        assert!(text.ends_with("0 proven, 0 as wanted of emulators, 1 wrong, 0 unseen, 0 by hand\n"), "{text}");
    }

    #[test]
    fn only_reading_leaves_out_what_writes() {
        let args = |only: &[&str], read_only| VerifyArgs {
            env: None,
            config: None,
            only: only.iter().map(|id| (*id).to_owned()).collect(),
            read_only,
            table: None,
        };
        let asked = |args: &VerifyArgs| {
            PROBES.iter().filter(|probe| is_asked(probe, args)).map(|probe| probe.id).collect::<Vec<_>>()
        };
        assert_eq!(asked(&args(&[], false)).len(), PROBES.len());
        let reading = asked(&args(&[], true));
        assert!(!reading.contains(&"canary") && !reading.contains(&"conditional-put") && reading.contains(&"loops"));
        assert_eq!(asked(&args(&["quotient"], false)), ["quotient"]);
    }
}
