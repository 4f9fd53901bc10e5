"""What dbt/lineage.json says of the models, held against their rows: links find the rows that a row was made of and no others,
and what is worked out again over them is the value in the model, for `sales` also that of the oracle."""

import json
import unittest
from typing import Any

import oracle
from project import ROOT, failures, scratch_project
from raw import CONTACTS, arrivals
from warehouse import _newest, duckdb_name, load

SEED = 7
BATCHES = 2
LINEAGE = json.loads((ROOT / "dbt/lineage.json").read_text(encoding="utf-8"))
MODELS = LINEAGE["models"]

SALES, LINES = "ANALYTICS.MARTS.SALES", "ANALYTICS.MARTS.FCT_PURCHASES"
DAILY, PREFERRED = "ANALYTICS.INTERMEDIATE.INT_GBP_RATES__DAILY", "ANALYTICS.INTERMEDIATE.INT_EXCHANGE_RATES__PREFERRED"

# Formulas in Snowflake's words, which DuckDB does not have: these columns are worked out again in an account only.
SNOWFLAKE_ALONE = {"DAY_OF_WEEK", "IS_WEEKEND", "YEAR_NUMBER", "QUARTER_OF_YEAR", "MONTH_OF_YEAR", "DAY_OF_MONTH"}


def named(table: str) -> str:
    database, schema, name = table.split(".")
    return f'{database}__{schema}."{name}"'


def link_sql(link: dict[str, Any]) -> str:
    """Every row of the model (its number N and its columns as M) with the rows R that the link finds."""
    equal = {True: "is not distinct from", False: "="}
    conditions = [
        f"{on['theirs']} {equal[on.get('nullable', False)]} {'M.' + on['ours'] if 'ours' in on else on['constant']}" for on in link["on"]
    ]
    conditions += link.get("where", []) + [f"M.{when['ours']} = {when['constant']}" for when in link.get("when", [])]
    order = f"qualify row_number() over (partition by M.N order by {', '.join(link['first_by'])}) = 1" if "first_by" in link else ""
    return (
        f"select M.N, M as M, T as R from numbered as M "
        f"join {named(link['table'])} as T on {' and '.join(conditions)} {order}"
    )


class Lineage(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.project = cls.enterClassContext(scratch_project())
        cls.raw: dict[str, Any] = {}
        for batch in arrivals(SEED, BATCHES).batches:
            with cls.project.connection() as connection:
                load(connection.execute, duckdb_name, batch)
            for source, rows in batch.items():
                cls.raw[source] = cls.raw.get(source, []) + rows
            outcome = cls.project.dbt("build", "--exclude-resource-type", "unit_test", "--vars", "{missing_rate_severity: warn}")
            assert outcome.success, outcome.exception or failures(outcome)
        cls.raw[CONTACTS] = _newest(cls.raw[CONTACTS])

    def links(self, table: str, to: str) -> list[dict[str, Any]]:
        return [link for link in MODELS[table]["links"] if link["table"] == to]

    def rows(self, table: str, query: str) -> list[tuple[Any, ...]]:
        """Asks of the model's rows in `numbered`: each has its number, the same wherever it is read."""
        with self.project.connection() as connection:
            connection.execute(f"create temp table numbered as select row_number() over () as N, * from {named(table)}")
            return connection.sql(query).fetchall()

    def counts(self, table: str, to: str, condition: str = "true") -> set[int]:
        """How many rows the one link finds for the rows of a model that meet a condition."""
        (link,) = self.links(table, to)
        query = (
            f"select distinct coalesce(found.rows, 0) from numbered as M "
            f"left join (select N, count(*) as rows from ({link_sql(link)}) as found group by N) as found on found.N = M.N where {condition}"
        )
        return {count for (count,) in self.rows(table, query)}

    def test_a_row_finds_the_one_row_that_it_was_made_of(self) -> None:
        for table, to, condition in [
            (LINES, "ANALYTICS.STAGING.STG_STREAMING__PURCHASES", "true"),
            (LINES, "ANALYTICS.MARTS.DIM_CUSTOMERS", "true"),
            (LINES, "ANALYTICS.MARTS.DIM_PRODUCTS", "M.PRODUCT_KEY <> '-1'"),
            (LINES, DAILY, "M.GBP_RATE is not null"),
            (SALES, "ANALYTICS.MARTS.DIM_CUSTOMERS", "true"),
            (DAILY, PREFERRED, "true"),
            (PREFERRED, "ANALYTICS.STAGING.STG_DLT__EXCHANGE_RATES", "true"),
            ("ANALYTICS.MARTS.DIM_PRODUCTS", "ANALYTICS.INTERMEDIATE.INT_PRODUCTS__VERSIONS", "M.PRODUCT_KEY <> '-1'"),
            ("ANALYTICS.INTERMEDIATE.INT_PRODUCTS__VERSIONS", "ANALYTICS.STAGING.STG_DLT__PRODUCTS", "true"),
            ("ANALYTICS.STAGING.STG_STREAMING__PURCHASES", "STREAMING.PUBLIC.PURCHASES", "true"),
            ("ANALYTICS.STAGING.STG_DLT__EXCHANGE_RATES", "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", "true"),
            ("ANALYTICS.STAGING.STG_DLT__PRODUCTS", "DLT.APPLICATION_DATA.PRODUCTS", "true"),
            ("ANALYTICS.STAGING.STG_AIRBYTE__CONTACTS", "AIRBYTE.HUBSPOT.CONTACTS", "true"),
        ]:
            with self.subTest(table=table, to=to):
                self.assertEqual(self.counts(table, to, condition), {1})

    def test_a_formula_over_its_own_row_gives_the_value_that_is_there(self) -> None:
        judged = 0
        for table, model in MODELS.items():
            for column, known in model["columns"].items():
                if "again" in known and "over" not in known["again"] and column not in SNOWFLAKE_ALONE:
                    with self.subTest(table=table, column=column):
                        formula = known["again"]["sql"]
                        query = f"select count(*) from {named(table)} as R where R.{column} is distinct from {formula}"
                        self.assertEqual(self.project.rows(query), [(0,)], formula)
                        judged += 1
        self.assertGreater(judged, 5)

    def test_a_sum_over_the_rows_that_links_find_is_the_value_that_is_there(self) -> None:
        judged = 0
        for table, model in MODELS.items():
            again = {c: known["again"] for c, known in model["columns"].items() if "over" in known.get("again", {})}
            for column, how in again.items():
                links = self.links(table, how["over"])
                if len(links) != 1:
                    continue
                with self.subTest(table=table, column=column):
                    # A group of nothing is a row without any R.
                    found = f"select N, {how['sql']} as value from ({link_sql(links[0])}) as found group by N"
                    query = (
                        f"select count(*), count(case when found.value is distinct from M.{column} then 1 end) "
                        f"from numbered as M join ({found}) as found on found.N = M.N"
                    )
                    ((rows, different),) = self.rows(table, query)
                    self.assertEqual(different, 0, how["sql"])
                    self.assertGreater(rows, 0)
                    judged += 1
        self.assertGreater(judged, 10)

    def test_the_lines_of_each_customer_sum_to_the_oracles_total(self) -> None:
        (link,) = self.links(SALES, LINES)
        total = MODELS[SALES]["columns"]["TOTAL_GBP"]["again"]["sql"]
        found = self.rows(SALES, f"select M.CUSTOMER_ID, any_value(M.TOTAL_GBP), {total}, count(*) from ({link_sql(link)}) as found group by M.CUSTOMER_ID")
        expected = oracle.sales(self.raw)
        self.assertGreater(len(found), 5)
        for customer, there, again, lines in found:
            with self.subTest(customer=customer):
                transactions, _, _, gbp, _, _ = expected[customer]
                self.assertEqual((there, again, lines), (gbp, gbp, transactions))

    def test_what_is_not_followed_is_listed(self) -> None:
        self.assertEqual(
            [entry["model"] for entry in LINEAGE["unresolved"]],
            ["ANALYTICS.INTERMEDIATE.INT_CONTACTS__EMAILS"],
            "a recursion is followed to its first rows; everything else of the models is",
        )


if __name__ == "__main__":
    unittest.main()
