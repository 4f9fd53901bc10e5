"""What `fct_purchases` and `sales` must hold, worked out row by row from the raw tables: the written rules, once more."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from raw import CONTACTS, PRODUCTS, PURCHASES, RATES, Row

CARRIED_DAYS = 7
UNKNOWN = "-1"
BLANKS = " \t\n\r"

# A line of this many dollars or more has no amount.
LINE_LIMIT = 10**12

# A to Z and nothing else: other letters have lower cases on which engines do not agree.
FOLDED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


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


def folded(address: str) -> str:
    return address.strip(BLANKS).translate(FOLDED)


def lines(raw: dict[str, list[Row]]) -> list[Line]:
    with localcontext() as context:
        context.prec = 60
        owners = owners_of_emails(raw[CONTACTS])
        return [_line(purchase, raw, owners) for purchase in _first_arrivals(raw[PURCHASES])]


def _first_arrivals(rows: list[Row]) -> list[Row]:
    kept: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["_kafka_timestamp"], row["_kafka_partition"], row["_kafka_offset"])):
        kept.setdefault(row["event_id"], row)
    return list(kept.values())


def _line(purchase: Row, raw: dict[str, list[Row]], owners: dict[str, int]) -> Line:
    version = _version(raw[PRODUCTS], purchase["product_id"], purchase["purchase_ts"])
    price = version["price_usd"] if version else None
    rate_date, rate = _rate(raw[RATES], purchase["purchase_ts"].date())
    exact = None if price is None or purchase["quantity"] * price >= LINE_LIMIT else purchase["quantity"] * price
    return Line(
        purchase["event_id"],
        str(owners.get(folded(purchase["customer_email"]), UNKNOWN)),
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
            and row["rate"] > 0
        ]
        if of_day:
            best = max(of_day, key=lambda row: (row["rate_kind"] == "final", row["_sluice_sequence"], row["_sluice_row_number"]))
            return best["rate_date"], best["rate"]
    return None, None


def merges(contacts: list[Row]) -> dict[int, int]:
    """The contact that each merged one became part of: of several that name it one that is a customer, else the lowest id."""
    claims: dict[int, set[int]] = {}
    for row in contacts:
        for part in (row["merged_ids"] or "").split(";"):
            part = part.strip(BLANKS)
            if part.isdigit() and int(part) != row["id"]:
                claims.setdefault(int(part), set()).add(row["id"])
    gone = {row["id"] for row in contacts if row["archived"] or row["id"] in claims}
    return {merged: min(kept, key=lambda contact: (contact in gone, contact)) for merged, kept in claims.items()}


def customers(contacts: list[Row]) -> list[Row]:
    """Contacts that are customers: live ones that were not merged into another."""
    merged = merges(contacts)
    return [row for row in contacts if not row["archived"] and row["id"] not in merged]


def owners_of_emails(contacts: list[Row]) -> dict[str, int]:
    """The customer whose purchases are those of an address: whose own it is, else whom it came to by a merge."""
    merged = merges(contacts)
    living = {row["id"] for row in customers(contacts)}
    own: dict[str, int] = {}
    inherited: dict[str, int] = {}
    for row in contacts:
        keeper, seen = row["id"], set()
        while keeper in merged and keeper not in seen:
            seen.add(keeper)
            keeper = merged[keeper]
        if keeper not in living:
            continue
        further = [(address, inherited) for address in (row["additional_emails"] or "").split(";")]
        for address, owners in [(row["email"] or "", own if keeper == row["id"] else inherited), *further]:
            address = folded(address)
            if address:
                owners[address] = min(keeper, owners.get(address, keeper))
    return inherited | own


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
            _total_gbp(own),
            min(moments, default=None),
            max(moments, default=None),
        )
    return result


def _total_gbp(own: list[Line]) -> Decimal | None:
    """Null where there are dollars and no pounds at all; the pounds that there are otherwise."""
    pounds = [line.line_gbp for line in own if line.line_gbp is not None]
    unconverted = any(line.line_usd is not None and line.line_gbp is None for line in own)
    return None if unconverted and not pounds else sum(pounds, Decimal("0.00"))


def left_out(raw: dict[str, list[Row]]) -> dict[str, tuple[Any, ...]]:
    """By reason: lines, dollars, first and last day."""
    bought = lines(raw)
    reasons = {
        "unpriced": [line for line in bought if line.line_usd is None],
        "unconverted": [line for line in bought if line.line_usd is not None and line.line_gbp is None],
        "unknown customer": [line for line in bought if line.customer_id == UNKNOWN],
    }
    result = {}
    for reason, found in reasons.items():
        usd = sum((line.line_usd for line in found if line.line_usd is not None), Decimal("0.00"))
        days = [line.purchased_at.date() for line in found]
        result[reason] = (len(found), None if reason == "unpriced" else usd, min(days, default=None), max(days, default=None))
    return result
