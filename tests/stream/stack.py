"""The stack around a run of this folder: `sluice-local with-stack` says in the environment where everything is."""

import json
import os
import pathlib
import signal
import time
import urllib.error
import urllib.request
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

TOPIC = "purchases"
PARTITIONS = 3
TABLE = "STREAMING__PUBLIC.PURCHASES"
BUCKET = "sluice-local-lake-000000000000"
STREAM = "sluice-local-StreamKafka"


def address(name):
    if name not in os.environ:
        raise SystemExit(f"{name} is not set: run this through sluice-local with-stack")
    return os.environ[name]


def sql(query, seconds=300):
    """Rows as lists of texts. Asks again while dbt has the warehouse."""
    end = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(address("SLUICE_CONTROL_URL") + "/sql", data=query.encode())
            return json.load(urllib.request.urlopen(request, timeout=60))
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > end:
                raise SystemExit(f"the warehouse refused a query: {error.read().decode()}") from error
            time.sleep(0.2)


def commit_after(milliseconds):
    """From now on the warehouse makes an append durable after a given time."""
    request = urllib.request.Request(
        address("SLUICE_SNOWFLAKE_URL") + "/_emulator/commit-delay",
        data=json.dumps({"milliseconds": milliseconds}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


def restart(part):
    request = urllib.request.Request(f"{address('SLUICE_CONTROL_URL')}/restart/{part}", data=b"")
    try:
        urllib.request.urlopen(request, timeout=180).close()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"cannot restart {part}: {error.read().decode()}") from error


def kill_function():
    """Kills the processes of the streaming function that belong to this stack; returns how many."""
    marks = {f"AWS_LAMBDA_FUNCTION_NAME={STREAM}".encode(), f"AWS_ENDPOINT_URL={address('SLUICE_AWS_URL')}".encode()}
    killed = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
        except OSError:
            continue
    return killed


def producer(**settings):
    return Producer({
        "bootstrap.servers": address("SLUICE_KAFKA"), "acks": "all", "message.timeout.ms": 300_000,
        "queue.buffering.max.messages": 200_000, "logger": None, "log_level": 0, **settings,
    })


def consumer():
    return Consumer({
        "bootstrap.servers": address("SLUICE_KAFKA"), "group.id": "read-back", "enable.auto.commit": False, "log_level": 0,
    })


def ends():
    """The offset after the last record of each partition."""
    reader = consumer()
    try:
        return {p: reader.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=30)[1] for p in range(PARTITIONS)}
    finally:
        reader.close()


def purchase(rng, at):
    customer = f"storm-{rng.randrange(20_000)}@example.com"
    event = {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "customer_email": customer,
        "product_id": rng.randrange(1, 200), "quantity": rng.randrange(1, 6), "purchase_ts": at, "schema_version": 1,
    }
    return customer, event
