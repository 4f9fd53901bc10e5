//! `sluice deploy`: a stage into its account, over SAM and change sets: checks, a plan that people read, the change, and
//! schedules only when what they need answers. `sluice diff` is the first half of it.

mod before;
mod plan;

use serde::Serialize;
use sluice_core::{Error, Kind};

pub(super) use before::{account, pinned};

use crate::{
    args::{DeployArgs, DiffArgs, StageArgs, Target},
    change_set::{Change, ChangeSet},
    check::{self, Check, Health},
    confirm,
    failure::{Failure, Outcome},
    output,
    place::Place,
    platform::Platform,
    progress::Progress,
    ready,
    sam::Sam,
    stage::Stage,
};
use before::Before;
use plan::{Plan, Saved};

/// A stage that something is asked of.
pub(super) struct Asked<'a> {
    pub stage: Stage,
    pub place: Place,
    pub progress: &'a Progress,
    pub json: bool,
    target: &'a Target,
}

impl<'a> Asked<'a> {
    pub(super) async fn of(target: &'a Target, args: &StageArgs, progress: &'a Progress, json: bool) -> Outcome<Self> {
        let stage = Stage::read(args)?;
        let place = Place::of_stack(target, &stage.stack, &stage.region).await?;
        Ok(Asked { stage, place, progress, json, target })
    }

    /// Another handle on the place.
    async fn again(&self) -> Outcome<Place> {
        Place::of_stack(self.target, &self.stage.stack, &self.stage.region).await
    }

    async fn before(&self) -> Outcome<Before> {
        self.progress.spin("looking at the account", Before::look(&self.stage, &self.place)).await
    }

    fn say(&self, text: &str) -> Outcome {
        if self.json { Ok(()) } else { output::write(text).map(drop) }
    }
}

/// What a deployment has come to.
#[derive(Serialize)]
struct Deployed {
    stack: String,
    status: String,
    changed: usize,
    checks: Vec<Check>,
    /// Whether the stack's schedules are on.
    schedules: bool,
}

pub(super) async fn diff(target: &Target, args: &DiffArgs, progress: &Progress, json: bool) -> Outcome {
    let asked = Asked::of(target, &args.stage, progress, json).await?;
    let before = asked.before().await?;
    if let refused @ Err(_) = before.must_hold() {
        asked.say(&format!("{}\n", check::render(&before.checks)))?;
        return refused;
    }
    // What is saved is carried out as it is, so that it is all of what the stage says.
    let whole = args.save.is_some();
    let schedules = if whole { state(asked.stage.wants_schedules()) } else { asked.first_schedules(&before) };
    let plan = Plan::make(&asked, before, args.built, schedules, args.role.as_deref()).await?;
    output::print(json, &plan, Plan::to_text)?;
    match (&args.save, &plan.changes) {
        (Some(_), None) if !plan.imported.is_empty() => {
            let error = Error::conflict(
                "what an earlier stack has left is imported by `sluice deploy`, not by a plan that is kept",
            );
            Err(error.into())
        }
        (Some(file), changes) => Saved::of(&plan.stack, changes.as_ref()).write(file),
        (None, Some(changes)) => changes.forget(&asked.place.aws).await,
        (None, None) => Ok(()),
    }
}

pub(super) async fn run(target: &Target, args: &DeployArgs, progress: &Progress, json: bool) -> Outcome {
    if args.dry_run {
        let diff_args = DiffArgs { stage: args.stage.clone(), built: args.built, save: None, role: args.role.clone() };
        return Box::pin(diff(target, &diff_args, progress, json)).await;
    }
    let asked = Asked::of(target, &args.stage, progress, json).await?;
    match &args.plan {
        Some(file) => asked.carry_out(&Saved::read(file)?, args).await,
        None => asked.deploy(args).await,
    }
}

impl Asked<'_> {
    /// Schedules that are on stay on; otherwise they wait until what they need answers.
    fn first_schedules(&self, before: &Before) -> &'static str {
        state(self.stage.wants_schedules() && before.has_schedules_on())
    }

    /// Exactly what was read and kept.
    async fn carry_out(&self, saved: &Saved, args: &DeployArgs) -> Outcome {
        saved.must_be_of(&self.stage)?;
        let account = account(&self.place).await?;
        let check = pinned(&self.stage, &account);
        if check.health == Health::Failed {
            return Err(Failure::from(Error::config(check.detail)).hint(check.fix.unwrap_or_default()));
        }
        let Some(arn) = &saved.change_set else {
            return self.say(&format!("{}: nothing to change\n", saved.stack));
        };
        let changes = ChangeSet::read_again(&self.place.aws, arn).await?;
        saved.must_be(&changes)?;
        self.agreed(&changes.to_text(), &changes.changes, args).await?;
        let stack = self.progress.spin("changing the stack", changes.execute(&self.place.aws)).await?;
        let deployed = Deployed {
            schedules: stack.parameters.get(crate::stage::SCHEDULES).is_some_and(|value| value == "ENABLED"),
            stack: stack.name,
            status: stack.status,
            changed: changes.changes.len(),
            checks: Vec::new(),
        };
        output::print(self.json, &deployed, render)
    }

    async fn deploy(&self, args: &DeployArgs) -> Outcome {
        let before = self.before().await?;
        if let refused @ Err(_) = before.must_hold() {
            self.say(&format!("{}\n", check::render(&before.checks)))?;
            return refused;
        }
        let (schedules, role) = (self.first_schedules(&before), args.role.as_deref());
        let plan = Plan::make(self, before, args.built, schedules, role).await?;
        let changes = plan.changes.as_ref().map_or(&[][..], |changes| &changes.changes);
        let agreed = match plan.changes.is_none() && plan.imported.is_empty() {
            true => self.say(&plan.to_text()),
            false => self.agreed(&plan.to_text(), changes, args).await,
        };
        if let Err(refused) = agreed {
            if let Some(changes) = &plan.changes {
                changes.forget(&self.place.aws).await?;
            }
            return Err(refused);
        }
        let mut changed = self.change(&plan, schedules, role).await?;
        let platform = Platform::at(self.again().await?).await?;
        let ready = self.progress.spin("looking at secrets, warehouse and dbt", ready::look(&platform)).await;
        let failed = ready.checks.iter().filter(|check| check.health == Health::Failed).count();
        let mut status = platform.stack.status.clone();
        if failed == 0 && plan.then_schedules {
            let on = plan::change_set(&self.place, &self.stage, state(true), role);
            if let Some(changes) = self.progress.spin("making the change set of the schedules", on).await? {
                status = self.progress.spin("switching schedules on", changes.execute(&self.place.aws)).await?.status;
                changed += changes.changes.len();
            }
        }
        let on = schedules == state(true) || (failed == 0 && plan.then_schedules);
        let deployed = Deployed { stack: plan.stack.clone(), status, changed, checks: ready.checks, schedules: on };
        output::print(self.json, &deployed, render)?;
        if failed == 0 || !self.stage.wants_schedules() {
            return Ok(());
        }
        let what = if on { "schedules are on" } else { "schedules stay off" };
        let error = Error::new(Kind::Unavailable, format!("{what}, and {failed} of the checks have failed"));
        Err(Failure::from(error)
            .hint(format!("each line above names its fix; then `sluice deploy --env {}` again", self.stage.name)))
    }

    /// Imports what an earlier stack has left, and carries out the change set. How much was changed.
    async fn change(&self, plan: &Plan, schedules: &str, role: Option<&str>) -> Outcome<usize> {
        if plan.imported.is_empty() {
            let Some(changes) = &plan.changes else { return Ok(0) };
            self.progress.spin("changing the stack", changes.execute(&self.place.aws)).await?;
            return Ok(changes.changes.len());
        }
        let sam = Sam::of(&self.stage);
        self.progress.spin("importing what an earlier stack has left", sam.import_kept(false, role)).await?;
        let rest = plan::change_set(&self.place, &self.stage, schedules, role);
        let Some(changes) = self.progress.spin("making the change set of the rest", rest).await? else {
            return Ok(plan.imported.len());
        };
        self.say(&changes.to_text())?;
        self.progress.spin("making the rest", changes.execute(&self.place.aws)).await?;
        Ok(plan.imported.len() + changes.changes.len())
    }

    /// Whether the change is wanted, and what it loses as well.
    async fn agreed(&self, text: &str, changes: &[Change], args: &DeployArgs) -> Outcome {
        if args.yes {
            self.say(text)?;
        } else {
            confirm::somebody_is_there("a deployment")?;
        }
        let (text, is_asked) = (text.trim_end().to_owned(), !args.yes);
        let question = format!("change {} in account {}?", self.stage.stack, self.stage.account);
        let loses = |change: &Change| Some((change.resource.clone(), change.loses?));
        let mut losses: Vec<(String, &str)> = changes.iter().filter_map(loses).collect();
        losses.retain(|(resource, _)| !args.lose.contains(resource));
        let ask = move || {
            let mut is_agreed = !is_asked || confirm::confirm(&text, &question)?;
            for (resource, loses) in losses {
                is_agreed = is_agreed && confirm::confirm_loss(&resource, loses)?;
            }
            if is_agreed { Ok(()) } else { Err(confirm::declined()) }
        };
        confirm::or_interrupted(ask).await
    }
}

fn state(on: bool) -> &'static str {
    if on { "ENABLED" } else { "DISABLED" }
}

fn render(deployed: &Deployed) -> String {
    let Deployed { stack, status, changed, checks, schedules } = deployed;
    let on = if *schedules { "on" } else { "off" };
    let checks = if checks.is_empty() { String::new() } else { format!("{}\n", check::render(checks)) };
    format!("{checks}{stack}: {status}, {changed} changes; schedules are {on}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_ends_with_how_the_stack_and_its_schedules_are() {
        let deployed = Deployed {
            stack: "sluice-dev".to_owned(),
            status: "UPDATE_COMPLETE".to_owned(),
            changed: 3,
            checks: vec![Check::ok("dbt", "answers")],
            schedules: false,
        };
        assert_eq!(render(&deployed), "✓ dbt: answers\nsluice-dev: UPDATE_COMPLETE, 3 changes; schedules are off\n");
    }
}
