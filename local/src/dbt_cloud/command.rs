//! The commands of a run's steps: split as a shell would, but never given to one.

/// The arguments of one `dbt …` command.
pub(crate) fn parse(command: &str) -> Result<Vec<String>, String> {
    let mut words = split(command).ok_or_else(|| format!("step has an open quote: {command}"))?.into_iter();
    if words.next().as_deref() != Some("dbt") {
        return Err(format!("step is not a dbt command: {command}"));
    }
    Ok(words.collect())
}

/// Words separated by white space, with the shell's single quotes, double quotes and backslash. `None` if one is open.
fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_split_as_a_shell_would() {
        let cases: [(&str, &[&str]); 5] = [
            ("dbt build", &["build"]),
            ("  dbt   build --select a+  b+ ", &["build", "--select", "a+", "b+"]),
            (r#"dbt build --vars '{"a": "b c"}'"#, &["build", "--vars", r#"{"a": "b c"}"#]),
            (r#"dbt build --select "a b"c '' d\ e"#, &["build", "--select", "a bc", "", "d e"]),
            ("dbt build; rm -rf $HOME", &["build;", "rm", "-rf", "$HOME"]),
        ];
        for (command, expected) in cases {
            assert_eq!(parse(command).as_deref(), Ok(expected.map_owned().as_slice()), "{command}");
        }
    }

    #[test]
    fn anything_but_dbt_is_refused() {
        for command in ["", "rm -rf /", "dbtx build", "/usr/bin/dbt build", "'dbt", "dbt build \"a", "dbt build \\"] {
            assert!(parse(command).is_err(), "{command}");
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|&word| word.to_owned()).collect()
        }
    }
}
