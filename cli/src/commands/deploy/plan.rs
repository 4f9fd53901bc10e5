//! What a deployment would change: the stack's change set, and what that makes of the warehouse's account.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sluice_core::Error;

use super::{Asked, before::Before};
use crate::{
    change_set::{self, ChangeSet},
    check::{self, Check},
    commands::warehouse,
    drift,
    failure::{Failure, Outcome},
    place::Place,
    platform::Platform,
    sam::Sam,
    stage::{SCHEDULES, Stage},
    warehouse::account::Plan as AccountPlan,
};

/// What a new stack takes over from a deleted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(rename(deserialize = "ResourceType", serialize = "type"))]
    pub resource_type: String,
    #[serde(rename(deserialize = "LogicalResourceId", serialize = "resource"))]
    pub resource: String,
}

#[derive(Serialize)]
pub(crate) struct Plan {
    pub stack: String,
    pub region: String,
    pub account: String,
    pub checks: Vec<Check>,
    /// What is imported first; then the change set is made of the rest, so that there is none yet.
    pub imported: Vec<Kept>,
    #[serde(flatten)]
    pub changes: Option<ChangeSet>,
    /// What the deployment then makes of the account; `None` where it cannot be seen.
    pub warehouse: Option<AccountPlan>,
    /// Why the account cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse_unseen: Option<String>,
    /// Whether schedules are switched on when everything is ready.
    pub then_schedules: bool,
}

/// What a plan is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// This checkout, built first.
    Checkout,
    /// What `sam build` has left.
    Built,
    /// What the stack was deployed with, for the account that has lost parts of it.
    Deployed,
}

impl Basis {
    pub(super) fn of(built: bool, mend: bool) -> Self {
        match (built, mend) {
            (_, true) => Basis::Deployed,
            (true, _) => Basis::Built,
            _ => Basis::Checkout,
        }
    }

    /// A change that takes the stack's own template takes nothing that is built.
    fn must_fit(self, architecture: &str, built: &Path) -> Outcome {
        if self == Basis::Deployed { Ok(()) } else { must_run_on(architecture, built) }
    }
}

impl Plan {
    /// Asks CloudFormation. `schedules` is the state that the stack's schedules get.
    pub(super) async fn make(
        asked: &Asked<'_>,
        mut before: Before,
        basis: Basis,
        schedules: &str,
        role: Option<&str>,
    ) -> Outcome<Self> {
        let Asked { stage, place, progress, .. } = asked;
        let sam = Sam::of(stage);
        if basis == Basis::Checkout {
            progress.spin("building", sam.build()).await?;
        }
        basis.must_fit(stage.architecture(), &stage.built)?;
        let imported = match &before.stack {
            Some(_) => Vec::new(),
            None => {
                let looking = sam.import_kept(true, None);
                kept(&progress.spin("looking at what an earlier stack has left", looking).await?)?
            }
        };
        let changes = match (basis, &before.stack) {
            (Basis::Deployed, Some(stack)) => {
                let changes = ChangeSet::of_drift(&place.aws, stack, role);
                progress.spin("comparing the stack with the account", changes).await?
            }
            (Basis::Deployed, None) => {
                let hint = format!("`sluice deploy --env {}` makes it", stage.name);
                return Err(Failure::from(Error::not_found("there is no stack to mend")).hint(hint));
            }
            _ if !imported.is_empty() => None,
            (_, Some(stack)) => {
                let changes = progress.spin("making the change set", change_set(place, stage, schedules, role));
                let (compared, changes) = futures::join!(drift::compared(&place.aws, &stack.name), changes);
                before.checks.extend(compared.ok());
                changes?
            }
            (_, None) => progress.spin("making the change set", change_set(place, stage, schedules, role)).await?,
        };
        let seen = match &before.stack {
            Some(_) => Some(progress.spin("reading the warehouse's account", account(asked)).await),
            None => None,
        };
        let (warehouse, warehouse_unseen) = match seen {
            Some(Ok(plan)) => (Some(plan), None),
            Some(Err(failure)) => (None, Some(failure.sentence())),
            None => (None, Some("the first deployment makes it".to_owned())),
        };
        Ok(Plan {
            stack: stage.stack.clone(),
            region: stage.region.clone(),
            account: before.account.clone(),
            then_schedules: basis != Basis::Deployed && stage.wants_schedules() && schedules != "ENABLED",
            checks: before.checks,
            imported,
            changes,
            warehouse,
            warehouse_unseen,
        })
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{} in {}, account {}\n", self.stack, self.region, self.account);
        text.push_str(&format!("{}\n\n", check::render(&self.checks)));
        match (&self.changes, &self.imported[..]) {
            (Some(changes), _) => text.push_str(&changes.to_text()),
            (None, []) => text.push_str(&format!("{}: nothing to change\n", self.stack)),
            (None, kept) => {
                text.push_str(&format!(
                    "{}: {} to import, which an earlier stack has left; then the rest\n",
                    self.stack,
                    kept.len()
                ));
                for Kept { resource_type, resource } in kept {
                    text.push_str(&format!("  > {resource_type} {resource}\n"));
                }
            }
        }
        match (&self.warehouse, &self.warehouse_unseen) {
            (Some(plan), _) => text.push_str(&format!("\nThe warehouse's account:\n{}", plan.to_text())),
            (None, Some(why)) => text.push_str(&format!("\nThe warehouse's account: {why}\n")),
            (None, None) => {}
        }
        if self.then_schedules {
            text.push_str("\nSchedules are switched on once secrets, warehouse and dbt answer.\n");
        }
        text
    }
}

/// Lambda takes binaries for other processors, and starts none of them.
fn must_run_on(architecture: &str, built: &Path) -> Outcome {
    let functions = fs::read_dir(built)
        .map_err(|error| Error::config(format!("{} cannot be read", built.display())).because(error))
        .map_err(|error| Failure::from(error).hint("`sam build` makes it; leave --built out"))?;
    for program in functions.flatten().map(|function| function.path().join("bootstrap")) {
        let mut head = [0; 20];
        if File::open(&program).and_then(|mut file| file.read_exact(&mut head)).is_err() {
            continue; // A layer, or the template.
        }
        // The field e_machine of an ELF file.
        let found = match u16::from_le_bytes([head[18], head[19]]) {
            62 => "x86_64",
            183 => "arm64",
            _ => "nothing that Lambda has",
        };
        if found != architecture {
            let text = format!("{} is built for {found}, and Architecture is {architecture}", program.display());
            return Err(Failure::from(Error::config(text)).hint("build again: leave --built out"));
        }
    }
    Ok(())
}

/// The change set of what is built, with the schedules in that state.
pub(super) async fn change_set(
    place: &Place,
    stage: &Stage,
    schedules: &str,
    role: Option<&str>,
) -> Outcome<Option<ChangeSet>> {
    let parameters = stage.parameters_with(SCHEDULES, schedules);
    let made = Sam::of(stage).change_set(&parameters, role).await;
    if let Ok(Some(arn)) = &made {
        return Ok(Some(ChangeSet::read(&place.aws, &stage.stack, arn).await?));
    }
    // SAM leaves the change set of no change, or of what is refused, as one that has failed.
    let tidied = change_set::tidy(&place.aws, &stage.stack).await;
    made.and(tidied).map(|()| None)
}

async fn account(asked: &Asked<'_>) -> Outcome<AccountPlan> {
    let platform = Platform::at(asked.place.clone()).await?;
    warehouse::planned(&platform).await
}

/// The list that the tool prints.
fn kept(said: &str) -> Outcome<Vec<Kept>> {
    let unusable = |error| Error::internal("the list of what the earlier stack has left does not parse").because(error);
    Ok(serde_json::from_str(said).map_err(unusable)?)
}

/// What was shown of a change set, kept to be compared before it is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub change_set: Option<String>,
    pub stack: String,
    pub changes: Vec<String>,
}

impl Saved {
    pub(super) fn of(stack: &str, changes: Option<&ChangeSet>) -> Self {
        Saved {
            change_set: changes.map(|changes| changes.arn.clone()),
            stack: stack.to_owned(),
            changes: lines(changes),
        }
    }

    pub(super) fn write(&self, file: &Path) -> Outcome {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::internal("cannot encode the plan").because(error))?;
        let failed = |error| Error::config(format!("cannot write {}", file.display())).because(error);
        Ok(fs::write(file, text + "\n").map_err(failed)?)
    }

    pub(super) fn read(file: &Path) -> Outcome<Self> {
        let text =
            fs::read(file).map_err(|error| Error::config(format!("cannot read {}", file.display())).because(error))?;
        let unusable = |error| Error::config(format!("{} is no plan", file.display())).because(error);
        Ok(serde_json::from_slice(&text).map_err(unusable)?)
    }

    /// What was read of one stage is not carried out under the name of another.
    pub(super) fn must_be_of(&self, stage: &Stage) -> Outcome {
        let here = format!(":{}:{}:", stage.region, stage.account);
        if self.stack == stage.stack && self.change_set.as_ref().is_none_or(|arn| arn.contains(&here)) {
            return Ok(());
        }
        let of = self.change_set.as_ref().unwrap_or(&self.stack);
        Err(Failure::usage(format!("the plan is of {of}, and the stage {} is {}", stage.name, stage.stack))
            .hint("name the stage that was planned with --env"))
    }

    /// The change set must be the one that people have read.
    pub(super) fn must_be(&self, changes: &ChangeSet) -> Outcome {
        if self.changes == lines(Some(changes)) && self.stack == changes.stack {
            return Ok(());
        }
        Err(Failure::from(Error::conflict("the change set is not the one that was read"))
            .hint("plan again with `sluice diff --save`"))
    }
}

fn lines(changes: Option<&ChangeSet>) -> Vec<String> {
    changes.into_iter().flat_map(|changes| &changes.changes).map(|change| change.line()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change_set::Change;

    fn change_set(resources: &[&str]) -> ChangeSet {
        let change = |resource: &&str| Change {
            action: "add",
            resource_type: "AWS::SQS::Queue".to_owned(),
            resource: (*resource).to_owned(),
            fields: Vec::new(),
            replaced: None,
            loses: None,
            by_hand: None,
        };
        let changes = resources.iter().map(change).collect();
        ChangeSet { arn: "arn:1".to_owned(), stack: "s".to_owned(), schedules: true, changes }
    }

    fn plan() -> Plan {
        Plan {
            stack: "s".to_owned(),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            checks: vec![Check::ok("sam", "1.170.0")],
            imported: Vec::new(),
            changes: Some(change_set(&["One"])),
            warehouse: None,
            warehouse_unseen: Some("the first deployment makes it".to_owned()),
            then_schedules: true,
        }
    }

    #[test]
    fn a_plan_is_read_from_the_account_down_to_the_schedules() {
        let text = plan().to_text();
        let expected = "s in us-east-1, account 123456789012\n✓ sam: 1.170.0\n\ns: 1 to add, 0 to change, 0 to remove\n  \
            + AWS::SQS::Queue One\n\nThe warehouse's account: the first deployment makes it\n\n\
            Schedules are switched on once secrets, warehouse and dbt answer.\n";
        assert_eq!(text, expected);
        let nothing = Plan { changes: None, ..plan() };
        assert!(nothing.to_text().contains("s: nothing to change"));
        let imported =
            kept(r#"[{"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "Lake", "ResourceIdentifier": {}}]"#);
        let adopted = Plan { changes: None, imported: imported.expect("a list"), ..plan() };
        assert!(adopted.to_text().contains("1 to import") && adopted.to_text().contains("  > AWS::S3::Bucket Lake\n"));
        let json = serde_json::to_value(plan()).expect("JSON");
        assert_eq!((&json["change_set"], &json["changes"][0]["resource"]), (&"arn:1".into(), &"One".into()));
    }

    #[test]
    fn binaries_for_other_processors_are_refused_before_a_change_set_is_made() {
        let built = std::env::temp_dir().join(format!("sluice-built-{}", std::process::id()));
        fs::create_dir_all(built.join("LoadCommits")).expect("a folder");
        fs::write(built.join("template.yaml"), "Resources: {}").expect("written");
        let program = |machine: u8| {
            let head = [&b"\x7fELF\x02\x01"[..], &[0; 12], &[machine, 0, 1, 0]].concat();
            fs::write(built.join("LoadCommits/bootstrap"), head).expect("written");
        };
        program(62);
        assert!(must_run_on("x86_64", &built).is_ok());
        let text = must_run_on("arm64", &built).expect_err("another").text();
        assert!(text.contains("LoadCommits/bootstrap is built for x86_64, and Architecture is arm64"), "{text}");
        program(183);
        assert!(must_run_on("arm64", &built).is_ok());
        fs::remove_dir_all(&built).expect("removed");
        assert!(must_run_on("arm64", &built).expect_err("nothing").text().contains("sam build"));
    }

    #[test]
    fn a_mend_needs_nothing_that_is_built() {
        let nowhere = Path::new("/nonexistent/build");
        assert!(Basis::of(false, true).must_fit("x86_64", nowhere).is_ok());
        for basis in [Basis::of(true, false), Basis::of(false, false)] {
            assert!(basis.must_fit("x86_64", nowhere).is_err(), "{basis:?}");
        }
    }

    #[test]
    fn a_saved_plan_is_carried_out_as_it_was_read_or_not_at_all() {
        let file = std::env::temp_dir().join(format!("sluice-plan-{}.json", std::process::id()));
        Saved::of("s", Some(&change_set(&["One", "Two"]))).write(&file).expect("written");
        let saved = Saved::read(&file).expect("read");
        assert!(saved.must_be(&change_set(&["One", "Two"])).is_ok());
        assert!(
            saved.must_be(&change_set(&["One"])).expect_err("another").text().contains("not the one that was read")
        );
        let other = ChangeSet { stack: "t".to_owned(), ..change_set(&["One", "Two"]) };
        assert!(saved.must_be(&other).is_err());
        fs::write(&file, "{}").expect("written");
        assert!(Saved::read(&file).expect_err("no plan").text().contains("is no plan"));
        fs::remove_file(&file).expect("removed");
    }
}
