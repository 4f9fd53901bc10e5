//! What helps where the account refuses who asks.

use sluice_core::{Error, Kind};

use crate::{failure::Failure, warehouse::account};

/// Who provisions is no user of the file, so what it lacks is mended by hand.
pub(super) fn of_account(error: Error) -> Failure {
    match (error.kind(), error.hint().is_none()) {
        // The account answers so for what it does not let its role see, too; it says nothing of the role.
        (Kind::NotFound, true) => Failure::from(error).hint(format!(
            "`sluice warehouse plan` tells what the account lacks; where the secret {} is missing, `sluice warehouse bootstrap` prints \
             what makes it",
            account::PROVISIONER_SECRET
        )),
        (Kind::Auth, true) => Failure::from(error).hint(format!(
            "the user {} needs the role ACCOUNTADMIN, and its private key belongs into the stack's secret {}: \
             `sluice warehouse bootstrap` prints both",
            account::PROVISIONER,
            account::PROVISIONER_SECRET
        )),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_look_at_the_account_is_told_whose_key_it_takes() {
        let failure = of_account(Error::new(Kind::Auth, "the token was refused"));
        assert!(failure.text().contains(account::PROVISIONER_SECRET), "{}", failure.text());
        let missing = of_account(Error::new(Kind::NotFound, "user X does not exist or not authorized"));
        assert!(!missing.text().contains("ACCOUNTADMIN") && missing.text().contains("plan"), "{}", missing.text());
        let own = of_account(Error::new(Kind::Auth, "not granted").with_hint("give the role what it lacks"));
        assert!(own.text().contains("give the role") && !own.text().contains("docs/deploy.md"), "{}", own.text());
    }
}
