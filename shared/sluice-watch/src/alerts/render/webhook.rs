//! Any other webhook: the message's content as JSON, at opening and at resolving.

use serde_json::{Value, json};

use super::{body, headline};
use crate::alerts::content::Content;

pub fn payload(content: &Content) -> Value {
    json!({
        "version": 1,
        "text": headline(content),
        "details": body(content),
        "alert": content,
    })
}
