//! `CREATE ... IF NOT EXISTS`: tables become DuckDB tables, everything else an entry of the catalogue.

use super::{
    ResultSet, Session,
    column_type::column_type,
    copy::{CopyInto, DEFAULT_NULL},
    tokens::{Cursor, Token, name},
    translate,
};
use crate::{
    catalogue::{self, Kind},
    failure::Failure,
    locks::Access,
    names::{Name, identifier},
};

/// Everything that follows `CREATE`.
pub(super) fn create(session: &Session<'_>, mut cursor: Cursor<'_>, text: &str) -> Result<ResultSet, Failure> {
    let conn = session.conn;
    if cursor.eat("DATABASE IF NOT EXISTS") {
        let database = cursor.identifier()?;
        cursor.end()?;
        return answer("Database", &database, catalogue::put_new(conn, Kind::Database, &database, text)?);
    }
    if cursor.eat("SCHEMA IF NOT EXISTS") {
        let database = cursor.identifier()?;
        cursor.expect(".")?;
        let schema = cursor.identifier()?;
        cursor.end()?;
        if catalogue::get(conn, Kind::Database, &database)?.is_none() {
            return Err(Failure::missing("Database", database));
        }
        let of = name(&[database, schema.clone(), String::new()])?;
        let created = !catalogue::has_schema(conn, &of)?;
        conn.execute_batch(&format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&of.duckdb_schema())))?;
        return answer("Schema", &schema, created);
    }
    if cursor.eat("TABLE IF NOT EXISTS") {
        let table = in_schema(session, &mut cursor)?;
        if cursor.eat("AS") {
            let created = catalogue::columns(conn, &session.listed(&table))?.is_none();
            let query = translate::to_duckdb(cursor.rest(), session)?;
            conn.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} AS {query}", session.table(&table)))?;
            return answer("Table", &table.object, created);
        }
        let columns = columns(cursor.group()?)?;
        cursor.end()?;
        let created = catalogue::columns(conn, &session.listed(&table))?.is_none();
        conn.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} ({columns})", session.table(&table)))?;
        return answer("Table", &table.object, created);
    }
    if cursor.eat("FILE FORMAT IF NOT EXISTS") {
        let format = in_schema(session, &mut cursor)?;
        cursor.expect("TYPE = PARQUET")?;
        let options = format_options(&mut cursor)?;
        let created = catalogue::put_new(conn, Kind::FileFormat, &format.to_string(), &options)?;
        return answer("File format", &format.object, created);
    }
    if cursor.eat("STAGE IF NOT EXISTS") {
        let stage = in_schema(session, &mut cursor)?;
        cursor.expect("URL =")?;
        let url = cursor.text()?;
        cursor.expect("STORAGE_INTEGRATION =")?;
        cursor.identifier()?;
        cursor.expect("FILE_FORMAT =")?;
        cursor.group()?;
        cursor.end()?;
        // The URL is what a COPY needs of a stage.
        return answer("Stage", &stage.object, catalogue::put_new(conn, Kind::Stage, &stage.to_string(), url)?);
    }
    if cursor.eat("PIPE IF NOT EXISTS") {
        let pipe = in_schema(session, &mut cursor)?;
        cursor.expect("AS")?;
        let copy = CopyInto::parse(cursor)?;
        if catalogue::columns(conn, &session.listed(&copy.into))?.is_none() {
            return Err(Failure::missing("Table", &copy.into));
        }
        let created = catalogue::put_new(conn, Kind::Pipe, &pipe.to_string(), text)?;
        if created {
            session.shared.pipes.add(&pipe, copy);
        }
        return answer("Pipe", &pipe.object, created);
    }
    if cursor.eat("STORAGE INTEGRATION IF NOT EXISTS") {
        let integration = cursor.identifier()?;
        return answer("Integration", &integration, catalogue::put_new(conn, Kind::Integration, &integration, text)?);
    }
    Err(Failure::unsupported("this CREATE"))
}

/// Everything that follows `ALTER FILE FORMAT`.
pub(super) fn alter_format(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let format = in_schema(session, &mut cursor)?;
    cursor.expect("SET")?;
    let options = format_options(&mut cursor)?;
    if catalogue::get(session.conn, Kind::FileFormat, &format.to_string())?.is_none() {
        return Err(Failure::missing("File format", &format));
    }
    catalogue::put(session.conn, Kind::FileFormat, &format.to_string(), &options)?;
    Ok(ResultSet::message("status", "Statement executed successfully."))
}

/// The options of a Parquet format; what is kept of them is NULL_IF, whose default bends a text.
fn format_options(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let mut nulls = vec![DEFAULT_NULL.to_owned()];
    let fixed = [
        "USE_LOGICAL_TYPE = TRUE",
        "BINARY_AS_TEXT = FALSE",
        "TRIM_SPACE = FALSE",
        "REPLACE_INVALID_CHARACTERS = FALSE",
        "USE_VECTORIZED_SCANNER = TRUE",
    ];
    while !cursor.rest().is_empty() && !cursor.eat(";") {
        if cursor.eat("NULL_IF =") {
            let mut list = Cursor::new(cursor.group()?);
            nulls.clear();
            while !list.rest().is_empty() {
                nulls.push(list.text()?.to_owned());
                list.eat(",");
            }
        } else if !fixed.iter().any(|option| cursor.eat(option)) {
            return Err(cursor.unexpected("an option of a Parquet format"));
        }
    }
    Ok(serde_json::Value::from(nulls).to_string())
}

/// Everything that follows `ALTER TABLE`: a new column, or more digits of a number. What Snowflake refuses is refused.
pub(super) fn alter(session: &mut Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let table = in_schema(session, &mut cursor)?;
    session.enter(&table, Access::Alter)?;
    let columns =
        catalogue::columns(session.conn, &session.listed(&table))?.ok_or_else(|| Failure::missing("Table", &table))?;
    let change = if cursor.eat("ADD COLUMN IF NOT EXISTS") {
        let column = column_name(&mut cursor)?;
        format!("ADD COLUMN IF NOT EXISTS {} {}", identifier(&column), column_type(&mut cursor)?)
    } else {
        cursor.expect("ALTER COLUMN")?;
        let column = cursor.identifier()?;
        cursor.expect("SET DATA TYPE")?;
        let wanted = column_type(&mut cursor)?;
        let held = columns.iter().find(|held| held.name == column);
        let held = &held.ok_or_else(|| Failure::syntax(format!("invalid identifier '{column}'")))?.data_type;
        if !only_wider(held, &wanted) {
            return Err(Failure::new(
                "002108",
                "22000",
                format!("cannot change column {column} from {held} to {wanted}"),
            ));
        }
        format!("ALTER COLUMN {} SET DATA TYPE {wanted}", identifier(&column))
    };
    cursor.end()?;
    session.conn.execute_batch(&format!("ALTER TABLE {} {change}", session.table(&table)))?;
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
    let columns = columns(cursor.group()?)?;
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
    session.conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", session.table(&table)))?;
    let text = if existed { "successfully dropped." } else { "already dropped, statement succeeded." };
    Ok(ResultSet::message("status", format!("{} {text}", table.object)))
}

/// A name whose schema must be there.
fn in_schema(session: &Session<'_>, cursor: &mut Cursor<'_>) -> Result<Name, Failure> {
    let name = cursor.name()?;
    if catalogue::has_schema(session.conn, &name)? {
        return Ok(name);
    }
    Err(Failure::missing("Schema", format!("{}.{}", name.database, name.schema)))
}

fn columns(list: &[Token]) -> Result<String, Failure> {
    let mut cursor = Cursor::new(list);
    let mut columns = Vec::new();
    loop {
        let column = column_name(&mut cursor)?;
        let duckdb = column_type(&mut cursor)?;
        let null = if cursor.eat("NOT NULL") { " NOT NULL" } else { "" };
        columns.push(format!("{} {duckdb}{null}", identifier(&column)));
        if !cursor.eat(",") {
            cursor.end()?;
            return Ok(columns.join(", "));
        }
    }
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

fn answer(kind: &str, name: &str, created: bool) -> Result<ResultSet, Failure> {
    let text = if created {
        format!("{kind} {name} successfully created.")
    } else {
        format!("{name} already exists, statement succeeded.")
    };
    Ok(ResultSet::message("status", text))
}
