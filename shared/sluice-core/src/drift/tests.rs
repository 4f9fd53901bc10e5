use serde_json::json;

use super::*;
use crate::sources::Sources;

fn table(contract: &str, columns: &str) -> Table {
    let yaml = format!(
        "tables: [{{table: A.B.C, description: d, source: {{kind: postgres, schema: s, table: t, cursor: id}},
          loader: copy, disposition: merge, key: [id], contract: {contract},
          columns: [{{name: id, type: bigint, required: true}}, {columns}]}}]"
    );
    Sources::parse(&yaml).expect("valid sources").tables.remove(0)
}

/// `name:source type`, with `?` for nullable and `!` for what cannot be read as its contract's type.
fn seen(columns: &str) -> Vec<Observed> {
    let column = |text: &str| {
        let (name, source_type) = text.split_once(':').expect("name:type");
        let nullable = source_type.ends_with('?');
        let readable = !source_type.ends_with('!');
        let source_type = source_type.trim_end_matches(['?', '!']);
        let (becomes, capacity) = match source_type {
            "int4" => ("bigint", Some(10)),
            "int8" => ("bigint", Some(19)),
            "varchar(20)" => ("text", Some(20)),
            "text" => ("text", Some(u32::MAX)),
            "date" => ("date", None),
            numeric => (numeric, None),
        };
        Observed {
            name: name.to_owned(),
            source_type: source_type.to_owned(),
            becomes: becomes.parse().expect("a type"),
            capacity,
            nullable,
            readable,
        }
    };
    columns.split_whitespace().map(column).collect()
}

/// A commit as a run that saw these columns would have left it.
fn committed(table: &Table, columns: &str) -> Commit {
    after(table, None, columns)
}

/// The same after another commit.
fn after(table: &Table, newest: Option<&Commit>, columns: &str) -> Commit {
    let Drift { changes, schema, kept, .. } = compare(table, newest, &seen(columns));
    serde_json::from_value(json!({
        "format_version": 1, "lake_id": "l", "table": "A.B.C", "sequence": 1, "run_id": "r", "loader": "copy",
        "disposition": "merge", "key": ["id"], "schema": schema, "kept": kept, "schema_fingerprint": "", "rows": 0, "files": [],
        "source_facts": { OBSERVED_FACT: seen(columns) }, "drift": changes,
        "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
    }))
    .expect("a commit")
}

/// One line per change, then the columns that the run reads.
fn told(drift: &Drift) -> (Vec<String>, String) {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let changes = drift.changes.iter().map(|change| {
        let kind = word(serde_json::to_value(change.kind).expect("a word"));
        let action = word(serde_json::to_value(change.action).expect("a word"));
        format!("{} {kind} {action}", change.column)
    });
    (changes.collect(), drift.schema.fingerprint())
}

const PRICE: &str = "{name: price, type: 'decimal(10,2)'}";
const NAME: &str = "{name: name, type: text}";
const REQUIRED: &str = "{name: name, type: text, required: true}";

#[test]
fn each_change_has_one_outcome_per_mode() {
    #[rustfmt::skip]
    let cases = [
        // What happens, contract's columns, before, now, then per mode freeze, evolve, reject: changes, columns read.
        ("nothing", NAME, "id:int8 name:text", "id:int8 name:text", [
            ("", "id:bigint,name:text"), ("", "id:bigint,name:text"), ("", "id:bigint,name:text")]),
        ("a new column", NAME, "id:int8 name:text", "id:int8 name:text born:date?", [
            ("born new failed", "id:bigint,name:text"),
            ("born new evolved", "id:bigint,name:text,born:date"),
            ("born new ignored", "id:bigint,name:text")]),
        ("an optional column is dropped", NAME, "id:int8 name:text", "id:int8", [
            ("name dropped failed", "id:bigint"), ("name dropped nulled", "id:bigint"),
            ("name dropped nulled", "id:bigint")]),
        ("a required column is dropped", REQUIRED, "id:int8 name:text", "id:int8", [
            ("name dropped failed", "id:bigint"), ("name dropped failed", "id:bigint"),
            ("name dropped failed", "id:bigint")]),
        ("the key is dropped", NAME, "id:int8 name:text", "name:text", [
            ("id dropped failed", "name:text"), ("id dropped failed", "name:text"),
            ("id dropped failed", "name:text")]),
        ("int4 becomes int8", NAME, "id:int4 name:text", "id:int8 name:text", [
            ("id widened fits", "id:bigint,name:text"), ("id widened fits", "id:bigint,name:text"),
            ("id widened fits", "id:bigint,name:text")]),
        ("varchar becomes text", NAME, "id:int8 name:varchar(20)", "id:int8 name:text", [
            ("name widened fits", "id:bigint,name:text"), ("name widened fits", "id:bigint,name:text"),
            ("name widened fits", "id:bigint,name:text")]),
        ("text becomes varchar", NAME, "id:int8 name:text", "id:int8 name:varchar(20)", [
            ("name narrowed fits", "id:bigint,name:text"), ("name narrowed fits", "id:bigint,name:text"),
            ("name narrowed fits", "id:bigint,name:text")]),
        ("a number gets more digits", PRICE, "id:int8 price:decimal(10,2)", "id:int8 price:decimal(18,2)", [
            ("price widened failed", "id:bigint,price:decimal(10,2)"),
            ("price widened evolved", "id:bigint,price:decimal(18,2)"),
            ("price widened rejected", "id:bigint,price:decimal(10,2)")]),
        ("a number gets more decimals", PRICE, "id:int8 price:decimal(10,2)", "id:int8 price:decimal(18,4)", [
            ("price widened failed", "id:bigint,price:decimal(10,2)"),
            ("price widened rejected", "id:bigint,price:decimal(10,2)"),
            ("price widened rejected", "id:bigint,price:decimal(10,2)")]),
        ("a number gets fewer digits", PRICE, "id:int8 price:decimal(10,2)", "id:int8 price:decimal(8,2)", [
            ("price narrowed fits", "id:bigint,price:decimal(10,2)"),
            ("price narrowed fits", "id:bigint,price:decimal(10,2)"),
            ("price narrowed fits", "id:bigint,price:decimal(10,2)")]),
        ("a number becomes a text", PRICE, "id:int8 price:decimal(10,2)", "id:int8 price:text!", [
            ("price changed failed", "id:bigint,price:decimal(10,2)"),
            ("price changed failed", "id:bigint,price:decimal(10,2)"),
            ("price changed failed", "id:bigint,price:decimal(10,2)")]),
        ("the key may be null", NAME, "id:int8 name:text", "id:int8? name:text", [
            ("id nullable rejected", "id:bigint,name:text"), ("id nullable rejected", "id:bigint,name:text"),
            ("id nullable rejected", "id:bigint,name:text")]),
        ("a column is renamed", NAME, "id:int8 name:text", "id:int8 full_name:text", [
            ("name dropped failed; full_name new failed", "id:bigint"),
            ("name dropped nulled; full_name new evolved", "id:bigint,full_name:text"),
            ("name dropped nulled; full_name new ignored", "id:bigint")]),
        ("a new column whose name no raw table takes", NAME, "id:int8 name:text", "id:int8 name:text Born:date", [
            ("Born new failed", "id:bigint,name:text"), ("Born new ignored", "id:bigint,name:text"),
            ("Born new ignored", "id:bigint,name:text")]),
    ];
    for (what, columns, before, now, expected) in cases {
        for (mode, (changes, schema)) in ["freeze", "evolve", "reject"].into_iter().zip(expected) {
            let table = table(mode, columns);
            let newest = committed(&table, before);
            let drift = compare(&table, Some(&newest), &seen(now));
            let (told, read) = told(&drift);
            assert_eq!((told.join("; ").as_str(), read.as_str()), (changes, schema), "{what}, {mode}");
            assert_eq!(drift.permit(&table).is_err(), changes.contains("failed"), "{what}, {mode}");
        }
    }
}

#[test]
fn a_columns_own_mode_comes_before_its_tables() {
    let table =
        table("evolve", "{name: price, type: 'decimal(10,2)', contract: freeze}, {name: cost, type: 'decimal(10,2)'}");
    let newest = committed(&table, "id:int8 price:decimal(10,2) cost:decimal(10,2)");
    let drift = compare(&table, Some(&newest), &seen("id:int8 price:decimal(12,2) cost:decimal(12,2)"));
    assert_eq!(told(&drift).0, ["price widened failed", "cost widened evolved"]);
    let error = drift.permit(&table).expect_err("a frozen column has changed");
    assert_eq!(error.kind(), Kind::SchemaMismatch);
    for part in ["'price' is wider (decimal(10,2) to decimal(12,2))", "A.B.C", "sources.yaml"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!error.to_string().contains("cost"), "{error}");
}

#[test]
fn drift_that_stands_is_told_again_in_each_commit_and_is_news_once() {
    let table = table("reject", NAME);
    let mut newest = committed(&table, "id:int4 name:text");
    let now = seen("id:int8 name:text born:date");
    let first = compare(&table, Some(&newest), &now);
    assert_eq!(told(&first).0, ["id widened fits", "born new ignored"]);
    assert_eq!(first.news(Some(&newest)).len(), 2);

    newest.drift = first.changes;
    newest.source_facts.insert(OBSERVED_FACT.into(), serde_json::to_value(&now).expect("json"));
    let second = compare(&table, Some(&newest), &now);
    assert_eq!(told(&second).0, ["born new ignored"], "the width is no difference any more, the column still is");
    assert!(second.news(Some(&newest)).is_empty());
}

#[test]
fn columns_that_were_left_out_from_the_first_run_on_are_no_drift() {
    let table = table("reject", NAME);
    assert_eq!(told(&compare(&table, None, &seen("id:int8 name:text note:text"))).0, [""; 0]);
}

#[test]
fn an_evolved_column_grows_in_place_or_stops_the_run() {
    let table = table("evolve", NAME);
    let newest = committed(&table, "id:int8 name:text cost:decimal(10,2)");
    for (now, change, read) in [
        ("cost:decimal(12,2)", "cost new evolved", "cost:decimal(12,2)"),
        ("cost:decimal(8,2)", "cost new evolved", "cost:decimal(10,2)"),
        ("cost:decimal(10,4)", "cost changed failed", ""),
        ("cost:text", "cost changed failed", ""),
        ("", "cost dropped nulled", ""),
    ] {
        let (changes, schema) = told(&compare(&table, Some(&newest), &seen(&format!("id:int8 name:text {now}"))));
        assert_eq!(changes, [change], "{now}");
        let evolved = schema.trim_start_matches("id:bigint,name:text").trim_start_matches(',');
        assert_eq!(evolved, read, "{now}");
    }
}

#[test]
fn a_rename_names_the_likely_pair_on_both_sides() {
    #[rustfmt::skip]
    let cases = [
        ("first:text last:text", "first_name:text last_name:text", vec![("first", Some("first_name")), ("last", Some("last_name"))]),
        ("first:text", "vorname:text", vec![("first", Some("vorname"))]),
        ("first:text", "first:date!", vec![]),
        ("first:text", "born:date", vec![("first", None)]),
        ("first:text last:text", "x:text y:text", vec![("first", None), ("last", None)]),
    ];
    for (before, now, expected) in cases {
        let columns: Vec<String> = before
            .split_whitespace()
            .map(|column| format!("{{name: {}, type: text}}", column.split(':').next().unwrap_or_default()))
            .collect();
        let table = table("reject", &columns.join(", "));
        let newest = committed(&table, &format!("id:int8 {before}"));
        let drift = compare(&table, Some(&newest), &seen(&format!("id:int8 {now}")));
        let pairs = |kind| drift.changes.iter().filter(move |c| c.kind == kind);
        let dropped: Vec<(&str, Option<&str>)> =
            pairs(ChangeKind::Dropped).map(|c| (c.column.as_str(), c.likely_pair.as_deref())).collect();
        assert_eq!(dropped, expected, "{before} to {now}");
        for (gone, come) in expected {
            let back = pairs(ChangeKind::New).find(|c| Some(c.column.as_str()) == come);
            assert_eq!(back.and_then(|c| c.likely_pair.as_deref()), come.map(|_| gone), "{before} to {now}");
        }
    }
}

#[test]
fn a_change_reads_as_the_command_line_shows_it() {
    let change = Change {
        kind: ChangeKind::Widened,
        column: "price".into(),
        from: Some("decimal(10,2)".into()),
        to: Some("numeric(18,2)".into()),
        action: Action::Evolved,
        likely_pair: None,
        reason: None,
    };
    let expected = json!({
        "kind": "widened", "column": "price", "from": "decimal(10,2)", "to": "numeric(18,2)", "action": "evolved"
    });
    assert_eq!(serde_json::to_value(&change).expect("json"), expected);
    assert_eq!(change.severity(), Severity::Warning);
}

#[test]
fn of_two_columns_that_fold_alike_the_second_is_left_out_and_told() {
    let table = table("evolve", NAME);
    let both = "id:int8 name:text strasse:text straße:text";
    let first = committed(&table, both);
    let (changes, read) = told(&compare(&table, None, &seen(both)));
    assert_eq!(changes, ["strasse new evolved", "straße new ignored"]);
    assert_eq!(read, "id:bigint,name:text,strasse:text");
    let left_out = first.drift[1].to_string();
    assert!(left_out.contains("the same column as 'strasse'") && left_out.contains("source_name"), "{left_out}");

    // The raw table's column stays the first one's, whatever order the source shows and whether it is still there.
    for now in ["id:int8 name:text straße:text strasse:text", "id:int8 name:text straße:text"] {
        let drift = compare(&table, Some(&first), &seen(now));
        let left_out = drift.changes.iter().find(|change| change.column == "straße").expect("it is told");
        assert_eq!(left_out.action, Action::Ignored, "{now}");
        assert_eq!(drift.schema.position("straße"), None, "{now}");
    }
    // Neither does a column get by one of the contract.
    let drift = compare(&table, None, &seen("id:int8 name:text Name:text"));
    assert_eq!(told(&drift).0, ["Name new ignored"]);
}

#[test]
fn the_raw_table_keeps_a_column_that_went_away_with_its_type() {
    let table = table("evolve", NAME);
    let first = committed(&table, "id:int8 name:text note:int8 cost:decimal(10,2)");
    let gone = after(&table, Some(&first), "id:int8 name:text");
    let long_gone = after(&table, Some(&gone), "id:int8 name:text");
    assert_eq!(Schema(long_gone.kept.clone().expect("what is kept")).fingerprint(), "note:bigint,cost:decimal(10,2)");
    for (back, change) in [
        ("note:int8", "note new evolved"),
        ("note:text", "note changed failed"),
        ("note:date", "note changed failed"),
        ("cost:decimal(12,2)", "cost new evolved"),
        ("cost:decimal(12,4)", "cost changed failed"),
    ] {
        let drift = compare(&table, Some(&long_gone), &seen(&format!("id:int8 name:text {back}")));
        assert_eq!(told(&drift).0, [change], "{back}");
        assert_eq!(drift.permit(&table).is_err(), change.contains("failed"), "{back}");
    }
    let clash = compare(&table, Some(&long_gone), &seen("id:int8 name:text note:text"));
    let error = clash.permit(&table).expect_err("the raw table keeps a number").to_string();
    for part in ["'note'", "bigint to text", "the raw table keeps that type", "source_name"] {
        assert!(error.contains(part), "{error}");
    }
    // What a narrower commit does not tell of stays known.
    let narrow = after(&table, Some(&long_gone), "id:int8 name:text cost:decimal(8,2)");
    assert_eq!(narrow.schema.columns().last().expect("cost").column_type, "decimal(10,2)".parse().expect("a type"));
    assert_eq!(Schema(narrow.kept.clone().expect("what is kept")).fingerprint(), "note:bigint");
}

#[test]
fn a_contract_that_asks_the_raw_table_for_another_type_is_refused() {
    let first = committed(&table("reject", PRICE), "id:int8 price:decimal(10,2)");
    for (columns, permitted) in [
        (PRICE, true),
        ("{name: price, type: 'decimal(18,2)'}", true),
        ("{name: price, type: 'decimal(8,1)'}", true),
        ("{name: price, type: 'decimal(18,4)'}", false),
        ("{name: price, type: bigint}", false),
        ("{name: price, type: text}", false),
        ("{name: price_text, source_name: price, type: text}", true),
    ] {
        let permit = permit_contract(&table("reject", columns), Some(&first));
        assert_eq!(permit.is_ok(), permitted, "{columns}: {permit:?}");
        if let Err(error) = permit {
            assert_eq!(error.kind(), Kind::SchemaMismatch);
            assert!(error.to_string().contains("keeps 'price' as decimal(10,2)"), "{error}");
        }
    }
    // A narrower contract forgets nothing of the table.
    let narrow = table("reject", "{name: price, type: 'decimal(8,1)'}");
    let narrow = after(&narrow, Some(&first), "id:int8 price:decimal(8,1)");
    assert_eq!(permit_contract(&table("reject", PRICE), Some(&narrow)).err().map(|e| e.to_string()), None);
}

#[test]
fn a_column_is_found_in_the_source_by_its_source_name() {
    let renamed = "{name: created_at, source_name: createdAt, type: date}";
    let table = table("evolve", renamed);
    let newest = committed(&table, "id:int8 createdAt:date");
    assert_eq!(newest.schema.fingerprint(), "id:bigint,created_at:date");
    for (now, changes) in [
        ("id:int8 createdAt:date", vec![]),
        ("id:int8", vec!["created_at dropped nulled"]),
        ("id:int8 createdAt:text!", vec!["created_at changed failed"]),
        // The source's own column of that name would be the same in the warehouse.
        ("id:int8 createdAt:date created_at:date", vec!["created_at new ignored"]),
    ] {
        assert_eq!(told(&compare(&table, Some(&newest), &seen(now))).0, changes, "{now}");
    }
}

#[test]
fn an_entry_that_never_fitted_is_not_blamed_on_the_source() {
    let wrong = table("freeze", "{name: amount, type: bigint}, {name: note, type: text}");
    let now = seen("id:int8 amount:text! extra:date");
    let first = compare(&wrong, None, &now).permit(&wrong).expect_err("it cannot be read").to_string();
    for part in [
        "the entry in platform/sources.yaml does not fit its source",
        "'amount' is text in the source and bigint in the entry",
        "the source has no 'note'",
        "the source has 'extra' (date), and the entry does not",
        "nothing was written; correct the entry",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    assert!(!first.contains("changed") && !first.contains("change the source back"), "{first}");

    // The same once a commit has seen the source as it is, and somebody has changed the entry since.
    let newest = committed(&table("freeze", "{name: amount, type: text}"), "id:int8 amount:text");
    let changed = table("freeze", "{name: amount, type: bigint}");
    let later = compare(&changed, Some(&newest), &seen("id:int8 amount:text!")).permit(&changed);
    let later = later.expect_err("it cannot be read").to_string();
    assert!(later.contains("nothing was written; correct the entry") && !later.contains("changed"), "{later}");

    // And where both are at fault, each is named.
    let both = table("freeze", "{name: amount, type: bigint}, {name: name, type: text}");
    let newest = committed(
        &table("freeze", "{name: amount, type: text}, {name: name, type: text}"),
        "id:int8 amount:text name:text",
    );
    let both =
        compare(&both, Some(&newest), &seen("id:int8 amount:text!")).permit(&both).expect_err("both").to_string();
    assert!(
        both.contains("contract forbids: 'name' is gone (text); the entry") && both.contains("'amount' is text"),
        "{both}"
    );
}
