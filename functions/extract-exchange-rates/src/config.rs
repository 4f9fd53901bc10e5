//! The function's settings, read whole at cold start.

use sluice_core::{LakeId, Sources, env::Env};

const DEFAULT_URL: &str = "https://openexchangerates.org/api";

/// With this share a year is filled in eleven days, and a month spends about the smallest plan's 1,000 requests; what is
/// left of the month itself is asked for before each run.
const DEFAULT_DAILY_SHARE: u64 = 35;

#[derive(Debug)]
pub struct Config {
    /// `SLUICE_LAKE_BUCKET`
    pub lake_bucket: String,
    /// `SLUICE_LAKE_ID`
    pub lake_id: LakeId,
    /// `SLUICE_BUS_NAME`
    pub bus_name: String,
    /// `SLUICE_OXR_URL`
    pub url: String,
    /// `SLUICE_OXR_SECRET`: the name of the secret, not its value.
    pub secret: String,
    /// `SLUICE_OXR_DAILY_SHARE`: requests that the runs of one day (UTC) may spend.
    pub daily_share: u64,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let daily_share = env.parsed_or("SLUICE_OXR_DAILY_SHARE", DEFAULT_DAILY_SHARE);
        if daily_share == 0 {
            env.problem("SLUICE_OXR_DAILY_SHARE is 0, with which no run could read a rate");
        }
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            url: env.optional("SLUICE_OXR_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
            secret: env.required("SLUICE_OXR_SECRET"),
            daily_share,
            sources: sluice_lambda::sources(env),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_share_is_an_error_and_never_the_default() {
        for (share, problem) in [("0", "SLUICE_OXR_DAILY_SHARE is 0"), ("many", "SLUICE_OXR_DAILY_SHARE is 'many'")] {
            let mut env = Env::of([("SLUICE_OXR_DAILY_SHARE".to_owned(), share.to_owned())]);
            let config = Config::read(&mut env);
            let error = env.finish(config).expect_err("unusable").to_string();
            for part in [problem, "SLUICE_LAKE_BUCKET is not set", "SLUICE_OXR_SECRET is not set"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
