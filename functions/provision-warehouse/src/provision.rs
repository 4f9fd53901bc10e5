//! What a request to provision comes to. Everything here may be done again, and by two at once: an apply goes on where another
//! has ended, and one of two waits for the other's lease.

use std::{path::Path, time::Duration};

use chrono::Utc;
use sluice_core::{Error, Kind, Result, port::SystemClock};
use sluice_lambda::{Invocation, hint};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    answer::Answer,
    config::{
        WarehouseConfig,
        account::{
            Allowed, Applied, Applying, AsRoles, Desired, Keys, KeysInSecret, Kind as Of, LetIn, Name, ROTATED_WITHIN,
            apply, rotate,
        },
    },
    deps::Deps,
    look::{self, RESERVE},
};

/// No statement is begun in the last part of an invocation, so that none is cut off.
const LAST_STATEMENT: Duration = Duration::from_secs(90);
/// What the warehouse may come back from is waited for: the first wait, and how often; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const MOST_TRIES: u32 = 5;
/// How often another apply is looked after that holds the lease.
const LEASE_EVERY: Duration = Duration::from_secs(15);

pub(crate) enum Outcome {
    Ended(Answer),
    /// Why there is more to do.
    Unfinished(String),
}

/// Provisions for as long as the invocation has time.
pub(crate) async fn provision(deps: &Deps, may_stand: bool, invocation: &Invocation) -> Outcome {
    let desired = match read(deps) {
        Ok(desired) => desired,
        Err(error) => return Outcome::Ended(Answer::Failed(told(&error))),
    };
    let mut tries = 1;
    loop {
        let error = match attempt(deps, &desired, may_stand, invocation).await {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        tracing::warn!(error = error.chain(), error_kind = %error.kind(), tries, "the account is not provisioned yet");
        let Some(wait) = wait_after(&error, tries) else { return Outcome::Ended(refusal(&error, may_stand)) };
        if invocation.time_left(RESERVE + LAST_STATEMENT) < wait {
            return Outcome::Unfinished(told(&error));
        }
        tries += u32::from(!is_held(&error));
        sleep(wait).await;
    }
}

fn read(deps: &Deps) -> Result<Desired> {
    let file: &Path = &deps.config.file;
    Desired::read(file, &deps.config.settings(), &deps.config.sources)
}

async fn attempt(deps: &Deps, desired: &Desired, may_stand: bool, invocation: &Invocation) -> Result<Outcome> {
    if let Some(why) = locked_out(deps).await? {
        return Ok(Outcome::Ended(refused(why, may_stand)));
    }
    let (run, tag) = (&invocation.run_id.0, look::tag(invocation));
    let time = invocation.time_left(RESERVE);
    let account = AsRoles { api: &deps.api, deadline: Instant::now() + time };
    let until = Utc::now() + time.saturating_sub(LAST_STATEMENT);
    let inside = LetIn::new(&account, &deps.reader, desired, account.deadline);
    let warehouse = &deps.config.provisioner.warehouse;
    let applying = Applying { run, allowed: Allowed::default(), until, warehouse };
    let applied = Box::pin(apply(&inside, &SystemClock, desired, &applying)).await?;
    if applied.is_cut_short() && Utc::now() >= until {
        return Ok(Outcome::Unfinished(format!("time is over: {}", applied.left.summary())));
    }
    inside.ensure(&tag).await?;
    for service in [&deps.config.loader, &deps.config.reporter] {
        first_key(deps, service, desired, run).await?;
    }
    let keys = look::keys(&account, desired, &tag).await;
    look::record(deps, invocation, &applied.left, keys).await;
    Ok(Outcome::Ended(Answer::Provisioned(status(&applied))))
}

/// Why nobody can log in as the user that provisions, and what to do; `None` where it can.
async fn locked_out(deps: &Deps) -> Result<Option<String>> {
    let config = &deps.config.provisioner;
    let keys = KeysInSecret { secrets: &deps.secrets, config, http: &deps.http };
    let opened = match keys.current().await {
        Ok(Some(pem)) => keys.prove(&pem).await,
        Ok(None) => Err(Error::config("the secret has no key").with("secret", &config.secret)),
        // Right after a deployment the function's new role may not have its rights yet; what stays so is told in the end.
        Err(error) if error.kind() != Kind::Config => {
            return Err(Error::unavailable("cannot read the secret").because(error));
        }
        Err(error) => Err(error),
    };
    match opened {
        Err(error) if matches!(error.kind(), Kind::Auth | Kind::Config | Kind::NotFound) => Ok(Some(format!(
            "{}; `sluice warehouse bootstrap --stack {}` prints what makes the user {} and fills its secret; then deploy again with \
             another AccountRevision",
            error.chain(),
            config.secret.split('/').next().unwrap_or_default(),
            config.user,
        ))),
        other => other.map(|()| None),
    }
}

/// Gives a service its first key. From then on keys are given by `sluice warehouse rotate`.
async fn first_key(deps: &Deps, config: &WarehouseConfig, desired: &Desired, run: &str) -> Result<()> {
    let keys = KeysInSecret { secrets: &deps.secrets, config, http: &deps.http };
    let Some(user) = Name::parse(&config.user).filter(|user| desired.state.has(Of::User, user)) else { return Ok(()) };
    if keys.current().await?.is_none() {
        let account = AsRoles { api: &deps.api, deadline: Instant::now() + ROTATED_WITHIN };
        // The same request may be delivered twice, and under the same name both would hold the lease.
        let run = format!("{run}:{}", Uuid::new_v4());
        rotate(&account, &SystemClock, &keys, &user, &deps.config.settings(), &run).await?;
        tracing::info!(%user, secret = config.secret, "the service has its first key");
    }
    Ok(())
}

fn status(applied: &Applied) -> String {
    let taken = match applied.revoked {
        0 => String::new(),
        revoked => format!("; {revoked} grants were taken that the file does not give"),
    };
    let ineffective = match applied.ineffective.len() {
        0 => String::new(),
        _ => format!("; the account has taken these and is as before: {}", applied.ineffective.join("; ")),
    };
    match applied.left.is_empty() {
        true => format!("provisioned{taken}"),
        false => {
            format!(
                "provisioned, but for {}; `sluice warehouse plan` tells what to do{taken}{ineffective}",
                applied.left.summary()
            )
        }
    }
}

/// Whether another one holds the lease, which ends by itself. No other conflict does.
fn is_held(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.is_transient()
}

/// How long to wait before trying again; `None` where that cannot help, or has not.
fn wait_after(error: &Error, tries: u32) -> Option<Duration> {
    match error.kind() {
        // Another apply is under way: it may be this very request, which was delivered twice.
        _ if is_held(error) => Some(LEASE_EVERY),
        Kind::RateLimited | Kind::Unavailable | Kind::Timeout if tries < MOST_TRIES => {
            Some(FIRST_WAIT * 2_u32.pow(tries - 1))
        }
        _ => None,
    }
}

/// The answer to a request that an error has ended.
pub(crate) fn refusal(error: &Error, may_stand: bool) -> Answer {
    refused(format!("{}; fix that and deploy again with another AccountRevision", told(error)), may_stand)
}

/// A stack in which nothing runs stands without an account, its schedules off; where a platform runs, the deployment is taken back
/// and the schedules stay as they are.
fn refused(why: String, may_stand: bool) -> Answer {
    if may_stand { Answer::NotProvisioned(why) } else { Answer::Failed(why) }
}

fn told(error: &Error) -> String {
    format!("{} ({})", error.chain(), hint(error))
}

#[cfg(test)]
mod tests {
    use sluice_core::Retry;

    use super::*;

    #[test]
    fn a_new_stack_stands_and_a_running_platform_goes_on() {
        let error = Error::new(Kind::Internal, "the statement does not compile");
        assert!(matches!(refusal(&error, true), Answer::NotProvisioned(text) if text.contains("AccountRevision")));
        assert!(matches!(refusal(&error, false), Answer::Failed(text) if text.contains("does not compile")));
        let locked_out = "the secret has no key".to_owned();
        assert!(matches!(refused(locked_out.clone(), true), Answer::NotProvisioned(_)));
        assert!(matches!(refused(locked_out, false), Answer::Failed(text) if text.contains("no key")));
    }

    #[test]
    fn what_was_taken_from_somebody_is_told() {
        let applied = |revoked| Applied { revoked, ..Applied::default() };
        assert_eq!(status(&applied(0)), "provisioned");
        assert_eq!(status(&applied(2)), "provisioned; 2 grants were taken that the file does not give");
    }

    #[test]
    fn what_may_pass_is_tried_again_and_a_lease_is_waited_for() {
        let away = Error::unavailable("away").exhausted();
        let waits: Vec<Option<u64>> =
            (1..=MOST_TRIES).map(|tries| wait_after(&away, tries).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(5), Some(10), Some(20), Some(40), None]);
        let conflict = || Error::conflict("another apply is under way");
        assert_eq!(wait_after(&conflict().with_retry(Retry::Transient), 4), Some(LEASE_EVERY));
        assert_eq!(wait_after(&conflict(), 1), None, "a conflict that does not end by itself");
        assert_eq!(wait_after(&Error::new(Kind::Auth, "not granted"), 1), None);
    }
}
