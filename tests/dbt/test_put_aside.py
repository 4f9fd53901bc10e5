"""What somebody has put aside counts nowhere, from the next run on, and counts again when it is taken back."""

import ast
import re
import unittest

import yaml
from project import ROOT, Project, scratch_project
from raw import CONTACTS, PRODUCTS, PURCHASES, RATES, arrivals
from test_arrivals import BUILD, FACTS, SALES
from warehouse import duckdb_name, load

LIST = "ADMIN__OBSERVABILITY.PUT_ASIDE"
STAGED = "select target_currency from ANALYTICS__STAGING.stg_dlt__exchange_rates where target_currency = 'G/B%'"


def execute(project: Project, *statements: str) -> None:
    with project.connection() as connection:
        for statement in statements:
            connection.execute(statement)


def state(project: Project) -> list[list[tuple]]:
    return [project.rows(FACTS), project.rows(SALES)]


class PutAside(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls) -> None:
        cls.project = cls.enterClassContext(scratch_project())
        with cls.project.connection() as connection:
            load(connection.execute, duckdb_name, arrivals(5, 1).batches[0])
            # The only purchase of its day: without it the day has no line.
            connection.execute(
                f"insert into {duckdb_name(PURCHASES)} select * replace ('lonely' as event_id, timestamp '2026-03-30 12:00:00' as"
                f" purchase_ts) from {duckdb_name(PURCHASES)} limit 1"
            )
            connection.execute(
                f"insert into {duckdb_name(RATES)} select * replace (date '2026-03-01' as rate_date, 'USD' as base_currency,"
                f" 'G/B%' as target_currency, 'final' as rate_kind, 2 as rate) from {duckdb_name(RATES)} limit 1"
            )
        cls.project.succeed(*BUILD)

    def first(self, source: str, column: str, where: str = "true") -> object:
        return self.project.rows(f"select {column} from {duckdb_name(source)} where {where} order by 1 limit 1")[0][0]

    def test_what_is_put_aside_is_as_if_it_had_never_come_until_it_is_taken_back(self) -> None:
        project = self.project
        before = state(project)
        event = self.first(PURCHASES, "event_id", "event_id <> 'lonely'")
        product, contact = self.first(PRODUCTS, "audit_id"), self.first(CONTACTS, "id")
        day = project.rows("select min(gbp_rate_date) from ANALYTICS__MARTS_AUDIT.fct_purchases")[0][0]
        rate = f"rate_date = date '{day}' and base_currency = 'USD' and target_currency = 'GBP' and rate_kind = 'final'"
        listed = [
            ("STREAMING.PUBLIC.PURCHASES", event),
            ("STREAMING.PUBLIC.PURCHASES", "lonely"),
            ("DLT.APPLICATION_DATA.PRODUCTS", product),
            ("AIRBYTE.HUBSPOT.CONTACTS", contact),
            ("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", f"{day}/USD/GBP/final"),
        ]
        deletions = (
            f"delete from {duckdb_name(PURCHASES)} where event_id in ('{event}', 'lonely')",
            f"delete from {duckdb_name(PRODUCTS)} where audit_id = {product}",
            f"delete from {duckdb_name(CONTACTS)} where id = {contact}",
            f"delete from {duckdb_name(RATES)} where {rate}",
        )
        self.assertEqual(len(project.rows(f"from {duckdb_name(RATES)} where {rate}")), 1, "the rate is there")
        execute(project, *(f"insert into {LIST} (TABLE_NAME, ROW_KEY) values ('{table}', '{key}')" for table, key in listed))
        project.succeed(*BUILD)
        without = state(project)
        self.assertFalse({event, "lonely"} & {row[0] for row in without[0]})
        project.succeed("test", "--select", "assert_no_purchase_is_lost", "assert_sales_agree_with_purchases")

        execute(project, "force checkpoint")
        never = project.copy(project.folder / "never")
        execute(never, f"delete from {LIST}", *deletions)
        never.succeed(*BUILD, "--full-refresh")
        for name, found, expected in zip(("facts", "sales"), without, state(never)):
            self.assertEqual(found, expected, name)

        execute(project, f"update {LIST} set TAKEN_BACK_AT = now()")
        project.succeed(*BUILD)
        self.assertEqual(state(project), before)

    def test_a_key_of_several_values_is_escaped(self) -> None:
        table = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES"
        for key, left in (("2026-03-01/USD/G/B%/final", 1), ("2026-03-01/USD/G%2FB%25/final", 0)):
            execute(self.project, f"insert into {LIST} (TABLE_NAME, ROW_KEY) values ('{table}', '{key}')")
            self.assertEqual(len(self.project.rows(STAGED)), left, key)
        execute(self.project, f"delete from {LIST}")

    def test_what_is_listed_of_one_table_is_of_no_other(self) -> None:
        key = self.first(PRODUCTS, "audit_id")
        execute(self.project, f"insert into {LIST} (TABLE_NAME, ROW_KEY) values ('AIRBYTE.HUBSPOT.CONTACTS', '{key}')")
        staged = f"from ANALYTICS__STAGING.stg_dlt__products where audit_id = {key}"
        self.assertEqual(len(self.project.rows(staged)), 1)
        execute(self.project, f"delete from {LIST}")


class Keys(unittest.TestCase):
    def test_each_staging_model_leaves_out_rows_by_its_tables_key(self) -> None:
        platform = yaml.safe_load((ROOT / "platform/sources.yaml").read_text(encoding="utf-8"))
        expected = {}
        for table in platform["tables"]:
            types = {column["name"]: column["type"] for column in table["columns"]}
            expected[table["table"]] = [(name, types[name]) for name in table["key"]]
        found = {}
        for model in (ROOT / "dbt/models/staging").glob("*.sql"):
            for table, key in re.findall(r"counts\('([A-Z_.]+)', 'arrived', (\{.*?\})\)", model.read_text(encoding="utf-8"), re.S):
                found[table] = list(ast.literal_eval(key).items())
        self.assertEqual(found, expected)


if __name__ == "__main__":
    unittest.main()
