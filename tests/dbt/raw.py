"""A small shop, invented from a seed, and the order in which its rows reach the raw tables.

It has what makes the models hard: events sent twice and with other contents, purchases at the edge of a day, before a
product existed and after it ended, two changes at one moment, days without a rate, provisional rates that become final,
contacts that share an address, move to another one, are merged, archived or lack one, addresses in letters on whose lower
case engines do not agree, rates of 0, and a quantity that no amount can be made of.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Row = dict[str, Any]

PURCHASES = "streaming_public.purchases"
PRODUCTS = "dlt_application_data.products"
RATES = "snowpipe_open_exchange_rates.exchange_rates"
CURRENCIES = "dlt_open_exchange_rates.currencies"
CONTACTS = "airbyte_hubspot.contacts"

# The raw table of each source, as database and schema and as name.
TABLES = {
    PURCHASES: ("STREAMING", "PUBLIC", "PURCHASES"),
    PRODUCTS: ("DLT", "APPLICATION_DATA", "PRODUCTS"),
    RATES: ("SNOWPIPE", "OPEN_EXCHANGE_RATES", "EXCHANGE_RATES"),
    CURRENCIES: ("DLT", "OPEN_EXCHANGE_RATES", "CURRENCIES"),
    CONTACTS: ("AIRBYTE", "HUBSPOT", "CONTACTS"),
}

FIRST_DAY = date(2026, 2, 20)
DAYS = 24
LOADED = datetime(2026, 4, 1)


@dataclass
class Arrivals:
    """Rows by source, in batches; a contact's later version replaces its earlier one."""

    batches: list[dict[str, list[Row]]] = field(default_factory=list)


def arrivals(seed: int, batches: int, purchases: int = 80) -> Arrivals:
    """The shop's rows, each in a batch drawn at random and in random order within it."""
    random = Random(seed)
    shop = {
        PURCHASES: _purchases(random, purchases),
        PRODUCTS: _products(random),
        RATES: _rates(random),
        CURRENCIES: [{"code": code, "name": name} for code, name in (("USD", "US Dollar"), ("GBP", "Pound"), ("eur", "Euro"))],
        CONTACTS: _contacts(random),
    }
    result = Arrivals([{source: [] for source in TABLES} for _ in range(batches)])
    for source, rows in shop.items():
        for row in rows:
            result.batches[random.randrange(batches)][source].append(row)
    for number, batch in enumerate(result.batches):
        for rows in batch.values():
            random.shuffle(rows)
            for position, row in enumerate(rows):
                row |= {
                    "_sluice_run_id": f"run-{number}",
                    "_sluice_sequence": number + 1,
                    "_sluice_loaded_at": LOADED + timedelta(hours=number),
                    "_sluice_source_file": "part-00000",
                    "_sluice_row_number": position,
                }
    return result


# Each also comes with its letters A to Z in upper case, and that is all that makes no difference.
ADDRESSES = [f"buyer{n}@example.com" for n in range(6)] + ["σίσυφος@x.gr", "σίσυφοσ@x.gr", "straße@x.de", "İi@x.tr", "ﬁ.\u212a@x.uk"]


def _shouted(address: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in address)


def _moment(random: Random) -> datetime:
    day = datetime.combine(FIRST_DAY + timedelta(days=random.randrange(DAYS)), datetime.min.time())
    edge = random.choice([None, None, timedelta(0), timedelta(days=1) - timedelta(microseconds=1)])
    return day + (edge if edge is not None else timedelta(seconds=random.randrange(86400)))


def _purchases(random: Random, count: int) -> list[Row]:
    rows = []
    for number in range(count):
        address = random.choice(ADDRESSES + ["nobody@example.com", "σίσυφος@x.gr".upper(), "straße@x.de".upper()])
        event = {
            "event_id": f"event-{number:05}",
            "customer_email": random.choice([address, _shouted(address), f" {address}\t"]),
            "product_id": random.choice([1, 2, 3, 4, 5, 99]),
            "quantity": random.choice([0, 1, 1, 2, 3, 7, 1_000_000_000_000, 2**63 - 1]),
            "purchase_ts": _moment(random),
            "schema_version": 1,
        }
        # Most repetitions are equal but for their place in the topic; some are not.
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            again = dict(event)
            if random.random() < 0.3:
                again |= {"quantity": random.randrange(1, 9), "purchase_ts": _moment(random)}
            rows.append(again)
    for offset, row in enumerate(random.sample(rows, len(rows))):
        row |= {
            "_kafka_topic": "purchases",
            "_kafka_partition": offset % 3,
            "_kafka_offset": offset // 3,
            "_kafka_timestamp": datetime(2026, 3, 20) + timedelta(seconds=random.randrange(40)),
        }
    return rows


def _products(random: Random) -> list[Row]:
    rows = []
    for product in (1, 2, 3, 4, 5):
        moment = datetime.combine(FIRST_DAY + timedelta(days=random.randrange(-3, 6)), datetime.min.time())
        operation = "INSERT"
        for _ in range(random.randrange(1, 6)):
            price = None if operation == "DELETE" else Decimal(random.choice([0, 1, 50, 49999, 123456])) / Decimal(10_000)
            name = None if operation == "DELETE" else f" Product {product} "
            rows.append({"product_id": product, "product_name": name, "price_usd": price, "operation": operation, "valid_ts": moment})
            moment += random.choice([timedelta(0), timedelta(hours=31), timedelta(days=4)])
            operation = {"DELETE": "INSERT"}.get(operation, random.choice(["UPDATE", "UPDATE", "DELETE"]))
    for number, row in enumerate(rows, start=1):
        row["audit_id"] = number
    return rows


def _rates(random: Random) -> list[Row]:
    rows = []
    for offset in range(-9, DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        # One long gap, beyond what is carried forward, and some short ones.
        if 4 <= offset <= 13 or random.random() < 0.3:
            continue
        for kind in random.choice([["final"], ["provisional"], ["provisional", "final"], ["final", "final"]]):
            for target, rate in (("GBP", random.choice([7_123_456_789, 7_500_000_000, 7_500_000_000, 0])), ("EUR", 9_100_000_000)):
                rows.append(
                    {
                        "rate_date": day,
                        "base_currency": random.choice(["USD", "usd "]),
                        "target_currency": target,
                        "rate": Decimal(rate) / Decimal(10**10),
                        "rate_kind": kind,
                        "source_timestamp": datetime.combine(day, datetime.min.time()),
                    }
                )
    return rows


def _contacts(random: Random) -> list[Row]:
    """Versions of contacts; which of them is the newest is told by `lastmodifieddate`."""
    rows = []
    for number in range(12):
        for version in range(random.choice([1, 2, 3])):
            address = random.choice([_shouted(random.choice(ADDRESSES)) + " ", ADDRESSES[number % len(ADDRESSES)], None, ""])
            rows.append(
                {
                    "id": 100 + number,
                    "email": address,
                    "firstname": random.choice([" Ada", "O'Hara", None]),
                    "lastname": random.choice(["de la Cruz", "山田", None]),
                    "lifecyclestage": random.choice(["lead", "customer"]),
                    "createdate": datetime(2026, 1, 1),
                    "lastmodifieddate": datetime(2026, 2, 1) + timedelta(days=version),
                    "archived": random.random() < 0.2,
                    "merged_ids": random.choice([None, None, "", f"{100 + random.randrange(12)};x", f"{100 + number}; 999"]),
                    "additional_emails": random.choice([None, None, None, "", f"{random.choice(ADDRESSES)}; Buyer0@example.com;"]),
                }
            )
    return rows
