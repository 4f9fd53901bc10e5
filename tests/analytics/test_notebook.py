"""The notebook, executed as a script on the shop's warehouse, and its forecasts in an environment with numpy."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from project import ROOT
from shop import START, TODAY, copied_warehouse, shop

PYTHON = ROOT / ".tools/venv/notebook/bin/python"
NOTEBOOK = ROOT / "dbt/notebooks/exchange_rates.py"


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SLUICE_DUCKDB_PATH": str(copied_warehouse()), "SLUICE_DBT_TARGET": "duckdb", **settings}
    return subprocess.run([PYTHON, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=Path(__file__).parent)


class Notebook(unittest.TestCase):
    def test_it_runs_as_a_script_and_says_what_it_publishes(self) -> None:
        out = shop().folder / "forecasts.json"
        outcome = run(NOTEBOOK, "--", "--out", out)
        self.assertEqual(outcome.returncode, 0, outcome.stderr[-4000:])
        *lines, last = outcome.stdout.strip().splitlines()
        judged = json.loads(out.read_text(encoding="utf-8"))
        self.assertEqual(set(judged), set(START) - {"GBP"} | {"USD"})
        self.assertEqual(json.loads(last), {"currencies": len(judged), "published": sum(1 for entry in judged.values() if entry["model"])})
        for code, entry in judged.items():
            with self.subTest(currency=code):
                self.assertTrue(any(line.startswith(f"{code}: {entry['model'] or 'nothing'} is published; ") for line in lines))
                self.assertEqual("forecast" in entry, entry["model"] is not None)
                self.assertEqual(entry["model"] is not None, entry["error_of_naive"] < 0.95)
                self.assertTrue(all(day["date"] > TODAY.isoformat() for day in entry.get("forecast", [])))

    def test_a_warehouse_without_the_views_is_an_error(self) -> None:
        outcome = run(NOTEBOOK, SLUICE_DUCKDB_PATH=str(shop().folder / "nothing.duckdb"))
        self.assertNotEqual(outcome.returncode, 0)

    def test_marimo_finds_it_well_formed(self) -> None:
        outcome = run("-m", "marimo", "check", "--strict", NOTEBOOK)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)

    def test_its_forecasts(self) -> None:
        outcome = run("-m", "unittest", "--quiet", "test_forecast")
        self.assertEqual(outcome.returncode, 0, outcome.stderr[-4000:])


if __name__ == "__main__":
    unittest.main()
