//! What the lake relies on of S3, shown on two servers that share no code: the emulator of one machine and SeaweedFS.

mod damage;
mod server;

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::Client as Secrets;
use bytes::Bytes;
use damage::Damage;
use futures::future::join_all;
use server::{Kind, Server};
use sluice_aws::{S3Lake, SecretAges};
use sluice_core::{
    Error, Result,
    port::{Content, Deletion, Erasure, Listing, ObjectStore, PutIfAbsent},
};

const BOTH: [Kind; 2] = [Kind::Ministack, Kind::SeaweedFs];

/// Runs a check on a lake of each server.
async fn on_both(check: impl AsyncFn(S3Lake, Kind)) {
    for kind in BOTH {
        let server = Server::start(kind).await;
        check(server.lake(), kind).await;
    }
}

/// Pieces of six mebibytes, of which a look at the lake follows each; may break off after the last.
struct Watched<'a> {
    lake: &'a S3Lake,
    left: u8,
    breaks_off: bool,
    /// Whether the key was there while its content was made.
    was_seen: bool,
}

impl Content for Watched<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        self.was_seen |= self.lake.first_key("raw/large").await?.is_some();
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(Some(Bytes::from(vec![left; 6 << 20])))
            }
            None if self.breaks_off => Err(Error::unavailable("the source broke off")),
            None => Ok(None),
        }
    }
}

#[tokio::test]
async fn a_secret_is_as_old_as_its_value_whatever_else_is_changed() {
    let server = Server::start(Kind::Ministack).await;
    let (client, ages) = (Secrets::new(server.config()), SecretAges::new(server.config()));
    assert_eq!(ages.changed_at("stack/one").await.expect("an answer"), None);
    client.create_secret().name("stack/one").secret_string("{}").send().await.expect("a secret");
    let given = ages.changed_at("stack/one").await.expect("an answer").expect("a time");
    // Dates have seconds: described again until the secret's own date is another.
    let mut is_later = false;
    for _ in 0..1_000 {
        client.update_secret().secret_id("stack/one").description("another").send().await.expect("described");
        let described = client.describe_secret().secret_id("stack/one").send().await.expect("an answer");
        is_later = described.last_changed_date().is_some_and(|at| at.secs() > given.timestamp());
        if is_later {
            break;
        }
    }
    assert!(is_later, "else nothing tells the two dates apart");
    assert_eq!(ages.changed_at("stack/one").await.expect("an answer"), Some(given));
}

#[tokio::test]
async fn of_commits_put_at_once_exactly_one_is_stored_and_read_by_all() {
    on_both(async |lake, kind| {
        // Beside one another: a loser that is told to ask again waits.
        let rounds = (0..20).map(async |round| {
            let key = format!("raw/log/{round}.json");
            let puts = (0..16_u8).map(|writer| {
                let (lake, key) = (lake.clone(), key.clone());
                tokio::spawn(async move { (writer, lake.put_if_absent(&key, Bytes::from(vec![writer; 100])).await) })
            });
            let answers: Vec<(u8, Result<PutIfAbsent>)> =
                join_all(puts).await.into_iter().map(|one| one.unwrap()).collect();
            let is_stored = |answer: &Result<PutIfAbsent>| matches!(answer, Ok(PutIfAbsent::Stored(_)));
            let winners: Vec<u8> =
                answers.iter().filter(|(_, one)| is_stored(one)).map(|(writer, _)| *writer).collect();
            let lost = answers.iter().filter(|(_, one)| matches!(one, Ok(PutIfAbsent::Exists))).count();
            let [winner] = winners[..] else { panic!("{kind:?}: {winners:?} believe that they have won") };
            assert_eq!(lost, 15, "{kind:?}: {answers:?}");
            let read = lake.get(&key).await.unwrap();
            assert_eq!(read, Some(Bytes::from(vec![winner; 100])), "{kind:?}");
        });
        join_all(rounds).await;
    })
    .await;
}

#[tokio::test]
async fn a_large_object_is_seen_whole_or_not_at_all() {
    on_both(async |lake, kind| {
        let mut broken = Watched { lake: &lake, left: 3, breaks_off: true, was_seen: false };
        assert!(lake.put_content("raw/large", &mut broken).await.is_err(), "{kind:?}");
        assert_eq!((broken.was_seen, lake.get("raw/large").await.unwrap()), (false, None), "{kind:?}");
        let mut whole = Watched { lake: &lake, left: 3, breaks_off: false, was_seen: false };
        lake.put_content("raw/large", &mut whole).await.unwrap();
        assert!(!whole.was_seen, "{kind:?} shows a part of an object");
        let read = lake.get("raw/large").await.unwrap().expect("the object");
        let expected: Vec<u8> = [2, 1, 0].into_iter().flat_map(|piece| vec![piece; 6 << 20]).collect();
        assert!(read == expected, "{kind:?} answers {} bytes that differ", read.len());
    })
    .await;
}

#[tokio::test]
async fn what_was_put_is_listed_at_once_in_byte_order_over_pages() {
    on_both(async |lake, kind| {
        let keys: BTreeSet<String> =
            (0..1_203).map(|at| format!("raw/log/{:020}.json", at * 7_919 % 100_000)).collect();
        for chunk in keys.iter().rev().collect::<Vec<_>>().chunks(50) {
            let puts = chunk.iter().map(|key| lake.put(key, Bytes::from_static(b"{}")));
            join_all(puts).await.into_iter().for_each(|put| drop(put.unwrap()));
            let first = lake.first_key("raw/log/").await.unwrap();
            assert_eq!(first.as_ref(), chunk.last().copied(), "{kind:?} lists a put later than it answers it");
        }
        let listed = lake.keys("raw/log/").await.unwrap();
        assert!(listed.iter().eq(&keys), "{kind:?} lists {} of {} keys, or in another order", listed.len(), keys.len());
        assert_eq!(lake.keys("raw/lo/").await.unwrap(), [""; 0], "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn an_erased_object_has_no_version_left_and_may_be_put_again() {
    on_both(async |lake, kind| {
        let put =
            async |text: &'static str| lake.put_if_absent("raw/x", Bytes::from_static(text.as_bytes())).await.unwrap();
        lake.put("raw/x2", Bytes::from_static(b"another")).await.unwrap();
        assert!(matches!(put("first").await, PutIfAbsent::Stored(_)), "{kind:?}");
        assert!(matches!(put("second").await, PutIfAbsent::Exists), "{kind:?}");
        lake.delete("raw/x").await.unwrap();
        lake.delete("raw/x").await.unwrap();
        assert_eq!(lake.get("raw/x").await.unwrap(), None, "{kind:?}");
        assert!(matches!(put("third").await, PutIfAbsent::Stored(_)), "{kind:?}: a deleted object is in the way");
        lake.erase("raw/x").await.unwrap();
        assert_eq!(lake.keys("raw/x").await.unwrap(), ["raw/x2"], "{kind:?}");
        assert!(matches!(put("fourth").await, PutIfAbsent::Stored(_)), "{kind:?}");
        assert_eq!(lake.get("raw/x2").await.unwrap(), Some(Bytes::from_static(b"another")), "{kind:?}");
    })
    .await;
}

/// Three parts, each full of a word that is damaged on its way.
struct Words(u8);

impl Content for Words {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        Ok(left.map(|_| Bytes::from(b"WHOLE".repeat(6 << 18))))
    }
}

#[tokio::test]
async fn a_body_that_is_damaged_on_its_way_is_refused() {
    for kind in BOTH {
        let server = Server::start(kind).await;
        let word = Damage { from: b"WHOLE", to: b"WHALE" };
        let lake = server.damaged(word).await;
        let body = || Bytes::from(b"WHOLE".repeat(200));
        for (what, refused) in [
            ("a put", lake.put("raw/x", body()).await.map(drop)),
            ("a put that is to be the first", lake.put_if_absent("raw/x", body()).await.map(drop)),
            ("a part", lake.put_content("raw/x", &mut Words(3)).await.map(drop)),
        ] {
            let error = refused.expect_err(&format!("{kind:?} takes {what} that is damaged"));
            assert_eq!(error.kind(), sluice_core::Kind::Unavailable, "{kind:?} refuses {what}: {}", error.chain());
        }
        // The list of parts is protected by its signed SHA-256 alone, which S3 compares and SeaweedFS does not.
        if kind == Kind::Ministack {
            let part = Damage { from: b"<PartNumber>2<", to: b"<PartNumber>3<" };
            let refused = server.damaged(part).await.put_content("raw/x", &mut Words(3)).await;
            assert!(refused.is_err(), "{kind:?} takes the end of an upload that is damaged");
        }
        let lake = server.lake();
        assert_eq!(lake.get("raw/x").await.unwrap(), None, "{kind:?} has kept what was damaged");
        lake.put("raw/x", body()).await.unwrap();
        assert_eq!(lake.get("raw/x").await.unwrap(), Some(body()), "{kind:?}");
    }
}
