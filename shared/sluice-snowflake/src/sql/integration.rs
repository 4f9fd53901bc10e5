//! What a storage integration is asked: who it is, and whether it gets through.

use super::quote;

/// By its name as a statement has it: PROPERTY and PROPERTY_VALUE, among them STORAGE_AWS_IAM_USER_ARN and STORAGE_AWS_EXTERNAL_ID.
pub(crate) fn describe(name: &str) -> String {
    format!("DESC INTEGRATION {name}")
}

/// By its name as it is stored. Lists the location through the integration: a JSON object whose `status` is `success` or `failure`. The file's name is not
/// used by this action.
pub(crate) fn validate(name: &str, location: &str) -> String {
    let [name, location] = [name, location].map(quote::literal);
    format!("SELECT SYSTEM$VALIDATE_STORAGE_INTEGRATION({name}, {location}, 'sluice', 'list')")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_an_integration_is_asked() {
        let name = "SLUICE_LAKE";
        snapshot::check("integration", &[describe(name), validate(name, "s3://lake/raw/")]);
    }
}
