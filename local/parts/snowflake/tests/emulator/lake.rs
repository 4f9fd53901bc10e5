//! The lake's bucket in memory, as the functions see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_core::{
    Result,
    port::{Deletion, Listing, ObjectStore, PutIfAbsent, Stored},
};

use crate::support::Objects;

/// The objects that the emulator's stage reads.
pub(crate) struct Lake(pub(crate) Objects);

fn below<'a>(objects: &'a BTreeMap<String, Vec<u8>>, prefix: &'a str) -> impl Iterator<Item = &'a String> {
    objects.range(prefix.to_owned()..).map(|(key, _)| key).take_while(move |key| key.starts_with(prefix))
}

impl Listing for Lake {
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let objects = self.0.lock().expect("objects");
        Ok(below(&objects, prefix).cloned().collect())
    }
}

impl Deletion for Lake {
    async fn delete(&self, key: &str) -> Result<()> {
        self.0.lock().expect("objects").remove(key);
        Ok(())
    }
}

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.0.lock().expect("objects").insert(key.to_owned(), body.to_vec());
        Ok(Stored { checksum: "x".into() })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        if self.0.lock().expect("objects").contains_key(key) {
            return Ok(PutIfAbsent::Exists);
        }
        self.put(key, body).await.map(PutIfAbsent::Stored)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.lock().expect("objects").get(key).cloned().map(Bytes::from))
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Ok(below(&self.0.lock().expect("objects"), prefix).next().cloned())
    }
}
