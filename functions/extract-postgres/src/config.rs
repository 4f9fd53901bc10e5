//! The function's settings, read whole at cold start.

use sluice_core::{LakeId, Sources, env::Env};
use sluice_postgres::Options;

#[derive(Debug)]
pub struct Config {
    /// `SLUICE_LAKE_BUCKET`
    pub lake_bucket: String,
    /// `SLUICE_LAKE_ID`
    pub lake_id: LakeId,
    /// `SLUICE_BUS_NAME`
    pub bus_name: String,
    /// `SLUICE_POSTGRES_SECRET`: the name of the secret, not its value.
    pub secret: String,
    /// `SLUICE_EXTRACT_QUEUE_URL`: the function's own queue, for the chunks of partitioned reads.
    pub queue_url: String,
    /// `SLUICE_POSTGRES_LOOKBACK`: cursor values below the proven position that each run scans again.
    /// `SLUICE_POSTGRES_SPLIT_ROWS`: a read of more rows is partitioned into parts of about this many; 0: none is.
    pub options: Options,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            secret: env.required("SLUICE_POSTGRES_SECRET"),
            queue_url: env.required("SLUICE_EXTRACT_QUEUE_URL"),
            options: Options {
                lookback: env.parsed_or("SLUICE_POSTGRES_LOOKBACK", Options::default().lookback),
                split_rows: env.parsed_or("SLUICE_POSTGRES_SPLIT_ROWS", Options::default().split_rows),
            },
            sources: sluice_lambda::sources(env),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> sluice_core::Result<Config> {
        let platform = ("SLUICE_PLATFORM_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../../platform"));
        let settings = settings.iter().chain([&platform]);
        let mut env = Env::of(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::read(&mut env);
        env.finish(config)
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_all_at_once() {
        let error = read(&[("SLUICE_LAKE_ID", "l"), ("SLUICE_POSTGRES_LOOKBACK", "-1")]).unwrap_err().to_string();
        for part in [
            "SLUICE_LAKE_BUCKET",
            "SLUICE_POSTGRES_SECRET",
            "SLUICE_EXTRACT_QUEUE_URL",
            "SLUICE_POSTGRES_LOOKBACK is '-1'",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_look_back_and_the_length_of_a_part_have_defaults() {
        let needed = [
            ("SLUICE_LAKE_BUCKET", "b"),
            ("SLUICE_LAKE_ID", "l"),
            ("SLUICE_BUS_NAME", "n"),
            ("SLUICE_POSTGRES_SECRET", "s"),
            ("SLUICE_EXTRACT_QUEUE_URL", "q"),
        ];
        assert_eq!(read(&needed).unwrap().options, Options { lookback: 10_000, split_rows: 20_000_000 });
        let none = [("SLUICE_POSTGRES_LOOKBACK", "0"), ("SLUICE_POSTGRES_SPLIT_ROWS", "0")];
        let read_none = read(&[needed.as_slice(), &none].concat()).unwrap();
        assert_eq!(read_none.options, Options { lookback: 0, split_rows: 0 });
    }
}
