"""Snowsight worksheets: judged for Snowflake, and run on DuckDB."""

import re
import unittest

from project import ROOT
from shop import judged, shop

WORKSHEETS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "dbt/worksheets").glob("*.sql"))}


class Worksheets(unittest.TestCase):
    def test_each_says_what_it_shows_by_which_role_and_how(self) -> None:
        self.assertTrue(WORKSHEETS)
        for name, text in WORKSHEETS.items():
            self.assertRegex(text, r"^-- .+\.\n-- Role ANALYTICS_REPORTER, warehouse REPORTING\. Chart: .+\.\n", name)

    def test_each_is_one_query_that_returns_rows(self) -> None:
        for name, text in judged(WORKSHEETS).items():
            with self.subTest(worksheet=name):
                rows = shop().rows(text)
                self.assertTrue(rows)
                self.assertTrue(all(any(row[column] is not None for row in rows) for column in range(len(rows[0]))), "a column is empty")

    def test_a_column_that_is_not_there_is_found(self) -> None:
        for text, message in (
            ("select rates.nope from analytics.reporting.rpt_gbp_exchange_rates as rates", "reads what is not there"),
            ("select sales.customer_id from analytics.marts.sales as sales", "not ANALYTICS.REPORTING"),
            ("select cast(days.usd / 3 as decimal(38, 20)) as x from analytics.reporting.rpt_sales_by_day as days", "20 decimals"),
            ("slect 1", "does not parse|is read as"),
        ):
            with self.assertRaisesRegex(AssertionError, message):
                judged({"wrong": text})

    def test_none_asks_the_clock(self) -> None:
        for name, text in WORKSHEETS.items():
            self.assertIsNone(re.search(r"current_(date|time)|getdate|sysdate", text, re.I), name)


if __name__ == "__main__":
    unittest.main()
