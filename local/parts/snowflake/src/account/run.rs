//! A statement about the account, as it runs.

use super::access::Run;
use crate::{
    failure::Failure,
    request::Request,
    result::ResultSet,
    tokens::{Cursor, Token},
};

/// Runs a statement about the account; `None` if it is about something else.
pub(crate) fn run(request: &Request<'_>, mut cursor: Cursor<'_>, text: &str) -> Result<Option<ResultSet>, Failure> {
    let mut account = crate::lock(&request.shared.account);
    let access = account.access(&request.caller.user, &request.caller.role);
    let mut run = Run { account: &mut account, access, request, text };
    let answer = match cursor.next() {
        Some(Token::Word(verb)) => match verb.as_str() {
            "CREATE" => run.create(cursor),
            "ALTER" => run.alter(cursor),
            "DROP" => run.drop_object(cursor),
            "GRANT" => run.grant_or_revoke(cursor, true).map(Some),
            "REVOKE" => run.grant_or_revoke(cursor, false).map(Some),
            "SHOW" => run.show(cursor),
            "DESC" | "DESCRIBE" => run.describe(cursor).map(Some),
            "SELECT" => run.system_function(cursor),
            _ => Ok(None),
        },
        _ => Ok(None),
    };
    account.save(request.conn)?;
    answer
}
