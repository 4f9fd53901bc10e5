//! `EXECUTE IMMEDIATE $$ ... $$`: the small part of Snowflake Scripting that a load block is written in.
//!
//! The whole block is parsed before anything runs, so that an unknown statement has no effect.

use std::collections::HashMap;

use super::{Session, column_type::column_type, ddl, translate};
use crate::{
    copy::CopyInto,
    failure::Failure,
    result::ResultSet,
    tokens::{Cursor, Token, tokens},
};

/// What a scripting block answers its value under.
const RESULT_COLUMN: &str = "anonymous block";

struct Block<'a> {
    exceptions: HashMap<String, Failure>,
    body: Vec<Step<'a>>,
    handler: Option<Vec<Step<'a>>>,
}

enum Step<'a> {
    CreateTemporary(Cursor<'a>),
    BeginTransaction,
    Commit,
    Rollback,
    Let {
        variable: String,
        value: &'a [Token],
    },
    If {
        condition: &'a [Token],
        then: Vec<Step<'a>>,
    },
    Copy(Box<CopyInto>),
    /// A change of rows; how many it has changed is SQLROWCOUNT.
    Sql(&'a [Token]),
    Return(&'a [Token]),
    /// Without a name: the exception that is being handled, again.
    Raise(Option<String>),
}

/// Everything that follows `EXECUTE IMMEDIATE`.
pub(super) fn execute(session: &mut Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let Some(Token::Dollars(text)) = cursor.next() else { return Err(cursor.unexpected("a $$ text")) };
    cursor.end()?;
    let tokens = tokens(text)?;
    let block = parse(&mut Cursor::new(&tokens))?;
    let mut run = Run { session, exceptions: &block.exceptions, variables: HashMap::new(), handled: None };
    let outcome = run.steps(&block.body).or_else(|failure| match &block.handler {
        Some(handler) => {
            run.handled = Some(failure);
            run.steps(handler)
        }
        None => Err(failure),
    });
    let value = outcome.map_err(uncaught)?.flatten();
    if session.in_transaction() {
        return Err(Failure::new("100132", "P0000", "the block ended inside a transaction, which was rolled back"));
    }
    Ok(ResultSet { rows: vec![vec![value]], ..ResultSet::message(RESULT_COLUMN, "") })
}

/// A statement's error keeps its code; the text says that no handler ended it.
fn uncaught(failure: Failure) -> Failure {
    if failure.sql_state == "P0001" {
        return failure;
    }
    let message = format!("Uncaught exception of type 'STATEMENT_ERROR' : {}", failure.message);
    Failure { message, ..failure }
}

fn parse<'a>(cursor: &mut Cursor<'a>) -> Result<Block<'a>, Failure> {
    let mut exceptions = HashMap::new();
    if cursor.eat("DECLARE") {
        while !cursor.eat("BEGIN") {
            let name = cursor.identifier()?;
            cursor.expect("EXCEPTION ( -")?;
            let Some(Token::Number(number)) = cursor.next() else { return Err(cursor.unexpected("a number")) };
            cursor.expect(",")?;
            let text = cursor.text()?;
            cursor.expect(") ;")?;
            let message = format!("Uncaught exception of type '{name}' : {text}");
            exceptions.insert(name, Failure::new(format!("-{number}"), "P0001", message));
        }
    } else {
        cursor.expect("BEGIN")?;
    }
    let body = steps(cursor)?;
    let handler = if cursor.eat("EXCEPTION WHEN OTHER THEN") { Some(steps(cursor)?) } else { None };
    cursor.expect("END")?;
    cursor.end()?;
    Ok(Block { exceptions, body, handler })
}

/// Steps up to the word that ends them: `END`, or `EXCEPTION`.
fn steps<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Step<'a>>, Failure> {
    let mut steps = Vec::new();
    while !cursor.rest().first().is_none_or(|next| next.is("END") || next.is("EXCEPTION")) {
        if cursor.eat("IF") {
            let condition = cursor.group()?;
            cursor.expect("THEN")?;
            let then = self::steps(cursor)?;
            cursor.expect("END IF ;")?;
            steps.push(Step::If { condition, then });
        } else {
            steps.push(step(cursor.statement()?)?);
        }
    }
    Ok(steps)
}

fn step(statement: &[Token]) -> Result<Step<'_>, Failure> {
    let mut cursor = Cursor::new(statement);
    if cursor.eat("CREATE OR REPLACE TEMPORARY TABLE") {
        return Ok(Step::CreateTemporary(cursor));
    }
    if cursor.eat("LET") {
        let variable = cursor.identifier()?;
        column_type(&mut cursor)?;
        cursor.expect(":=")?;
        return Ok(Step::Let { variable, value: cursor.rest() });
    }
    if cursor.eat("RETURN") {
        return Ok(Step::Return(cursor.rest()));
    }
    if cursor.eat("RAISE") {
        let name = if cursor.rest().is_empty() { None } else { Some(cursor.identifier()?) };
        cursor.end()?;
        return Ok(Step::Raise(name));
    }
    for (words, step) in
        [("BEGIN TRANSACTION", Step::BeginTransaction), ("COMMIT", Step::Commit), ("ROLLBACK", Step::Rollback)]
    {
        if cursor.eat(words) {
            cursor.end()?;
            return Ok(step);
        }
    }
    match statement.first() {
        Some(first) if first.is("COPY") => Ok(Step::Copy(Box::new(CopyInto::parse(cursor)?))),
        Some(first) if ["UPDATE", "INSERT", "DELETE", "MERGE"].iter().any(|verb| first.is(verb)) => {
            Ok(Step::Sql(statement))
        }
        _ => Err(cursor.unexpected("a statement of a load block")),
    }
}

struct Run<'r, 's> {
    session: &'r mut Session<'s>,
    exceptions: &'r HashMap<String, Failure>,
    variables: HashMap<String, Option<String>>,
    handled: Option<Failure>,
}

impl Run<'_, '_> {
    /// The value of `RETURN`, or nothing when the steps end without one.
    fn steps(&mut self, steps: &[Step<'_>]) -> Result<Option<Option<String>>, Failure> {
        for step in steps {
            match step {
                Step::CreateTemporary(definition) => ddl::create_temporary(self.session, &mut definition.clone())?,
                Step::BeginTransaction => self.session.begin(),
                Step::Commit => self.session.end("COMMIT")?,
                Step::Rollback => self.session.end("ROLLBACK")?,
                Step::Let { variable, value } => {
                    let value = self.value(value)?;
                    self.variables.insert(variable.clone(), value);
                }
                Step::If { condition, then } => {
                    if self.value(condition)?.as_deref() == Some("true")
                        && let Some(value) = self.steps(then)?
                    {
                        return Ok(Some(value));
                    }
                }
                Step::Copy(copy) => copy.run(self.session)?,
                Step::Sql(statement) => {
                    let bound = self.bound(statement);
                    let changed = self.session.sql(&bound)?;
                    let count = changed.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
                    self.variables.insert("SQLROWCOUNT".to_owned(), count);
                }
                Step::Return(value) => return Ok(Some(self.value(value)?)),
                Step::Raise(name) => return Err(self.raised(name.as_deref())),
            }
        }
        Ok(None)
    }

    fn raised(&self, name: Option<&str>) -> Failure {
        let failure = match name {
            Some(name) => self.exceptions.get(name),
            None => self.handled.as_ref(),
        };
        failure.cloned().unwrap_or_else(|| Failure::unsupported("RAISE of an exception that is not declared"))
    }

    /// The value of an expression, in which a variable stands for its value; in a query a bare name is a column's.
    fn value(&mut self, expression: &[Token]) -> Result<Option<String>, Failure> {
        let expression: Vec<Token> = match expression {
            [open, select, ..] if open.is("(") && select.is("SELECT") => self.bound(expression),
            _ => expression.iter().map(|token| self.substitute(token)).collect(),
        };
        let sql = translate::to_duckdb(&expression, self.session)?;
        let answer = self.session.read(&expression, &format!("SELECT {sql}"))?;
        Ok(answer.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// A statement in which `:variable` stands for its value.
    fn bound(&self, statement: &[Token]) -> Vec<Token> {
        let mut bound = Vec::with_capacity(statement.len());
        let mut tokens = statement.iter().peekable();
        while let Some(token) = tokens.next() {
            match tokens.peek() {
                Some(Token::Word(word)) if token.is(":") && self.variables.contains_key(word) => {
                    bound.extend(tokens.next().map(|variable| self.substitute(variable)));
                }
                _ => bound.push(token.clone()),
            }
        }
        bound
    }

    fn substitute(&self, token: &Token) -> Token {
        match token {
            Token::Word(word) => match self.variables.get(word) {
                Some(Some(value)) => Token::Number(value.clone()),
                Some(None) => Token::Word("NULL".to_owned()),
                None => token.clone(),
            },
            other => other.clone(),
        }
    }
}
