//! Kafka's types as requests and answers write them in the versions that are used here, none of which is "flexible".

use sluice_core::{Error, Result};

/// What a request says behind its header.
#[derive(Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn i8(mut self, number: i8) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn i16(mut self, number: i16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn i32(mut self, number: i32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn flag(self, flag: bool) -> Self {
        self.i8(i8::from(flag))
    }

    /// Texts here are names of topics and settings, which a check before has found to be short.
    pub(super) fn text(self, text: &str) -> Self {
        let mut body = self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        body.0.extend(text.as_bytes());
        body
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut body = self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        body.0.extend(bytes);
        body
    }

    /// A list that is there and has these items.
    pub(super) fn list<T>(self, items: &[T], mut put: impl FnMut(Self, &T) -> Self) -> Self {
        let body = self.i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
        items.iter().fold(body, &mut put)
    }

    /// A list that is not there, which is not an empty one.
    pub(super) fn no_list(self) -> Self {
        self.i32(-1)
    }
}

/// What is left to read of an answer.
pub(super) struct Answer<'a>(pub(super) &'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| Error::invalid_data("a broker's answer ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Error::internal("a slice has another length than was taken"))
    }

    pub(super) fn i8(&mut self) -> Result<i8> {
        self.number().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        self.number().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.number().map(i32::from_be_bytes)
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    pub(super) fn text(&mut self) -> Result<String> {
        Ok(self.nullable_text()?.unwrap_or_default())
    }

    pub(super) fn nullable_text(&mut self) -> Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        let bytes = self.take(length)?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.i32()?).unwrap_or_default();
        self.take(length).map(<[u8]>::to_vec)
    }

    /// A list, which may be absent.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or_default();
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_a_short_answer_is_told() {
        let body =
            Body::default().i32(7).text("größe").flag(true).list(&["a", "b"], |body, item| body.text(item)).no_list();
        let mut answer = Answer(&body.0);
        assert_eq!(
            (answer.i32().ok(), answer.text().ok(), answer.flag().ok()),
            (Some(7), Some("größe".into()), Some(true))
        );
        assert_eq!(answer.list(Answer::text).expect("a list"), ["a", "b"]);
        assert_eq!(answer.list(Answer::text).expect("no list"), [""; 0]);
        for cut in 0..body.0.len() - 4 {
            let mut answer = Answer(&body.0[..cut]);
            let read = answer.i32().and_then(|_| answer.text()).and_then(|_| answer.flag());
            let read = read.and_then(|_| answer.list(Answer::text));
            assert!(read.is_err_and(|error| error.to_string().contains("ends too early")), "{cut}");
        }
    }
}
