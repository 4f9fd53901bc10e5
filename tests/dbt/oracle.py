"""What `fct_purchases` and `sales` must hold, worked out row by row from the raw tables: the written rules, once more."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from raw import CONTACTS, PRODUCTS, PURCHASES, RATES, Row

CARRIED_DAYS = 7
UNKNOWN = "-1"
BLANKS = " \t\n\r"


@dataclass(frozen=True)
class Line:
    event_id: str
    customer_id: str
    product_key: str
    quantity: int
    purchased_at: datetime
    line_usd: Decimal | None
    line_gbp: Decimal | None
    gbp_rate_date: date | None


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def lines(raw: dict[str, list[Row]]) -> list[Line]:
    with localcontext() as context:
        context.prec = 60
        return [_line(purchase, raw) for purchase in _first_arrivals(raw[PURCHASES])]


def _first_arrivals(rows: list[Row]) -> list[Row]:
    kept: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["_kafka_timestamp"], row["_kafka_partition"], row["_kafka_offset"])):
        kept.setdefault(row["event_id"], row)
    return list(kept.values())


def _line(purchase: Row, raw: dict[str, list[Row]]) -> Line:
    version = _version(raw[PRODUCTS], purchase["product_id"], purchase["purchase_ts"])
    price = version["price_usd"] if version else None
    rate_date, rate = _rate(raw[RATES], purchase["purchase_ts"].date())
    exact = None if price is None else purchase["quantity"] * price
    return Line(
        purchase["event_id"],
        _customer(raw[CONTACTS], purchase["customer_email"]),
        str(version["audit_id"]) if version else UNKNOWN,
        purchase["quantity"],
        purchase["purchase_ts"],
        None if exact is None else cents(exact),
        None if exact is None or rate is None else cents(exact * rate),
        rate_date,
    )


def _version(changes: list[Row], product: int, moment: datetime) -> Row | None:
    before = [row for row in changes if row["product_id"] == product and row["valid_ts"] <= moment]
    newest = max(before, key=lambda row: (row["valid_ts"], row["audit_id"]), default=None)
    return None if newest is None or newest["operation"] == "DELETE" else newest


def _rate(rates: list[Row], day: date) -> tuple[date | None, Decimal | None]:
    for age in range(CARRIED_DAYS + 1):
        of_day = [
            row
            for row in rates
            if row["rate_date"] == day - timedelta(days=age)
            and row["base_currency"].strip(BLANKS).upper() == "USD"
            and row["target_currency"] == "GBP"
        ]
        if of_day:
            best = max(of_day, key=lambda row: (row["rate_kind"] == "final", row["_sluice_sequence"], row["_sluice_row_number"]))
            return best["rate_date"], best["rate"]
    return None, None


def customers(contacts: list[Row]) -> list[Row]:
    """Contacts that are customers: live ones that were not merged into another."""
    merged = set()
    for row in contacts:
        for part in (row["merged_ids"] or "").split(";"):
            part = part.strip(BLANKS)
            if part.isdigit() and int(part) != row["id"]:
                merged.add(int(part))
    return [row for row in contacts if not row["archived"] and row["id"] not in merged]


def _customer(contacts: list[Row], address: str) -> str:
    wanted = address.strip(BLANKS).lower()
    owners = [row["id"] for row in customers(contacts) if (row["email"] or "").strip(BLANKS).lower() == wanted != ""]
    return str(min(owners)) if owners else UNKNOWN


def sales(raw: dict[str, list[Row]]) -> dict[str, tuple[Any, ...]]:
    """By customer: transactions, items, dollars, pounds, first and last purchase."""
    bought = lines(raw)
    result = {}
    for customer in [str(row["id"]) for row in customers(raw[CONTACTS])] + [UNKNOWN]:
        own = [line for line in bought if line.customer_id == customer]
        moments = [line.purchased_at for line in own]
        result[customer] = (
            len(own),
            sum(line.quantity for line in own),
            sum((line.line_usd for line in own if line.line_usd is not None), Decimal("0.00")),
            sum((line.line_gbp for line in own if line.line_gbp is not None), Decimal("0.00")),
            min(moments, default=None),
            max(moments, default=None),
        )
    return result
