use tokio_postgres::types::Type;

use super::{condition::condition, *};
use crate::{
    position::{Range, Scope, Since, Transactions, Why},
    type_map::Field,
};

const HOSTILE: &str = "a\"; DROP TABLE x; --";

fn fields() -> Vec<Field> {
    let column = |name: &str, column_type: &str| {
        serde_json::from_value(serde_json::json!({ "name": name, "type": column_type })).unwrap()
    };
    vec![
        Field::new(&column(HOSTILE, "bigint"), &Type::INT8).unwrap(),
        Field::new(&column("π", "text"), &Type::UUID).unwrap(),
    ]
}

fn rendered(scope: &Scope, nullable: bool) -> String {
    let rows = Rows { scope, stretch: &Stretch::All, without: &[], without_values: &[] };
    copy("s.p", "tab\"le", &fields(), &CursorColumn { name: HOSTILE, nullable }, &rows, None)
}

#[test]
fn hostile_names_stay_names() {
    assert_eq!(
        rendered(&Scope::Everything(Why::NoCursor), false),
        r#"COPY (SELECT "a""; DROP TABLE x; --", "π"::text FROM "s.p"."tab""le") TO STDOUT (FORMAT binary)"#
    );
    assert_eq!(describe("S", "t", ["a\"b"].into_iter()), r#"SELECT "a""b" FROM "S"."t""#);
}

#[test]
fn the_condition_follows_the_scope() {
    let transactions = Some(Transactions { xmax: 7, distance: 3 });
    let cases = [
        (Since::default(), false, ""),
        (Since { above: Some(-5), ..Since::default() }, false, r#" WHERE "a""; DROP TABLE x; --" > ('-5'::bigint)"#),
        (
            Since { transactions, seen: vec![4, 5], ..Since::default() },
            false,
            " WHERE (((7::bigint - xmin::text::bigint) & 4294967295) <= 3 AND xmin::text::bigint <> ALL ('{4,5}'::bigint[]))",
        ),
        (
            Since { transactions, ..Since::default() },
            true,
            " WHERE ((7::bigint - xmin::text::bigint) & 4294967295) <= 3",
        ),
        (
            Since { above: Some(i64::MIN), transactions, ..Since::default() },
            true,
            r#" WHERE ("a""; DROP TABLE x; --" > ('-9223372036854775808'::bigint) OR "a""; DROP TABLE x; --" IS NULL) AND ((7::bigint - xmin::text::bigint) & 4294967295) <= 3"#,
        ),
    ];
    for (since, nullable, expected) in cases {
        let cursor = CursorColumn { name: HOSTILE, nullable };
        let scope = Scope::Since(since);
        assert_eq!(condition(&cursor, &scope), expected, "{scope:?}");
        assert!(rendered(&scope, nullable).contains(expected));
    }
}

#[test]
fn what_lies_behind_a_position_is_all_that_the_next_read_leaves_out() {
    let transactions = Some(Transactions { xmax: 7, distance: 3 });
    let ahead = Since { above: Some(9), transactions, ..Since::default() };
    for (since, expected) in [
        (ahead, r#" WHERE NOT ("id" > ('9'::bigint) AND ((7::bigint - xmin::text::bigint) & 4294967295) <= 3)"#),
        // The next read takes all.
        (Since::default(), " WHERE false"),
    ] {
        let cursor = CursorColumn { name: "id", nullable: false };
        let behind = Scope::Since(since).behind().unwrap();
        assert_eq!(condition(&cursor, &behind), expected);
    }
    let restart = Some(crate::position::Restart::AnotherFile);
    for scope in [Scope::Everything(Why::NoCursor), Scope::Since(Since { restart, ..Since::default() })] {
        let error = scope.behind().unwrap_err();
        assert!(error.kind() == sluice_core::Kind::Conflict && error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_start_value_widens_what_a_position_would_read_and_never_narrows_it() {
    let transactions = Some(Transactions { xmax: 7, distance: 3 });
    let unseen = "((7::bigint - xmin::text::bigint) & 4294967295) <= 3";
    let from = "\"id\" >= ('5'::bigint)";
    let above = "\"id\" > ('9'::bigint)";
    let cursor = CursorColumn { name: "id", nullable: false };
    let cases = [
        (None, format!(" WHERE {from}")),
        (Some(Since::default()), String::new()),
        (Some(Since { transactions, ..Since::default() }), format!(" WHERE ({from} OR {unseen})")),
        (Some(Since { above: Some(9), ..Since::default() }), format!(" WHERE ({from} OR {above})")),
        (
            Some(Since { above: Some(9), transactions, ..Since::default() }),
            format!(" WHERE ({from} OR ({above} AND {unseen}))"),
        ),
    ];
    for (since, expected) in cases {
        let scope = Scope::From(5, since);
        assert_eq!(condition(&cursor, &scope), expected);
        let count = format!("SELECT count(*), min(\"id\")::bigint, max(\"id\")::bigint FROM \"s\".\"t\"{expected}");
        assert_eq!(super::count("s", "t", &cursor, &scope, &Stretch::All), count);
    }
}

#[test]
fn ranges_meet_without_a_gap_and_rows_without_a_value_belong_to_the_first() {
    let cursor = CursorColumn { name: "id", nullable: true };
    let scope = Scope::Since(Since { above: Some(3), ..Since::default() });
    let within = |above, to| condition_within(&cursor, &scope, &Stretch::Range(Range { above, to }));
    let scoped = r#" WHERE ("id" > ('3'::bigint) OR "id" IS NULL) AND "#;
    assert_eq!(within(None, 9), format!(r#"{scoped}("id" <= ('9'::bigint) OR "id" IS NULL)"#));
    assert_eq!(within(Some(9), 20), format!(r#"{scoped}"id" > ('9'::bigint) AND "id" <= ('20'::bigint)"#));
    let required = CursorColumn { name: "id", nullable: false };
    let first = Stretch::Range(Range { above: None, to: -1 });
    let everything = condition_within(&required, &Scope::Everything(Why::NoCursor), &first);
    assert_eq!(everything, r#" WHERE "id" <= ('-1'::bigint)"#);
}

#[test]
fn rows_read_by_themselves_are_left_out_and_rows_without_a_value_not() {
    let cursor = CursorColumn { name: "id", nullable: true };
    let scope = Scope::Everything(Why::NoCursor);
    let aside = |at| Untranslatable { at, fields: vec![1] };
    let without = [aside(At::Value(3)), aside(At::Value(-4))];
    let condition =
        |stretch| Rows { scope: &scope, stretch: &stretch, without: &without, without_values: &[] }.condition(&cursor);
    let others = r#"("id" IS NULL OR "id" <> ALL ('{3,-4}'::bigint[]))"#;
    assert_eq!(condition(Stretch::All), format!(" WHERE {others}"));
    let within = condition(Stretch::Range(Range { above: Some(1), to: 9 }));
    assert!(within.ends_with(&format!("\"id\" <= ('9'::bigint) AND {others}")), "{within}");
    let place = Place { table: 16_384, block: 7, item: 2 };
    let without = [aside(At::NoValue), aside(At::Value(3)), aside(At::Row(place))];
    let rows = Rows { scope: &scope, stretch: &Stretch::All, without: &without, without_values: &[8] };
    let condition = rows.condition(&cursor);
    assert_eq!(
        condition,
        r#" WHERE "id" IS NOT NULL AND ("id" IS NULL OR "id" <> ALL ('{8,3}'::bigint[])) AND "#.to_owned()
            + "(tableoid::bigint, ctid) NOT IN ((16384::bigint, '(7,2)'::tid))"
    );
    let since = Scope::Since(Since { above: Some(5), ..Since::default() });
    let bytes = copy_bytes("s", "t", &fields(), &cursor, &since, &aside(At::NoValue));
    assert!(bytes.contains(r#"WHERE ("id" > ('5'::bigint) OR "id" IS NULL) AND "id" IS NULL)"#), "{bytes}");
    let bytes = copy_bytes("s", "t", &fields(), &cursor, &Scope::Everything(Why::NoCursor), &aside(At::Value(-4)));
    assert!(bytes.contains(r#" WHERE "id" = ('-4'::bigint)) TO STDOUT"#), "{bytes}");
    let bytes = copy_bytes("s", "t", &fields(), &cursor, &since, &aside(At::Row(place)));
    assert!(bytes.contains("AND (tableoid::bigint, ctid) = (16384::bigint, '(7,2)'::tid)) TO"), "{bytes}");
}

#[test]
fn a_stretch_is_cut_into_parts_that_meet() {
    let cursor = CursorColumn { name: "id", nullable: true };
    let within = |stretch| condition_within(&cursor, &Scope::Everything(Why::NoCursor), &stretch);
    let blocks = Stretch::Blocks(Blocks { value: -3, table: 16_384, first: 2, last: 9 });
    let (before, after) = blocks.cut(4);
    let of = r#" WHERE "id" = ('-3'::bigint) AND tableoid::bigint = 16384 AND "#;
    assert_eq!(within(before), format!("{of}ctid >= '(2,0)'::tid AND ctid < '(5,0)'::tid"));
    assert_eq!(within(after), format!("{of}ctid >= '(5,0)'::tid AND ctid < '(10,0)'::tid"));
    let range = |above, to| Stretch::Range(Range { above, to });
    assert_eq!(Stretch::All.cut(7), (range(None, 7), range(Some(7), i64::MAX)));
    assert_eq!(range(Some(1), 9).cut(7), (range(Some(1), 7), range(Some(7), 9)));
}

#[test]
fn a_partitioning_asks_for_the_rows_of_its_scope() {
    let cursor = CursorColumn { name: HOSTILE, nullable: false };
    let transactions = Some(Transactions { xmax: 7, distance: 3 });
    let unbounded = Scope::Since(Since { transactions, ..Since::default() });
    let bounded = Scope::Since(Since { above: Some(5), transactions, ..Since::default() });
    let name = r#""a""; DROP TABLE x; --""#;
    let unseen = "((7::bigint - xmin::text::bigint) & 4294967295) <= 3";
    assert_eq!(
        estimate("s", "t", &cursor, &bounded),
        format!(r#"EXPLAIN (FORMAT JSON) SELECT 1 FROM "s"."t" WHERE {name} > ('5'::bigint)"#)
    );
    assert_eq!(
        estimate("s", "t", &cursor, &unbounded),
        format!(r#"EXPLAIN (FORMAT JSON) SELECT 1 FROM "s"."t" WHERE {unseen}"#)
    );
    assert_eq!(
        boundaries("s", "t", &cursor, &bounded, 4, 2.5),
        format!(
            r#"SELECT count(*), (percentile_disc('{{0.25,0.5,0.75}}'::float8[]) WITHIN GROUP (ORDER BY {name}))::bigint[] FROM "s"."t" TABLESAMPLE SYSTEM (2.500000) REPEATABLE (0) WHERE {name} > ('5'::bigint) AND {unseen}"#
        )
    );
    assert_eq!(
        largest("s", "t", &cursor, &bounded),
        format!(r#"SELECT max({name})::bigint FROM "s"."t" WHERE {name} > ('5'::bigint) AND {unseen}"#)
    );
}
