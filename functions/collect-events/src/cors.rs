//! Which pages may send events, by the Fetch standard's CORS protocol.

use crate::event::Response;

/// How long a browser may remember the answer to a preflight.
const REMEMBERED_SECONDS: u32 = 600;

/// The origins whose pages may send events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// Origins joined by commas (`https://shop.example`); `*` for all of them; empty for none.
    pub fn parse(text: &str) -> Self {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let (any, listed): (Vec<&str>, Vec<&str>) = parts.partition(|part| *part == "*");
        Origins { any: !any.is_empty(), listed: listed.into_iter().map(str::to_owned).collect() }
    }

    /// A request without an origin does not come from a page, and CORS does not concern it.
    pub fn allow(&self, origin: Option<&str>) -> bool {
        origin.is_none_or(|origin| self.any || self.listed.iter().any(|listed| listed == origin))
    }

    /// Lets the page read the answer. `Vary` stands on every answer: a cache must not give one page another's.
    pub fn open(&self, origin: Option<&str>, response: Response) -> Response {
        let response = response.with("vary", "origin");
        match origin.filter(|origin| self.allow(Some(origin))) {
            Some(origin) => response
                .with("access-control-allow-origin", origin)
                .with("access-control-expose-headers", "retry-after, x-request-id"),
            None => response,
        }
    }

    /// The answer to a preflight of an allowed origin.
    pub fn preflight(&self, methods: &'static str) -> Response {
        Response::empty(204)
            .with("allow", methods)
            .with("access-control-allow-methods", methods)
            .with("access-control-allow-headers", "authorization, content-type, x-api-key")
            .with("access-control-max-age", REMEMBERED_SECONDS.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_are_let_in() {
        let origins = Origins::parse("https://shop.example, http://127.0.0.1:5173");
        for (origin, allowed) in [
            (None, true),
            (Some("https://shop.example"), true),
            (Some("http://127.0.0.1:5173"), true),
            (Some("http://shop.example"), false),
            (Some("https://shop.example.evil"), false),
            (Some("null"), false),
        ] {
            assert_eq!(origins.allow(origin), allowed, "{origin:?}");
            let opened = origins.open(origin, Response::empty(200));
            let expected = origin.filter(|_| allowed);
            assert_eq!(opened.headers.get("access-control-allow-origin").map(String::as_str), expected);
        }
        assert!(Origins::parse("*").allow(Some("https://anywhere.example")));
        assert!(!Origins::parse("").allow(Some("https://anywhere.example")));
    }
}
