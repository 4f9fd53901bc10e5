"""The notebook's forecasts: published where they beat the naive one, and made of the past alone.

Runs in the environment of the notebook: .tools/venv/notebook/bin/python -m unittest test_forecast
"""

import os
import sys
import types
import unittest
from datetime import date
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dbt/notebooks"))

import forecast  # noqa: E402
import warehouse  # noqa: E402

SEEDS = range(20)


def walk(seed: int) -> np.ndarray:
    return 1.25 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.005, 400)))


def returning(seed: int) -> np.ndarray:
    """A series that is pulled back to 1.25 by half of the distance each day."""
    shocks, values = np.random.default_rng(seed).normal(0, 0.01, 400), [1.25]
    for shock in shocks:
        values.append(1.25 + 0.5 * (values[-1] - 1.25) + shock)
    return np.array(values)


class Forecast(unittest.TestCase):
    def test_of_a_random_walk_hardly_anything_is_published(self) -> None:
        published = [seed for seed in SEEDS if forecast.judge(walk(seed)).model]
        self.assertLessEqual(len(published), len(SEEDS) // 5)

    def test_a_series_that_returns_to_its_mean_is_forecast_better(self) -> None:
        verdicts = [forecast.judge(returning(seed)) for seed in SEEDS]
        published = [verdict.model for verdict in verdicts if verdict.model]
        self.assertGreaterEqual(published.count("autoregression"), len(SEEDS) * 3 // 4)
        self.assertTrue(all(verdict.error < forecast.BETTER for verdict in verdicts if verdict.model))

    def test_the_interval_covers_about_what_it_says(self) -> None:
        coverage = np.mean([forecast.judge(walk(seed)).coverage for seed in SEEDS])
        self.assertGreater(coverage, 0.65)
        self.assertLess(coverage, 0.92)

    def test_a_model_sees_nothing_from_behind_the_cut(self) -> None:
        series = walk(1)
        changed = series.copy()
        changed[-forecast.HORIZON :] *= 2
        for model in forecast.MODELS.values():
            ours, theirs = (forecast._errors(model, values)[:-1] for values in (series, changed))
            np.testing.assert_array_equal(ours, theirs)

    def test_a_forecast_is_made_of_numbers_inside_of_its_interval(self) -> None:
        for series in (walk(2), returning(2), np.full(400, 1.25)):
            verdict = forecast.judge(series)
            for values in (verdict.values, verdict.low, verdict.high):
                self.assertEqual(len(values), forecast.HORIZON)
                self.assertTrue(np.isfinite(values).all())
            self.assertTrue((verdict.low <= verdict.high).all())

    def test_a_constant_series_is_left_to_the_naive_forecast(self) -> None:
        self.assertIsNone(forecast.judge(np.full(400, 1.25)).model)

    def test_too_few_observations_are_not_judged(self) -> None:
        self.assertIsNone(forecast.judge(walk(3)[: forecast.ENOUGH - 1]))
        self.assertIsNotNone(forecast.judge(walk(3)[: forecast.ENOUGH]))

    def test_days_are_after_the_last_one_and_from_monday_to_friday(self) -> None:
        for last in (date(2026, 3, 13), date(2026, 3, 14), date(2026, 3, 16)):
            days = forecast.next_days(last)
            self.assertEqual(len(set(days)), forecast.HORIZON)
            self.assertEqual(days, sorted(days))
            self.assertTrue(all(day > last and day.weekday() < 5 for day in days))


class Warehouse(unittest.TestCase):
    """The branch for Snowflake, with a connector that only notes what it is asked."""

    def test_snowflake_is_read_as_published_by_the_role_that_may(self) -> None:
        connector = mock.Mock()
        connector.connect.return_value.cursor.return_value.execute.return_value.fetchall.return_value = [(1,)]
        package = types.ModuleType("snowflake")
        package.connector = connector
        settings = {
            "SLUICE_DBT_TARGET": "snowflake",
            "SNOWFLAKE_ACCOUNT": "account",
            "SNOWFLAKE_USER": "reader",
            "SNOWFLAKE_PRIVATE_KEY_PATH": "key.p8",
        }
        with mock.patch.dict(sys.modules, {"snowflake": package, "snowflake.connector": connector}), mock.patch.dict(os.environ, settings, clear=True):
            rows = warehouse.connect()("select 1 from {reporting}.rpt_sales")
        self.assertEqual(rows, [(1,)])
        asked = connector.connect.call_args.kwargs
        self.assertEqual((asked["role"], asked["warehouse"], asked["private_key_file"]), ("ANALYTICS_REPORTER", "REPORTING", "key.p8"))
        self.assertNotIn("password", asked)
        connector.connect.return_value.cursor.return_value.execute.assert_called_with("select 1 from ANALYTICS.REPORTING.rpt_sales")

    def test_the_real_connector_knows_the_settings(self) -> None:
        from snowflake.connector.connection import DEFAULT_CONFIGURATION

        for name in ("private_key_file", "private_key_file_pwd", "authenticator", "role", "warehouse", "database", "session_parameters"):
            self.assertIn(name, DEFAULT_CONFIGURATION)

    def test_another_warehouse_is_refused(self) -> None:
        with mock.patch.dict(os.environ, {"SLUICE_DBT_TARGET": "emulator"}), self.assertRaisesRegex(ValueError, "duckdb or snowflake"):
            warehouse.connect()


if __name__ == "__main__":
    unittest.main()
