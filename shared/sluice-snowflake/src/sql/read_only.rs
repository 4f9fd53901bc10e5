//! Whether a person's statement only reads. Snowflake has no read-only session, so the statement is looked at: its kind, what
//! a WITH leads to, that it is one, and which system functions it calls.

use sluice_core::{Error, Result};

/// What a statement that only reads begins with.
const KINDS: [&str; 6] = ["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"];

/// What a WITH may lead to. An anonymous procedure is called after it was written out.
const AFTER_WITH: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "PROCEDURE", "CALL"];

/// System functions that only tell. The others may resume, cancel or change something.
const TELLING: [&str; 4] =
    ["SYSTEM$PIPE_STATUS", "SYSTEM$TYPEOF", "SYSTEM$CLUSTERING_INFORMATION", "SYSTEM$LAST_CHANGE_COMMIT_TIME"];

/// The statement without what ends it. Anything that may change something is refused, and so is more than one statement.
pub fn statement(text: &str) -> Result<&str> {
    let words = words(text)?;
    let kinds = "ask with SELECT, WITH, SHOW, DESCRIBE or EXPLAIN";
    let refused = |why: String| Err(Error::config(why).with_hint(kinds));
    let is_word = |word: &&Word<'_>| word.text.starts_with(|first: char| first.is_alphabetic());
    let first = words.iter().find(|word| word.text != "(").filter(is_word);
    let Some(first) = first.filter(|first| KINDS.contains(&first.text.to_uppercase().as_str())) else {
        let found = first.map_or_else(|| "nothing that asks".to_owned(), |word| word.text.to_uppercase());
        return refused(format!("this only reads, and the statement begins with {found}"));
    };
    let kind = first.text.to_uppercase();
    let asked = words.iter().map(|word| word.text.to_uppercase());
    let leads_to = asked.clone().zip(&words).find(|(text, word)| {
        let of_explain = kind == "EXPLAIN" && word.depth == 0 && text != "EXPLAIN" && !is_option_of_explain(text);
        of_explain || kind == "WITH" && word.depth == 0 && AFTER_WITH.contains(&text.as_str())
    });
    match (kind.as_str(), leads_to) {
        ("WITH", Some((leads_to, _))) if leads_to != "SELECT" => {
            return refused(format!("this only reads, and the statement is a {leads_to}"));
        }
        ("EXPLAIN", Some((explained, _))) if !["SELECT", "WITH", "("].contains(&explained.as_str()) => {
            return refused(format!("this explains queries only, and the statement is {explained}"));
        }
        _ => {}
    }
    if let Some(function) = asked.clone().find(|word| word.starts_with("SYSTEM$") && !TELLING.contains(&word.as_str()))
    {
        return refused(format!("{function} may change something"));
    }
    if words.iter().any(|word| word.text == "//") {
        return refused("// begins a comment for some and divides for others; write --".to_owned());
    }
    if text.to_uppercase().contains("\"SYSTEM$") {
        return refused("a system function is called by its name without quotes".to_owned());
    }
    if words.iter().any(|word| word.text == "->>") {
        return refused("a chain of statements (->>) may change something".to_owned());
    }
    let end = words.iter().find(|word| word.text == ";");
    let Some(end) = end else { return Ok(text.trim()) };
    if words.iter().any(|word| word.at > end.at && word.text != ";") {
        return refused("these are several statements; ask one at a time".to_owned());
    }
    Ok(text[..end.at].trim())
}

fn is_option_of_explain(word: &str) -> bool {
    ["USING", "TEXT", "JSON", "TABULAR"].contains(&word)
}

/// A bare word, or a sign that counts here.
struct Word<'a> {
    text: &'a str,
    at: usize,
    /// How many parentheses are open before it.
    depth: usize,
}

/// Everything outside of texts, quoted names and comments.
fn words(text: &str) -> Result<Vec<Word<'_>>> {
    let mut words = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let mut word = |length: usize| words.push(Word { text: &rest[..length], at, depth });
        at += if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("//") {
            word(2);
            2
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").ok_or_else(|| open("a comment"))? + 4
        } else if let Some(body) = rest.strip_prefix("$$") {
            body.find("$$").ok_or_else(|| open("a $$"))? + 4
        } else if first == '\'' || first == '"' {
            quoted(rest, first)?
        } else if rest.starts_with("->>") {
            word(3);
            3
        } else if is_part(first) {
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            word(length);
            length
        } else {
            if first == ';' || first == '(' {
                word(1);
            }
            depth = match first {
                '(' => depth + 1,
                ')' => depth.saturating_sub(1),
                _ => depth,
            };
            first.len_utf8()
        };
    }
    Ok(words)
}

/// How long what is in quotes is. A doubled quote stands for itself; in a text a backslash escapes.
fn quoted(text: &str, quote: char) -> Result<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '\'' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(at + 1);
        }
    }
    Err(open("a quote"))
}

fn open(what: &str) -> Error {
    Error::config(format!("{what} of the statement is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_is_passed_on_as_it_is() {
        for text in [
            "SELECT 1",
            " select * from ANALYTICS.MARTS.SALES ",
            "(SELECT 1) UNION ALL (SELECT 2)",
            "WITH a AS (SELECT 'delete; ->>' AS \"insert\") SELECT * FROM a -- drop table x;",
            "with recursive a (n) as (select 1 union all select n + 1 from a where n < 3) select * from a",
            "/* why; */ SHOW TABLES IN SCHEMA ANALYTICS.MARTS",
            "DESCRIBE TABLE A.B.C",
            "EXPLAIN USING TEXT SELECT 1",
            "explain with a as (select 1) select * from a",
            "SELECT SYSTEM$PIPE_STATUS('A.B.C_PIPE')",
            r"SELECT 'it''s \' ; DELETE' AS A",
            "SELECT $$; delete $$",
        ] {
            assert_eq!(statement(text).expect(text), text.trim(), "{text}");
        }
        assert_eq!(statement("SELECT 1 ; \n;").expect("an end"), "SELECT 1");
    }

    #[test]
    fn what_may_change_something_is_refused() {
        for text in [
            "",
            "-- SELECT 1",
            "DELETE FROM A.B.C",
            "INSERT INTO A.B.C SELECT 1",
            "WITH a AS (SELECT 1) DELETE FROM A.B.C",
            "WITH a AS (SELECT 1) INSERT INTO A.B.C SELECT * FROM a",
            "WITH p AS PROCEDURE () RETURNS TEXT LANGUAGE SQL AS $$ BEGIN DELETE FROM A.B.C; END $$ CALL p()",
            "with a as (select 1) call p()",
            "SELECT 1 // 1; COMMIT; DELETE FROM A.B.C",
            "SELECT \"system$cancel_query\"('x')",
            "EXPLAIN DELETE FROM A.B.C",
            "EXPLAIN ANALYZE INSERT INTO A.B.C SELECT 1",
            "SELECT 1; DROP TABLE A.B.C",
            "SELECT 1 ->> INSERT INTO A.B.C SELECT * FROM $1",
            "SHOW TABLES ->> DELETE FROM A.B.C",
            "SELECT SYSTEM$CANCEL_QUERY('x')",
            "select system$pipe_force_resume('x')",
            "EXECUTE IMMEDIATE $$ SELECT 1 $$",
            "CALL P()",
            "USE ROLE ACCOUNTADMIN",
            "SELECT 'open",
            "/* open SELECT 1",
            "42",
        ] {
            assert!(statement(text).is_err(), "{text} was passed on");
        }
    }
}
