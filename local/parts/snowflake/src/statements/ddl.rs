//! Tables: they become DuckDB's.

use super::{Session, column_type::column_type, translate};
use crate::{
    account::Kind,
    catalogue,
    failure::Failure,
    lock,
    locks::Access,
    names::{Name, identifier},
    result::ResultSet,
    tokens::{Cursor, Token},
};

/// Everything that follows `CREATE`, where the account knows nothing of it.
pub(super) fn create(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    if cursor.eat("OR REPLACE VIEW") {
        return view(session, cursor);
    }
    if !cursor.eat("TABLE IF NOT EXISTS") {
        return Err(Failure::unsupported("this CREATE"));
    }
    let conn = session.conn;
    let table = in_schema(session, &mut cursor)?;
    let created = catalogue::columns(conn, &session.listed(&table))?.is_none();
    if created {
        let path = table.path();
        session.allowed(|account, access| account.require_create(access, Kind::of("TABLE"), &path))?;
    }
    let (definition, declared) = if cursor.eat("AS") {
        session.require_rows(cursor.rest(), &super::tables_in(cursor.rest()))?;
        (format!("AS {}", translate::to_duckdb(cursor.rest(), session)?), Vec::new())
    } else {
        let (columns, declared) = columns(cursor.group()?)?;
        cursor.end()?;
        (format!("({columns})"), declared)
    };
    conn.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} {definition}", session.table(&table)))?;
    let mut account = lock(&session.shared.account);
    account.made(session, "TABLE", &table)?;
    if created {
        account.set_on_table(&table.path(), declared);
        account.save(session.conn)?;
    }
    let text = if created {
        format!("Table {} successfully created.", table.object)
    } else {
        format!("{} already exists, statement succeeded.", table.object)
    };
    Ok(ResultSet::message("status", text))
}

/// Everything that follows `CREATE OR REPLACE VIEW`. Replacing one takes its owner, and COPY GRANTS leaves who may read it.
fn view(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let view = in_schema(session, &mut cursor)?;
    cursor.expect("COPY GRANTS AS")?;
    let query = cursor.rest();
    session.require_rows(query, &super::tables_in(query))?;
    match catalogue::columns(session.conn, &session.listed(&view))? {
        None => session.allowed(|account, access| account.require_create(access, Kind::of("VIEW"), &view.path()))?,
        Some(_) => {
            session.allowed(|account, access| account.require(access, "OWNERSHIP", Kind::of("VIEW"), &view.path()))?;
        }
    }
    let query = translate::to_duckdb(query, session)?;
    session.conn.execute_batch(&format!("CREATE OR REPLACE VIEW {} AS {query}", session.table(&view)))?;
    lock(&session.shared.account).made(session, "VIEW", &view)?;
    Ok(ResultSet::message("status", format!("View {} successfully created.", view.object)))
}

/// Everything that follows `COMMENT ON TABLE`.
pub(super) fn comment(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let table = in_schema(session, &mut cursor)?;
    cursor.expect("IS")?;
    let comment = cursor.text()?.to_owned();
    let text = comment.replace('\'', "''");
    cursor.end()?;
    owned(session, &table)?;
    if catalogue::columns(session.conn, &session.listed(&table))?.is_none() {
        return Err(Failure::missing("Table", &table));
    }
    session.conn.execute_batch(&format!("COMMENT ON TABLE {} IS '{text}'", session.table(&table)))?;
    let mut account = lock(&session.shared.account);
    account.set_on_table(&table.path(), [("COMMENT".to_owned(), comment)]);
    account.save(session.conn)?;
    Ok(ResultSet::message("status", "Statement executed successfully."))
}

/// Everything that follows `ALTER TABLE`: a new column, or more digits of a number. What Snowflake refuses is refused.
pub(super) fn alter(session: &mut Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let table = in_schema(session, &mut cursor)?;
    owned(session, &table)?;
    session.enter(&table, Access::Alter)?;
    let columns =
        catalogue::columns(session.conn, &session.listed(&table))?.ok_or_else(|| Failure::missing("Table", &table))?;
    let (change, declared) = if cursor.eat("ADD COLUMN IF NOT EXISTS") {
        let column = column_name(&mut cursor)?;
        let (duckdb, declared) = declared_type(&column, &mut cursor)?;
        let is_new = !columns.iter().any(|held| held.name == column);
        let change = format!("ADD COLUMN IF NOT EXISTS {} {duckdb}", identifier(&column));
        (change, declared.filter(|_| is_new))
    } else {
        cursor.expect("ALTER COLUMN")?;
        let column = cursor.identifier()?;
        cursor.expect("SET DATA TYPE")?;
        let (wanted, declared) = declared_type(&column, &mut cursor)?;
        let held = columns.iter().find(|held| held.name == column);
        let held = &held.ok_or_else(|| Failure::syntax(format!("invalid identifier '{column}'")))?.data_type;
        if !only_wider(held, &wanted) {
            return Err(Failure::new(
                "002108",
                "22000",
                format!("cannot change column {column} from {held} to {wanted}"),
            ));
        }
        (format!("ALTER COLUMN {} SET DATA TYPE {wanted}", identifier(&column)), declared)
    };
    cursor.end()?;
    session.conn.execute_batch(&format!("ALTER TABLE {} {change}", session.table(&table)))?;
    if let Some(declared) = declared {
        let mut account = lock(&session.shared.account);
        account.set_on_table(&table.path(), [declared]);
        account.save(session.conn)?;
    }
    Ok(ResultSet::message("status", "Statement executed successfully."))
}

/// Whether a number only gets more digits and keeps its decimals.
fn only_wider(held: &str, wanted: &str) -> bool {
    let number = |text: &str| -> Option<(u8, u8)> {
        if text == "BIGINT" {
            return Some((19, 0));
        }
        let (precision, scale) = text.strip_prefix("DECIMAL(")?.strip_suffix(')')?.split_once(',')?;
        Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
    };
    match (number(held), number(wanted)) {
        (Some((held, decimals)), Some((wanted, wanted_decimals))) => decimals == wanted_decimals && held <= wanted,
        _ => false,
    }
}

/// `TEMPORARY TABLE`, after `CREATE OR REPLACE`: it belongs to the session.
pub(super) fn create_temporary(session: &mut Session<'_>, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    let table = in_schema(session, cursor)?;
    let (columns, _) = columns(cursor.group()?)?;
    cursor.end()?;
    session.make_temporary(table.clone());
    Ok(session
        .conn
        .execute_batch(&format!("CREATE OR REPLACE TEMPORARY TABLE {} ({columns})", session.table(&table)))?)
}

/// What follows `DROP TABLE IF EXISTS`: the side table of a replay, and no other.
pub(super) fn drop_side_table(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let table = in_schema(session, &mut cursor)?;
    cursor.end()?;
    if !table.object.contains("__REPLAY_") {
        return Err(Failure::unsupported(format!("DROP TABLE of {table}, which is no replay's side table")));
    }
    let existed = catalogue::columns(session.conn, &session.listed(&table))?.is_some();
    if existed {
        owned(session, &table)?;
    }
    session.conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", session.table(&table)))?;
    let mut account = lock(&session.shared.account);
    account.remove(Kind::of("TABLE"), &table.path());
    account.save(session.conn)?;
    let text = if existed { "successfully dropped." } else { "already dropped, statement succeeded." };
    Ok(ResultSet::message("status", format!("{} {text}", table.object)))
}

/// Refuses a table whose owner is none of the session's roles.
fn owned(session: &Session<'_>, table: &Name) -> Result<(), Failure> {
    let path = table.path();
    session.allowed(|account, access| account.require(access, "OWNERSHIP", Kind::of("TABLE"), &path))
}

/// A name whose schema must be there.
fn in_schema(session: &Session<'_>, cursor: &mut Cursor<'_>) -> Result<Name, Failure> {
    let name = cursor.name()?;
    if catalogue::has_schema(session.conn, &name)? {
        return Ok(name);
    }
    Err(Failure::missing("Schema", format!("{}.{}", name.database, name.schema)))
}

/// The columns as DuckDB takes them, and the types that it has no name for.
fn columns(list: &[Token]) -> Result<(String, Vec<(String, String)>), Failure> {
    let mut cursor = Cursor::new(list);
    let (mut columns, mut known) = (Vec::new(), Vec::new());
    loop {
        let column = column_name(&mut cursor)?;
        let (duckdb, declared) = declared_type(&column, &mut cursor)?;
        known.extend(declared);
        let null = if cursor.eat("NOT NULL") { " NOT NULL" } else { "" };
        columns.push(format!("{} {duckdb}{null}", identifier(&column)));
        if !cursor.eat(",") {
            cursor.end()?;
            return Ok((columns.join(", "), known));
        }
    }
}

/// A column's type in DuckDB, and the digits of a whole number of other than 19, under the name by which DESCRIBE finds it.
fn declared_type(column: &str, cursor: &mut Cursor<'_>) -> Result<(String, Option<(String, String)>), Failure> {
    let digits = match cursor.rest() {
        [number, open, Token::Number(digits), ..] if number.is("NUMBER") && open.is("(") => Some(digits.clone()),
        _ => None,
    };
    let duckdb = column_type(cursor)?;
    let digits = digits.filter(|digits| duckdb == "BIGINT" && digits != "19");
    Ok((duckdb, digits.map(|digits| (format!("TYPE {column}"), format!("NUMBER({digits},0)")))))
}

/// Names that Snowflake reserves: no column can have one, in quotes or not.
const NO_COLUMNS: [&str; 6] =
    ["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "LOCALTIME", "LOCALTIMESTAMP"];

/// The name of a column that is made.
fn column_name(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let name = cursor.identifier()?;
    if name.is_empty() || NO_COLUMNS.contains(&name.as_str()) {
        return Err(Failure::syntax(format!("unexpected '{name}' where a column's name should be")));
    }
    if name.chars().count() > 255 {
        return Err(Failure::new("001001", "22000", "a column's name is longer than 255 characters"));
    }
    Ok(name)
}
