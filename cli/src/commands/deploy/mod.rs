//! `sluice deploy`: a stage into its account, over SAM and change sets: checks, a plan that people read, the change, and
//! schedules only when what they need answers. `sluice diff` is the first half of it.

mod before;
mod fits;
mod plan;

use serde::Serialize;
use sluice_aws::SdkConfig;
use sluice_core::{Error, Kind};

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
    stack::{self, Stack},
    stage::{SCHEDULES, Stage},
};
use before::{Before, account, pinned};
use plan::{Basis, Plan, Saved};

/// A stage that something is asked of.
pub(super) struct Asked<'a> {
    pub stage: Stage,
    pub place: Place,
    pub progress: &'a Progress,
    pub json: bool,
}

impl<'a> Asked<'a> {
    pub(super) async fn of(target: &Target, args: &StageArgs, progress: &'a Progress, json: bool) -> Outcome<Self> {
        let stage = Stage::read(args)?;
        let place = Place::of_stack(target, &stage.stack, &stage.region).await?;
        Ok(Asked { stage, place, progress, json })
    }

    /// Whose credentials these are: those of the account that the stage is pinned to, and of no other.
    pub(super) async fn account(&self) -> Outcome<String> {
        let account = account(&self.place).await?;
        let check = pinned(&self.stage, &account);
        match check.health {
            Health::Failed => Err(Failure::from(Error::config(check.detail)).hint(check.fix.unwrap_or_default())),
            _ => Ok(account),
        }
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

impl Deployed {
    /// Schedules are as the stack has them: a mend leaves them as they are, whatever the stage says.
    fn of(stack: Stack, changed: usize, checks: Vec<Check>) -> Self {
        Deployed { schedules: has_schedules_on(&stack), stack: stack.name, status: stack.status, changed, checks }
    }
}

pub(super) async fn diff(target: &Target, args: &DiffArgs, progress: &Progress, json: bool) -> Outcome {
    let mut asked = Asked::of(target, &args.stage, progress, json).await?;
    asked.stage.prefix.clone_from(&args.prefix);
    let before = asked.before().await?;
    if let refused @ Err(_) = before.must_hold() {
        asked.say(&format!("{}\n", check::render(&before.checks)))?;
        return refused;
    }
    // What is saved is carried out as it is, so that it is all of what the stage says.
    let whole = args.save.is_some();
    let schedules = if whole { state(asked.stage.wants_schedules()) } else { asked.first_schedules(&before) };
    let plan = Plan::make(&asked, before, Basis::of(args.built, args.mend), schedules, args.role.as_deref()).await?;
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
        let DeployArgs { built, mend, .. } = *args;
        let (stage, role) = (args.stage.clone(), args.role.clone());
        let diff_args = DiffArgs { stage, built, mend, save: None, role, prefix: None };
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
        state(self.stage.wants_schedules() && before.stack.as_ref().is_some_and(has_schedules_on))
    }

    /// Exactly what was read and kept.
    async fn carry_out(&self, saved: &Saved, args: &DeployArgs) -> Outcome {
        saved.must_be_of(&self.stage)?;
        self.account().await?;
        let Some(arn) = &saved.change_set else {
            return self.say(&format!("{}: nothing to change\n", saved.stack));
        };
        let changes = ChangeSet::read_again(&self.place.aws, &saved.stack, arn).await?;
        saved.must_be(&changes)?;
        self.agreed(&changes.to_text(), &changes.changes, args).await?;
        if changes.schedules {
            self.ready_for_schedules().await?;
        }
        let stack = self.progress.spin("changing the stack", changes.execute(&self.place.aws)).await?;
        let checks = self.after(&Platform::at(self.place.clone()).await?).await;
        self.ended(&Deployed::of(stack, changes.changes.len(), checks))
    }

    /// A change set that was read is carried out whole, so that what its schedules need must answer before.
    async fn ready_for_schedules(&self) -> Outcome {
        let platform = Platform::at(self.place.clone()).await?;
        if has_schedules_on(&platform.stack) {
            return Ok(());
        }
        let checks = self.progress.spin("looking at secrets, warehouse and dbt", ready::look(&platform)).await.checks;
        match failed(&checks) {
            0 => Ok(()),
            failed => {
                self.say(&format!("{}\n", check::render(&checks)))?;
                let text =
                    format!("nothing was changed: schedules would go on, and {failed} of the checks have failed");
                Err(Failure::from(Error::new(Kind::Unavailable, text))
                    .hint("mend what each line names, or plan with SchedulesEnabled=DISABLED"))
            }
        }
    }

    /// What is looked at when the stack is as it was wanted; it is protected first.
    async fn after(&self, platform: &Platform) -> Vec<Check> {
        let mut checks = Vec::new();
        if self.stage.is_protected() {
            checks.push(self.protected(&platform.stack).await);
        }
        checks.extend(self.progress.spin("looking at secrets, warehouse and dbt", ready::look(platform)).await.checks);
        checks
    }

    async fn protected(&self, stack: &Stack) -> Check {
        let set = match stack.is_protected {
            true => Ok(()),
            false => stack::protect(&self.place.aws, &stack.name).await,
        };
        match set {
            Ok(()) => Check::ok("protection", "the stack cannot be deleted until it is taken off"),
            Err(failure) => Check::warning(
                "protection",
                failure.message(),
                "ask for cloudformation:UpdateTerminationProtection: the stack can be deleted by mistake",
            ),
        }
    }

    /// Says how the deployment has ended. Checks that have failed are a failure where schedules are wanted.
    fn ended(&self, deployed: &Deployed) -> Outcome {
        output::print(self.json, deployed, render)?;
        let failed = failed(&deployed.checks);
        if failed == 0 || !self.stage.wants_schedules() {
            return Ok(());
        }
        let what = if deployed.schedules { "schedules are on" } else { "schedules stay off" };
        let error = Error::new(Kind::Unavailable, format!("{what}, and {failed} of the checks have failed"));
        Err(Failure::from(error)
            .hint(format!("each line above names its fix; then `sluice deploy --env {}` again", self.stage.name)))
    }

    async fn deploy(&self, args: &DeployArgs) -> Outcome {
        let before = self.before().await?;
        if let refused @ Err(_) = before.must_hold() {
            self.say(&format!("{}\n", check::render(&before.checks)))?;
            return refused;
        }
        let (schedules, role) = (self.first_schedules(&before), args.role.as_deref());
        let plan = Plan::make(self, before, Basis::of(args.built, args.mend), schedules, role).await?;
        let changes = plan.changes.as_ref().map_or(&[][..], |changes| &changes.changes);
        let agreed = match plan.changes.is_none() && plan.imported.is_empty() {
            true => self.say(&plan.to_text()),
            false => self.agreed(&plan.to_text(), changes, args).await,
        };
        wanted(agreed, plan.changes.as_ref(), &self.place.aws).await?;
        let mut changed = self.change(&plan, schedules, role).await?;
        let mut platform = Platform::at(self.place.clone()).await?;
        let checks = self.after(&platform).await;
        if failed(&checks) == 0 && plan.then_schedules {
            let on = plan::change_set(&self.place, &self.stage, state(true), role);
            if let Some(changes) = self.progress.spin("making the change set of the schedules", on).await? {
                let switching = changes.execute(&self.place.aws);
                platform.stack = self.progress.spin("switching schedules on", switching).await?;
                changed += changes.changes.len();
            }
        }
        self.ended(&Deployed::of(platform.stack, changed, checks))
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
        }
        let (text, lose, is_asked) = (text.trim_end().to_owned(), args.lose.clone(), !args.yes);
        let question = format!("change {} in account {}?", self.stage.stack, self.stage.account);
        let loses = |change: &Change| Some((change.resource.clone(), change.loses?));
        let losses: Vec<(String, &str)> = changes.iter().filter_map(loses).collect();
        let ask = move || {
            if is_asked {
                confirm::agreed("a deployment", &text, &question)?;
            }
            confirm::losses_agreed(losses.iter().map(|(what, loses)| (what.as_str(), *loses)), &lose)
        };
        confirm::or_interrupted(ask).await
    }
}

/// Ends a deployment that was refused. A change set that was made for it is deleted; an import has none yet.
async fn wanted(agreed: Outcome, changes: Option<&ChangeSet>, aws: &SdkConfig) -> Outcome {
    if let (Err(_), Some(changes)) = (&agreed, changes) {
        changes.forget(aws).await?;
    }
    agreed
}

fn failed(checks: &[Check]) -> usize {
    checks.iter().filter(|check| check.health == Health::Failed).count()
}

fn has_schedules_on(stack: &Stack) -> bool {
    stack.parameters.get(SCHEDULES).is_some_and(|value| value == "ENABLED")
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

    #[tokio::test]
    async fn a_refused_import_ends_although_there_is_no_change_set_yet() {
        let aws = SdkConfig::builder().build();
        let ended = wanted(Err(confirm::declined()), None, &aws).await;
        assert_eq!(ended.expect_err("refused").message(), "not confirmed; nothing was written");
        assert!(wanted(Ok(()), None, &aws).await.is_ok());
    }
}
