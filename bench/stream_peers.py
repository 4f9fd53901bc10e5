"""P2 in Python: the same event, checks and outputs, with orjson, with the standard library, and with a pydantic model.

Prints a JSON list of {name, rows, seconds}.
"""

import base64
import datetime
import gc
import json
import sys
import time
import uuid

import orjson
import zstandard
from pydantic import AwareDatetime, BaseModel, Field

RUNS = 7
FIELDS = ("event_id", "customer_email", "product_id", "quantity", "purchase_ts", "schema_version")


class Purchase(BaseModel):
    """The contract as a model."""

    event_id: str
    customer_email: str
    product_id: int
    quantity: int = Field(ge=1)
    purchase_ts: AwareDatetime
    schema_version: int = Field(ge=1)


def checked(purchase):
    """The contract by hand; raises on a purchase that breaks it."""
    event_id, email, product, quantity, at, version = [purchase[name] for name in FIELDS]
    if not (isinstance(event_id, str) and isinstance(email, str) and isinstance(product, int)):
        raise ValueError("a field has another type")
    if not (isinstance(quantity, int) and quantity >= 1 and isinstance(version, int) and version >= 1):
        raise ValueError("a number is out of range")
    at = datetime.datetime.fromisoformat(at)
    return event_id, email, product, quantity, at, version


def by_hand(loads):
    return lambda raw: checked(loads(raw))


def by_model(raw):
    model = Purchase.model_validate_json(raw)
    return tuple(getattr(model, name) for name in FIELDS)


def run(event, loads, dumps, purchase_of):
    """One event; returns the number of rows."""
    rows, lines = [], []
    run_id = str(uuid.UUID(int=7))
    loaded_at = "2025-11-01 00:00:00.000000"
    for records in loads(event)["records"].values():
        source = f"archive/purchases/2025-10-31/3-{records[0]['offset']}-{records[-1]['offset']}.ndjson.zst"
        for number, record in enumerate(records, 1):
            raw = base64.b64decode(record["value"])
            event_id, email, product, quantity, at, version = purchase_of(raw)
            offset, topic, partition = record["offset"], record["topic"], record["partition"]
            kafka_at = datetime.datetime.fromtimestamp(record["timestamp"] / 1000, datetime.timezone.utc)
            rows.append(dumps({
                "EVENT_ID": event_id, "CUSTOMER_EMAIL": email, "PRODUCT_ID": product, "QUANTITY": quantity,
                "PURCHASE_TS": at.strftime("%Y-%m-%d %H:%M:%S.%f"), "SCHEMA_VERSION": version,
                "_SLUICE_RUN_ID": f"lake_main_{topic}_{partition}/{run_id}", "_SLUICE_LOADED_AT": loaded_at,
                "_SLUICE_SOURCE_FILE": source, "_KAFKA_TOPIC": topic, "_KAFKA_PARTITION": partition,
                "_SLUICE_SEQUENCE": offset, "_KAFKA_OFFSET": offset, "_SLUICE_ROW_NUMBER": number,
                "_KAFKA_TIMESTAMP": kafka_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
            }))
            lines.append(dumps({
                "topic": topic, "partition": partition, "offset": offset, "timestamp": record["timestamp"],
                "key": record["key"], "value": record["value"], "headers": record["headers"],
            }))
    compressor = zstandard.ZstdCompressor(level=1)
    packed = [compressor.compress(b"\n".join(part)) for part in (rows, lines)]
    assert all(packed)
    return len(rows)


def main():
    with open(sys.argv[1], "rb") as file:
        event = file.read()
    std_dumps = lambda value: json.dumps(value, separators=(",", ":")).encode()
    peers = {
        "Python, orjson": (orjson.loads, orjson.dumps, by_hand(orjson.loads)),
        "Python, pydantic model": (orjson.loads, orjson.dumps, by_model),
        "Python, standard library": (json.loads, std_dumps, by_hand(json.loads)),
    }
    results = []
    for name, functions in peers.items():
        rows, seconds = run(event, *functions), []
        for _ in range(RUNS):
            gc.collect()
            begin = time.perf_counter()
            run(event, *functions)
            seconds.append(time.perf_counter() - begin)
        results.append({"name": name, "rows": rows, "seconds": seconds})
    print(json.dumps(results))


main()
