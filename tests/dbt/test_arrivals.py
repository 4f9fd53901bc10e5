"""In whatever order and portions the rows arrive, the marts are the same: those of a full refresh, and the oracle's."""

import io
import unittest
from contextlib import redirect_stdout
from typing import Any

import oracle
from project import Project, scratch_project
from raw import CONTACTS, PRODUCTS, PURCHASES, RATES, TABLES, Row, arrivals
from warehouse import duckdb_name, load

SEEDS = (1, 2, 3)
BATCHES = 4

# Everything that sales needs, without tests and reporting.
BUILD = ("run", "--select", "+sales", "sales_left_out")

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

    def test_only_days_on_which_something_changed_are_built_again(self) -> None:
        with scratch_project() as project:
            with project.connection() as connection:
                load(connection.execute, duckdb_name, arrivals(9, 1).batches[0])
            project.succeed(*BUILD)
            self.assertEqual(self.days_to_build(project), set(), "nothing has changed")

            # Each change, and the days of purchases that a person would name for it.
            lines = "select distinct purchase_date from ANALYTICS__MARTS_AUDIT.fct_purchases where "
            owned = "customer_id = (select min(customer_id) from ANALYTICS__MARTS_AUDIT.fct_purchases where customer_id <> '-1')"
            days = "select distinct gbp_rate_date from ANALYTICS__MARTS_AUDIT.fct_purchases where gbp_rate_date is not null"
            rate_day = project.rows(f"{days} order by 1 limit 1")[0][0]
            address = project.rows(f"select min(customer_email) from ANALYTICS__MARTS_AUDIT.fct_purchases where {owned}")[0][0]
            changes = {
                "a late purchase": (
                    f"insert into {duckdb_name(PURCHASES)} select * replace ('late' as event_id, timestamp '2026-03-04 23:59:59' as"
                    f" purchase_ts, 'nobody@example.com' as customer_email) from {duckdb_name(PURCHASES)} limit 1",
                    "select date '2026-03-04'",
                ),
                "another rate": (
                    f"update {duckdb_name(RATES)} set rate = rate + 0.01 where rate_date = date '{rate_day}'",
                    f"{lines} gbp_rate_date = date '{rate_day}'",
                ),
                "a price that holds after all purchases but those of one moment": (
                    f"insert into {duckdb_name(PRODUCTS)} select * replace (1000 as audit_id, 99 as product_id, 'INSERT' as operation,"
                    f" 5 as price_usd, timestamp '2026-03-10' as valid_ts) from {duckdb_name(PRODUCTS)} limit 1",
                    f"{lines} product_id = 99 and purchased_at >= timestamp '2026-03-10'",
                ),
                "an address that nobody has any more": (
                    f"update {duckdb_name(CONTACTS)} set email = null where lower(trim(email)) = '{address}'",
                    f"{lines} customer_email = '{address}'",
                ),
            }
            for name, (change, expected) in changes.items():
                with self.subTest(change=name):
                    wanted = {row[0] for row in project.rows(expected)}
                    self.assertTrue(wanted)
                    with project.connection() as connection:
                        connection.execute(change)
                    project.succeed("run", "--select", "+fct_purchases", "--exclude", "fct_purchases")
                    self.assertEqual(self.days_to_build(project), wanted)
                    project.succeed("run", "--select", "fct_purchases")

    def days_to_build(self, project: Project) -> set[Any]:
        """The days of the rows that an incremental run would write now."""
        with redirect_stdout(io.StringIO()):
            result = project.succeed("compile", "--select", "fct_purchases")
        return {row[0] for row in project.rows(f"select distinct purchase_date from ({result.results[0].node.compiled_code})")}

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
        left_out = "select reason, lines, usd, first_date, last_date from ANALYTICS__MARTS_AUDIT.sales_left_out"
        self.assertEqual({row[0]: row[1:] for row in project.rows(left_out)}, oracle.left_out(raw))


if __name__ == "__main__":
    unittest.main()
