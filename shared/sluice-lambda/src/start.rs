//! Cold start: telemetry, then the whole environment as one typed value, or a clear stop.

use std::{fmt::Debug, path::PathBuf};

use sluice_core::{Error, Result, Sources, env::Env};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::hint;

/// Sets up logging and reads the settings. Every problem is reported at once, before the first event.
pub fn start<C: Debug>(read: impl FnOnce(&mut Env) -> C) -> Result<C, lambda_runtime::Error> {
    let mut env = Env::of(std::env::vars());
    let level =
        env.optional("AWS_LAMBDA_LOG_LEVEL").or_else(|| env.optional("RUST_LOG")).unwrap_or_else(|| "info".into());
    let json = env.optional("AWS_LAMBDA_LOG_FORMAT").is_none_or(|format| format.eq_ignore_ascii_case("json"));
    // The runtime's own span would repeat the request id on every line.
    let filter = EnvFilter::new(format!("{},lambda_runtime=warn", level.to_lowercase()));
    if json {
        json_log(std::io::stdout).with(filter).init();
    } else {
        let lines = tracing_subscriber::fmt().with_env_filter(filter);
        lines.with_target(false).with_ansi(false).init();
    }

    let config = read(&mut env);
    match env.finish(config) {
        Ok(config) => {
            tracing::info!(?config, "started");
            Ok(config)
        }
        Err(error) => {
            let hint = hint(&error);
            tracing::error!(error = error.chain(), error_kind = %error.kind(), hint, "cannot start");
            Err(error.into())
        }
    }
}

/// The log as Lambda's JSON format has it: a line's own fields beside its level and message, and its run in `span`.
pub fn json_log<W>(writer: W) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(false);
    let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
    tracing_subscriber::registry().with(lines)
}

/// The folder `platform/`, which travels in the function's zip beside the binary.
pub fn platform_dir(env: &mut Env) -> PathBuf {
    let folder = env
        .optional("SLUICE_PLATFORM_DIR")
        .or_else(|| env.optional("LAMBDA_TASK_ROOT").map(|root| format!("{root}/platform")))
        .unwrap_or_else(|| "platform".to_owned());
    PathBuf::from(folder)
}

/// `platform/sources.yaml`.
pub fn sources(env: &mut Env) -> Sources {
    Sources::read(&platform_dir(env).join("sources.yaml")).unwrap_or_else(|error| {
        env.problem(error.chain());
        Sources::default()
    })
}

/// A file of `platform/schemas`, which travels with the sources.
pub fn schema_file(env: &mut Env, name: &str) -> Result<String> {
    let path = platform_dir(env).join("schemas").join(name);
    std::fs::read_to_string(&path)
        .map_err(|error| Error::config("cannot read the topic's schema").with("path", path.display()).because(error))
}
