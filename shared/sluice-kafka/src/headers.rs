//! Header bytes in every form that Lambda has been seen to send them.
//!
//! A list of one-entry objects `{name: bytes}`, or an object of such entries numbered "0", "1", …; the bytes are a
//! list or again numbered entries, of integers (from -128 to 255: the JVM's bytes are signed) or of their decimal text. Of a
//! header without a value Lambda sends an entry without a name, `{}`: there is nothing left to keep.

use bytes::Bytes;
use serde_json::Value;
use sluice_core::record::Header;

/// Never fails: a header in an unknown form keeps its JSON text as value, for a header must not stop a stream.
pub(crate) fn decode(headers: Value) -> Vec<Header> {
    entries(headers)
        .into_iter()
        .flat_map(|entry| match entry {
            Value::Object(pairs) => pairs.into_iter().map(|(name, value)| (name, decode_bytes(value))).collect(),
            Value::Null => Vec::new(),
            other => vec![(String::new(), Some(other.to_string().into()))],
        })
        .collect()
}

fn decode_bytes(value: Value) -> Option<Bytes> {
    match &value {
        Value::Null => None,
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            let bytes: Option<Vec<u8>> = entries(value).iter().map(decode_byte).collect();
            Some(bytes.map_or_else(|| text.into(), Bytes::from))
        }
        other => Some(other.to_string().into()),
    }
}

fn decode_byte(value: &Value) -> Option<u8> {
    let number = match value {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    u8::try_from(number).ok().or_else(|| i8::try_from(number).ok().map(i8::cast_unsigned))
}

/// The items of a list, or of an object that numbers them. Any other object is a single item.
fn entries(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        Value::Object(map) => {
            let numbers: Option<Vec<usize>> = map.keys().map(|key| key.parse().ok()).collect();
            match numbers {
                Some(numbers) => {
                    let mut items: Vec<(usize, Value)> =
                        numbers.into_iter().zip(map.into_iter().map(|(_, v)| v)).collect();
                    items.sort_by_key(|(number, _)| *number);
                    items.into_iter().map(|(_, item)| item).collect()
                }
                None => vec![Value::Object(map)],
            }
        }
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header(name: &str, value: &[u8]) -> Header {
        (name.into(), Some(Bytes::copy_from_slice(value)))
    }

    #[test]
    fn every_known_form_of_a_header_gives_the_same_bytes() {
        let expected = vec![header("trace", &[104, 195, 171])];
        for form in [
            json!([{"trace": [104, -61, -85]}]),
            json!([{"trace": [104, 195, 171]}]),
            json!([{"trace": ["104", "-61", "171"]}]),
            json!([{"trace": {"0": 104, "2": 171, "1": "195"}}]),
            json!({"0": {"trace": [104, 195, 171]}}),
            json!({"trace": [104, 195, 171]}),
        ] {
            assert_eq!(decode(form.clone()), expected, "{form}");
        }
    }

    #[test]
    fn order_and_repeats_are_kept_and_ten_follows_nine() {
        let headers = decode(json!([{"b": [1]}, {"a": [2]}, {"b": []}]));
        assert_eq!(headers, [header("b", &[1]), header("a", &[2]), header("b", &[])]);
        let numbered: serde_json::Map<String, Value> = (0..11).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(decode(json!([{ "n": numbered }])), [header("n", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]);
    }

    #[test]
    fn what_is_not_understood_is_kept_as_text_and_null_stays_null() {
        assert_eq!(decode(json!([{"a": [300]}, {"b": "plain"}])), [header("a", b"[300]"), header("b", b"\"plain\"")]);
        assert_eq!(decode(json!([{}, {"a": [1]}, {}])), [header("a", &[1])], "what Lambda makes of a null");
        assert_eq!(decode(json!([{"a": null}])), [("a".into(), None)]);
        assert_eq!(decode(json!(null)), []);
    }
}
