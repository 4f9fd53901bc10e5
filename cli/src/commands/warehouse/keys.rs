//! Keys of services: the first one of an account, and a new one for a service.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde::Serialize;
use sluice_core::{Error, port::SystemClock};
use uuid::Uuid;

use super::refused::of_account;
use crate::{
    args::Target,
    commands::Context,
    failure::{Failure, Outcome},
    output,
    place::region,
    warehouse::{
        Administrator,
        account::{self, Did, PROVISIONER, PROVISIONER_SECRET, ROTATED_WITHIN, Settings, first_user},
    },
};

#[derive(Serialize)]
struct FirstUser {
    /// For somebody who is ACCOUNTADMIN.
    statements: String,
    /// For somebody who may make the secret.
    command: String,
}

/// Makes a key for the user that makes everything else, and prints the two things that a person does with it.
pub(in crate::commands) async fn bootstrap(target: &Target, out: &Path, json: bool) -> Outcome {
    let Some(stack) = &target.stack else {
        return Err(
            Failure::usage("the secret is named by the stack").hint("name it, deployed or not: --stack sluice-dev")
        );
    };
    write(stack, &region().await?, out, json)
}

fn write(stack: &str, region: &str, out: &Path, json: bool) -> Outcome {
    let (secret, statements) = first_user()?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    written.and_then(|mut file| file.write_all(secret.expose().as_bytes())).map_err(|error| {
        let error = Error::config("cannot write the secret's value").with("file", out.display()).because(error);
        Failure::from(error).hint("a file that is there is never overwritten: it may hold the key that is in use")
    })?;
    let statements = statements.map(|statement| format!("{statement};\n")).concat();
    let command = command(stack, region, out);
    output::print(json, &FirstUser { statements, command }, |made| {
        format!(
            "In Snowflake, as somebody who is ACCOUNTADMIN, all at once:\n\n{}\nIn a shell, with credentials of the AWS account:\n\n{}\n",
            made.statements, made.command
        )
    })
}

/// Makes the secret, or gives it the value where it is there already because the user is mended; then the file goes.
fn command(stack: &str, region: &str, out: &Path) -> String {
    let file = out.display();
    let put = |verb: &str| {
        let name = format!("{stack}/{PROVISIONER_SECRET}");
        format!("aws secretsmanager {verb} {name} --region {region} --secret-string 'file://{file}'")
    };
    let (create, replace) = (put("create-secret --name"), put("put-secret-value --secret-id"));
    format!("{{ {create} || {replace}; }} && shred -u '{file}'")
}

#[derive(Serialize)]
struct Rotated {
    user: String,
    secret: String,
    done: Vec<Did>,
}

/// Gives a service a new key, or ends the rotation that was begun.
pub(super) async fn rotate(
    context: &Context<'_>,
    administrator: &Administrator,
    settings: &Settings,
    user: Option<&str>,
    secret: Option<String>,
) -> Outcome {
    let service = context.platform.service(user, secret).await?;
    let user = &service.name;
    let (account, keys, run) = (administrator.within(ROTATED_WITHIN), service.keys(), Uuid::now_v7().to_string());
    let work = Box::pin(account::rotate(&account, &SystemClock, &keys, user, settings, &run));
    let done = context.progress.spin(format!("giving {user} a new key"), work).await.map_err(of_account)?;
    let rotated = Rotated { user: user.to_string(), secret: service.config.secret.clone(), done };
    output::print(context.json, &rotated, render)
}

fn render(rotated: &Rotated) -> String {
    let lines = rotated.done.iter().map(|did| format!("✓ {did}\n")).collect::<String>();
    let note = if rotated.user == PROVISIONER { "" } else { "; a function reads it when its key is refused" };
    format!("{lines}{} logs in with the key in {}{note}\n", rotated.user, rotated.secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_users_key_is_in_a_file_of_its_owner_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let out = std::env::temp_dir().join(format!("sluice-bootstrap-{}.json", Uuid::new_v4()));
        let target = Target { stack: None, sources: None, state: ".sluice".into() };
        let refused = futures::executor::block_on(bootstrap(&target, &out, false)).expect_err("no stack");
        assert_eq!(refused.exit_code(), 2);
        write("sluice-dev", "eu-west-1", &out, true).expect("printed");
        let mode = std::fs::metadata(&out).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read_to_string(&out).expect("the secret");
        assert!(before.contains("BEGIN PRIVATE KEY"), "a key");
        assert!(write("sluice-dev", "eu-west-1", &out, false).is_err());
        assert_eq!(std::fs::read_to_string(&out).expect("the secret"), before);
        std::fs::remove_file(&out).expect("removed");
    }

    #[test]
    fn the_secret_is_made_or_filled_in_its_region() {
        let text = command("sluice-dev", "eu-west-1", Path::new("key.json"));
        let value = "sluice-dev/snowflake-provisioner --region eu-west-1 --secret-string 'file://key.json'";
        let (create, replace) =
            (format!("create-secret --name {value}"), format!("put-secret-value --secret-id {value}"));
        assert!(text.contains(&format!("{create} || ")) && text.contains(&replace), "{text}");
        assert!(text.ends_with("; } && shred -u 'key.json'"), "{text}");
    }

    #[test]
    fn a_rotation_says_what_it_did_and_where_the_key_is() {
        let rotated = Rotated {
            user: "SLUICE_LOADER".into(),
            secret: "s/snowflake-loader".into(),
            done: vec![Did::Switched, Did::Cleared],
        };
        let text = render(&rotated);
        assert!(
            text.starts_with("✓ a new key is in the user's free slot") && text.contains("in s/snowflake-loader"),
            "{text}"
        );
    }
}
