//! Texts of people in columns of a terminal, where one letter may be two places wide and another none.

use unicode_width::UnicodeWidthChar;

/// The text in a column of this width: cut where it is too long, filled up where it is short.
pub(crate) fn cell(text: &str, places: usize) -> String {
    let (mut cell, mut taken) = (String::new(), 0);
    for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        let width = letter.width().unwrap_or(0);
        if taken + width > places {
            break;
        }
        cell.push(letter);
        taken += width;
    }
    cell.push_str(&" ".repeat(places - taken));
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_columns_whatever_the_letters() {
        for (text, expected) in [
            ("Ada", "Ada   "),
            ("Grace Hopper", "Grace "),
            ("山田", "山田  "),
            ("山田太郎", "山田太"),
            ("a山田太郎", "a山田 "),
            ("Zoe\u{308}", "Zoe\u{308}   "),
            ("a\nb", "a b   "),
        ] {
            assert_eq!(cell(text, 6), expected);
        }
    }
}
