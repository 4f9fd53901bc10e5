use std::time::Duration;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::world::{KEY, World, json_of, purchase, request};
use crate::event::{Request, Response};

const SECRET: &str = "a shared secret of thirty-two by";

fn send(world: &World, headers: &[(&str, &str)]) -> Response {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let request = request("POST", "/v1/events/purchases", &all);
    world.answer(&Request { body: Some(purchase(1).to_string()), ..request })
}

fn status(world: &World, headers: &[(&str, &str)]) -> u16 {
    send(world, headers).status_code
}

#[test]
fn only_known_keys_for_this_topic_are_let_in() {
    let world = World::new();
    for (headers, expected) in [
        (vec![], 401),
        (vec![("x-api-key", "guess")], 401),
        (vec![("x-api-key", "")], 401),
        (vec![("authorization", "Basic abc")], 401),
        (vec![("x-api-key", "key-for-another-topic")], 403),
        (vec![("x-api-key", KEY)], 202),
        (vec![("x-api-key", "key-that-replaces-it")], 202),
    ] {
        let response = send(&world, &headers);
        assert_eq!(response.status_code, expected, "{headers:?}");
        assert_eq!(response.headers.contains_key("www-authenticate"), expected == 401);
    }
    assert_eq!(world.records().len(), 2);
    let unknown = request("POST", "/v1/events/clicks", &[("x-api-key", KEY)]);
    assert_eq!(world.answer(&unknown).status_code, 404);
    let nameless = request("POST", "/v1/events/clicks", &[]);
    assert_eq!(world.answer(&nameless).status_code, 401, "who may not send learns nothing of topics");
}

#[test]
fn a_replaced_key_works_soon_and_a_removed_one_stops() {
    let world = World::new();
    assert_eq!(status(&world, &[("x-api-key", KEY)]), 202);
    *world.vault.secret.borrow_mut() = Some(json!({"api_keys": {"new": {"key": "brand-new"}}}));
    assert_eq!(status(&world, &[("x-api-key", "brand-new")]), 401, "not asked again at once");
    world.pass(Duration::from_secs(31));
    assert_eq!(status(&world, &[("x-api-key", "brand-new")]), 202);
    assert_eq!(status(&world, &[("x-api-key", KEY)]), 401);
    // Without the secret's keeper, what is known still counts.
    *world.vault.secret.borrow_mut() = None;
    world.pass(Duration::from_secs(3_600));
    assert_eq!(status(&world, &[("x-api-key", "brand-new")]), 202);
}

#[test]
fn a_changed_secret_of_tokens_works_soon_and_so_does_a_widened_key() {
    let world = World::new();
    let good = claims(&world);
    let header = Header::new(Algorithm::HS256);
    let old = bearer(&header, &good, &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(status(&world, &[("authorization", &old)]), 202);
    let changed = "another secret of thirty-two byt";
    let new = bearer(&header, &good, &EncodingKey::from_secret(changed.as_bytes()));
    let topics = |topics: Value| {
        json!({"api_keys": {"a": {"key": "narrow", "topics": topics}}, "jwt": {
            "issuer": "https://login.example", "audience": "events", "hs256_secret": changed,
        }})
    };
    *world.vault.secret.borrow_mut() = Some(topics(json!(["clicks"])));
    assert_eq!(status(&world, &[("authorization", &new)]), 401, "not asked again at once");
    world.pass(Duration::from_secs(31));
    assert_eq!(status(&world, &[("authorization", &new)]), 202);
    assert_eq!(status(&world, &[("authorization", &old)]), 401);
    assert_eq!(status(&world, &[("x-api-key", "narrow")]), 403);
    *world.vault.secret.borrow_mut() = Some(topics(json!(["clicks", "purchases"])));
    world.pass(Duration::from_secs(31));
    assert_eq!(status(&world, &[("x-api-key", "narrow")]), 202);
}

#[test]
fn without_the_secret_nobody_is_let_in_and_everybody_may_try_again() {
    for broken in [None, Some(json!({"api_keys": {"a": {"key": ""}}})), Some(json!({"keys": []}))] {
        let world = World::new();
        *world.vault.secret.borrow_mut() = broken;
        let response = send(&world, &[("x-api-key", "")]);
        assert_eq!(response.status_code, 503);
        assert!(response.headers.contains_key("retry-after"));
    }
}

#[test]
fn while_secrets_are_away_no_request_waits_for_what_is_known_already() {
    let world = World::new();
    let known = || assert_eq!(status(&world, &[("x-api-key", KEY)]), 202);
    known();
    world.vault.hangs.set(true);
    world.pass(Duration::from_secs(300));
    for _ in 0..5 {
        known();
        assert_eq!(status(&world, &[("x-api-key", "guess")]), 401);
    }
    assert_eq!(world.vault.asked.get(), 2, "one request has waited, and not for ever");
    world.pass(Duration::from_secs(29));
    known();
    assert_eq!(world.vault.asked.get(), 2);
    world.pass(Duration::from_secs(1));
    known();
    assert_eq!(world.vault.asked.get(), 3);

    world.vault.hangs.set(false);
    *world.vault.secret.borrow_mut() = Some(json!({"api_keys": {"new": {"key": "brand-new"}}}));
    world.pass(Duration::from_secs(30));
    assert_eq!(status(&world, &[("x-api-key", KEY)]), 401, "what has come back counts at once");
}

fn claims(world: &World) -> Value {
    *world.vault.secret.borrow_mut() = Some(json!({"jwt": {
        "issuer": "https://login.example", "audience": "events", "hs256_secret": SECRET,
    }}));
    let exp = jsonwebtoken::get_current_timestamp() + 600;
    json!({"iss": "https://login.example", "aud": "events", "sub": "session", "exp": exp, "scope": "openid events:write"})
}

fn bearer(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    format!("Bearer {}", jsonwebtoken::encode(header, claims, key).expect("a token"))
}

#[test]
fn a_token_must_be_signed_fresh_meant_for_us_and_allow_writing() {
    let world = World::new();
    let good = claims(&world);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let header = Header::new(Algorithm::HS256);
    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        bearer(&header, &claims, &key)
    };
    let without_end = {
        let mut claims = good.clone();
        claims.as_object_mut().expect("claims").remove("exp");
        bearer(&header, &claims, &key)
    };
    let later = jsonwebtoken::get_current_timestamp() + 600;
    let wrong_key = EncodingKey::from_secret(b"another secret of thirty-two byt");
    for (token, expected) in [
        (bearer(&header, &good, &key), 202),
        (changed("scope", json!("events:write:purchases")), 202),
        (changed("scope", json!("events:write:clicks")), 403),
        (changed("scope", json!("")), 403),
        (changed("exp", json!(1)), 401),
        (without_end, 401),
        (changed("nbf", json!(later)), 401),
        (changed("iss", json!("https://other.example")), 401),
        (changed("aud", json!("other")), 401),
        (bearer(&header, &good, &wrong_key), 401),
        (bearer(&Header::new(Algorithm::HS512), &good, &key), 401),
        ("Bearer x.y.z".to_owned(), 401),
    ] {
        assert_eq!(status(&world, &[("authorization", &token)]), expected, "{token}");
    }
}

#[test]
fn a_token_of_an_identity_provider_is_checked_with_its_published_key() {
    let world = World::new();
    let good = claims(&world);
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a pair");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("an encoding");
    // The encoder takes PKCS#1, which is what PKCS#8 wraps behind 26 bytes at this size.
    let key = EncodingKey::from_rsa_der(&der.as_ref()[26..]);
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a public key");
    jwk.common.key_id = Some("k1".into());
    let jwt = json!({"issuer": "https://login.example", "audience": "events", "jwks": {"keys": [jwk]}});
    *world.vault.secret.borrow_mut() = Some(json!({"jwt": jwt}));
    let mut of_another = good.clone();
    of_another["iss"] = json!("https://other.example");
    let named = |kid: Option<&str>| {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = kid.map(str::to_owned);
        header
    };
    // The public key taken for a shared secret: the classic forgery.
    let public = serde_json::to_vec(&jwk).expect("JSON");
    let forged = bearer(&Header::new(Algorithm::HS256), &good, &EncodingKey::from_secret(&public));
    for (token, expected) in [
        (bearer(&named(Some("k1")), &good, &key), 202),
        (bearer(&named(None), &good, &key), 202),
        (bearer(&named(Some("k2")), &good, &key), 401),
        (bearer(&named(Some("k1")), &of_another, &key), 401),
        (forged, 401),
    ] {
        assert_eq!(status(&world, &[("authorization", &token)]), expected, "{token}");
    }
}

#[test]
fn a_shared_secret_that_can_be_guessed_is_not_used() {
    let world = World::new();
    let good = claims(&world);
    *world.vault.secret.borrow_mut() = Some(json!({"jwt": {"hs256_secret": "short"}}));
    let token = bearer(&Header::new(Algorithm::HS256), &good, &EncodingKey::from_secret(b"short"));
    assert_eq!(status(&world, &[("authorization", &token)]), 503);
}

/// A provider signs with the same key for everybody who trusts it.
#[test]
fn published_keys_without_issuer_and_audience_are_not_used() {
    for (issuer, audience, expected) in [
        (json!("https://login.example"), json!("events"), 202),
        (Value::Null, json!("events"), 503),
        (json!("https://login.example"), Value::Null, 503),
        (json!(""), json!("events"), 503),
        (json!("https://login.example"), json!(""), 503),
    ] {
        let world = World::new();
        let jwt = json!({"issuer": issuer, "audience": audience, "jwks": {"keys": []}});
        *world.vault.secret.borrow_mut() = Some(json!({"api_keys": {"shop": {"key": KEY}}, "jwt": jwt}));
        assert_eq!(status(&world, &[("x-api-key", KEY)]), expected, "{issuer} {audience}");
    }
}

#[test]
fn pages_of_listed_origins_may_send_and_read_the_answer() {
    let world = World::new();
    let preflight = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        world.answer(&request("OPTIONS", "/v1/events/purchases", &headers))
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(allowed.status_code, 204);
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://shop.example");
    assert!(allowed.headers["access-control-allow-methods"].contains("POST"));
    for header in ["content-type", "x-api-key", "authorization"] {
        assert!(allowed.headers["access-control-allow-headers"].contains(header));
    }
    let refused = preflight("https://evil.example");
    assert_eq!(refused.status_code, 403);
    assert!(!refused.headers.contains_key("access-control-allow-origin"));

    let sent = send(&world, &[("x-api-key", KEY), ("origin", "https://evil.example")]);
    assert_eq!(sent.status_code, 403);
    assert!(world.records().is_empty());
    let refused = send(&world, &[("x-api-key", "guess"), ("origin", "https://shop.example")]);
    assert_eq!(refused.status_code, 401);
    assert_eq!(refused.headers["access-control-allow-origin"], "https://shop.example", "errors are readable too");
    assert_eq!(json_of(&refused)["title"], "Unauthorized");
}
