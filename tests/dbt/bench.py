"""How long dbt takes beside its own SQL run by hand, at a million purchases, and what a small increment touches.

    .tools/venv/dbt/bin/python tests/dbt/bench.py [purchases]

Wall time and processor time are given; on a busy machine only the latter says anything. dbt's start-up, which is parsing
and has nothing to do with the data, is measured by `dbt ls` and taken off. Fails when a target is missed.
"""

import io
import sys
import time
from contextlib import redirect_stdout
from graphlib import TopologicalSorter
from typing import Callable

from project import Project, scratch_project
from raw import CONTACTS, CURRENCIES, PRODUCTS, PURCHASES, RATES
from warehouse import duckdb_name

# The targets: how many times the SQL by hand, and how many purchases come later.
MOST_TIMES = 3
LATER = 1000

CONTACT_COUNT = 50_000
PRODUCT_COUNT = 5_000
DAYS = 365

LOADED = "'bench', 1, timestamp '2026-01-01', 'part-00000', n"


class Clock:
    """Wall and processor time of what ran since it was made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.monotonic(), time.process_time()

    def times(self) -> tuple[float, float]:
        return time.monotonic() - self.wall, time.process_time() - self.processor


def timed(work: Callable[[], object]) -> tuple[float, float]:
    clock = Clock()
    work()
    return clock.times()


def fill(project: Project, purchases: int) -> None:
    """A year of a large shop; every value follows from its number, so it is the same every time."""
    with project.connection() as connection:
        connection.execute(f"""
            insert into {duckdb_name(CONTACTS)}
            select n, 'Buyer' || n || '@example.com', 'First', 'Last', 'customer', timestamp '2025-01-01', timestamp '2025-01-01',
              false, case when n % 100 = 0 then (n + 1) || ';' end, null, {LOADED} from range({CONTACT_COUNT}) as numbers(n)
        """)
        connection.execute(f"""
            insert into {duckdb_name(PRODUCTS)}
            select n, n % {PRODUCT_COUNT}, 'Product', (hash(n) % 100000)::decimal(18, 4) / 100,
              case when n < {PRODUCT_COUNT} then 'INSERT' when n % 97 = 0 then 'DELETE' else 'UPDATE' end,
              timestamp '2025-01-01' + to_days(((n // {PRODUCT_COUNT}) * 90)::int), {LOADED} from range({PRODUCT_COUNT * 4}) as numbers(n)
        """)
        connection.execute(f"""
            insert into {duckdb_name(RATES)}
            select date '2025-01-01' + (n // 30)::int, 'USD', case n % 30 when 0 then 'GBP' else 'X' || n % 30 end,
              0.7 + (hash(n) % 1000)::decimal(18, 10) / 10000, 'final', timestamp '2025-01-01', {LOADED} from range({DAYS * 30}) as numbers(n)
        """)
        connection.execute(f"insert into {duckdb_name(CURRENCIES)} select 'GBP', 'Pound', {LOADED} from range(1) as numbers(n)")
        add_purchases(project, connection.execute, 0, purchases, DAYS)


def add_purchases(project: Project, execute: Callable[[str], object], first: int, count: int, days: int) -> None:
    execute(f"""
        insert into {duckdb_name(PURCHASES)}
        select event_id, ' BUYER' || hash(n) % {CONTACT_COUNT} || '@example.com', hash(n + 1) % {PRODUCT_COUNT}, 1 + n % 5,
          timestamp '2025-01-01' + to_microseconds((hash(n + 2) % ({days} * 86400000000))::bigint), 1, {LOADED},
          'purchases', n % 12, n, timestamp '2026-01-01' + to_milliseconds(n)
        from (select n, 'e' || md5(n::varchar) as event_id from range({first}, {first + count}) as numbers(n))
    """)


def by_hand(project: Project) -> tuple[float, float]:
    """The same statements without dbt: each model's compiled SQL as its table or view, in dbt's order, in a schema apart."""
    with redirect_stdout(io.StringIO()):
        result = project.succeed("compile", DBT_SLUICE_COMPILE_AS="first_run")
    models = {r.node.unique_id: r.node for r in result if r.node.resource_type == "model"}
    schemas = {node.schema for node in models.values()}
    order = TopologicalSorter({id: [n for n in node.depends_on.nodes if n in models] for id, node in models.items()}).static_order()
    with project.connection() as connection:
        connection.execute("create schema by_hand")
        clock = Clock()
        for node in (models[id] for id in order):
            kind, code = "view" if node.config.materialized == "view" else "table", node.compiled_code
            for schema in schemas:
                code = code.replace(f'"{schema}".', '"by_hand".')
            connection.execute(f"create {kind} by_hand.{node.alias} as {code}")
        times = clock.times()
        connection.execute("drop schema by_hand cascade")
    return times


def main() -> int:
    purchases = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with scratch_project() as project:
        fill(project, purchases)
        with redirect_stdout(io.StringIO()):
            # The first one parses the project from scratch, which dbt does once.
            start = [timed(lambda: project.succeed("ls")) for _ in range(2)][1]
        rows: dict[str, tuple[float, float]] = {"start-up of dbt": start}

        def measure(name: str, *arguments: str) -> tuple[float, float]:
            wall, processor = timed(lambda: project.succeed(*arguments))
            rows[name] = (wall - start[0], processor - start[1])
            return rows[name]

        built = measure("dbt run, everything new", "run")
        tested = measure("dbt build, with tests and publishing", "build", "--exclude-resource-type", "unit_test", "--full-refresh")
        with project.connection() as connection:
            connection.execute("checkpoint")
        rows["SQL by hand"] = by_hand(project)
        with project.connection() as connection:
            add_purchases(project, connection.execute, purchases, LATER, 2)
            before = dict(connection.sql("select event_id, rowid from ANALYTICS__MARTS_AUDIT.fct_purchases").fetchall())
        measure(f"dbt run, after {LATER} more", "run", "--select", "source:streaming_public.purchases+")
        with project.connection() as connection:
            after = connection.sql("select event_id, rowid, purchase_date from ANALYTICS__MARTS_AUDIT.fct_purchases").fetchall()
        touched = {day for event, row, day in after if before.get(event) != row}
        measure(f"dbt build, after {LATER} more", "build", "--exclude-resource-type", "unit_test")

    for name, (wall, processor) in rows.items():
        print(f"{name:<40} {wall:6.1f} s   processor {processor:6.1f} s")
    times = built[1] / rows["SQL by hand"][1]
    print(f"dbt run is {times:.2f} times its SQL by hand, with tests {tested[1] / rows['SQL by hand'][1]:.2f} times (processor time)")
    print(f"{LATER} more purchases on 2 days touched {len(touched)} days of {DAYS}")
    return 0 if times <= MOST_TIMES and len(touched) <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
