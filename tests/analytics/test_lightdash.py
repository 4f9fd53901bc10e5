"""What Lightdash reads: right for both warehouses, and every tile shows rows that agree with the marts."""

import os
import subprocess
import unittest
from datetime import date, datetime, time
from typing import Any

from shop import LIGHTDASH, TODAY, compiled, judged, manifest, shop


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A day is a day, whichever type has it, and averages may differ in their last digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime) and value.time() == time():
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        if value is None or isinstance(value, (bool, str)):
            return value
        return float(f"{float(value):.9g}")

    return [tuple(map(plain, row)) for row in rows]


class Lightdash(unittest.TestCase):
    maxDiff = 4000

    def test_every_file_is_right_for_both_warehouses(self) -> None:
        command = ["node", LIGHTDASH / "check.mjs", manifest("duckdb"), manifest("snowflake")]
        outcome = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(outcome.stdout + outcome.stderr, "")
        self.assertEqual(outcome.returncode, 0)

    def test_every_planted_fault_is_found(self) -> None:
        settings = os.environ | {"MANIFEST": str(manifest("duckdb"))}
        command = ["node", "--test", os.path.join(os.path.dirname(__file__), "faults.test.mjs")]
        outcome = subprocess.run(command, capture_output=True, text=True, env=settings)
        self.assertEqual(outcome.returncode, 0, outcome.stdout[-6000:])

    def test_both_warehouses_show_the_same_fields(self) -> None:
        for slug, chart in compiled("duckdb")["charts"].items():
            other = compiled("snowflake")["charts"][slug]
            told = [[(f["id"], f["kind"], f["type"], f["label"], f["format"]) for f in one["fields"]] for one in (chart, other)]
            self.assertEqual(told[0], told[1], slug)

    def test_every_tile_returns_rows(self) -> None:
        tiles = compiled("duckdb")["tiles"]
        self.assertEqual({tile["chart"] for tile in tiles.values()}, set(compiled("duckdb")["charts"]))
        for name, tile in tiles.items():
            with self.subTest(tile=name):
                rows = shop().rows(tile["sql"])
                self.assertTrue(rows)
                for column, field in enumerate(tile["fields"]):
                    self.assertTrue(any(row[column] is not None for row in rows), f"{field['id']} has no value")
                if tile["type"] != "table":
                    self.assertLess(len(rows), max(tile["limit"], 2), "it shows less than there is")

    def test_snowflake_gets_queries_that_give_the_same_rows(self) -> None:
        tiles = compiled("snowflake")["tiles"]
        for name, text in judged({name: tile["sql"] for name, tile in tiles.items()}).items():
            with self.subTest(tile=name):
                ours = shop().rows(compiled("duckdb")["tiles"][name]["sql"])
                self.assertEqual(comparable(shop().rows(text)), comparable(ours))

    def test_totals_of_charts_are_those_of_the_marts(self) -> None:
        charts = compiled("duckdb")["charts"]
        ((usd, gbp, lines),) = shop().rows("select sum(total_usd), sum(total_gbp), sum(total_transactions) from ANALYTICS__MARTS.sales")
        for slug, expected in (("revenue-usd", usd), ("revenue-gbp", gbp), ("purchases", lines)):
            self.assertEqual(shop().rows(charts[slug]["sql"]), [(expected,)], slug)
        for slug, column in (("revenue-by-month", 1), ("revenue-by-day", 1)):
            self.assertEqual(sum(row[column] for row in shop().rows(charts[slug]["sql"])), usd, slug)
        ((everything, *_),) = shop().rows(charts["sales-left-out"]["sql"])
        self.assertEqual(everything, lines)

    def test_dates_count_from_the_day_that_is_given(self) -> None:
        where = compiled("duckdb")["tiles"]["sales/revenue-usd"]["where"]
        self.assertIn(TODAY.isoformat(), where)
        self.assertIsNone(compiled("duckdb")["tiles"]["sales/last-sale-date"]["where"])
        self.assertIsNone(compiled("duckdb")["charts"]["revenue-usd"]["where"])


if __name__ == "__main__":
    unittest.main()
