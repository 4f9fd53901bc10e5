//! The server's side of SCRAM, RFC 5802, checked with the exchange that RFC 7677 prints.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};

const SALT: &[u8] = b"salt of the test";
const ITERATIONS: u32 = 4_096;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Digest {
    Sha256,
    Sha512,
}

impl Digest {
    fn hash(self, data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, data).as_ref().to_vec()
    }

    fn hmac(self, key: &[u8], data: &str) -> Vec<u8> {
        let algorithm = match self {
            Digest::Sha256 => hmac::HMAC_SHA256,
            Digest::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data.as_bytes()).as_ref().to_vec()
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Digest::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Digest::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        let iterations = NonZeroU32::new(iterations).expect("not zero");
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

fn field<'a>(message: &'a str, name: &str) -> &'a str {
    message.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// The server's first message, and what the exchange has said so far.
pub(crate) fn first(client_first: &str, user: &str, server_nonce: &str) -> Option<(String, String)> {
    let bare = client_first.strip_prefix("n,,")?;
    (field(bare, "n") == user).then_some(())?;
    let nonce = format!("{}{server_nonce}", field(bare, "r"));
    let server_first = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(SALT));
    Some((server_first.clone(), format!("{bare},{server_first}")))
}

/// The server's last message, if the client's proof is right.
pub(crate) fn last(digest: Digest, password: &str, said: &str, client_last: &str) -> Option<String> {
    let (without_proof, proof) = client_last.rsplit_once(",p=")?;
    let server_first = said.split_once(",r=")?.1.split_once(",r=")?.1;
    (field(without_proof, "c") == "biws").then_some(())?;
    (Some(field(without_proof, "r")) == server_first.split(',').next()).then_some(())?;
    let salt = STANDARD.decode(field(server_first, "s")).ok()?;
    let salted = digest.salted(password, &salt, field(server_first, "i").parse().ok()?);
    let said = format!("{said},{without_proof}");
    let stored = digest.hash(&digest.hmac(&salted, "Client Key"));
    let signature = digest.hmac(&stored, &said);
    let proof = STANDARD.decode(proof).ok()?;
    let key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
    (digest.hash(&key) == stored).then_some(())?;
    Some(signed(digest, &salted, &said))
}

/// What a server says that does not know the password.
pub(crate) fn forged(digest: Digest, said: &str, client_last: &str) -> Option<String> {
    let (without_proof, _) = client_last.rsplit_once(",p=")?;
    Some(signed(digest, b"not the salted password", &format!("{said},{without_proof}")))
}

fn signed(digest: Digest, salted: &[u8], said: &str) -> String {
    format!("v={}", STANDARD.encode(digest.hmac(&digest.hmac(salted, "Server Key"), said)))
}

#[test]
fn the_exchange_of_rfc_7677_is_accepted_and_signed_as_printed() {
    let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let client_last = |proof: &str| format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}");
    let last = |password, proof: &str| last(Digest::Sha256, password, said, &client_last(proof));
    assert_eq!(last("pencil", proof).as_deref(), Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    assert_eq!(last("pen", proof), None);
    assert_eq!(last("pencil", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR="), None);
}
