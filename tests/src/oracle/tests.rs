//! Every rule of `sales`, by hand.

use serde_json::{Value, json};

use super::{sales::Line, *};
use crate::generate::{Contact, Dataset, Operation, ProductChange, PurchaseRecord, RateTable, Reason};

const NOON: &str = "2026-03-04T12:00:00Z"; // a Wednesday

fn micros(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn contact(id: i64, email: &str) -> Contact {
    Contact {
        id,
        email: (!email.is_empty()).then(|| email.to_owned()),
        firstname: Some(" Ada ".into()),
        lastname: None,
        lifecyclestage: None,
        createdate: 0,
        lastmodifieddate: 0,
        archived: false,
        merged_ids: Vec::new(),
    }
}

fn product(audit_id: i64, price: i128, operation: Operation, valid_ts: &str) -> ProductChange {
    ProductChange {
        audit_id,
        product_id: 1,
        product_name: None,
        price_usd: (operation != Operation::Delete).then_some(price),
        operation,
        valid_ts: micros(valid_ts),
        commits_late: false,
    }
}

fn record(value: &Value, timestamp_ms: i64) -> PurchaseRecord {
    PurchaseRecord { key: String::new(), value: value.to_string().into_bytes(), timestamp_ms, invalid: None }
}

fn purchase(id: &str, email: &str, quantity: i64, at: &str) -> Value {
    json!({"event_id": id, "customer_email": email, "product_id": 1, "quantity": quantity, "purchase_ts": at,
           "schema_version": 1})
}

/// One customer 7, one product at 10 dollars since 2026-01-01, and 0.75 pounds a dollar on 2026-03-04.
fn data(purchases: &[Value]) -> Dataset {
    let mut rates = RateTable::default();
    rates.insert("2026-03-04".parse().unwrap(), "GBP", 7_500_000_000);
    Dataset {
        products: vec![product(1, 100_000, Operation::Insert, "2026-01-01T00:00:00Z")],
        contacts: vec![contact(7, "a@x.com")],
        purchases: purchases.iter().zip(0..).map(|(value, time)| record(value, time)).collect(),
        rates,
    }
}

fn row(data: &Dataset, id: &str) -> SalesRow {
    sales(data).rows.into_iter().find(|row| row.customer_id == id).unwrap_or_else(|| panic!("no row {id}"))
}

#[test]
fn totals_count_lines_and_sum_rounded_amounts_in_both_currencies() {
    let data = data(&[purchase("1", "a@x.com", 2, NOON), purchase("2", "a@x.com", 3, "2026-03-04T13:00:00+02:00")]);
    let row = row(&data, "7");
    assert_eq!((row.total_transactions, row.total_items), (2, 5));
    assert_eq!((row.total_usd, row.total_gbp), (5_000, Some(3_750)));
    assert_eq!(row.first_purchase_at, Some(micros("2026-03-04T11:00:00Z")));
    assert_eq!(row.last_purchase_at, Some(micros(NOON)));
    assert_eq!((row.first_name.as_deref(), row.last_name.as_deref()), (Some("Ada"), None));
}

#[test]
fn lines_are_rounded_half_up_and_pounds_come_from_unrounded_dollars() {
    let mut data = data(&[purchase("1", "a@x.com", 1, NOON), purchase("2", "a@x.com", 1, NOON)]);
    data.products[0].price_usd = Some(50); // $0.0050 is a cent; £0.00375 is nothing
    let row = row(&data, "7");
    assert_eq!((row.total_usd, row.total_gbp), (2, Some(0)));
}

#[test]
fn the_first_record_of_an_event_id_counts() {
    let mut data = data(&[purchase("1", "a@x.com", 2, NOON), purchase("1", "a@x.com", 9, NOON)]);
    assert_eq!(row(&data, "7").total_items, 2);
    data.purchases[0].timestamp_ms = 5;
    assert_eq!(row(&data, "7").total_items, 9, "first by the record's timestamp, not by place");
    assert_eq!(sales(&data).duplicates, 1);
}

#[test]
fn invalid_records_are_dropped_and_listed() {
    let mut zero = purchase("2", "a@x.com", 0, NOON);
    let mut data = data(&[purchase("1", "a@x.com", 1, NOON), zero.clone()]);
    zero["purchase_ts"] = json!("2026-03-04 noon");
    zero["quantity"] = json!(1);
    data.purchases.push(record(&zero, 8));
    data.purchases.push(PurchaseRecord { value: b"{".to_vec(), ..data.purchases[0].clone() });
    let result = sales(&data);
    assert_eq!(result.rejected_purchases, [(1, Reason::OutOfRange), (2, Reason::BadTimestamp), (3, Reason::NotJson)]);
    assert_eq!(row(&data, "7").total_transactions, 1);
}

#[test]
fn each_kind_of_invalid_record_has_its_reason() {
    let good = purchase("1", "a@x.com", 1, NOON);
    assert_eq!(parse(good.to_string().as_bytes()).map(|event| event.quantity), Ok(1));
    let cases = [
        ("event_id", json!(null), Reason::MissingField),
        ("event_id", json!(4), Reason::WrongType),
        ("quantity", json!(1.5), Reason::WrongType),
        ("quantity", json!("1"), Reason::WrongType),
        ("quantity", json!(0), Reason::OutOfRange),
        ("quantity", json!(-1), Reason::OutOfRange),
        ("quantity", json!(100_001), Reason::OutOfRange),
        ("quantity", json!(i64::MAX), Reason::OutOfRange),
        ("schema_version", json!(0), Reason::OutOfRange),
        ("purchase_ts", json!("2026-03-04T12:00:00"), Reason::BadTimestamp),
        ("purchase_ts", json!("2026-03-04T12:00:00\u{2212}01:00"), Reason::BadTimestamp),
    ];
    for (field, value, reason) in cases {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(parse(bad.to_string().as_bytes()), Err(Refusal { field, reason }));
    }
}

#[test]
fn a_purchase_is_judged_by_its_text_and_not_by_a_float() {
    let good = purchase("1", "a@x.com", 1, NOON).to_string();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        parse(good.replace(from, to).as_bytes())
    };
    for (number, quantity) in [("7.0", 7), ("70e-1", 7), ("0.0007E4", 7), ("1e5", 100_000), ("100000.000", 100_000)] {
        assert_eq!(with("\"quantity\":1", &format!("\"quantity\":{number}")).map(|it| it.quantity), Ok(quantity));
    }
    for number in ["0.99999999999999999", "1.00000000000000000001", "1e-400", "1e400"] {
        let reason = Err(Refusal { field: "quantity", reason: Reason::WrongType });
        assert_eq!(with("\"quantity\":1", &format!("\"quantity\":{number}")), reason, "{number}");
    }
    let nothing = Err(Refusal { field: "quantity", reason: Reason::OutOfRange });
    assert_eq!(with("\"quantity\":1", "\"quantity\":0e99999999999999999999"), nothing, "0 whatever its exponent");
    let twice = with("\"quantity\":1", "\"quantity\":1,\"quantity\":2");
    assert_eq!(twice, Err(Refusal { field: "a field", reason: Reason::StandsTwice }));
    for unknown in ["1e400", "\"\\ud800\"", &"[".repeat(200).chars().chain("]".repeat(200).chars()).collect::<String>()]
    {
        let ignored = with("\"quantity\":1", &format!("\"quantity\":1,\"note\":{unknown}"));
        assert_eq!(ignored.map(|event| event.quantity), Ok(1), "{unknown}");
    }
    for time in ["0000-06-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"] {
        let mut event = purchase("1", "a@x.com", 1, NOON);
        event["purchase_ts"] = json!(time);
        let refused = Err(Refusal { field: "purchase_ts", reason: Reason::OutOfRange });
        assert_eq!(parse(event.to_string().as_bytes()), refused, "{time}");
    }
}

#[test]
fn the_email_matches_without_case_and_spaces_and_the_lowest_id_wins() {
    let mut data = data(&[purchase("1", " A@X.com ", 1, NOON)]);
    data.contacts = vec![contact(30, "a@x.com"), contact(9, "  A@x.COM")];
    assert_eq!(row(&data, "9").total_transactions, 1);
    assert_eq!(row(&data, "9").email.as_deref(), Some("a@x.com"));
    assert_eq!(row(&data, "30").total_transactions, 0, "the other contact has a row of zeros");
}

#[test]
fn archived_merged_and_strange_customers_are_the_unknown_member() {
    let emails = ["a@x.com", "b@x.com", "c@x.com", ""];
    let purchases: Vec<Value> = emails.iter().map(|email| purchase(email, email, 1, NOON)).collect();
    let mut data = data(&purchases);
    data.contacts = vec![
        Contact { archived: true, ..contact(1, "a@x.com") },
        contact(2, "b@x.com"),
        contact(3, ""),
        contact(4, " "),
    ];
    data.contacts[2].merged_ids = vec![2];
    let result = sales(&data);
    let ids: Vec<&str> = result.rows.iter().map(|row| row.customer_id.as_str()).collect();
    assert_eq!(ids, ["-1", "3", "4"], "archived and merged contacts have no row, those without e-mail have one");
    assert_eq!(result.rows[0].total_transactions, 3, "that of the merged contact is its survivor's");
    assert_eq!(result.rows[0].email.as_deref(), Some("unknown"));
    assert_eq!(result.rows[1].email, None);
}

#[test]
fn purchases_of_a_merged_contact_are_the_survivors_over_any_chain() {
    let emails = ["b@x.com", "c@x.com", "reused@x.com", "lost@x.com", "circle@x.com"];
    let purchases: Vec<Value> = emails.iter().map(|email| purchase(email, email, 1, NOON)).collect();
    let mut data = data(&purchases);
    let merged = |id, email: &str, ids: &[i64]| Contact { merged_ids: ids.to_vec(), ..contact(id, email) };
    data.contacts = vec![
        merged(7, "a@x.com", &[8, 11]),
        Contact { archived: true, ..merged(8, "b@x.com", &[9]) },
        merged(9, "c@x.com", &[]),
        merged(10, " REUSED@x.com", &[]),
        merged(11, "reused@x.com", &[]),
        Contact { archived: true, ..merged(12, "", &[13]) },
        merged(13, "lost@x.com", &[]),
        merged(14, "circle@x.com", &[15]),
        merged(15, "", &[14]),
    ];
    let result = sales(&data);
    let bought: Vec<(&str, i64)> =
        result.rows.iter().map(|row| (row.customer_id.as_str(), row.total_transactions)).collect();
    assert_eq!(bought, [("-1", 2), ("10", 1), ("7", 2)], "a living contact's own address is its own");
}

#[test]
fn only_a_to_z_have_another_case_in_an_email() {
    for (mine, other, same) in [
        ("ΣΊΣΥΦΟΣ@X.gr", "ΣΊΣΥΦΟΣ@x.GR", true),
        ("σίσυφος@x.gr", "ΣΊΣΥΦΟΣ@x.gr", false),
        ("σίσυφος@x.gr", "σίσυφοσ@x.gr", false),
        ("i@x.tr", "İ@x.tr", false),
        ("straße@x.de", "STRASSE@x.de", false),
        ("k@x.uk", "\u{212a}@x.uk", false),
        ("\u{a0}k@x.uk", "k@x.uk", false),
    ] {
        let mut data = data(&[purchase("1", other, 1, NOON)]);
        data.contacts = vec![contact(7, mine)];
        assert_eq!(row(&data, "7").total_transactions == 1, same, "{mine} and {other}");
    }
}

/// The contract takes no such quantity; a warehouse may have it from before, or under another contract.
#[test]
fn a_line_beyond_the_limit_has_no_amount_and_stops_nothing() {
    let data = data(&[]);
    let line = |quantity: i64| {
        let event = parse(purchase("1", "a@x.com", 1, NOON).to_string().as_bytes()).expect("a purchase");
        let line = Line::of(&Event { quantity, ..event }, Some(100_000), &data.rates);
        (line.usd, line.gbp)
    };
    assert_eq!(line(99_999_999_999), (Some(99_999_999_999_000), Some(74_999_999_999_250)));
    for beyond in [100_000_000_000, i64::MAX] {
        assert_eq!(line(beyond), (None, None), "{beyond}");
    }
}

#[test]
fn what_totals_leave_out_is_counted_by_reason() {
    let mut unknown = purchase("3", "nobody@x.com", 2, NOON);
    unknown["product_id"] = json!(99);
    let data =
        data(&[purchase("1", "a@x.com", 1, NOON), purchase("2", "nobody@x.com", 2, "2026-03-03T12:00:00Z"), unknown]);
    let result = sales(&data);
    assert_eq!(result.unpriced, LeftOut { lines: 1, usd: 0 });
    assert_eq!(result.unconverted, LeftOut { lines: 1, usd: 2_000 });
    assert_eq!(result.unknown_customer, LeftOut { lines: 2, usd: 2_000 });
    assert_eq!((result.rows[0].total_gbp, result.rows[1].total_gbp), (None, Some(750)), "the sum of the rest, if any");
}

#[test]
fn the_price_is_that_of_the_newest_change_at_the_purchase() {
    let at = |time: &str| {
        let mut data = data(&[purchase("1", "a@x.com", 1, time)]);
        data.products = vec![
            product(1, 10_000, Operation::Insert, "2026-03-01T00:00:00Z"),
            product(4, 20_000, Operation::Update, "2026-03-02T00:00:00Z"),
            product(3, 30_000, Operation::Update, "2026-03-02T00:00:00Z"),
            product(5, -40_000, Operation::Update, "2026-03-03T00:00:00Z"),
            product(2, 0, Operation::Delete, "2026-03-04T00:00:00Z"),
        ];
        let row = row(&data, "7");
        (row.total_usd, row.unpriced_lines)
    };
    assert_eq!(at("2026-02-28T23:59:59.999999Z"), (0, 1), "before the first price");
    assert_eq!(at("2026-03-01T00:00:00Z"), (100, 0), "valid from its very moment");
    assert_eq!(at("2026-03-02T00:00:00Z"), (200, 0), "the higher audit id of two at one moment");
    assert_eq!(at("2026-03-03T10:00:00Z"), (200, 0), "a negative price is no price change");
    assert_eq!(at("2026-03-04T00:00:00Z"), (0, 1), "deleted");
}

#[test]
fn an_unpriced_line_counts_as_a_transaction_and_needs_no_rate() {
    let mut event = purchase("1", "a@x.com", 4, "2020-01-01T00:00:00Z");
    event["product_id"] = json!(99);
    let data = data(&[event]);
    let row = row(&data, "7");
    assert_eq!((row.total_transactions, row.total_items, row.total_usd, row.total_gbp), (1, 4, 0, Some(0)));
    assert_eq!((row.unpriced_lines, row.unconverted_lines), (1, 0));
}

#[test]
fn the_rate_is_that_of_the_utc_date_or_of_the_seven_days_before() {
    let at = |time: &str| {
        let mut data = data(&[purchase("1", "a@x.com", 1, time)]);
        data.rates.insert("2026-03-05".parse().unwrap(), "GBP", 8_000_000_000);
        let row = row(&data, "7");
        (row.total_usd, row.total_gbp, row.unconverted_lines)
    };
    assert_eq!(at("2026-03-04T23:59:59Z"), (1_000, Some(750), 0));
    assert_eq!(at("2026-03-05T01:00:00+02:00"), (1_000, Some(750), 0), "still the fourth in UTC");
    assert_eq!(at("2026-03-05T00:00:00Z"), (1_000, Some(800), 0));
    assert_eq!(at("2026-03-12T23:00:00Z"), (1_000, Some(800), 0), "seven days later");
    assert_eq!(at("2026-03-13T00:00:00Z"), (1_000, None, 1), "eight days later");
    assert_eq!(at("2026-03-03T12:00:00Z"), (1_000, None, 1), "a later rate is none");
    let mut data = data(&[purchase("1", "a@x.com", 1, "2026-03-05T12:00:00Z")]);
    data.rates.insert("2026-03-05".parse().unwrap(), "GBP", 0);
    assert_eq!(row(&data, "7").total_gbp, Some(750), "a rate of 0 is none");
}

#[test]
fn differences_name_customer_column_and_both_values() {
    let expected = sales(&data(&[purchase("1", "a@x.com", 1, NOON)])).rows;
    assert_eq!(compare(&expected, &expected), []);
    let mut actual = expected.clone();
    actual[1].total_usd += 5;
    actual.remove(0);
    let lines: Vec<String> = compare(&expected, &actual).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["customer -1: number of rows should be 1 and is 0", "customer 7: total_usd should be 10 and is 10.05"]
    );
    assert!(report(&compare(&expected, &actual), 1).ends_with("\nand 1 more"));
}
