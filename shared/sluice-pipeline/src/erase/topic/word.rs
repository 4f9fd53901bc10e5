//! Whether a value stands in bytes as itself, and not as a part of a longer one.

/// What joins parts of an address: `jo.ann@x.com` and `ann@x.com.au` are others than `ann@x.com`.
const JOINTS: &[char] = &['.', '_', '%', '+', '-', '@', '\''];

/// Whether a value, in lower case, stands in the bytes, in either case of A to Z, with nothing around it that belongs to the same word. In
/// `binary` a length before it tells its beginning and end as well, since that and what follows it may look like letters.
pub(super) fn stands(bytes: &[u8], value: &str, binary: bool) -> bool {
    let places = bytes.windows(value.len()).enumerate().filter(|(_, part)| part.eq_ignore_ascii_case(value.as_bytes()));
    places.into_iter().any(|(at, _)| {
        let (before, after) = (&bytes[..at], &bytes[at + value.len()..]);
        binary && is_counted(before, value.len()) || !ends_in_word(before) && !begins_with_word(after)
    })
}

/// Whether the length stands before it, as Avro (twice the number) or Protobuf writes it.
fn is_counted(before: &[u8], length: usize) -> bool {
    [2 * length, length].into_iter().any(|mut rest| {
        let mut written = Vec::new();
        while rest >= 0x80 {
            written.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
            rest >>= 7;
        }
        written.push(u8::try_from(rest).unwrap_or_default());
        before.ends_with(&written)
    })
}

fn ends_in_word(bytes: &[u8]) -> bool {
    let end = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MOST)..]);
    end.trim_end_matches(JOINTS).chars().next_back().is_some_and(char::is_alphanumeric)
}

fn begins_with_word(bytes: &[u8]) -> bool {
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    begin.trim_start_matches(JOINTS).chars().next().is_some_and(char::is_alphanumeric)
}

/// How many bytes around it are looked at.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_longer_value_is_not_the_value() {
        let stands_in = |text: &str| stands(text.as_bytes(), "ann@x.com", false);
        for text in
            ["ann@x.com", "to ANN@X.com.", "{\"a\": \"ann@x.com", "<ann@x.com>,jo@x.com", "joann@x.com ann@x.com"]
        {
            assert!(stands_in(text), "{text}");
        }
        for text in
            ["joann@x.com", "jo.ann@x.com", "jo+ann@x.com", "éann@x.com", "ann@x.com.au", "ann@x.community", "ann@x"]
        {
            assert!(!stands_in(text), "{text}");
        }
    }

    #[test]
    fn a_length_tells_where_a_value_of_binary_data_begins() {
        // A length of 24 to 28 is a digit in Avro.
        let value = "a-rather-long-one@x.com.au";
        let avro = [b"\x02".as_slice(), b"4", value.as_bytes(), b"4more"].concat();
        assert!(stands(&avro, value, true) && !stands(&avro, value, false));
        assert!(stands(b"\x0a\x09ann@x.comx", "ann@x.com", true));
        let long = format!("{}@x.com", "a".repeat(100));
        assert!(stands(&[&[0xd4, 0x01], long.as_bytes(), b"z"].concat(), &long, true));
        assert!(!stands(b"\x16joann@x.com", "ann@x.com", true));
    }
}
