//! A dry run in words: what a run would read, from where on, and what keeps rows from being read.

use serde_json::{Map, Value};

use crate::output::{WIDTH, shortened, thousands};

/// What says nothing to a person: `--json` shows it.
const FOR_PROGRAMS: [&str; 3] = ["server_version", "snapshot", "oldest_transaction_seconds"];

pub(super) fn in_words(plan: &Value) -> String {
    let rows = match plan["rows"].as_u64() {
        None => "an unknown number of rows".to_owned(),
        Some(1) => "1 row".to_owned(),
        Some(rows) => format!("{} rows", thousands(rows)),
    };
    let mut facts = plan["facts"].as_object().cloned().unwrap_or_default();
    FOR_PROGRAMS.iter().for_each(|name| drop(facts.remove(*name)));
    let mut lines = vec![rows];
    for (name, text) in known(&mut facts).into_iter().chain(facts.iter().map(other)) {
        lines.push(shortened(&format!("  {name:<6}  {text}"), WIDTH));
    }
    lines.join("\n")
}

/// What the sources are known to tell; it is taken out.
fn known(facts: &mut Map<String, Value>) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    if let Some(scope) = facts.remove("scope") {
        line("from", begin(&scope));
    }
    if let Some(range) = facts.remove("cursor_range")
        && !range["first"].is_null()
    {
        line("range", format!("{} to {}", plain(&range["first"]), plain(&range["last"])));
    }
    if facts.remove("in_flight") == Some(true.into()) {
        line("later", "transactions are under way: what they commit is read by a later run".to_owned());
    }
    if let Some(why) = facts.remove("whole_table_because") {
        line("whole", plain(&why));
    }
    if let Some(columns) = facts.remove("drift").and_then(|drift| drift["columns_not_in_contract"].as_array().cloned())
    {
        line(
            "unread",
            format!(
                "columns that the contract does not name: {}",
                columns.iter().map(plain).collect::<Vec<_>>().join(", ")
            ),
        );
    }
    if let Some(requests) = facts.remove("requests_planned") {
        let days = [facts.remove("first_day"), facts.remove("last_day")].map(|day| day.filter(|day| !day.is_null()));
        let days = match days {
            [Some(first), Some(last)] => format!(", days {} to {}", plain(&first), plain(&last)),
            _ => String::new(),
        };
        line("asks", format!("{} requests{days}", plain(&requests)));
    }
    if let Some(left) = facts.remove("requests_left_to_make").filter(|left| left.as_u64() != Some(0)) {
        line("later", format!("{} requests are left for later runs", plain(&left)));
    }
    if let Some(quota) = facts.remove("quota_remaining_before").filter(|quota| !quota.is_null()) {
        line("quota", format!("{} requests of the source's quota are left", plain(&quota)));
    }
    lines
}

fn begin(scope: &Value) -> String {
    match (&scope["everything"], &scope["from"], &scope["above"]) {
        (Value::String(why), ..) => format!("the whole table: {why}"),
        (_, from, _) if !from.is_null() => format!("{} on, as asked", plain(from)),
        (_, _, above) if !above.is_null() => format!("above {}", plain(above)),
        _ => "the beginning".to_owned(),
    }
}

fn other((name, value): (&String, &Value)) -> (String, String) {
    (name.replace('_', " "), plain(value))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tables_plan_says_from_where_it_reads_and_what_waits() {
        let plan = json!({"rows": 1_234, "facts": {
            "cursor_range": {"first": 198, "last": 225}, "in_flight": true, "scope": {"above": -9_775},
            "server_version": "18.6", "snapshot": "756:757:", "drift": {"columns_not_in_contract": ["a", "b"]},
        }});
        let expected = "1,234 rows\n  from    above -9775\n  range   198 to 225\n  \
                        later   transactions are under way: what they commit is read by a later run\n  \
                        unread  columns that the contract does not name: a, b";
        assert_eq!(in_words(&plan), expected);
        let nothing = json!({"rows": 0, "facts": {
            "cursor_range": {"first": null, "last": null}, "in_flight": false, "scope": {"everything": "no commit yet"},
        }});
        assert_eq!(in_words(&nothing), "0 rows\n  from    the whole table: no commit yet");
        let asked = json!({"rows": 1, "facts": {"scope": {"from": 17, "above": 3}}});
        assert_eq!(in_words(&asked), "1 row\n  from    17 on, as asked");
    }

    #[test]
    fn a_plan_of_requests_says_days_and_quota_and_nothing_is_kept_back() {
        let plan = json!({"rows": null, "facts": {
            "requests_planned": 3, "requests_left_to_make": 2, "first_day": "2026-01-01", "last_day": "2026-01-03",
            "quota_remaining_before": 997, "new_fact": {"a": 1},
        }});
        let expected = "an unknown number of rows\n  asks    3 requests, days 2026-01-01 to 2026-01-03\n  \
                        later   2 requests are left for later runs\n  quota   997 requests of the source's quota are left\n  \
                        new fact  {\"a\":1}";
        assert_eq!(in_words(&plan), expected);
    }
}
