"""`sluice why` over a running platform, against the oracle: the totals of customers, worked out from the raw rows that the
platform holds now, are the value, the sum over its lines, and the sum over the lines that are shown.

Usage: tests/cli/why.py <state folder>
"""

import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/dbt"))

import oracle  # noqa: E402
from raw import CONTACTS, PRODUCTS, PURCHASES, RATES  # noqa: E402

STATE = sys.argv[1]
LINES = "ANALYTICS.MARTS.FCT_PURCHASES"

# What the oracle reads, with the types that JSON does not have.
COLUMNS = {
    CONTACTS: ("AIRBYTE.HUBSPOT.CONTACTS", {"id": int, "email": str, "archived": bool, "merged_ids": str, "additional_emails": str}),
    PRODUCTS: ("DLT.APPLICATION_DATA.PRODUCTS", {"audit_id": int, "product_id": int, "price_usd": Decimal, "operation": str, "valid_ts": datetime}),
    RATES: (
        "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES",
        {"rate_date": date, "base_currency": str, "target_currency": str, "rate": Decimal, "rate_kind": str, "_sluice_sequence": int, "_sluice_row_number": int},
    ),
    PURCHASES: (
        "STREAMING.PUBLIC.PURCHASES",
        {"event_id": str, "customer_email": str, "product_id": int, "quantity": int, "purchase_ts": datetime,
         "_kafka_timestamp": datetime, "_kafka_partition": int, "_kafka_offset": int},
    ),
}  # fmt: skip


def sluice(*arguments):
    done = subprocess.run([ROOT / "tools/sluice", "--state", STATE, "--json", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sluice {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout, parse_float=Decimal)


def typed(kind, value):
    if value is None:
        return None
    if kind in (date, datetime):
        return kind.fromisoformat(value)
    return kind(value)


def raw_rows(source):
    table, columns = COLUMNS[source]
    answer = sluice("query", f"select {', '.join(columns)} from {table}", "--limit", "1000000")
    return [{name: typed(kind, row[name.upper()]) for name, kind in columns.items()} for row in answer["rows"]]


def expect(condition, *about):
    if not condition:
        sys.exit(f"not so: {' '.join(map(str, about))}")


def step(answer, table):
    return next(found for found in answer["steps"] if found["table"] == table)


def decimals(rows, column):
    at = rows["columns"].index(column)
    return [Decimal(row[at]) for row in rows["rows"] if row[at] is not None]


def main():
    expected = oracle.sales({source: raw_rows(source) for source in COLUMNS})
    by_lines = sorted(expected, key=lambda customer: -expected[customer][0])
    chosen = [*by_lines[:4], oracle.UNKNOWN, by_lines[-1]]
    for customer in dict.fromkeys(chosen):
        lines, items, usd, gbp, *_ = expected[customer]
        others = (("total_usd", usd), ("total_items", items)) if customer == chosen[0] else ()
        for column, value in (("total_gbp", gbp), *others):
            answer = sluice("why", f"sales.{column}", "--where", f"customer_id={customer}", "--limit", "100000")
            found, again = answer["value"], answer["recomputed"]
            about = (column, "of", customer, "is", found, "and not", value)
            expect((None if found is None else Decimal(found)) == value, *about)
            expect(again["is_same"] and again["rows"] == lines, column, "of", customer, again)
            different = [formula for found in answer["steps"] for formula in found["formulas"] if formula["different"]]
            expect(not different, different)
            shown = step(answer, LINES)
            if column != "total_items":
                total = sum(decimals(shown, f"LINE_{column[-3:].upper()}"), Decimal("0.00"))
                expect(total == (value or 0), "the lines of", *about, "but", total)
            events = step(answer, "STREAMING.PUBLIC.PURCHASES")
            expect(events["count"] == lines == sum(part["rows"] for part in events.get("offsets", [])), events["count"], lines)
            if lines and column == "total_gbp" and customer != oracle.UNKNOWN:
                expect(any(run["load"] == "loaded" for run in answer["runs"]), answer["runs"])
                prices, rates = step(answer, "DLT.APPLICATION_DATA.PRODUCTS"), step(answer, "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES")
                expect(prices["count"] > 0 and rates["count"] > 0, prices["count"], rates["count"])
            expect(answer["dbt"]["status"] == "succeeded", answer["dbt"])
    print(f"why: {len(dict.fromkeys(chosen))} customers, each total is that of the oracle and of its lines")


if __name__ == "__main__":
    main()
