//! Any other webhook: the message's content as JSON, at opening and at resolving.

use serde_json::{Value, json};

use super::{body, headline};
use crate::alerts::board::Message;

pub fn payload(message: &Message) -> Value {
    let content = &message.content;
    json!({
        "version": 1,
        "delivery": message.delivery,
        "text": headline(content),
        "details": body(content),
        "alert": content,
    })
}
