"""A reader sees the numbers of the last build in which nothing was wrong, all of them or none; and what is built for a
change stays apart and can be dropped."""

import shutil
import unittest
from pathlib import Path
from typing import Any

from project import Project, failures, scratch_project
from raw import PRODUCTS, RATES, arrivals
from warehouse import duckdb_name, load

SEED = 5

# As dispatch-dbt sends it.
BUILD = ("build", "--exclude-resource-type", "unit_test")

AUDIT = "ANALYTICS__MARTS_AUDIT.sales"
PUBLISHED = "ANALYTICS__MARTS.sales"
READ = "ANALYTICS__REPORTING.rpt_sales"

# Doubles what everybody bought: sales and fct_purchases no longer agree.
BREAK_SALES = ("models/marts/sales/sales.sql", "sum(line_usd) as usd", "2 * sum(line_usd) as usd")


class Publishing(unittest.TestCase):
    built: Project

    @classmethod
    def setUpClass(cls) -> None:
        cls.built = cls.enterClassContext(scratch_project())
        cls.first, cls.second = arrivals(SEED, 2).batches
        with cls.built.connection() as connection:
            load(connection.execute, duckdb_name, cls.first)
        cls.built.succeed(*BUILD)
        with cls.built.connection() as connection:
            connection.execute("checkpoint")

    def setUp(self) -> None:
        """Each test begins with the same published marts, and with more rows that have arrived since."""
        self.project = self.built.copy(self.built.folder / self.id())
        with self.project.connection() as connection:
            load(connection.execute, duckdb_name, self.second)
        self.old = self.sales(PUBLISHED)

    def sales(self, relation: str) -> list[tuple[Any, ...]]:
        return self.project.rows(f"select customer_id, total_usd, total_gbp from {relation} order by customer_id")

    def assert_reader_sees_the_old_numbers(self) -> None:
        self.assertEqual(self.sales(PUBLISHED), self.old)
        self.assertEqual(self.sales(READ), self.old)

    def assert_everything_is_published(self) -> None:
        self.assertNotEqual(self.sales(PUBLISHED), self.old)
        for table in ("dim_currencies", "dim_customers", "dim_dates", "dim_products", "fct_exchange_rates", "fct_purchases", "sales"):
            audit, published = f"ANALYTICS__MARTS_AUDIT.{table}", f"ANALYTICS__MARTS.{table}"
            for more, less in ((audit, published), (published, audit)):
                self.assertEqual(self.project.rows(f"from {more} except all from {less}"), [], table)

    def test_a_build_without_a_fault_is_published(self) -> None:
        self.project.succeed(*BUILD)
        self.assert_everything_is_published()

    def test_a_broken_model_shows_the_reader_the_old_numbers(self) -> None:
        self.project.change(*BREAK_SALES)
        outcome = self.project.dbt(*BUILD)
        self.assertIn("assert_sales_agree_with_purchases", failures(outcome))
        self.assertNotEqual(self.sales(AUDIT), self.old)
        self.assert_reader_sees_the_old_numbers()

    def test_broken_data_shows_the_reader_the_old_numbers_until_a_retry_of_what_failed(self) -> None:
        with self.project.connection() as connection:
            connection.execute(f"update {duckdb_name(PRODUCTS)} set price_usd = -1 where audit_id = 1")
        outcome = self.project.dbt(*BUILD)
        self.assertIn("not_negative_stg_dlt__products_price_usd", failures(outcome))
        self.assert_reader_sees_the_old_numbers()

        with self.project.connection() as connection:
            connection.execute(f"update {duckdb_name(PRODUCTS)} set price_usd = 1 where audit_id = 1")
        # As dispatch-dbt computes it: what failed and what was skipped, by name.
        names = {r.node.name for r in outcome.result if r.status in ("error", "fail", "skipped")}
        self.project.succeed(*BUILD, "--select", *sorted(names))
        self.assert_everything_is_published()

    def test_a_later_build_of_something_else_does_not_publish_what_failed(self) -> None:
        self.project.change(*BREAK_SALES)
        self.project.dbt(*BUILD)
        self.project.succeed(*BUILD, "--select", "source:dlt_open_exchange_rates.currencies+")
        self.assert_reader_sees_the_old_numbers()

    def test_publishing_is_all_or_nothing(self) -> None:
        # The last statement of the transaction fails: views come after the tables.
        self.project.change("macros/targets/publishing.sql", "return('create or replace view ", "return('create or replace vieuw ")
        self.assertFalse(self.project.dbt(*BUILD).success)
        self.assertNotEqual(self.sales(AUDIT), self.old)
        self.assert_reader_sees_the_old_numbers()
        self.assertEqual(
            self.project.rows("select count(*) from ANALYTICS__MARTS.fct_purchases"),
            [(sum(row[0] for row in self.project.rows(f"select total_transactions from {PUBLISHED}")),)],
        )

    def test_a_purchase_without_a_usable_rate_is_published_only_where_that_is_a_warning(self) -> None:
        with self.project.connection() as connection:
            connection.execute(f"delete from {duckdb_name(RATES)}")
        outcome = self.project.dbt(*BUILD, "--vars", "{missing_rate_severity: error}")
        self.assertEqual(failures(outcome), ["assert_every_priced_purchase_is_converted"])
        self.assert_reader_sees_the_old_numbers()
        stored = "ANALYTICS__TEST_FAILURES.assert_every_priced_purchase_is_converted"
        self.assertNotEqual(self.project.rows(f"select * from {stored}"), [], "the failing rows are kept")
        self.project.succeed(*BUILD, "--vars", "{missing_rate_severity: warn}")
        self.assert_everything_is_published()
        kept = "select table_name from duckdb_tables() where schema_name = 'ANALYTICS__TEST_FAILURES'"
        warned = [("assert_every_priced_purchase_is_converted",)]
        self.assertEqual(self.project.rows(kept), warned, "a test that has passed leaves no table")

    def test_what_is_published_says_what_it_is(self) -> None:
        bare = """select schema_name, name from (
                select schema_name, table_name as name, comment from duckdb_tables()
                union all select schema_name, view_name, comment from duckdb_views() where not internal
            ) where schema_name like 'ANALYTICS__%' and comment is null and schema_name not like '%AUDIT%' and schema_name not like '%TEST_FAILURES'"""
        self.assertEqual(self.project.rows(bare), [])

    def test_what_was_not_tested_is_not_published(self) -> None:
        self.project.succeed("run")
        self.assert_reader_sees_the_old_numbers()
        self.project.succeed(*BUILD, "--empty", "--select", "dim_currencies")
        self.assert_reader_sees_the_old_numbers()

    def test_a_stale_source_blocks_and_a_commit_without_rows_counts_as_fresh(self) -> None:
        entry = "insert into ADMIN__OBSERVABILITY.LOADS values ('AIRBYTE.HUBSPOT.CONTACTS', 'loaded', 'copy', {})"
        with self.project.connection() as connection:
            connection.execute(entry.format("(now() at time zone 'UTC') - interval 26 hours"))
        strict = (*BUILD, "--vars", "{stale_source_severity: error}")
        self.assertEqual(failures(self.project.dbt(*strict)), ["assert_no_source_is_stale"])
        self.assert_reader_sees_the_old_numbers()
        with self.project.connection() as connection:
            connection.execute(entry.format("now() at time zone 'UTC'"))
        self.project.succeed(*strict)
        self.assert_everything_is_published()

    def test_a_mart_that_lost_most_of_its_rows_is_not_published(self) -> None:
        with self.project.connection() as connection:
            connection.execute(
                """insert into ANALYTICS__MARTS.dim_customers
                select many.* replace (concat(many.customer_id, '-', copies.number) as customer_id)
                from ANALYTICS__MARTS.dim_customers as many, range(100) as copies(number)"""
            )
        self.assertIn("not_shrunk_dim_customers_", failures(self.project.dbt(*BUILD)))
        self.assert_reader_sees_the_old_numbers()
        self.project.succeed(*BUILD, "--vars", "{marts_may_shrink: true}")
        self.assert_everything_is_published()

    def test_slim_ci_builds_what_changed_and_what_depends_on_it(self) -> None:
        kept = self.built.folder / "kept"
        kept.mkdir(exist_ok=True)
        self.built.succeed("parse", DBT_SLUICE_RELATIONS="published")
        shutil.copy(self.built.folder / "target/manifest.json", kept)
        self.project.change("models/marts/core/dim_currencies.sql", "'CHF')", "'CHF', 'SEK')")
        slim = (*BUILD, "--select", "state:modified+", "--defer", "--state", str(kept))
        result = self.project.succeed(*slim, DBT_SLUICE_SCHEMA_PREFIX="CI_PR_3_")
        built = {node.node.name for node in result if node.node.resource_type == "model"}
        self.assertEqual(built, {"dim_currencies", "rpt_exchange_rates", "rpt_gbp_exchange_rates"})
        # What did not change is read where production has published it.
        self.assertNotEqual(self.project.rows("select * from ANALYTICS__CI_PR_3_REPORTING.rpt_exchange_rates"), [])
        self.assert_reader_sees_the_old_numbers()

    def test_slim_ci_without_a_manifest_fails(self) -> None:
        slim = (*BUILD, "--select", "state:modified+", "--defer", "--state", str(self.project.folder / "nothing"))
        self.assertFalse(self.project.dbt(*slim).success)

    def test_nobody_builds_under_the_published_names(self) -> None:
        self.assertFalse(self.project.dbt(*BUILD, DBT_SLUICE_RELATIONS="published").success)
        self.assert_reader_sees_the_old_numbers()

    def test_a_changed_contract_of_a_mart_is_published(self) -> None:
        self.project.change("models/marts/sales/sales.sql", "  customers.email,\n", "  customers.email,\n  1 as answer,\n")
        self.project.change(
            "models/marts/sales/sales.yml", "      - { name: total_transactions,",
            "      - { name: answer, data_type: integer, description: Always one. }\n      - { name: total_transactions,",
        )  # fmt: skip
        self.project.succeed(*BUILD)
        self.assertEqual(self.project.rows(f"select distinct answer from {PUBLISHED}"), [(1,)])
        self.assert_everything_is_published()

    def test_a_change_has_schemas_of_its_own_that_are_dropped_by_prefix(self) -> None:
        self.project.succeed(*BUILD, DBT_SLUICE_SCHEMA_PREFIX="CI_PR_1_")
        self.project.succeed("run-operation", "drop_schemas", "--args", "{prefix: CI_PR_12_}")
        self.assertNotEqual(self.sales("ANALYTICS__CI_PR_1_MARTS.sales"), self.old)
        self.assert_reader_sees_the_old_numbers()
        self.project.succeed("run-operation", "drop_schemas", "--args", "{prefix: ci_pr_1_}")
        left = {row[0] for row in self.project.rows("select schema_name from information_schema.schemata")}
        self.assertFalse([name for name in left if "CI_PR" in name])
        self.assertIn("ANALYTICS__MARTS", left)
        for prefix in ("", "MARTS", "M", "%_"):
            self.assertFalse(self.project.dbt("run-operation", "drop_schemas", "--args", f"{{prefix: '{prefix}'}}").success, prefix)

    def test_the_published_names_are_what_documentation_and_bi_tools_see(self) -> None:
        self.project.succeed("parse", DBT_SLUICE_RELATIONS="published")
        manifest = (Path(self.project.folder) / "target/manifest.json").read_text(encoding="utf-8")
        self.assertNotIn("_AUDIT\\\"", manifest)
        self.assertIn("ANALYTICS__REPORTING", manifest)


if __name__ == "__main__":
    unittest.main()
