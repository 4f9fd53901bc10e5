//! The verb that explains a number.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// TABLE.COLUMN, of a model or a raw table, in any case; the end of the table's name will do: sales.total_gbp.
    pub column: String,
    /// Follow the value of the row that has this one: COLUMN=VALUE. Several name the row together.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition)]
    pub conditions: Vec<(String, String)>,
    /// How many rows of each table to show; all are counted.
    #[arg(long, value_name = "ROWS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Ask as this role of the warehouse, which the platform's user must have [default: the platform's role].
    #[arg(long, value_name = "NAME")]
    pub role: Option<String>,
}

fn condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.trim().is_empty() => Ok((column.trim().to_uppercase(), value.to_owned())),
        _ => Err("a condition is COLUMN=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use crate::args::{Cli, Task};

    #[test]
    fn a_row_is_named_by_columns_and_values() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["sluice", "why", "sales.total_gbp"], words].concat());
        let Task::Why(args) = parse(&["--where", "customer_id=42", "--where", "email=a=b"]).expect("a cell").command
        else {
            panic!("not why")
        };
        let expected =
            [("CUSTOMER_ID", "42"), ("EMAIL", "a=b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(args.conditions, expected);
        assert_eq!(parse(&["--where", "customer_id"]).expect_err("no value").kind(), ErrorKind::ValueValidation);
        assert_eq!(parse(&["--where", "=1"]).expect_err("no column").kind(), ErrorKind::ValueValidation);
    }
}
