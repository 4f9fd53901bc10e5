//! What Snowflake's codes mean for a caller: the one place that looks at them.
//!
//! A code decides before an SQLSTATE, and an SQLSTATE before the HTTP status. What is unknown is permanent: to repeat
//! what we do not understand is how a function spends its fifteen minutes. It is not final: only a refused value and a
//! block's own verdict are, and everything else may load once somebody has mended its cause. SQLSTATE 22000 is the
//! warehouse's word for its surroundings (stage, keys, quotas) and never one for data.

use serde::Deserialize;
use sluice_core::{Error, Kind, Retry};
use sluice_http::Response;

use crate::sql::{load::ROWS_MISMATCH, replay::ARCHIVE_LACKS_ROWS};

/// The longest part of a vendor's message that is kept.
const MESSAGE_CHARS: usize = 400;

/// Classifies a refusal of the SQL API, of Snowpipe, or of the token exchange.
pub fn classify(status: u16, code: Option<&str>, sqlstate: Option<&str>, message: &str) -> Error {
    let (kind, retry) =
        code.and_then(by_code).or_else(|| sqlstate.and_then(by_sqlstate)).unwrap_or_else(|| by_status(status));
    let hint = code.and_then(|code| hint(code, message));
    // A message about a value may quote the value; what our own block raises never does.
    let raised = code == Some(ROWS_MISMATCH) || sqlstate == Some("P0001");
    let of_a_value =
        kind == Kind::InvalidData || (kind != Kind::Internal && code.is_some_and(|code| code.starts_with("100")));
    let text = if of_a_value && !raised {
        "a value was refused; the query history shows it".to_owned()
    } else if message.is_empty() {
        "the warehouse gave no reason".to_owned()
    } else {
        format!("the warehouse says: {}", message.chars().take(MESSAGE_CHARS).collect::<String>())
    };
    let mut error = Error::new(kind, text).with_retry(retry).with("status", status);
    if let Some(code) = code {
        error = error.with("code", code);
    }
    if let Some(sqlstate) = sqlstate {
        error = error.with("sqlstate", sqlstate);
    }
    if let Some(hint) = hint {
        error = error.with_hint(hint);
    }
    // Nothing above says InvalidData but of a value, or of rows that are not those of the commit.
    if kind == Kind::InvalidData { error.as_final() } else { error }
}

/// What to do about a refusal whose kind says too little.
fn hint(code: &str, message: &str) -> Option<&'static str> {
    let denied = ["denied", "403", "forbidden"].iter().any(|word| message.to_lowercase().contains(word));
    Some(match code {
        "091003" if denied => {
            "let the role of the storage integration read the lake (bucket policy, KMS key, trust policy with the \
             integration's user and external id); the sweep loads the commit then"
        }
        "091003" | "091016" => {
            "look at the stage, its storage integration and the bucket; the sweep loads the commit then"
        }
        "000625" => "another statement holds the table; SHOW LOCKS IN ACCOUNT names it, and the load is tried again",
        "000904" => "bring the table's columns and platform/sources.yaml together; the sweep loads the commit then",
        ARCHIVE_LACKS_ROWS => "rows came into the range meanwhile; nothing was changed, call again",
        "090073" => "raise the resource monitor's quota or wait for its next period; the sweep loads the commit then",
        _ if code.starts_with("09") => {
            "look at the object that the message names and at the settings of role, warehouse and stage; the sweep tries again"
        }
        _ => return None,
    })
}

/// Classifies an answer by its JSON body, or by its status alone when the body is something else.
pub(crate) fn of_response(response: &Response) -> Error {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Refusal {
        code: Option<serde_json::Value>,
        sql_state: Option<String>,
        message: Option<String>,
    }
    let refusal: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
    let code = refusal.code.as_ref().map(word);
    classify(
        response.status,
        code.as_deref(),
        refusal.sql_state.as_deref(),
        refusal.message.as_deref().unwrap_or_default(),
    )
}

/// Whether an answer refuses the very token, by its status or, with another status, by its code or by the word of an exchange
/// of tokens (RFC 6749, 5.2). A refusal of what the token's user may do is none.
pub(crate) fn refuses_the_token(response: &Response) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        code: Option<serde_json::Value>,
        error: Option<String>,
    }
    match response.status {
        401 => true,
        400 | 403 => serde_json::from_slice::<Refusal>(&response.body).is_ok_and(|refusal| {
            let code = refusal.code.as_ref().map(word).unwrap_or_default();
            let is_code = matches!(code.as_str(), "390144" | "390303" | "390318") || code.starts_with("39430");
            is_code || matches!(refusal.error.as_deref(), Some("invalid_client" | "invalid_grant"))
        }),
        _ => false,
    }
}

/// A code that may come as text or as a number.
pub(crate) fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn by_code(code: &str) -> Option<(Kind, Retry)> {
    use Retry::{Exhausted, Permanent, Transient};
    Some(match code {
        // Tokens and users.
        "390144" | "390303" | "390318" | "390422" => (Kind::Auth, Permanent),
        "394300" | "394301" | "394302" | "394303" | "394304" | "394305" | "394306" | "394307" => {
            (Kind::Auth, Permanent)
        }
        "003001" => (Kind::Auth, Permanent),
        // Role, warehouse or database of the request.
        "000606" | "390186" | "390189" | "390201" => (Kind::Config, Permanent),
        // Objects.
        "000709" | "002003" | "002043" | "091016" => (Kind::NotFound, Permanent),
        "002002" => (Kind::Conflict, Permanent),
        // A column that is not there: somebody has altered the table.
        "000904" => (Kind::Config, Permanent),
        // The stage's location cannot be read: permissions, keys or the bucket. Worth another delivery.
        "091003" => (Kind::Config, Exhausted),
        // The statement itself: ours, so our fault.
        "000002" | "000006" | "000008" | "001003" | "002139" | "100132" | "390142" | "391902" | "391903" | "391908"
        | "391911" => (Kind::Internal, Permanent),
        // Passing.
        "000603" | "000625" => (Kind::Unavailable, Transient),
        "390505" => (Kind::RateLimited, Transient),
        // Ended by somebody, by a time limit or by a quota: worth another delivery, not another attempt at once.
        "000604" => (Kind::Unavailable, Exhausted),
        "000630" => (Kind::Timeout, Exhausted),
        "090073" => (Kind::RateLimited, Exhausted),
        ROWS_MISMATCH => (Kind::InvalidData, Permanent),
        // The comparison before the swap has seen none, so they have come since.
        ARCHIVE_LACKS_ROWS => (Kind::Conflict, Permanent),
        // The warehouse's surroundings: settings, stages, integrations, quotas.
        _ if code.len() == 6 && code.starts_with("09") => (Kind::Config, Exhausted),
        // A value that its column does not take: not a time, a number or a date, too large, too long, NULL, no JSON.
        "100035" | "100037" | "100038" | "100039" | "100040" | "100046" | "100051" | "100069" | "100071" | "100072"
        | "100074" | "100078" | "100082" | "100096" => (Kind::InvalidData, Permanent),
        _ => return None,
    })
}

fn by_sqlstate(sqlstate: &str) -> Option<(Kind, Retry)> {
    Some(match sqlstate {
        // An exception that a block declares and raises; only ours does.
        "P0001" => (Kind::InvalidData, Retry::Permanent),
        "42S02" | "02000" => (Kind::NotFound, Retry::Permanent),
        "42501" => (Kind::Auth, Retry::Permanent),
        "42601" => (Kind::Internal, Retry::Permanent),
        "57014" => (Kind::Unavailable, Retry::Exhausted),
        "0A000" => (Kind::Internal, Retry::Permanent),
        // Out of range, not a time, division by zero, not a number: of a value, each of them.
        "22003" | "22007" | "22012" | "22018" => (Kind::InvalidData, Retry::Permanent),
        "22000" => (Kind::Unavailable, Retry::Exhausted),
        _ => return None,
    })
}

fn by_status(status: u16) -> (Kind, Retry) {
    let kind = match status {
        // The other side's TLS certificate.
        522 => Kind::Config,
        _ => Kind::of_http_status(status, Kind::Internal),
    };
    (kind, kind.default_retry())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_refusal_has_a_kind_and_a_retry_status() {
        use Retry::{Exhausted, Permanent, Transient};
        type Case = (u16, Option<&'static str>, Option<&'static str>, Kind, Retry);
        let cases: [Case; 57] = [
            (401, Some("390144"), None, Kind::Auth, Permanent),
            (401, Some("390303"), None, Kind::Auth, Permanent),
            (401, Some("390318"), None, Kind::Auth, Permanent),
            (403, Some("390422"), Some("08004"), Kind::Auth, Permanent),
            (401, Some("394304"), None, Kind::Auth, Permanent),
            (422, Some("003001"), Some("42501"), Kind::Auth, Permanent),
            (422, Some("000606"), Some("57P03"), Kind::Config, Permanent),
            (422, Some("390186"), None, Kind::Config, Permanent),
            (422, Some("390201"), Some("08004"), Kind::Config, Permanent),
            (422, Some("002003"), Some("42S02"), Kind::NotFound, Permanent),
            (422, Some("002043"), Some("02000"), Kind::NotFound, Permanent),
            (422, Some("000709"), Some("02000"), Kind::NotFound, Permanent),
            (422, Some("091016"), Some("22000"), Kind::NotFound, Permanent),
            (422, Some("002002"), Some("42710"), Kind::Conflict, Permanent),
            (422, Some("000904"), Some("42000"), Kind::Config, Permanent),
            (422, Some("091003"), Some("22000"), Kind::Config, Exhausted),
            (422, Some("090105"), Some("22000"), Kind::Config, Exhausted),
            (422, Some("090106"), Some("22000"), Kind::Config, Exhausted),
            (422, Some("090084"), Some("22000"), Kind::Config, Exhausted),
            (422, Some("040052"), Some("22000"), Kind::Unavailable, Exhausted),
            (422, Some("100072"), Some("22000"), Kind::InvalidData, Permanent),
            (422, Some("100074"), Some("22000"), Kind::InvalidData, Permanent),
            (422, Some("100082"), Some("22000"), Kind::InvalidData, Permanent),
            (422, Some("100096"), Some("22007"), Kind::InvalidData, Permanent),
            (422, Some("100016"), Some("22000"), Kind::Unavailable, Exhausted),
            (422, None, Some("22003"), Kind::InvalidData, Permanent),
            (422, None, Some("22007"), Kind::InvalidData, Permanent),
            (422, None, Some("22012"), Kind::InvalidData, Permanent),
            (422, None, Some("22018"), Kind::InvalidData, Permanent),
            (422, None, Some("22023"), Kind::Internal, Permanent),
            (422, Some("001003"), Some("42000"), Kind::Internal, Permanent),
            (422, Some("002139"), Some("42601"), Kind::Internal, Permanent),
            (422, Some("000006"), Some("0A000"), Kind::Internal, Permanent),
            (400, Some("390142"), None, Kind::Internal, Permanent),
            (400, Some("391902"), None, Kind::Internal, Permanent),
            (422, Some("000002"), Some("0A000"), Kind::Internal, Permanent),
            (400, Some("391911"), None, Kind::Internal, Permanent),
            (200, Some("391908"), Some("00000"), Kind::Internal, Permanent),
            (422, Some("000603"), Some("XX000"), Kind::Unavailable, Transient),
            (422, Some("000625"), Some("57014"), Kind::Unavailable, Transient),
            (422, Some("000604"), Some("57014"), Kind::Unavailable, Exhausted),
            (408, Some("000630"), Some("57014"), Kind::Timeout, Exhausted),
            (422, Some("090073"), Some("22000"), Kind::RateLimited, Exhausted),
            (429, Some("390505"), None, Kind::RateLimited, Transient),
            (422, Some("100037"), Some("22018"), Kind::InvalidData, Permanent),
            (422, Some("100038"), None, Kind::InvalidData, Permanent),
            (422, Some("100051"), Some("22012"), Kind::InvalidData, Permanent),
            (422, Some("-20001"), Some("P0001"), Kind::InvalidData, Permanent),
            (422, Some("-20001"), None, Kind::InvalidData, Permanent),
            (422, Some("-20002"), Some("P0001"), Kind::Conflict, Permanent),
            (422, None, None, Kind::Internal, Permanent),
            (422, Some("777777"), Some("99999"), Kind::Internal, Permanent),
            (403, None, None, Kind::Auth, Permanent),
            (404, None, None, Kind::NotFound, Permanent),
            (408, None, None, Kind::Timeout, Transient),
            (503, None, None, Kind::Unavailable, Transient),
            (522, None, None, Kind::Config, Permanent),
        ];
        for (status, code, sqlstate, kind, retry) in cases {
            let error = classify(status, code, sqlstate, "m");
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{status} {code:?} {sqlstate:?}");
            assert_eq!(error.is_final(), kind == Kind::InvalidData, "{status} {code:?} {sqlstate:?}");
        }
    }

    #[test]
    fn a_lake_that_cannot_be_read_is_no_bad_data_and_says_what_to_do() {
        let message = "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]";
        let error = classify(422, Some("091003"), Some("22000"), message);
        assert!(!error.is_final() && error.chain().contains("Access Denied"), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("storage integration")), "{:?}", error.hint());
    }

    #[test]
    fn a_message_about_a_value_is_withheld_and_others_are_kept() {
        let quoting = classify(422, Some("100038"), Some("22018"), "Numeric value 's3cret' is not recognized");
        assert!(!quoting.chain().contains("s3cret"), "{quoting}");
        let missing = classify(422, Some("002003"), Some("42S02"), "Object 'X' does not exist or not authorized.");
        assert!(missing.chain().contains("Object 'X'"), "{missing}");
        let mismatch = classify(422, Some("-20001"), Some("P0001"), "rows loaded differ from rows committed");
        assert!(mismatch.chain().contains("rows loaded differ"), "{mismatch}");
    }

    #[test]
    fn a_token_is_refused_by_status_code_or_word_and_not_by_a_missing_right() {
        for (status, body, refused) in [
            (401, "", true),
            (400, r#"{"code": "390144", "message": "JWT token is invalid."}"#, true),
            (403, r#"{"code": 390318}"#, true),
            (400, r#"{"error": "invalid_grant"}"#, true),
            (400, r#"{"code": "390142"}"#, false),
            (403, r#"{"code": "390422"}"#, false),
            (403, "", false),
            (422, r#"{"code": "003001"}"#, false),
            (200, r#"{"error": "invalid_grant"}"#, false),
        ] {
            assert_eq!(refuses_the_token(&Response::new(status, body)), refused, "{status} {body}");
        }
    }

    #[test]
    fn a_body_may_hold_the_code_as_a_number_or_be_no_json_at_all() {
        let error = of_response(&Response::new(429, r#"{"code": 390505, "message": "slow"}"#));
        assert_eq!((error.kind(), error.retry()), (Kind::RateLimited, Retry::Transient));
        let error = of_response(&Response::new(502, "<html>"));
        assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Transient));
    }
}
