"""The report's queries: field by field those of Lightdash's own package, and tile by tile what SQL by hand gives. And the CSV that its
page makes."""

import json
import re
import subprocess
import unittest
from typing import Any

from by_hand import ask, queries, same
from shop import ROOT, TODAY, compiled, judged, shop

# What the function's own test holds to be what it compiles.
SNAPSHOTS = ROOT / "functions/publish-report/src/lightdash/snapshots"
# Moments in REPORTING are UTC without a zone. Lightdash cannot know that and converts them to UTC, which changes nothing in a
# session whose zone is UTC, and would move them in any other; the report does not convert.
CONVERTED = re.compile(r"TO_TIMESTAMP_NTZ\(CONVERT_TIMEZONE\('UTC', ([^()]*)\)\)")


def ours(target: str) -> dict[str, Any]:
    return json.loads((SNAPSHOTS / f"{target}.json").read_text(encoding="utf-8"))


def plain(sql: str | None) -> str | None:
    """SQL of Lightdash's package without the conversion and without the name of DuckDB's file."""
    return sql and re.sub(r'"\w+"\.("ANALYTICS__REPORTING")', r"\1", CONVERTED.sub(r"\1", sql))


class Report(unittest.TestCase):
    maxDiff = 4000

    def test_every_field_is_what_lightdash_makes_of_it(self) -> None:
        for target in ("duckdb", "snowflake"):
            theirs = compiled(target)["tables"]
            self.assertEqual(set(ours(target)["tables"]), set(theirs))
            for name, table in ours(target)["tables"].items():
                self.assertEqual((table["label"], table["relation"]), (theirs[name]["label"], plain(theirs[name]["relation"])))
                expected = {field["id"]: {**field, "sql": plain(field["sql"])} for field in theirs[name]["fields"]}
                found = {field["id"]: dict(field) for field in table["fields"]}
                for field in found.values():
                    field["kind"] = "metric" if field.pop("is_metric") else "dimension"
                self.assertEqual(found, expected, f"{target}: {name}")

    def test_every_tile_is_the_query_that_lightdash_makes(self) -> None:
        for target in ("duckdb", "snowflake"):
            theirs = compiled(target)["tiles"]
            self.assertEqual(set(ours(target)["tiles"]), set(theirs))
            for name, tile in ours(target)["tiles"].items():
                with self.subTest(target=target, tile=name):
                    expected = {part: plain(theirs[name][part]) for part in ("where", "having", "sql")}
                    expected["fields"] = [field["id"] for field in theirs[name]["fields"]]
                    self.assertEqual(tile, expected)

    def test_every_tile_has_the_rows_of_sql_by_hand(self) -> None:
        tiles = ours("duckdb")["tiles"]
        self.assertEqual(set(queries()), set(tiles))
        with shop().connection() as connection:
            expected = ask(connection, dict.fromkeys(("sales", "pounds", "dollars"), TODAY))
            for name, tile in tiles.items():
                with self.subTest(tile=name):
                    rows = connection.execute(tile["sql"]).fetchall()
                    self.assertTrue(rows)
                    self.assertTrue(same(rows, expected[name]), f"{rows[:5]} against {expected[name][:5]}")

    def test_snowflake_is_asked_for_the_same_rows(self) -> None:
        asked = judged({name: tile["sql"] for name, tile in ours("snowflake")["tiles"].items()})
        for name, text in asked.items():
            with self.subTest(tile=name):
                expected = shop().rows(ours("duckdb")["tiles"][name]["sql"])
                self.assertTrue(same(shop().rows(text), expected))

    def test_the_page_makes_csv_that_a_spreadsheet_reads(self) -> None:
        command = ["node", "--test", ROOT / "tests/analytics/page.test.mjs"]
        outcome = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(outcome.returncode, 0, outcome.stdout[-6000:])


if __name__ == "__main__":
    unittest.main()
