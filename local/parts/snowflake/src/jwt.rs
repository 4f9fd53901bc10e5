//! Who asks: key-pair tokens signed by a user, and the scoped tokens that they are exchanged for.

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A key-pair token counts for an hour from its issue, whatever it says.
const LONGEST_LIFE: i64 = 3_600;

/// How long a scoped token counts.
const SCOPED_LIFE: i64 = 600;

pub(crate) struct Keys {
    account: String,
    /// Signs scoped tokens; new in each process, so a restart makes clients exchange again.
    scoped: [u8; 16],
}

/// A public key that a user signs in with.
pub(crate) struct PublicKey {
    /// `SHA256:` and the base64 of the key's digest.
    pub(crate) fingerprint: String,
    key: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    exp: Option<i64>,
    /// Of a scoped token: the role that it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

impl Keys {
    pub(crate) fn new(account: &str) -> Self {
        Keys { account: name_of(account), scoped: uuid::Uuid::new_v4().into_bytes() }
    }

    /// The user whose key signed the token, or the code and words of what is wrong with it. `known` tells a login's user and
    /// keys.
    pub(crate) fn check(
        &self,
        token: &str,
        now: i64,
        known: impl FnOnce(&str) -> Option<(String, Vec<PublicKey>)>,
    ) -> std::result::Result<String, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "394305 invalid algorithm")?;
        if header.alg != Algorithm::RS256 {
            return Err("394305 invalid algorithm");
        }
        // The claims are read before the signature is checked, only to find the key to check it with.
        let unverified = claims(token).ok_or("394300 invalid user in issuer")?;
        let (account, login) = unverified.sub.split_once('.').ok_or("394300 invalid user in issuer")?;
        if account != self.account {
            return Err("394307 account mismatch");
        }
        let (user, slots) = known(login).ok_or("394300 invalid user in issuer")?;
        let named = |slot: &&PublicKey| unverified.iss == format!("{}.{}", unverified.sub, slot.fingerprint);
        let slot = slots.iter().find(named).ok_or("394304 public key fingerprint mismatch")?;
        let claims = decode::<Claims>(token, &slot.key, &signature_only(Algorithm::RS256))
            .map_err(|_| "394306 invalid signature")?;
        let (Some(issued), Some(expires)) = (claims.claims.iat.map(seconds), claims.claims.exp.map(seconds)) else {
            return Err("394301 missing issue or expiration time");
        };
        if issued > now + 60 {
            return Err("394302 invalid issue time");
        }
        if now >= expires.min(issued + LONGEST_LIFE) {
            return Err("394303 invalid expiration time");
        }
        Ok(user)
    }

    /// A token for streaming. It says when it ends, as Snowflake's does.
    pub(crate) fn scoped(&self, user: &str, role: &str, now: i64) -> Result<String> {
        let claims = Claims {
            iss: self.account.clone(),
            sub: user.to_owned(),
            iat: Some(now),
            exp: Some(now + SCOPED_LIFE),
            role: Some(role.to_owned()),
        };
        encode(&Header::default(), &claims, &EncodingKey::from_secret(&self.scoped)).context("cannot sign a token")
    }

    /// The role of a scoped token, if it counts.
    pub(crate) fn check_scoped(&self, token: &str, now: i64) -> Option<String> {
        let key = DecodingKey::from_secret(&self.scoped);
        let Claims { exp, role, .. } = decode::<Claims>(token, &key, &signature_only(Algorithm::HS256)).ok()?.claims;
        role.filter(|_| exp.is_some_and(|expires| now < expires))
    }
}

impl PublicKey {
    /// Reads a key as PEM, or as Snowflake's RSA_PUBLIC_KEY has it: without the lines around.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let der = STANDARD.decode(&body).context("the public key is not base64")?;
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let key = DecodingKey::from_rsa_pem(pem.as_bytes()).context("the public key is not an RSA key")?;
        Ok(PublicKey { fingerprint: format!("SHA256:{}", STANDARD.encode(Sha256::digest(&der))), key })
    }
}

/// The login that a token of either kind names, not verified.
pub(crate) fn login(token: &str) -> Option<String> {
    let sub = claims(token)?.sub;
    Some(sub.rsplit('.').next().unwrap_or_default().to_owned())
}

/// An account as tokens name it: upper case, a locator without its region.
fn name_of(account: &str) -> String {
    let end = if account.contains(".global") { '-' } else { '.' };
    account.split(end).next().unwrap_or_default().to_uppercase()
}

/// Times are in seconds or milliseconds.
fn seconds(time: i64) -> i64 {
    if time > 100_000_000_000 { time / 1_000 } else { time }
}

fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn claims(token: &str) -> Option<Claims> {
    let body = token.split('.').nth(1)?;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
        rsa::{KeyPair, KeySize},
        signature::KeyPair as _,
    };

    use super::*;

    #[test]
    fn a_token_is_refused_for_each_thing_that_can_be_wrong_with_it() {
        let pair = || KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let (ours, theirs) = (pair(), pair());
        let der: PublicKeyX509Der<'_> = ours.public_key().as_der().expect("a public key");
        let public = STANDARD.encode(der.as_ref());
        let read = || PublicKey::read(&public).expect("a key");
        let keys = Keys::new("myorg-acct");
        let fingerprint = read().fingerprint;
        let known = |login: &str| (login == "LOADER").then(|| ("LOADER".to_owned(), vec![read()]));

        let now = 1_800_000_000;
        let sign = |pair: &KeyPair, iss: &str, sub: &str, iat: Option<i64>, exp: Option<i64>| {
            let private: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
            let pem = format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                STANDARD.encode(private.as_ref())
            );
            let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a signing key");
            let claims = Claims { iss: iss.into(), sub: sub.into(), iat, exp, role: None };
            encode(&Header::new(Algorithm::RS256), &claims, &key).expect("a token")
        };
        let sub = "MYORG-ACCT.LOADER";
        let iss = format!("{sub}.{fingerprint}");
        let good = |pair, iss: &str, sub: &str| sign(pair, iss, sub, Some(now), Some(now + 3_540));
        let wrong = |token: &str| keys.check(token, now, known).expect_err("a refusal")[..6].to_owned();

        assert_eq!(keys.check(&good(&ours, &iss, sub), now, known), Ok("LOADER".into()));
        let milliseconds = sign(&ours, &iss, sub, Some(now * 1_000), Some((now + 60) * 1_000));
        assert!(keys.check(&milliseconds, now, known).is_ok());
        let long = sign(&ours, &iss, sub, Some(now), Some(now + 100_000));
        assert!(keys.check(&long, now + 3_599, known).is_ok() && keys.check(&long, now + 3_600, known).is_err());

        assert_eq!(wrong("nonsense"), "394305");
        assert_eq!(wrong(&good(&ours, &iss, "MYORG-ACCT.NOBODY")), "394300");
        assert_eq!(wrong(&good(&ours, &iss, "OTHER.LOADER")), "394307");
        assert_eq!(wrong(&good(&ours, &format!("{sub}.SHA256:x"), sub)), "394304");
        assert_eq!(wrong(&good(&theirs, &iss, sub)), "394306");
        assert_eq!(wrong(&sign(&ours, &iss, sub, None, Some(now + 60))), "394301");
        assert_eq!(wrong(&sign(&ours, &iss, sub, Some(now + 600), Some(now + 660))), "394302");
        assert_eq!(wrong(&sign(&ours, &iss, sub, Some(now - 60), Some(now))), "394303");

        let scoped = keys.scoped("LOADER", "SLUICE", now).expect("a token");
        assert_eq!(keys.check_scoped(&scoped, now + 599).as_deref(), Some("SLUICE"));
        assert_eq!(keys.check_scoped(&scoped, now + 600), None);
        assert_eq!(keys.check_scoped(&good(&ours, &iss, sub), now), None);
    }

    #[test]
    fn an_account_is_named_as_tokens_name_it() {
        for (account, name) in
            [("myorg-acct", "MYORG-ACCT"), ("ab123.eu-west-1.aws", "AB123"), ("ab123-x.global", "AB123")]
        {
            assert_eq!(name_of(account), name);
        }
    }
}
