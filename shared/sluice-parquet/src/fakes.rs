//! The lake of the tests.

use std::{cell::RefCell, collections::BTreeMap};

use bytes::Bytes;
use sluice_core::{
    Error, Result,
    port::{Content, ObjectStore, PutIfAbsent, Stored},
};

/// Takes content piece by piece, as a store with uploads in parts does; may refuse after some pieces.
#[derive(Default)]
pub(crate) struct Lake {
    pub objects: RefCell<BTreeMap<String, Bytes>>,
    pub pieces_before_failing: Option<usize>,
}

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.objects.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: format!("checksum of {key}") })
    }

    async fn put_content(&self, key: &str, content: &mut impl Content) -> Result<Stored> {
        let mut body = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = content.next().await? {
            if self.pieces_before_failing == Some(pieces) {
                return Err(Error::unavailable("the store refused a part"));
            }
            pieces += 1;
            body.extend_from_slice(&piece);
        }
        self.put(key, Bytes::from(body)).await
    }

    async fn put_if_absent(&self, _: &str, _: Bytes) -> Result<PutIfAbsent> {
        Err(Error::internal("a writer never commits"))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.objects.borrow().get(key).cloned())
    }

    async fn first_key(&self, _: &str) -> Result<Option<String>> {
        Err(Error::internal("a writer never lists"))
    }
}
