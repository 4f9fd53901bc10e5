//! The statements that arrive: recognised by shape, translated to DuckDB, run.
//!
//! Only the shapes that `sluice-snowflake` renders are known. Everything else is answered "unsupported", so that a new
//! statement is met by a decision and not by a guess. A person's own question is apart: `question.rs`.

mod block;
mod column_type;
mod copy;
mod ddl;
mod question;
mod session;
mod translate;

use std::{collections::HashSet, sync::atomic::AtomicBool};

use uuid::Uuid;

pub(crate) use question::TAG as QUESTION;

use crate::{
    account, catalogue,
    failure::Failure,
    faults::Fault,
    lock,
    locks::Access,
    names::{Name, identifier},
    request::Request,
    result::{self, ResultSet},
    tokens::{Cursor, Token, tokens},
    usage,
};

/// A table's name in DuckDB. Temporary tables live in a catalogue of their own, which has no schemas.
#[derive(Default, Clone)]
pub(crate) struct Tables {
    temporary: HashSet<Name>,
}

impl Tables {
    pub(crate) fn table(&self, name: &Name) -> String {
        if self.temporary.contains(name) {
            return format!("temp.main.{}", identifier(&name.to_string()));
        }
        name.duckdb()
    }

    /// A table's schema and name as DuckDB's catalogue lists them.
    pub(crate) fn listed(&self, name: &Name) -> (String, String) {
        if self.temporary.contains(name) {
            return ("main".to_owned(), name.to_string());
        }
        name.listed()
    }
}

/// Where a session stands between BEGIN and COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    /// DuckDB fixes what a transaction sees when it begins. Snowflake's statements see what is committed when they begin,
    /// so it begins with the first statement, after that has its lock.
    Asked,
    Begun,
}

/// One request's statements. Nothing of it outlives the request, as in the SQL API.
pub(crate) struct Session<'a> {
    request: Request<'a>,
    id: Uuid,
    cancelled: &'a AtomicBool,
    tables: Tables,
    transaction: Transaction,
    /// What this transaction has changed, and therefore sees.
    changed: HashSet<Name>,
}

impl<'a> std::ops::Deref for Session<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        &self.request
    }
}

impl<'a> Session<'a> {
    pub(crate) fn new(request: Request<'a>, id: Uuid, cancelled: &'a AtomicBool) -> Self {
        let (tables, transaction, changed) = (Tables::default(), Transaction::None, HashSet::new());
        Session { request, id, cancelled, tables, transaction, changed }
    }

    /// Runs one request's statement and leaves neither a transaction nor a lock behind.
    pub(crate) fn run(mut self, text: &str) -> Result<ResultSet, Failure> {
        let outcome = self.dispatch(text);
        let ended = self.end("ROLLBACK");
        self.shared.locks.release(self.id);
        outcome.and_then(|answer| ended.map(|()| answer))
    }

    fn dispatch(&mut self, text: &str) -> Result<ResultSet, Failure> {
        let tokens = tokens(text)?;
        let mut cursor = Cursor::new(&tokens);
        if cursor.eat("EXECUTE IMMEDIATE") {
            return block::execute(self, cursor);
        }
        // DuckDB refuses one of two that make the same thing at once.
        let makes = tokens.first().is_some_and(|first| first.is("CREATE"));
        let one_at_a_time = makes.then(|| lock(&self.shared.ddl));
        if let Some(answer) = account::run(self, cursor, text)? {
            return Ok(answer);
        }
        if cursor.eat("CREATE") {
            return ddl::create(self, cursor);
        }
        drop(one_at_a_time);
        if cursor.eat("ALTER TABLE") {
            return ddl::alter(self, cursor);
        }
        if cursor.eat("COMMENT ON TABLE") {
            return ddl::comment(self, cursor);
        }
        if cursor.eat("DROP TABLE IF EXISTS") {
            return ddl::drop_side_table(self, cursor);
        }
        if cursor.eat("SHOW PARAMETERS") {
            return session::parameters(self, cursor);
        }
        if cursor.eat("SELECT CURRENT_ROLE ( ) AS") {
            return session::role(self, cursor);
        }
        // Outside a load block only a failed commit's entry in the ledger is ever deleted.
        if cursor.eat("DELETE") && !cursor.eat("FROM ADMIN . OBSERVABILITY . LOADS WHERE") {
            return Err(Failure::unsupported("DELETE outside a load block"));
        }
        self.sql(tokens.strip_suffix(&[Token::Symbol(";")]).unwrap_or(&tokens))
    }

    /// A query or a change of rows, without the `;`.
    pub(crate) fn sql(&mut self, statement: &[Token]) -> Result<ResultSet, Failure> {
        let changed = |counts: &[&'static str]| Some(counts.to_vec());
        let counts = match statement.first() {
            Some(Token::Word(verb)) => match verb.as_str() {
                "SELECT" => None,
                "INSERT" => changed(&["number of rows inserted"]),
                "UPDATE" => changed(&["number of rows updated", "number of multi-joined rows updated"]),
                "MERGE" => changed(&["number of rows inserted"]),
                "DELETE" => changed(&["number of rows deleted"]),
                verb => return Err(Failure::unsupported(format!("the statement {verb}"))),
            },
            _ => return Err(Failure::unsupported("a statement that does not begin with a word")),
        };
        let tables = tables_in(statement);
        // What Snowflake shares is read and never changed, whoever asks.
        if let Some(shared) = tables.first().filter(|table| counts.is_some() && table.database == usage::DATABASE) {
            return Err(Failure::insufficient("VIEW", shared));
        }
        self.require_rows(statement, &tables)?;
        let sql = translate::to_duckdb(statement, self)?;
        let Some(columns) = counts else { return self.read(statement, &sql) };
        let (table, access) = target(statement)?;
        self.enter(&table, access)?;
        let answer = self.conn.execute(&sql, []).map(|count| ResultSet::counts(&columns, count));
        if self.transaction == Transaction::None {
            self.shared.locks.release(self.id);
        }
        Ok(answer?)
    }

    /// Runs a query. It may miss what another session has committed last, if a test has ordered that; never what its own
    /// transaction has changed.
    pub(crate) fn read(&mut self, query: &[Token], sql: &str) -> Result<ResultSet, Failure> {
        let read = tables_in(query);
        let may_lag = !read.is_empty() && !read.iter().any(|name| self.sees_its_own(name));
        let lagging = lock(&self.shared.lagging).take_if(|(of, _)| may_lag && *of != self.id);
        if let Some((_, before)) = lagging {
            return result::query(&before, sql);
        }
        self.begun()?;
        result::query(self.conn, sql)
    }

    /// Refuses a statement whose roles lack a privilege on one of its tables, or the warehouse that it runs in.
    pub(crate) fn require_rows(&self, statement: &[Token], tables: &[Name]) -> Result<(), Failure> {
        let tables: Vec<Name> = tables.iter().filter(|name| !self.tables.temporary.contains(name)).cloned().collect();
        self.allowed(|account, access| account.require_rows(access, statement, &tables, &self.caller.warehouse))
    }

    /// Asks the account whether the session may do something, where privileges are checked.
    pub(crate) fn allowed(
        &self,
        check: impl FnOnce(&account::Account, &account::Access) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let account = lock(&self.shared.account);
        if !account.checks_privileges() {
            return Ok(());
        }
        check(&account, &account.access(&self.caller.user, &self.caller.role))
    }

    fn sees_its_own(&self, name: &Name) -> bool {
        self.changed.contains(name) || self.tables.temporary.contains(name)
    }

    /// Waits for a table's lock, then begins the transaction that was asked for.
    pub(crate) fn enter(&mut self, table: &Name, access: Access) -> Result<(), Failure> {
        if !self.tables.temporary.contains(table) {
            self.shared.locks.take(self.id, table, access, self.shared.lock_timeout, self.cancelled)?;
            self.changed.insert(table.clone());
        }
        self.begun()
    }

    /// BEGIN TRANSACTION. A second one does nothing.
    pub(crate) fn begin(&mut self) {
        if self.transaction == Transaction::None {
            self.transaction = Transaction::Asked;
            self.changed.clear();
        }
    }

    fn begun(&mut self) -> Result<(), Failure> {
        if self.transaction == Transaction::Asked {
            self.conn.execute_batch("BEGIN TRANSACTION")?;
            self.transaction = Transaction::Begun;
        }
        Ok(())
    }

    /// COMMIT or ROLLBACK. Outside a transaction they do nothing, as in Snowflake.
    pub(crate) fn end(&mut self, statement: &str) -> Result<(), Failure> {
        let begun = std::mem::replace(&mut self.transaction, Transaction::None) == Transaction::Begun;
        if begun && statement == "COMMIT" {
            self.keep_what_lags()?;
        }
        let ended = if begun { self.conn.execute_batch(statement) } else { Ok(()) };
        self.shared.locks.release(self.id);
        Ok(ended?)
    }

    fn keep_what_lags(&self) -> Result<(), Failure> {
        if self.shared.faults.take("/api/v2/statements", |fault| fault == Fault::UnseenCommit).is_some() {
            let before = catalogue::prepared(self.conn.try_clone()?)?;
            before.execute_batch("BEGIN TRANSACTION")?;
            // What it sees is fixed by the first look.
            before.query_row("SELECT count(*) FROM \"_STANDIN\".OBJECTS", [], |_| Ok(()))?;
            *lock(&self.shared.lagging) = Some((self.id, before));
        }
        Ok(())
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction != Transaction::None
    }

    pub(crate) fn make_temporary(&mut self, name: Name) {
        self.tables.temporary.insert(name);
    }

    pub(crate) fn tables(&self) -> Tables {
        self.tables.clone()
    }

    pub(crate) fn table(&self, name: &Name) -> String {
        self.tables.table(name)
    }

    pub(crate) fn listed(&self, name: &Name) -> (String, String) {
        self.tables.listed(name)
    }
}

/// The table that a change of rows is about, and what it does to it.
fn target(statement: &[Token]) -> Result<(Name, Access), Failure> {
    let mut cursor = Cursor::new(statement);
    let access = if cursor.eat("INSERT INTO") {
        Access::Insert
    } else if cursor.eat("UPDATE") || cursor.eat("DELETE FROM") || cursor.eat("MERGE INTO") {
        Access::Change
    } else {
        return Err(cursor.unexpected("the table of a change"));
    };
    Ok((cursor.name()?, access))
}

/// The full names in a query.
fn tables_in(query: &[Token]) -> Vec<Name> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(query);
    while !cursor.rest().is_empty() {
        let before = cursor;
        match cursor.name() {
            Ok(name) => found.push(name),
            Err(_) => {
                cursor = before;
                cursor.next();
            }
        }
    }
    found
}
