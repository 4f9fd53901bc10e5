//! What a failure of PostgreSQL or of the way to it means. The table is the one place that knows SQLSTATEs.

use std::{error::Error as StdError, io, iter};

use sluice_core::{Error, Kind};

/// Classifies an error of a session that had been opened.
pub(crate) fn classify(error: tokio_postgres::Error, attempted: &str) -> Error {
    classified(error, attempted, Kind::Internal)
}

/// Classifies an error of opening a session: what is not the network's or the server's doing is the settings'.
pub(crate) fn classify_connect(error: tokio_postgres::Error, attempted: &str) -> Error {
    classified(error, attempted, Kind::Config)
}

/// Classifies an error of reaching the server at all.
pub(crate) fn classify_socket(error: io::Error, attempted: &str) -> Error {
    Error::new(kind_of_cause(&error).unwrap_or(Kind::Unavailable), attempted).because(error)
}

/// Whether the server understood and will not do it, now and the next time. What passes (a connection that ends, a server that
/// is starting, a cancelled statement) is no refusal: the same question has an answer later.
pub(crate) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| !passes(db.code().code()))
}

fn passes(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "40" | "53" | "57"))
}

fn classified(error: tokio_postgres::Error, attempted: &str, otherwise: Kind) -> Error {
    if let Some(db) = error.as_db_error() {
        let code = db.code().code();
        let classified = Error::new(kind_of_sqlstate(code), attempted).with("sqlstate", code);
        // Data and constraint errors quote values of rows, and every error's detail may; a message elsewhere names
        // objects and settings.
        let quotes_values = code.starts_with("22") || code.starts_with("23");
        return if quotes_values { classified } else { classified.because(db.message().to_owned()) };
    }
    let kind = if error.is_closed() { Kind::Unavailable } else { kind_of_cause(&error).unwrap_or(otherwise) };
    Error::new(kind, attempted).because(error)
}

fn kind_of_cause(error: &(dyn StdError + 'static)) -> Option<Kind> {
    let mut causes = iter::successors(Some(error), |&error| error.source());
    let io = causes.find_map(|error| error.downcast_ref::<io::Error>())?;
    let refused_by_tls = io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    Some(match io.kind() {
        _ if refused_by_tls => Kind::Config,
        io::ErrorKind::TimedOut => Kind::Timeout,
        _ => Kind::Unavailable,
    })
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Single codes before their classes.
fn kind_of_sqlstate(code: &str) -> Kind {
    match code {
        // Cancelled: our own statement_timeout, or an operator.
        "57014" => Kind::Timeout,
        // Somebody holds a lock that the read waits for, such as an ALTER TABLE.
        "55P03" => Kind::Timeout,
        "3D000" => Kind::Config,
        // 42501 also says that row security would hide rows: the role may not see all of the table.
        "42501" => Kind::Auth,
        "42P01" | "3F000" => Kind::NotFound,
        "42703" => Kind::SchemaMismatch,
        // A cancelled read of a standby (40001) included.
        "40001" | "40P01" => Kind::Unavailable,
        "0A000" => Kind::Unsupported,
        _ => match code.get(..2).unwrap_or_default() {
            "28" => Kind::Auth,
            // Connections, resources (too many connections), operators (shutdown, start-up), the server's disk.
            "08" | "53" | "57" | "58" => Kind::Unavailable,
            "22" | "23" => Kind::InvalidData,
            _ => Kind::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_sqlstate_has_its_kind() {
        let cases = [
            ("08006", Kind::Unavailable),
            ("28P01", Kind::Auth),
            ("28000", Kind::Auth),
            ("3D000", Kind::Config),
            ("3F000", Kind::NotFound),
            ("42P01", Kind::NotFound),
            ("42703", Kind::SchemaMismatch),
            ("42501", Kind::Auth),
            ("53300", Kind::Unavailable),
            ("55P03", Kind::Timeout),
            ("57014", Kind::Timeout),
            ("57P01", Kind::Unavailable),
            ("57P03", Kind::Unavailable),
            ("58030", Kind::Unavailable),
            ("40001", Kind::Unavailable),
            ("0A000", Kind::Unsupported),
            ("22P02", Kind::InvalidData),
            ("42601", Kind::Internal),
            ("XX000", Kind::Internal),
            ("", Kind::Internal),
        ];
        for (code, expected) in cases {
            assert_eq!(kind_of_sqlstate(code), expected, "{code}");
        }
    }

    #[test]
    fn what_a_managed_server_refuses_does_not_pass_and_an_outage_does() {
        for code in ["55000", "0A000", "42501", "42883", "42P01", "XX000", "58P01", ""] {
            assert!(!passes(code), "{code}");
        }
        for code in ["57014", "57P01", "57P03", "53300", "08006", "40001"] {
            assert!(passes(code), "{code}");
        }
    }

    #[test]
    fn a_cause_below_the_protocol_is_found_in_the_chain() {
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        let cases = [
            (tls, Kind::Config),
            (io::ErrorKind::TimedOut.into(), Kind::Timeout),
            (io::ErrorKind::ConnectionRefused.into(), Kind::Unavailable),
        ];
        for (error, expected) in cases {
            assert_eq!(kind_of_cause(&error), Some(expected), "{error}");
        }
        assert_eq!(kind_of_cause(&std::fmt::Error), None);
    }
}
