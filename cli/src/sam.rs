//! The SAM command line: it builds, and makes change sets. Nothing here carries one out.

use std::{path::PathBuf, process::Output};

use sluice_core::Error;
use tokio::process::Command;

use crate::{
    failure::{Failure, Outcome},
    stage::Stage,
};

/// The environment that `tools/setup sam` has made, below the checkout.
const OWN: &str = ".tools/venv/sam/bin";
/// How many of the last lines of a program that failed are shown.
const TOLD: usize = 20;

/// SAM on the path, or the checkout's own.
pub(crate) struct Sam<'a> {
    stage: &'a Stage,
}

impl<'a> Sam<'a> {
    pub(crate) fn of(stage: &'a Stage) -> Self {
        Sam { stage }
    }

    /// Which version there is.
    pub(crate) async fn version(&self) -> Outcome<String> {
        let said = self.run("sam", &["--version".to_owned()]).await?;
        Ok(said.trim().trim_start_matches("SAM CLI, version ").to_owned())
    }

    pub(crate) async fn build(&self) -> Outcome {
        let mut arguments = vec!["build".to_owned()];
        arguments.extend(self.settings());
        self.run("sam", &arguments).await.map(drop)
    }

    /// The change set of what `build` has left, or `None` where nothing differs.
    pub(crate) async fn change_set(&self, parameters: &[String], role: Option<&str>) -> Outcome<Option<String>> {
        let mut arguments = vec!["deploy".to_owned()];
        arguments.extend(self.settings());
        arguments.extend(["--no-execute-changeset", "--no-confirm-changeset", "--no-progressbar"].map(str::to_owned));
        arguments.extend(role.into_iter().flat_map(|role| ["--role-arn".to_owned(), role.to_owned()]));
        if let Some(prefix) = &self.stage.prefix {
            arguments.extend(["--s3-prefix".to_owned(), format!("{}/{prefix}", self.stage.stack)]);
        }
        arguments.push("--parameter-overrides".to_owned());
        arguments.extend(parameters.iter().cloned());
        let said = self.output("sam", &arguments).await?;
        read(said.status.success(), &text(&said))
    }

    /// What an earlier stack of that name has left is taken into a new one, or only listed.
    pub(crate) async fn import_kept(&self, dry_run: bool, role: Option<&str>) -> Outcome<String> {
        let mut arguments = vec!["tools/import_kept.py".to_owned(), self.stage.stack.clone()];
        arguments.extend(dry_run.then(|| "--dry-run".to_owned()));
        arguments.extend(role.map(|role| format!("--role={role}")));
        self.run("python", &arguments).await
    }

    fn settings(&self) -> Vec<String> {
        let file = std::path::absolute(&self.stage.file).unwrap_or_else(|_| self.stage.file.clone());
        ["--config-file", &file.display().to_string(), "--config-env", &self.stage.name].map(str::to_owned).to_vec()
    }

    /// Standard output of a program that must end well.
    async fn run(&self, program: &str, arguments: &[String]) -> Outcome<String> {
        let said = self.output(program, arguments).await?;
        if said.status.success() {
            return Ok(String::from_utf8_lossy(&said.stdout).into_owned());
        }
        let what = arguments.first().map_or("", String::as_str);
        Err(Failure::from(Error::config(format!("`{program} {what}` failed:\n{}", end(&text(&said))))))
    }

    async fn output(&self, program: &str, arguments: &[String]) -> Outcome<Output> {
        let own = self.stage.root.join(OWN).join(program);
        let program = if own.exists() { own } else { PathBuf::from(program) };
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(&self.stage.root).env("SAM_CLI_TELEMETRY", "0");
        command.env("AWS_DEFAULT_REGION", &self.stage.region).kill_on_drop(true);
        let failed = |error| {
            let none = Error::config(format!("cannot start {}", program.display())).because(error);
            Failure::from(none).hint("`tools/setup sam` puts the SAM command line into this checkout")
        };
        command.output().await.map_err(failed)
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The end of what a program has said.
fn end(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TOLD)..].join("\n")
}

/// The change set in what `sam deploy` has said. It has no form for programs.
fn read(is_success: bool, said: &str) -> Outcome<Option<String>> {
    if said.contains("No changes to deploy") || said.contains("didn't contain changes") {
        return Ok(None);
    }
    let is_change_set = |word: &&str| word.starts_with("arn:") && word.contains(":changeSet/");
    match said.split_whitespace().find(is_change_set).filter(|_| is_success) {
        Some(arn) => Ok(Some(arn.to_owned())),
        None => Err(Failure::from(Error::config(format!("SAM has made no change set:\n{}", end(said))))
            .hint("fix what it names; nothing was changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sam_says_is_a_change_set_nothing_or_an_error() {
        let arn = "arn:aws:cloudformation:us-east-1:1:changeSet/samcli-deploy1/abc";
        let said = format!("Changeset created successfully. {arn}\n");
        assert_eq!(read(true, &said).expect("a change set").as_deref(), Some(arn));
        assert_eq!(read(true, "Error: No changes to deploy. Stack x is up to date").expect("nothing"), None);
        assert_eq!(read(false, "The submitted information didn't contain changes.").expect("nothing"), None);
        for (is_success, said) in [(false, said.as_str()), (true, "done"), (false, "no credentials")] {
            let text = read(is_success, said).expect_err("an error").text();
            assert!(text.contains("SAM has made no change set") && text.contains("nothing was changed"), "{text}");
        }
    }
}
