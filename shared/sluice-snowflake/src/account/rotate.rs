//! Giving a service a new key: into the free slot of its user, then into the secret, then the old slot is cleared.
//!
//! What to do next follows from what is there, and from nothing else: an interrupted rotation is finished by the next one.
//! A key counts when the secret holds it. So a key that is in a slot and not in the secret was never used, and a key that
//! the secret holds is proven by a login before the other slot is cleared. A new key that the login does not prove is taken out of
//! its slot at once, and one that an interrupted run left there is cleared by the next. That the secret can be written is proven
//! before a slot is touched, and the account's lease keeps a second rotation out: two would each clear the other's key.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, NaiveDateTime, Utc};
use sluice_core::{
    Error, Kind, Result, Secret,
    port::{Clock, Row},
};

use super::{
    file::Settings,
    kinds::USERADMIN,
    lease::{tag, under_lease},
    name::Name,
    normal,
    port::Account,
};
use crate::{Signer, sql::quote};

/// Shorter than the lease that it holds.
pub const ROTATED_WITHIN: Duration = Duration::from_secs(200);

/// More steps than any rotation has.
const MOST_STEPS: usize = 8;

/// Where a service's private key is kept, and whether it opens the account.
pub trait Keys {
    /// The PEM of the secret; `None` while the secret is empty.
    fn current(&self) -> impl Future<Output = Result<Option<Secret>>>;

    /// Writes what the secret holds again: whether it can be written, while nothing is lost.
    fn rewrite(&self) -> impl Future<Output = Result<()>>;

    /// Durable when it returns: each read of the secret from then on gets this key.
    fn store(&self, pem: &Secret) -> impl Future<Output = Result<()>>;

    /// Logs in as the service with this key.
    fn prove(&self, pem: &Secret) -> impl Future<Output = Result<()>>;
}

/// A key slot of a user that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub fingerprint: String,
    /// Since when; the account may not say.
    pub set_at: Option<DateTime<Utc>>,
}

/// What a rotation has done, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// A key was made, put into the free slot, proven, and put into the secret.
    Switched,
    /// The secret's key, which no slot had, was put into a free one.
    Registered,
    /// The key that the secret does not hold was taken out of its slot.
    Cleared,
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Did::Switched => "a new key is in the user's free slot and in the secret",
            Did::Registered => "the secret's key is in a slot of the user",
            Did::Cleared => "the key that is no longer used is out of its slot",
        })
    }
}

const PROPERTIES: [&str; 2] = ["RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"];

/// The key slots of a user, for their ages.
pub async fn slots(account: &impl Account, user: &Name, tag: &str) -> Result<[Option<Slot>; 2]> {
    let rows = account.run(USERADMIN, &format!("DESC USER {user}"), tag).await?;
    Ok(PROPERTIES.map(|property| slot(&rows, property)))
}

fn slot(rows: &[Row], property: &str) -> Option<Slot> {
    let value = |name: String| {
        let row = rows.iter().find(|row| row.get("property").is_some_and(|found| found.as_deref() == Some(&name)))?;
        let value = row.get("value").or_else(|| row.get("property_value")).cloned().flatten()?;
        Some(value).filter(|value| !value.is_empty() && value != "null")
    };
    let set_at = value(format!("{property}_LAST_SET_TIME")).and_then(|at| time(&at));
    Some(Slot { fingerprint: value(format!("{property}_FP"))?, set_at })
}

/// A time as DESC prints it: with a zone, or without one in that of the account, which is some hours off as UTC. It serves for
/// ages in days, and to say which of two slots was filled later.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let zoned =
        DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %z").or_else(|_| DateTime::parse_from_rfc3339(text));
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(|at| at.and_utc());
    zoned.map(|at| at.with_timezone(&Utc)).ok().or_else(plain)
}

/// Rotates the key of a service, or finishes the rotation that was begun. It must end within [`ROTATED_WITHIN`], and another run
/// must have another name.
pub async fn rotate(
    account: &impl Account,
    clock: &impl Clock,
    keys: &impl Keys,
    user: &Name,
    settings: &Settings,
    run: &str,
) -> Result<Vec<Did>> {
    under_lease(account, clock, run, settings, rotate_alone(account, keys, user, &tag(run))).await
}

/// The same, where nothing else runs.
pub(super) async fn rotate_alone(account: &impl Account, keys: &impl Keys, user: &Name, tag: &str) -> Result<Vec<Did>> {
    let mut done = Vec::new();
    let mut is_wanted = true;
    for _ in 0..MOST_STEPS {
        let slots = slots(account, user, tag).await?;
        let pem = keys.current().await?;
        let fingerprint = match &pem {
            Some(pem) => Some(Signer::new("", user.last(), pem)?.fingerprint().to_owned()),
            None => None,
        };
        let held = slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|slot| Some(&slot.fingerprint) == fingerprint.as_ref()));
        let free = slots.iter().position(Option::is_none);
        // Where the secret is empty, a rotation that was not finished has left the newer key: nobody has its private one.
        let abandoned = newest(&slots).filter(|_| pem.is_none());
        match (pem, held, free.or(abandoned)) {
            (Some(pem), Some(held), None) => {
                let is_newest = newest(&slots) == Some(held);
                keys.prove(&pem).await.map_err(|error| unproven(error, user))?;
                set(account, user, 1 - held, None, tag).await?;
                done.push(Did::Cleared);
                // The other key was the older one: this was the end of a rotation. Otherwise it was a beginning that came
                // to nothing.
                is_wanted &= !is_newest;
            }
            (_, Some(_), Some(free)) | (None, None, Some(free)) if is_wanted => {
                keys.rewrite().await?;
                let (pem, public) = generate()?;
                register_new(account, keys, user, free, (&pem, &public), tag).await?;
                keys.store(&pem).await?;
                done.push(Did::Switched);
                is_wanted = false;
            }
            (Some(_), Some(_), Some(_)) => return Ok(done),
            (Some(pem), None, Some(free)) => {
                set(account, user, free, Some(&public_of(&pem)?), tag).await?;
                keys.prove(&pem).await.map_err(|error| unproven(error, user))?;
                done.push(Did::Registered);
            }
            (_, None, None) => {
                let error =
                    Error::new(Kind::Conflict, "both key slots of the user are taken, and the secret has neither key");
                return Err(error
                    .with("user", user)
                    .with_hint("find out who uses which key, clear one slot by ALTER USER … UNSET, and rotate again"));
            }
            (None, ..) => return Ok(done),
        }
    }
    Err(Error::internal("a rotation does not come to an end").with("user", user))
}

/// Puts a new key into a slot and proves it by a login. A key that fails is taken out again: it is stored nowhere, so nobody could
/// ever use it, and it would take the slot of the next one.
async fn register_new(
    account: &impl Account,
    keys: &impl Keys,
    user: &Name,
    slot: usize,
    (pem, public): (&Secret, &str),
    tag: &str,
) -> Result<()> {
    let proven = match set(account, user, slot, Some(public), tag).await {
        Ok(()) => keys.prove(pem).await.map_err(|error| unproven(error, user)),
        // It may be there all the same: an answer can be lost.
        Err(error) => Err(error),
    };
    let Err(error) = proven else { return Ok(()) };
    let Err(kept) = set(account, user, slot, None, tag).await else { return Err(error) };
    Err(error.with("may be left in", format_args!("{} ({})", PROPERTIES[slot], kept.chain())))
}

/// Which slot was filled last; `None` where the account does not say.
fn newest(slots: &[Option<Slot>; 2]) -> Option<usize> {
    let at = |slot: &Option<Slot>| slot.as_ref().and_then(|slot| slot.set_at);
    let (first, second) = (at(&slots[0])?, at(&slots[1])?);
    Some(usize::from(second > first))
}

async fn set(account: &impl Account, user: &Name, slot: usize, key: Option<&str>, tag: &str) -> Result<()> {
    let property = PROPERTIES[slot];
    let text = match key {
        Some(key) => format!("ALTER USER {user} SET {property} = {}", quote::literal(key)),
        None => format!("ALTER USER {user} UNSET {property}"),
    };
    account.run(USERADMIN, &text, tag).await.map(drop)
}

fn unproven(error: Error, user: &Name) -> Error {
    error.with("user", user).with_hint(
        "no key that opens the account was taken away; where the message names an address, rotate from one that the network policy of \
         the user lets in (`operators` in platform/warehouse.yaml)",
    )
}

/// A new private key in PEM, and its public key as a statement takes it.
pub(super) fn generate() -> Result<(Secret, String)> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::internal("cannot make a key"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::internal("cannot write a key"))?;
    let encoded = STANDARD.encode(der.as_ref());
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for at in (0..encoded.len()).step_by(64) {
        pem.push_str(&encoded[at..encoded.len().min(at + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let public: PublicKeyX509Der<'_> =
        pair.public_key().as_der().map_err(|_| Error::internal("cannot write a public key"))?;
    Ok((Secret::new(pem), STANDARD.encode(public.as_ref())))
}

/// The public key of a private one.
fn public_of(pem: &Secret) -> Result<String> {
    // No cause is attached: it could quote the key.
    let unusable = || Error::config("the secret's private key is no RSA key in PEM form (PKCS#8)");
    let der = STANDARD.decode(normal::body(pem.expose())).map_err(|_| unusable())?;
    let pair = KeyPair::from_pkcs8(&der).or_else(|_| KeyPair::from_der(&der)).map_err(|_| unusable())?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unusable())?;
    Ok(STANDARD.encode(public.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_key_is_read_in_each_form_that_the_account_prints() {
        let set_at = |text: &str| {
            let cell = |name: &str, value: &str| {
                let value = Some(value.to_owned());
                Row::from([("property".to_owned(), Some(name.to_owned())), ("value".to_owned(), value)])
            };
            let rows = [cell("RSA_PUBLIC_KEY_FP", "SHA256:x"), cell("RSA_PUBLIC_KEY_LAST_SET_TIME", text)];
            slot(&rows, "RSA_PUBLIC_KEY").expect("a slot in use").set_at.map(|at| at.to_rfc3339())
        };
        assert_eq!(set_at("2026-01-05 03:04:05.678").as_deref(), Some("2026-01-05T03:04:05.678+00:00"));
        assert_eq!(set_at("2026-01-05 03:04:05.678 -0800").as_deref(), Some("2026-01-05T11:04:05.678+00:00"));
        assert_eq!(set_at("null"), None);
    }
}
