"""In whatever order and portions the rows arrive, the marts are the same: those of a full refresh, and the oracle's."""

import unittest
from typing import Any

import oracle
from project import Project, scratch_project
from raw import TABLES, Row, arrivals
from warehouse import duckdb_name, load

SEEDS = (1, 2, 3)
BATCHES = 4

# Everything that sales needs, without tests and reporting.
BUILD = ("run", "--select", "+sales")

FACTS = "select * exclude loaded_at from ANALYTICS__MARTS_AUDIT.fct_purchases order by event_id"
LOADED = "select event_id, loaded_at from ANALYTICS__MARTS_AUDIT.fct_purchases order by event_id"
SALES = "select * from ANALYTICS__MARTS_AUDIT.sales order by customer_id"


def raw_rows(project: Project) -> dict[str, list[Row]]:
    """The raw tables as they are."""
    result = {}
    with project.connection() as connection:
        for source in TABLES:
            cursor = connection.execute(f"select * from {duckdb_name(source)}")
            names = [column[0].lower() for column in cursor.description]
            result[source] = [dict(zip(names, row)) for row in cursor.fetchall()]
    return result


class Arrivals(unittest.TestCase):
    maxDiff = 4000

    def test_any_order_and_splitting_of_arrival_gives_what_a_full_refresh_gives(self) -> None:
        for seed in SEEDS:
            with self.subTest(seed=seed), scratch_project() as project:
                for number, batch in enumerate(arrivals(seed, BATCHES).batches):
                    with project.connection() as connection:
                        load(connection.execute, duckdb_name, batch)
                    project.succeed(*BUILD)
                    with self.subTest(seed=seed, batch=number):
                        self.assert_agrees_with_the_oracle(project)
                incremental = self.state(project)
                project.succeed(*BUILD, "--full-refresh")
                for name, found, expected in zip(("facts", "load times", "sales"), incremental, self.state(project)):
                    with self.subTest(seed=seed, table=name):
                        self.assertEqual(found, expected)

    def state(self, project: Project) -> list[list[tuple[Any, ...]]]:
        return [project.rows(query) for query in (FACTS, LOADED, SALES)]

    def assert_agrees_with_the_oracle(self, project: Project) -> None:
        raw = raw_rows(project)
        columns = "event_id, customer_id, product_key, quantity, purchased_at, line_usd, line_gbp, gbp_rate_date"
        found = project.rows(f"select {columns} from ANALYTICS__MARTS_AUDIT.fct_purchases order by event_id")
        expected = sorted(oracle.lines(raw), key=lambda line: line.event_id)
        self.assertEqual([oracle.Line(*row) for row in found], expected)
        totals = "total_transactions, total_items, total_usd, total_gbp, first_purchase_at, last_purchase_at"
        found = {row[0]: row[1:] for row in project.rows(f"select customer_id, {totals} from ANALYTICS__MARTS_AUDIT.sales")}
        self.assertEqual(found, oracle.sales(raw))


if __name__ == "__main__":
    unittest.main()
