"""How long it takes from sending an event until a query sees its row, measured from outside.

    sluice-local with-stack --open -- .tools/venv/kafka-client/bin/python tests/stream/latency.py

An independent Kafka client sends RATE (1,000) events a second for SECONDS (300) and notes when; meanwhile the warehouse is
asked again and again how far each partition is, and the time of the answer counts. dbt does not run: here it would take
the warehouse's file away.

All of it is done twice. First an append is durable after 50 ms, which shows what the platform itself takes. Then it takes
COMMIT_SECONDS (5): Snowflake documents 5 to 10 s from a row's arrival until a query sees it.
"""

import datetime
import json
import os
import random
import sys
import threading
import time
import urllib.request

import stack

RATE = int(os.environ.get("RATE") or 1_000)
SECONDS = int(os.environ.get("SECONDS") or 300)
COMMIT_SECONDS = float(os.environ.get("COMMIT_SECONDS") or 5)
QUICK_MS = 50
ASK_EVERY = 0.02
STALLED_AFTER = 60


def events_api(action, **parameters):
    """One call of EventBridge's API."""
    request = urllib.request.Request(stack.address("SLUICE_AWS_URL"), data=json.dumps(parameters).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AWSEvents.{action}",
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/events/aws4_request, "
                         "SignedHeaders=host, Signature=none",
    })
    return json.loads(urllib.request.urlopen(request, timeout=30).read() or b"{}")


def news_of_tables(action):
    """Stops or starts what wakes dbt."""
    bus = "sluice-local-bus"
    rules = [rule["Name"] for rule in events_api("ListRules", EventBusName=bus)["Rules"] if "TableLoaded" in rule["Name"]]
    if not rules:
        raise SystemExit("the stack has no rule for loaded tables")
    for rule in rules:
        events_api(action, Name=rule, EventBusName=bus)


def dbt_runs():
    return int(stack.sql("SELECT count(*) FROM ADMIN__OBSERVABILITY.DBT_RUNS")[0][0])


class Sender(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.sent = {}
        self.failure = None

    def run(self):
        rng = random.Random("latency")
        producer = stack.producer(**{"enable.idempotence": True, "linger.ms": 2})

        def noted(at):
            def delivered(error, message):
                if error:
                    self.failure = f"a record was not delivered: {error}"
                else:
                    self.sent[message.partition(), message.offset()] = at
            return delivered

        start = time.monotonic()
        for number in range(RATE * SECONDS):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            key, event = stack.purchase(rng, datetime.datetime.now(datetime.timezone.utc).isoformat())
            # A record that had to wait for its turn is late by that much: the clock starts when it was due.
            producer.produce(stack.TOPIC, key=key, value=json.dumps(event), on_delivery=noted(start + number / RATE))
            producer.poll(0)
        if producer.flush(60):
            self.failure = "the broker did not acknowledge everything"


def watch(sender, starts):
    """The time at which each partition was first seen to have come so far."""
    seen, reached, moved = [], {p: start - 1 for p, start in starts.items()}, time.monotonic()
    where = " OR ".join(f"(_KAFKA_PARTITION = {p} AND _KAFKA_OFFSET >= {start})" for p, start in starts.items())
    while time.monotonic() - moved < STALLED_AFTER:
        rows = stack.sql(f"SELECT _KAFKA_PARTITION, max(_KAFKA_OFFSET) FROM {stack.TABLE} WHERE {where} GROUP BY 1")
        now = time.monotonic()
        for partition, offset in ((int(row[0]), int(row[1])) for row in rows):
            if offset > reached[partition]:
                seen.append((partition, reached[partition] + 1, offset, now))
                reached[partition], moved = offset, now
        ended = not sender.is_alive()
        if ended and all(reached.get(p, -1) >= offset for p, offset in sender.sent):
            break
        time.sleep(ASK_EVERY)
    return seen


def measured(commit_ms):
    """Seconds from sending to queryable, where an append is durable after a given time."""
    stack.commit_after(commit_ms)
    before = dbt_runs()
    starts = stack.ends()
    sender = Sender()
    sender.start()
    seen = watch(sender, starts)
    sender.join()
    if sender.failure:
        raise SystemExit(sender.failure)
    if dbt_runs() != before:
        raise SystemExit("dbt has run meanwhile: the metrics would be about something else")
    waits = [at - sender.sent.pop((p, o)) for p, first, last, at in seen for o in range(first, last + 1)]
    if sender.sent or len(waits) != RATE * SECONDS:
        raise SystemExit(f"{len(sender.sent)} of {RATE * SECONDS} events were not seen in the warehouse")
    waits.sort()
    metrics = {f"p{share}": round(waits[len(waits) * share // 100 - 1], 3) for share in (50, 95, 99)}
    metrics |= {"max": round(waits[-1], 3)}
    print(f"  {len(waits):,} events at {RATE:,} a second, durable after {commit_ms / 1000:g} s, seconds from sending to queryable:")
    print("  " + ", ".join(f"{name} {value}" for name, value in metrics.items()), flush=True)
    return metrics


def main():
    news_of_tables("DisableRule")
    try:
        quick = measured(QUICK_MS)
        documented = measured(int(COMMIT_SECONDS * 1000))
    finally:
        stack.commit_after(QUICK_MS)
        news_of_tables("EnableRule")
    metrics = {"events": RATE * SECONDS, "per_second": RATE, "commit_seconds": COMMIT_SECONDS, "with_commit_seconds": documented}
    print(json.dumps({"bench": "latency", **quick, **metrics}))


if __name__ == "__main__":
    sys.exit(main())
