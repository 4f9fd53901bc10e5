"""Events from an independent Kafka client while parts of the platform are killed and restarted at random.

    sluice-local --state <folder> with-stack --open -- .tools/venv/kafka-client/bin/python tests/stream/storm.py <folder>

EVENTS (1,000,000) and SEED (1) change the run. Then what the broker has acknowledged, record for record, is compared with the
warehouse: counts, sums and offsets of each partition, every event once, a dead letter for each record that is none. The
acknowledgements leave no offset of the topic out, so they are the topic.

When half of it is sent, rows are taken out of the table and `sluice replay` brings them back from the archive, while the stream
goes on and parts are killed; where it is broken off it is called again.

The broker here keeps acknowledged records only when it is asked to end (SIGTERM), and not those that it acknowledges while
it ends: so the client pauses while the broker is started again. The function is killed. The poller is dropped at whatever it
is doing and begins with its saved positions. The warehouse breaks every connection for a second and loses what is not
committed.
"""

import collections
import datetime
import json
import os
import random
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import stack

ROOT = pathlib.Path(__file__).parents[2]
# Where the stack keeps its things.
STATE = sys.argv[1]
EVENTS = int(os.environ.get("EVENTS") or 1_000_000)
SEED = int(os.environ.get("SEED") or 1)
# So fast that the platform is kept busy, so slow that the storm has time to blow.
RATE = min(8_000, EVENTS / 15)
ONE_BAD_IN = 500
STALLED_AFTER = 90


class Storm(threading.Thread):
    """Kills one part after another until it is told to stop; every part comes once in each round."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.rng = random.Random(f"storm {seed}")
        self.over = threading.Event()
        # Set when the broker's turn has come; the sender restarts it, between two records.
        self.broker_due = threading.Event()
        self.done = collections.Counter()
        self.failure = None

    def run(self):
        parts = []
        while not self.over.wait(self.rng.uniform(0.5, 2.5)):
            if not parts:
                parts = ["kafka", "poller", "function", "snowflake"]
                self.rng.shuffle(parts)
            part = parts.pop()
            try:
                if part == "kafka":
                    self.broker_due.set()
                elif part == "function":
                    self.done[part] += 1 if stack.kill_function() else 0
                else:
                    stack.restart(part)
                    self.done[part] += 1
            except SystemExit as error:
                self.failure = str(error)
                return

    def stop(self):
        self.over.set()
        self.join()
        if self.failure:
            raise SystemExit(self.failure)


def since(starts):
    return " OR ".join(f"(_KAFKA_PARTITION = {p} AND _KAFKA_OFFSET >= {start})" for p, start in starts.items())


class Replay(threading.Thread):
    """Takes committed rows of the storm away and has `sluice replay` bring them back, called again where it breaks."""

    TAKEN = 100

    def __init__(self, starts, begin):
        super().__init__(daemon=True)
        self.rows = " OR ".join(f"(_KAFKA_PARTITION = {p} AND _KAFKA_OFFSET >= {first} AND _KAFKA_OFFSET < {first + self.TAKEN})"
                                for p, first in starts.items())
        self.past = since({p: first + self.TAKEN for p, first in starts.items()})
        self.begin = begin
        self.broken_off = 0
        self.taken = 0
        self.failure = None

    def count(self):
        return int(stack.sql(f"SELECT count(*) FROM {stack.TABLE} WHERE {self.rows}")[0][0])

    def wait_until_past(self):
        """The stream is past the rows that are taken, so it cannot bring them itself."""
        for _ in range(120):
            if int(stack.sql(f"SELECT count(DISTINCT _KAFKA_PARTITION) FROM {stack.TABLE} WHERE {self.past}")[0][0]) == stack.PARTITIONS:
                return
            time.sleep(0.5)
        raise SystemExit(f"the stream did not come past its first {self.TAKEN} records in a minute")

    def run(self):
        try:
            self.wait_until_past()
            self.taken = self.count()
            delete = f"DELETE FROM STREAMING.PUBLIC.PURCHASES WHERE {self.rows};"
            self.call("tests/cli/warehouse", STATE, f"EXECUTE IMMEDIATE $$ BEGIN BEGIN TRANSACTION; {delete} COMMIT; END; $$")
            self.taken -= self.count()
            until = datetime.date.today() + datetime.timedelta(days=1)
            self.call("tools/sluice", "--state", STATE, "replay", "--topic", stack.TOPIC, "--from", self.begin,
                      "--to", until.isoformat(), "--yes", "--json")
        except SystemExit as error:
            self.failure = str(error)

    def call(self, *command):
        for _ in range(20):
            ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
            if ran.returncode == 0:
                return
            self.broken_off += 1
            time.sleep(0.5)
        raise SystemExit(f"{command[0]} failed twenty times: {ran.stdout}{ran.stderr}")

    def finish(self):
        self.join()
        if self.failure:
            raise SystemExit(self.failure)
        if not self.taken:
            raise SystemExit("no row was taken away for the replay")


def bad(rng, event):
    """A value that breaks the contract, or the topic's format."""
    return rng.choice([
        lambda: None, lambda: b"{", lambda: json.dumps({**event, "quantity": 0}).encode(),
        lambda: json.dumps({**event, "product_id": "seven"}).encode(),
        lambda: json.dumps({name: value for name, value in event.items() if name != "purchase_ts"}).encode(),
    ])()


def send(rng, storm, replay, expected):
    """Produces everything and waits until the broker has acknowledged it."""
    # Not idempotent: this broker forgets a producer's sequence when it ends.
    producer = stack.producer(**{"linger.ms": 20})

    def delivered(error, message):
        if error:
            raise SystemExit(f"a record was not delivered: {error}")
        expected.add(message.partition(), message.offset(), message.value())

    start = time.monotonic()
    for number in range(EVENTS):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        key, event = stack.purchase(rng, now)
        value = bad(rng, event) if number % ONE_BAD_IN == ONE_BAD_IN - 1 else json.dumps(event).encode()
        while True:
            try:
                producer.produce(stack.TOPIC, key=key, value=value, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        if storm.broker_due.is_set():
            if producer.flush(300):
                raise SystemExit("the broker did not acknowledge everything within five minutes")
            stack.restart("kafka")
            storm.done["kafka"] += 1
            storm.broker_due.clear()
        if number == EVENTS // 2:
            replay.start()
        if number % 100 == 0:
            producer.poll(0)
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
    if producer.flush(300):
        raise SystemExit("the broker did not acknowledge everything within five minutes")
    print(f"  {EVENTS:,} records sent in {time.monotonic() - start:.0f} s", flush=True)


def is_good(value):
    try:
        event = json.loads(value or b"")
    except ValueError:
        return None
    good = event.get("quantity", 0) != 0 and isinstance(event.get("product_id"), int) and "purchase_ts" in event
    return event if good else None


class Expected:
    """What the acknowledged records say must be in the warehouse."""

    def __init__(self, starts):
        # Of each partition: rows, their sum of quantities, their first and last offset.
        self.partitions = {p: [0, 0, None, None] for p in starts}
        self.offsets = {p: set() for p in starts}
        self.ids = set()
        self.dead = set()

    def add(self, partition, offset, value):
        self.offsets[partition].add(offset)
        event = is_good(value)
        if event is None:
            self.dead.add((partition, offset))
            return
        line = self.partitions[partition]
        line[0] += 1
        line[1] += event["quantity"]
        line[2] = offset if line[2] is None else min(line[2], offset)
        line[3] = offset if line[3] is None else max(line[3], offset)
        self.ids.add(event["event_id"])

    def rows(self):
        return sum(line[0] for line in self.partitions.values())


def wait_for(rows, starts):
    """Until the warehouse has that many rows, or nothing has moved for too long."""
    last, moved = -1, time.monotonic()
    while last < rows and time.monotonic() - moved < STALLED_AFTER:
        have = int(stack.sql(f"SELECT count(*) FROM {stack.TABLE} WHERE {since(starts)}")[0][0])
        if have != last:
            last, moved = have, time.monotonic()
        time.sleep(0.5)


def in_warehouse(starts):
    found = stack.sql(
        "SELECT _KAFKA_PARTITION, count(*), sum(QUANTITY), min(_KAFKA_OFFSET), max(_KAFKA_OFFSET), "
        f"count(DISTINCT _KAFKA_OFFSET) FROM {stack.TABLE} WHERE {since(starts)} GROUP BY 1"
    )
    return {int(row[0]): [int(value) for value in row[1:]] for row in found}


def dead_letters(starts):
    """The (partition, offset) of every record put aside since the beginning."""
    found, token = set(), None
    while True:
        query = {"list-type": "2", "prefix": f"dead-letter/{stack.TOPIC}/"}
        if token:
            query["continuation-token"] = token
        url = f"{stack.address('SLUICE_AWS_URL')}/{stack.BUCKET}?{urllib.parse.urlencode(query)}"
        owner = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
        page = urllib.request.urlopen(urllib.request.Request(url, headers=owner), timeout=60).read().decode()
        for partition, offset in re.findall(r"<Key>dead-letter/[^/]+/(\d+)/(\d+)-[0-9a-f]+\.json</Key>", page):
            if int(offset) >= starts[int(partition)]:
                found.add((int(partition), int(offset)))
        token = re.search(r"<NextContinuationToken>([^<]+)<", page)
        if not token:
            return found
        token = token.group(1)


def main():
    starts = stack.ends()
    rng = random.Random(f"events {SEED} {sorted(starts.items())}")
    begin = time.monotonic()
    storm = Storm(SEED)
    storm.start()
    replay = Replay(starts, datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))
    expected = Expected(starts)
    send(rng, storm, replay, expected)
    replay.finish()
    storm.stop()
    stops = stack.ends()
    wait_for(expected.rows(), starts)
    took = time.monotonic() - begin

    faults = []

    def same(what, have, want):
        if have != want:
            faults.append(f"{what}: {have}, not {want}")

    same("acknowledged records", sum(map(len, expected.offsets.values())), EVENTS)
    for partition, offsets in expected.offsets.items():
        unknown = offsets ^ set(range(starts[partition], stops[partition]))
        same(f"partition {partition}: offsets that only the topic or only an acknowledgement knows", sorted(unknown)[:5], [])
    print(f"\n  {'partition':>9} {'rows':>10} {'sum(quantity)':>14} {'offsets':>20}")
    found = in_warehouse(starts)
    for partition, (count, total, first, last) in expected.partitions.items():
        same(f"partition {partition}: rows, sum, first, last, distinct offsets", found.get(partition),
             [count, total, first, last, count])
        print(f"  {partition:>9} {count:>10,} {total:>14,} {f'{first:,}-{last:,}':>20}")
    distinct = int(stack.sql(f"SELECT count(DISTINCT EVENT_ID) FROM {stack.TABLE} WHERE {since(starts)}")[0][0])
    same("distinct events", distinct, len(expected.ids))
    same("events that were acknowledged", len(expected.ids), EVENTS - EVENTS // ONE_BAD_IN)
    same("dead letters", len(dead_letters(starts) ^ expected.dead), 0)
    for part in ("kafka", "poller", "function", "snowflake"):
        if not storm.done[part]:
            faults.append(f"{part} was never hit")
    print(f"\n  {expected.rows():,} rows, {len(expected.dead):,} dead letters")
    print(f"  hit while it ran: {', '.join(f'{part} {count} times' for part, count in sorted(storm.done.items()))}")
    print(f"  {replay.taken} rows taken away and replayed meanwhile, broken off {replay.broken_off} times")
    print(f"  {took:.0f} s from the first record to the last row, seed {SEED}")
    if faults:
        raise SystemExit("\n".join(["  the warehouse and the topic differ:", *faults]))
    print("  the warehouse has every record of the topic once")


if __name__ == "__main__":
    sys.exit(main())
