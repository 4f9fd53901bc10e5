//! A stage as samconfig.toml has it: which stack, where, in whose account, with which parameters.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sluice_core::Error;
use toml::Table;

use crate::{
    args::StageArgs,
    failure::{Failure, Outcome},
    place::checkout,
};

/// What stands for a value that only the owner of the account knows.
const PLACEHOLDER: &str = "CHANGE-ME";
/// The set of the emulators, which `make up` deploys.
const LOCAL: &str = "local";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub name: String,
    pub stack: String,
    pub region: String,
    /// The id of the account that the stage lives in, and in no other.
    pub account: String,
    /// `Name=Value`, as SAM takes them.
    parameters: Vec<String>,
    pub file: PathBuf,
    /// Where SAM puts the zips, below the stack's name; `None` leaves it to the file.
    pub prefix: Option<String>,
    /// The checkout that is deployed.
    pub root: PathBuf,
    /// Where the functions are that `sam build` has left.
    pub built: PathBuf,
}

impl Stage {
    pub(crate) fn read(args: &StageArgs) -> Outcome<Self> {
        let root = checkout()?;
        let file = args.config.clone().unwrap_or_else(|| root.join("samconfig.toml"));
        let text = fs::read_to_string(&file)
            .map_err(|error| Error::config(format!("cannot read {}", file.display())).because(error))?;
        Self::parse(&args.env, &text, &file, root)
    }

    fn parse(name: &str, text: &str, file: &Path, root: PathBuf) -> Outcome<Self> {
        let sets: Table = toml::from_str(text)
            .map_err(|error| Error::config(format!("{} does not parse", file.display())).because(error))?;
        let is_stage = |set: &&String| !["version", "default", LOCAL].contains(&set.as_str());
        let Some(set) = sets.get(name).filter(|_| is_stage(&&name.to_owned())) else {
            let stages = sets.keys().filter(is_stage).cloned().collect::<Vec<_>>().join(", ");
            let hint = if name == LOCAL { "`make up` deploys it".to_owned() } else { format!("there are {stages}") };
            return Err(Failure::usage(format!("{name} is no stage of {}", file.display())).hint(hint));
        };
        let of = |command: &str, key: &str| set.get(command)?.get("parameters")?.get(key);
        let text = |command: &'static str, key: &'static str| -> Outcome<String> {
            let value = of(command, key).and_then(|value| value.as_str());
            let missing = || Failure::usage(format!("{} lacks {key} in [{name}.{command}.parameters]", file.display()));
            Ok(value.ok_or_else(missing)?.to_owned())
        };
        let template = of("deploy", "template_file").and_then(|value| value.as_str()).map(Path::new);
        let built = template.and_then(Path::parent).map_or_else(|| root.join(".aws-sam/build"), Path::to_owned);
        let parameters = of("deploy", "parameter_overrides").and_then(|value| value.as_array());
        let parameters = parameters.map(|all| all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect());
        let missing = || {
            let text = format!("{} has no list of parameter_overrides in [{name}.deploy.parameters]", file.display());
            Failure::usage(text).hint("write it as a list of \"Name=Value\"")
        };
        Ok(Stage {
            name: name.to_owned(),
            stack: text("deploy", "stack_name")?,
            region: text("global", "region")?,
            account: text("sluice", "account")?,
            parameters: parameters.ok_or_else(missing)?,
            file: file.to_owned(),
            prefix: None,
            root,
            built,
        })
    }

    /// The value that the stage gives a parameter of the template; `None` leaves it to the template.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.named().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().filter_map(|one| one.split_once('=')).map(|(name, value)| {
            let plain = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            (name, plain)
        })
    }

    /// What nobody has filled in yet.
    pub(crate) fn left_to_fill_in(&self) -> Vec<&str> {
        let account = (self.account == PLACEHOLDER).then_some("account");
        account
            .into_iter()
            .chain(self.named().filter(|(_, value)| *value == PLACEHOLDER).map(|(name, _)| name))
            .collect()
    }

    /// All of the parameters, one of them with another value.
    pub(crate) fn parameters_with(&self, name: &str, value: &str) -> Vec<String> {
        let is_other = |one: &&String| one.split_once('=').is_none_or(|(own, _)| own != name);
        let others = self.parameters.iter().filter(is_other).cloned();
        others.chain([format!("{name}={value}")]).collect()
    }

    /// What the functions run on, as `sam build` and the template call it.
    pub(crate) fn architecture(&self) -> &str {
        self.parameter("Architecture").unwrap_or("x86_64")
    }

    /// Whether the stage has a life that nobody ends by mistake.
    pub(crate) fn is_protected(&self) -> bool {
        ["staging", "prod"].iter().any(|life| self.name == *life || self.parameter("Stage") == Some(life))
    }

    /// Whether the schedules are to be on, once everything is ready.
    pub(crate) fn wants_schedules(&self) -> bool {
        self.parameter(SCHEDULES).is_none_or(|value| value == "ENABLED")
    }
}

/// The parameter that switches every schedule.
pub(crate) const SCHEDULES: &str = "SchedulesEnabled";

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../samconfig.toml");

    fn stage(name: &str, text: &str) -> Outcome<Stage> {
        Stage::parse(name, text, Path::new("samconfig.toml"), PathBuf::new())
    }

    #[test]
    fn a_stage_that_is_shipped_has_a_stack_a_region_and_gaps_to_fill() {
        for name in ["dev", "staging", "prod"] {
            let stage = stage(name, SHIPPED).expect("a stage");
            assert_eq!((stage.stack, &*stage.region), (format!("sluice-{name}"), "us-east-1"));
        }
        let dev = stage("dev", SHIPPED).expect("a stage");
        assert_eq!(dev.left_to_fill_in()[..2], ["account", "SnowflakeAccount"]);
        assert_eq!((dev.parameter("EnableCollect"), dev.wants_schedules()), (Some("false"), false));
        let filled = SHIPPED.replace("CHANGE-ME", "1");
        assert!(stage("dev", &filled).expect("a stage").left_to_fill_in().is_empty());
    }

    #[test]
    fn a_parameter_is_given_another_value_once() {
        let dev = stage("dev", SHIPPED).expect("a stage");
        let changed = dev.parameters_with(SCHEDULES, "ENABLED");
        assert_eq!(changed.iter().filter(|one| one.starts_with(SCHEDULES)).count(), 1);
        assert_eq!(changed.len(), dev.parameters.len());
    }

    #[test]
    fn what_is_no_stage_is_refused_with_those_that_there_are() {
        let refused = |name: &str| stage(name, SHIPPED).expect_err(name).text();
        assert!(refused("qa").contains("there are dev, prod, staging"), "{}", refused("qa"));
        assert!(refused("local").contains("make up"));
        assert!(refused("default").contains("is no stage"));
        let without = SHIPPED.replace("account = ", "other = ");
        let text = stage("dev", &without).expect_err("no account").text();
        assert!(text.contains("lacks account in [dev.sluice.parameters]"), "{text}");
    }
}
