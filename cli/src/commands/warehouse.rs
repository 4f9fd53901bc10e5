//! `sluice warehouse`: the account as code. What an account is and how it becomes so is the library's; this asks and prints.

mod keys;
mod refused;

use std::{collections::BTreeSet, time::Duration};

use chrono::Utc;
use serde::Serialize;
use sluice_core::{Error, Kind, port::SystemClock};
use uuid::Uuid;

use crate::{
    args::{AccountTask, AllowedArgs, ApplyArgs, PlanArgs, WarehouseArgs},
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    output,
    platform::Platform,
    warehouse::{
        Administrator,
        account::{self, Allowed, Applied, Applying, Desired, Name, Plan, Settings, Sign},
    },
};

pub(super) use keys::bootstrap;
use refused::of_account;

/// Nothing here takes longer; an apply that has more to do says so and goes on when it is called again.
const LONGEST: Duration = Duration::from_secs(1_800);

/// In the query history.
const TAG: &str = "sluice:account";

pub(super) async fn run(context: &Context<'_>, args: &WarehouseArgs) -> Outcome {
    let platform = &context.platform;
    let environment = match &args.environment {
        Some(environment) => environment,
        None => platform.stack.parameter("Stage")?,
    };
    let settings = Settings::of(environment, platform.deployment().await?);
    let asked = Asked { context, args, settings, administrator: platform.administrator().await? };
    match &args.task {
        // It needs no platform: see `bootstrap`.
        AccountTask::Bootstrap { .. } => Ok(()),
        AccountTask::Rotate { user, secret } => {
            keys::rotate(context, &asked.administrator, &asked.settings, user.as_deref(), secret.clone()).await
        }
        AccountTask::Plan(args) => asked.plan(args).await,
        AccountTask::Apply(args) => asked.apply(args).await,
        AccountTask::Drift => asked.drift().await,
        AccountTask::Import { enterprise } => asked.import(*enterprise).await,
        AccountTask::Explain { role } => asked.explain(role).await,
    }
}

/// What lies between the file and the account of a deployed stack: what its next deployment makes.
pub(super) async fn planned(platform: &Platform) -> Outcome<Plan> {
    let settings = Settings::of(platform.stack.parameter("Stage")?, platform.deployment().await?);
    let desired = Desired::read(&platform.place.account_file(), &settings, &platform.place.sources)?;
    let administrator = platform.administrator().await?;
    let looked = account::look(&administrator.within(LONGEST), &desired, &Allowed::default(), TAG).await;
    Ok(looked.map_err(of_account)?.1)
}

struct Asked<'a> {
    context: &'a Context<'a>,
    args: &'a WarehouseArgs,
    settings: Settings,
    administrator: Administrator,
}

impl Asked<'_> {
    async fn plan(&self, args: &PlanArgs) -> Outcome {
        let mut plan = self.look(&self.desired()?, &allowed(&args.allowed)).await?;
        if args.sql {
            return output::write(&plan.to_sql()).map(drop);
        }
        plan.warnings.extend(without_effect(&plan, &args.allowed));
        output::print(self.context.json, &plan, Plan::to_text)
    }

    async fn drift(&self) -> Outcome {
        let plan = self.look(&self.desired()?, &Allowed::default()).await?;
        output::print(self.context.json, &plan, Plan::to_text)?;
        if plan.is_empty() {
            return Ok(());
        }
        let text = format!("the account is not as the file says: {}", plan.summary());
        Err(Failure::different(text).hint("`sluice warehouse apply` makes it so; what is right belongs into the file"))
    }

    async fn apply(&self, args: &ApplyArgs) -> Outcome {
        let (desired, allowed) = (self.desired()?, allowed(&args.allowed));
        let plan = self.look(&desired, &allowed).await?;
        let without_effect = without_effect(&plan, &args.allowed);
        if !plan.changes.is_empty() && !args.yes {
            let question = question(&plan, &self.context.platform.place.title());
            confirm::agreed("an apply", plan.to_text().trim_end(), &question)?;
        }
        let losses = plan.changes.iter().filter_map(|change| Some((change.what.as_str(), change.loses?)));
        confirm::losses_agreed(losses, &args.lose)?;
        let run = Uuid::now_v7().to_string();
        let warehouse = &self.administrator.warehouse;
        let applying = Applying { run: &run, allowed, until: Utc::now() + LONGEST, warehouse };
        let account = self.administrator.within(LONGEST);
        let work = account::apply(&account, &SystemClock, &desired, &applying);
        let text = format!("sending {} statements", statements(&plan));
        let applied = tokio::select! {
            applied = self.context.progress.spin(text, work) => applied,
            _ = tokio::signal::ctrl_c() => {
                let account = self.administrator.within(LONGEST);
                return Err(ended(Box::pin(account::release(&account, &run)).await.err()));
            }
        };
        let mut applied = applied.map_err(of_account)?;
        applied.left.warnings.extend(without_effect);
        let (is_cut_short, ineffective) = (applied.is_cut_short(), applied.ineffective.clone());
        output::print(self.context.json, &Answer { run: &run, applied }, render)?;
        if !ineffective.is_empty() {
            return Err(stays(&ineffective));
        }
        if is_cut_short {
            let error = Error::new(Kind::Conflict, "the account is not what the file says yet");
            return Err(Failure::from(error).hint("apply again: it goes on where this one ended"));
        }
        Ok(())
    }

    async fn import(&self, enterprise: bool) -> Outcome {
        let account = self.administrator.within(LONGEST);
        let read = account::whole(&account, enterprise, TAG);
        let state = self.context.progress.spin("reading the account", read).await.map_err(of_account)?;
        let file = account::import(&state, enterprise, &self.settings, &self.context.platform.place.sources);
        output::print(self.context.json, &Imported { file }, |imported| imported.file.clone())
    }

    async fn explain(&self, role: &str) -> Outcome {
        let name = Name::parse(role).ok_or_else(|| Failure::usage(format!("'{role}' is no name of a role")))?;
        let enterprise = self.desired()?.enterprise;
        let account = self.administrator.within(LONGEST);
        let read = account::whole(&account, enterprise, TAG);
        let state = self.context.progress.spin("reading the account", read).await.map_err(of_account)?;
        output::print(self.context.json, &account::explain(&state, &name)?, account::Explained::to_text)
    }

    fn desired(&self) -> Outcome<Desired> {
        let place = &self.context.platform.place;
        let file = self.args.file.clone().unwrap_or_else(|| place.account_file());
        Ok(Desired::read(&file, &self.settings, &place.sources)?)
    }

    async fn look(&self, desired: &Desired, allowed: &Allowed) -> Outcome<Plan> {
        let account = self.administrator.within(LONGEST);
        let read = account::look(&account, desired, allowed, TAG);
        let (_, plan) = self.context.progress.spin("reading the account", read).await.map_err(of_account)?;
        Ok(plan)
    }
}

fn allowed(args: &AllowedArgs) -> Allowed {
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    Allowed { replace: set(&args.replace), drop: set(&args.drop) }
}

/// What was allowed and is not there to be done, because it was written otherwise or done before.
fn without_effect(plan: &Plan, args: &AllowedArgs) -> Vec<String> {
    let is_done = |what: &str, sign: Sign| plan.changes.iter().any(|change| change.what == what && change.sign == sign);
    let dropped = args.drop.iter().filter(|what| !is_done(what, Sign::Remove));
    let dropped = dropped.map(|what| {
        format!("--drop '{what}' has no effect: the account has no such thing that the file does not name")
    });
    let replaced = args.replace.iter().filter(|what| !is_done(what, Sign::Change));
    dropped
        .chain(replaced.map(|what| format!("--replace '{what}' has no effect: nothing of it needs a replacement")))
        .collect()
}

fn statements(plan: &Plan) -> usize {
    plan.changes.iter().map(|change| change.statements.len()).sum()
}

/// An apply that somebody has ended, and why its lease could not be given back.
fn ended(kept: Option<Error>) -> Failure {
    let error = Error::new(Kind::Conflict, "the apply was ended; what it has done stays");
    match kept {
        Some(error_of_lease) if error_of_lease.kind() != Kind::NotFound => Failure::from(error.because(error_of_lease))
            .hint("its lease could not be given back and runs out within five minutes: then apply again, it goes on where this one ended"),
        // Before the first apply has made a table for it there is no lease.
        _ => Failure::from(error).hint("apply again: it goes on where this one ended"),
    }
}

/// Statements that the account has answered and not done.
fn stays(ineffective: &[String]) -> Failure {
    let text = format!("the account has taken these statements and is as before: {}", ineffective.join("; "));
    Failure::from(Error::new(Kind::Conflict, text)).hint(
        "applying again does not help: look whether somebody changes it back, or whether the role of `sluice warehouse plan --sql` sees \
         the object; then run the statement by hand",
    )
}

/// What is asked before anything is sent. What takes something from somebody is said apart.
fn question(plan: &Plan, place: &str) -> String {
    let takes = match plan.revocations() {
        0 => String::new(),
        1 => ", one of which takes a grant that the file does not give".to_owned(),
        takes => format!(", {takes} of which take grants that the file does not give"),
    };
    format!("send {} statements to {place}{takes}?", statements(plan))
}

#[derive(Serialize)]
struct Imported {
    file: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// In each row of ADMIN.OBSERVABILITY.ACCOUNT_CHANGES.
    run: &'a str,
    #[serde(flatten)]
    applied: Applied,
}

fn render(answer: &Answer<'_>) -> String {
    let Applied { done, statements, revoked, left, .. } = &answer.applied;
    let taken = match revoked {
        0 => String::new(),
        revoked => format!(", of them {revoked} grants taken that the file does not give"),
    };
    let mut text = match done.len() {
        0 => String::new(),
        changes => format!("{changes} changes by {statements} statements{taken}, run {}\n", answer.run),
    };
    text.push_str(&left.to_text());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apply_that_was_ended_says_so_whatever_becomes_of_its_lease() {
        for kept in [None, Some(Error::not_found("no table")), Some(Error::unavailable("away"))] {
            let is_kept = kept.as_ref().is_some_and(|error| error.kind() == Kind::Unavailable);
            let text = ended(kept).text();
            assert!(text.contains("the apply was ended") && !text.contains("ACCOUNTADMIN"), "{text}");
            assert_eq!(text.contains("five minutes"), is_kept, "{text}");
        }
    }

    #[test]
    fn statements_that_change_nothing_are_named() {
        let text = stays(&["REVOKE X".to_owned(), "DROP Y".to_owned()]).text();
        assert!(text.contains("REVOKE X; DROP Y") && text.contains("applying again does not help"), "{text}");
    }

    #[test]
    fn what_was_allowed_and_is_not_there_is_told() {
        let args = AllowedArgs { drop: vec!["warehouse OLD".into()], replace: vec!["pipe A.B.C".into()] };
        let told = without_effect(&Plan::default(), &args);
        assert!(told.len() == 2 && told[0].contains("--drop 'warehouse OLD'"), "{told:?}");
        assert!(told[1].contains("--replace 'pipe A.B.C'"), "{told:?}");
    }

    #[test]
    fn an_apply_says_what_was_done_and_what_is_left() {
        let done = vec!["warehouse LOADING".to_owned()];
        let applied = Applied { done, statements: 2, ..Applied::default() };
        let taking = Applied { revoked: 1, ..applied.clone() };
        let text = render(&Answer { run: "r-0", applied: taking });
        assert!(text.starts_with("1 changes by 2 statements, of them 1 grants taken"), "{text}");
        let text = render(&Answer { run: "r-1", applied });
        assert_eq!(text, "1 changes by 2 statements, run r-1\nThe account is as the file says.\n");
        let nothing = render(&Answer { run: "r-2", applied: Applied::default() });
        assert_eq!(nothing, "The account is as the file says.\n");
    }
}
