//! What a read asks the server beside its rows.
//!
//! Much of it a managed server refuses, or a role may not know: Aurora has no control file to be asked for a timeline, a pooler
//! in front has no replies to some questions at all. What is refused is unknown, and the read goes on with what is known.

use sluice_core::Result;
use tokio_postgres::{Row, types::ToSql};

use crate::{
    client::Session,
    error::{classify, is_refusal},
    position::{Snapshot, TableState},
    sql,
};

/// What stands for a part of an identity that the server does not tell. The tables' identity and the counter's direction
/// remain as the signs of another history.
const UNKNOWN: &str = "unknown";

/// The cluster and its timeline. Asked before the transaction, which a refusal would end.
pub(crate) async fn identity(session: &Session) -> Result<String> {
    let part = async |statement| -> Result<Option<String>> {
        let answer = session.client.query_one(statement, &[]).await.map(Some);
        let row = known(answer, "cannot ask for the server's identity")?;
        row.map(|row| row.try_get(0)).transpose().map_err(|error| classify(error, "cannot read the server's identity"))
    };
    Ok(match (part(sql::SYSTEM).await?, part(sql::TIMELINE).await?) {
        (None, None) => UNKNOWN.to_owned(),
        (system, timeline) => {
            let text = |part: Option<String>| part.unwrap_or_else(|| UNKNOWN.to_owned());
            format!("{}/{}", text(system), text(timeline))
        }
    })
}

/// For how many seconds the oldest writing transaction has been open; `None` without one, and where the role may not see it.
/// Asked before the transaction for the same reason.
pub(crate) async fn oldest_transaction(session: &Session) -> Result<Option<i64>> {
    let attempted = "cannot ask for the oldest transaction";
    let row = known(session.client.query_opt(sql::OLDEST_TRANSACTION, &[]).await, attempted)?;
    row.map_or(Ok(None), |row| row.try_get(0)).map_err(|error| classify(error, attempted))
}

pub(crate) async fn snapshot(session: &Session) -> Result<Snapshot> {
    let failed = |error| classify(error, "cannot take a snapshot");
    let row = session.client.query_one(sql::SNAPSHOT, &[]).await.map_err(failed)?;
    Snapshot::new(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)
}

/// The table's files and its sequence, and whether it may have long values: where that is unknown, it may.
pub(crate) async fn table_state(
    session: &Session,
    schema: &str,
    table: &str,
    cursor: &str,
) -> Result<(TableState, bool)> {
    let failed = |error| classify(error, "cannot read the state of the source's table");
    let files = within(session, sql::FILES, &[&schema, &table]).await?;
    let sequence = within(session, sql::SEQUENCE, &[&schema, &table, &cursor]).await?;
    let state = TableState {
        files: files.as_ref().map_or(Ok(None), |row| row.try_get("files")).map_err(failed)?,
        sequence: sequence.map_or(Ok(None), |row| row.try_get("last_value")).map_err(failed)?,
    };
    let has_long_values: Option<bool> = files.map_or(Ok(None), |row| row.try_get("has_long_values")).map_err(failed)?;
    Ok((state, has_long_values.unwrap_or(true)))
}

/// Asks within the transaction, which goes on after a refusal.
async fn within(session: &Session, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>> {
    let failed = |error| classify(error, "cannot ask the server about the source's table");
    session.client.batch_execute(sql::MAY_FAIL).await.map_err(failed)?;
    let answer = match session.client.query_opt(statement, parameters).await {
        Err(error) if is_refusal(&error) => {
            session.client.batch_execute(sql::HAS_FAILED).await.map_err(failed)?;
            None
        }
        answer => answer.map_err(failed)?,
    };
    session.client.batch_execute(sql::NO_MORE_MAY_FAIL).await.map_err(failed)?;
    Ok(answer)
}

fn known(answer: std::result::Result<Option<Row>, tokio_postgres::Error>, attempted: &str) -> Result<Option<Row>> {
    match answer {
        Err(error) if is_refusal(&error) => {
            tracing::debug!(error = %classify(error, attempted).chain(), "the server does not tell");
            Ok(None)
        }
        answer => answer.map_err(|error| classify(error, attempted)),
    }
}
