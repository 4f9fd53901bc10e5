//! A broker of MSK that takes IAM, as far as a client sees it: it reads a token by the documentation of Amazon's library
//! (`aws-msk-iam-auth`, README.md) and of Signature Version 4, works out the signature again, and refuses in the words that
//! users of MSK report: `Access denied`, `Invalid authentication payload`, `Session too short`, `Too many connects`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, future},
};
use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// AWS takes no signature from further in the future.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// A shorter session is refused.
const SHORTEST: TimeDelta = TimeDelta::seconds(2);
const REQUEST_ID: &str = "0b0e2f4c-7d0a-4a5e-8f3a-2f1c9d8e7b6a";

const DENIED: &str = "Access denied";
const INVALID: &str = "Invalid authentication payload";

/// Credentials of a principal that IAM knows.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub id: String,
    pub secret: String,
    pub session: Option<String>,
    pub ends: Option<DateTime<Utc>>,
    pub may_connect: bool,
}

impl Key {
    /// Those of a role, the n-th that it was given.
    pub(crate) fn of_role(n: usize) -> Self {
        Key { session: Some(format!("session/{n}+a==")), ..Key::of_user(n) }
    }

    pub(crate) fn of_user(n: usize) -> Self {
        Key { id: format!("AKID{n}"), secret: format!("secret/{n}+"), session: None, ends: None, may_connect: true }
    }
}

/// The brokers of one cluster with what IAM tells them, and the principal's own side: who asks for credentials gets the newest.
#[derive(Debug)]
pub(crate) struct Msk {
    region: &'static str,
    /// The only credentials that are good now.
    key: Mutex<Key>,
    /// By how many seconds the brokers' clock is ahead.
    ahead: AtomicI64,
    /// How many logins are refused before the next is looked at.
    busy: AtomicU32,
    /// Connections that were made under another number have come to the end of their session.
    sessions: AtomicU64,
    /// How many seconds were left to each token that was taken.
    taken: Mutex<Vec<i64>>,
    refused: AtomicU32,
}

impl Msk {
    /// For the life of the tests.
    pub(crate) fn start(region: &'static str, key: Key) -> &'static Self {
        Box::leak(Box::new(Msk {
            region,
            key: Mutex::new(key),
            ahead: AtomicI64::new(0),
            busy: AtomicU32::new(0),
            sessions: AtomicU64::new(0),
            taken: Mutex::default(),
            refused: AtomicU32::new(0),
        }))
    }

    fn key(&self) -> MutexGuard<'_, Key> {
        self.key.lock().expect("no test panics here")
    }

    /// From now on these credentials alone are good.
    pub(crate) fn rotate(&self, key: Key) {
        *self.key() = key;
    }

    pub(crate) fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn set_busy(&self, logins: u32) {
        self.busy.store(logins, Ordering::SeqCst);
    }

    pub(crate) fn end_sessions(&self) {
        self.sessions.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn session(&self) -> u64 {
        self.sessions.load(Ordering::SeqCst)
    }

    pub(crate) fn taken(&self) -> Vec<i64> {
        self.taken.lock().expect("no test panics here").clone()
    }

    pub(crate) fn refused(&self) -> u32 {
        self.refused.load(Ordering::SeqCst)
    }

    /// How many milliseconds a session lasts that begins with this message, or why there is none.
    pub(crate) fn log_in(&self, message: &[u8]) -> Result<i64, String> {
        let now = Utc::now() + TimeDelta::seconds(self.ahead.load(Ordering::SeqCst));
        let is_busy = self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let judged = if is_busy { Err("Too many connects") } else { judge(message, self.region, &self.key(), now) };
        match judged {
            Ok(left) => {
                self.taken.lock().expect("no test panics here").push(left.num_seconds());
                Ok(left.num_milliseconds())
            }
            Err(why) => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Err(format!("[{REQUEST_ID}]: {why}"))
            }
        }
    }
}

/// The principal's credentials, which are not kept by who asks.
#[derive(Debug)]
pub(crate) struct Principal(pub &'static Msk);

impl ProvideCredentials for Principal {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let Key { id, secret, session, ends, .. } = self.0.key().clone();
        future::ProvideCredentials::ready(Ok(Credentials::new(id, secret, session, ends.map(Into::into), "test")))
    }
}

/// How long the session lasts.
fn judge(message: &[u8], region: &str, key: &Key, now: DateTime<Utc>) -> Result<TimeDelta, &'static str> {
    let token = message.strip_prefix(b"n,,\x01auth=Bearer ").and_then(|rest| rest.strip_suffix(b"\x01\x01"));
    // Without padding and in the alphabet of addresses.
    let url = URL_SAFE_NO_PAD.decode(token.ok_or(INVALID)?).map_err(|_| INVALID)?;
    let url = String::from_utf8(url).map_err(|_| INVALID)?;
    let host = format!("kafka.{region}.amazonaws.com");
    let query = url.strip_prefix(&format!("https://{host}/?")).ok_or(INVALID)?;
    let mut fields = BTreeMap::new();
    for field in query.split('&') {
        let (name, value) = field.split_once('=').ok_or(INVALID)?;
        let value = decode(value).filter(|plain| encode(plain) == value).ok_or(INVALID)?;
        if fields.insert(name, value).is_some() {
            return Err(INVALID);
        }
    }
    let mut take = |name: &str| fields.remove(name).ok_or(INVALID);
    let (signature, _) = (take("X-Amz-Signature")?, take("User-Agent")?);
    // The others are signed, in the order of their names.
    let signed: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let mut take = |name: &str| fields.remove(name).ok_or(INVALID);
    let is = |is: bool| is.then_some(()).ok_or(INVALID);
    is(take("Action")? == "kafka-cluster:Connect")?;
    is(take("X-Amz-Algorithm")? == "AWS4-HMAC-SHA256")?;
    is(take("X-Amz-SignedHeaders")? == "host")?;
    is(take("X-Amz-Expires")? == "900")?;
    let date = take("X-Amz-Date")?;
    let signed_at = NaiveDateTime::parse_from_str(&date, "%Y%m%dT%H%M%SZ").map_err(|_| INVALID)?.and_utc();
    let credential = take("X-Amz-Credential")?;
    let (id, scope) = credential.split_once('/').ok_or(INVALID)?;
    let day = date.get(..8).ok_or(INVALID)?;
    is(scope == format!("{day}/{region}/kafka-cluster/aws4_request"))?;
    let session = fields.remove("X-Amz-Security-Token");
    is(fields.is_empty())?;

    let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{}", signed.join("&"), hash(b""));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(request.as_bytes()));
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in scope.split('/') {
        signing = hmac_of(&signing, part);
    }
    let is_known = id == key.id && session == key.session && signature == hex(&hmac_of(&signing, &to_sign));
    let ends = signed_at + TimeDelta::seconds(900);
    if !is_known || !key.may_connect || signed_at > now + AHEAD || ends <= now {
        return Err(DENIED);
    }
    let left = key.ends.map_or(ends, |own| own.min(ends)) - now;
    if left < SHORTEST { Err("Session too short") } else { Ok(left) }
}

fn hmac_of(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

fn hash(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As Signature Version 4 writes a value.
fn encode(plain: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    plain
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The first of the tokens that Amazon's own signer has made and that has a session: its address, its key and its time.
fn made_by_amazon() -> (String, Key, DateTime<Utc>) {
    let made: serde_json::Value = serde_json::from_str(include_str!("../../src/iam/tokens.json")).expect("tokens");
    let made = made.as_array().expect("tokens").iter().find(|made| made["region"] == "eu-west-1").expect("a token");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(text("token")).expect("base64")).expect("text");
    let session = Some(text("session_token"));
    let key = Key { id: text("access_key"), secret: text("secret_key"), session, ends: None, may_connect: true };
    (url, key, text("time").parse().expect("a time"))
}

fn message(url: &str) -> Vec<u8> {
    format!("n,,\x01auth=Bearer {}\x01\x01", URL_SAFE_NO_PAD.encode(url)).into_bytes()
}

#[test]
fn a_token_of_amazons_signer_is_taken_until_it_ends() {
    let (url, key, at) = made_by_amazon();
    let left = |key: &Key, now| judge(&message(&url), "eu-west-1", key, now).map(|left| left.num_seconds());
    assert_eq!(left(&key, at), Ok(900));
    assert_eq!(left(&key, at + TimeDelta::seconds(898)), Ok(2));
    assert_eq!(left(&key, at + TimeDelta::seconds(899)), Err("Session too short"));
    assert_eq!(left(&key, at + TimeDelta::seconds(900)), Err(DENIED));
    assert_eq!(left(&key, at - TimeDelta::seconds(300)), Ok(1_200));
    assert_eq!(left(&key, at - TimeDelta::seconds(301)), Err(DENIED));
    let ending = Key { ends: Some(at + TimeDelta::seconds(60)), ..key.clone() };
    assert_eq!(left(&ending, at), Ok(60));
    for refused in [
        Key { may_connect: false, ..key.clone() },
        Key { session: None, ..key.clone() },
        Key { secret: "another".into(), ..key.clone() },
        Key { id: "another".into(), ..key.clone() },
    ] {
        assert_eq!(left(&refused, at), Err(DENIED), "{refused:?}");
    }
}

#[test]
fn each_flaw_of_a_token_is_refused() {
    let (url, key, at) = made_by_amazon();
    let of = |message: &[u8], region| judge(message, region, &key, at).err();
    assert_eq!(of(&message(&url), "eu-west-1"), None);
    assert_eq!(of(&message(&url), "eu-west-2"), Some(INVALID), "the region of another cluster");
    let padded = String::from_utf8(message(&url)).expect("text").replace("\x01\x01", "=\x01\x01");
    assert_eq!(of(padded.as_bytes(), "eu-west-1"), Some(INVALID));
    for (from, to, why) in [
        ("https://", "http://", INVALID),
        ("kafka.eu-west-1.", "kafka.eu-west-2.", INVALID),
        (".com/?", ".com/x?", INVALID),
        ("%3AConnect", "%3AReadData", INVALID),
        ("%3AConnect", ":Connect", INVALID),
        ("HMAC-SHA256", "HMAC-SHA1", INVALID),
        ("%2Fkafka-cluster%2F", "%2Fkafka%2F", INVALID),
        ("%2F20280229%2F", "%2F20280228%2F", INVALID),
        ("20280229T235959Z", "20280229T235958Z", DENIED),
        ("Expires=900", "Expires=901", INVALID),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx", INVALID),
        ("Token=F", "Token=G", DENIED),
        ("Signature=", "Signature=0", DENIED),
        ("&User-Agent=", "&Agent=", INVALID),
        ("&User-Agent=", "&More=1&User-Agent=", INVALID),
        ("&User-Agent=", "&Action=kafka-cluster%3AConnect&User-Agent=", INVALID),
    ] {
        assert!(url.contains(from), "{from}");
        assert_eq!(of(&message(&url.replacen(from, to, 1)), "eu-west-1"), Some(why), "{from} -> {to}");
    }
}
