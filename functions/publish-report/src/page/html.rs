//! Texts in HTML.

/// A text between tags.
pub(super) fn text(text: &str) -> String {
    escaped(text)
}

/// A text in an attribute between double quotes.
pub(super) fn attribute(text: &str) -> String {
    escaped(text)
}

/// One rule for both places: what is safe in an attribute is safe between tags.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
