"""The shop of tests/dbt with rates of two years, built once on DuckDB and published, and what dbt says of it to BI."""

import atexit
import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dbt"))

from project import ROOT, Project, failures, scratch_project  # noqa: E402
from raw import CURRENCIES, DAYS, FIRST_DAY, LOADED, RATES, arrivals  # noqa: E402
from warehouse import duckdb_name, load  # noqa: E402

SEED = 11
# The day on which the tests look: the last one of the shop.
TODAY = FIRST_DAY + timedelta(days=DAYS - 1)
LIGHTDASH = ROOT / "tools/lightdash"

# A US dollar in each currency at the beginning, and how much that moves in a day.
START = {"GBP": 0.78, "EUR": 0.91, "JPY": 148.0, "AUD": 1.52, "CAD": 1.36, "CHF": 0.88, "NZD": 1.65, "SEK": 10.4}
DAILY = 0.005
HISTORY = 500


@cache
def shop() -> Project:
    """Tables and views as readers see them."""
    stack = ExitStack()
    atexit.register(stack.close)
    project = stack.enter_context(scratch_project())
    batch = arrivals(SEED, 1, purchases=200).batches[0]
    batch[RATES] = _rates(Random(SEED))
    loaded = {name: value for name, value in batch[CURRENCIES][0].items() if name.startswith("_")}
    batch[CURRENCIES] += [{"code": code, "name": f"Currency {code}", **loaded} for code in START if code not in ("GBP", "EUR")]
    with project.connection() as connection:
        load(connection.execute, duckdb_name, batch)
    outcome = project.dbt("build", "--exclude-resource-type", "unit_test")
    if not outcome.success:
        raise AssertionError(f"the shop is not built: {outcome.exception or failures(outcome)}")
    return project


@cache
def copied_warehouse() -> Path:
    """The file for another process: dbt, which runs in this one, keeps the shop's own open."""
    with shop().connection() as connection:
        connection.execute("checkpoint")
    # Views name the catalogue, which DuckDB names after the file.
    folder = shop().folder / "copy"
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(shop().warehouse, folder))


@cache
def manifest(target: str) -> Path:
    """The manifest with the published names, as BI tools read it."""
    project = shop()
    project.succeed("--no-partial-parse", "--warn-error", "parse", target=target, DBT_SLUICE_RELATIONS="published")
    path = project.folder / f"{target}.json"
    (project.folder / "target/manifest.json").rename(path)
    return path


@cache
def compiled(target: str) -> dict[str, Any]:
    """Charts and tiles as SQL."""
    command = ["node", LIGHTDASH / "compile.mjs", manifest(target), "--as-of", TODAY.isoformat()]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def judged(queries: dict[str, str]) -> dict[str, str]:
    """Queries for Snowflake, past sqlglot's dialect and the columns of the views, as DuckDB runs them."""
    models = json.loads(manifest("snowflake").read_text(encoding="utf-8"))["nodes"].values()
    schema = {
        model["alias"]: {name: column["data_type"] for name, column in model["columns"].items()}
        for model in models
        if model["resource_type"] == "model" and model["fqn"][1] == "reporting"
    }
    command = [ROOT / ".tools/venv/snowduck/bin/python", Path(__file__).with_name("judged.py")]
    told = json.dumps({"schema": schema, "queries": queries})
    outcome = subprocess.run(command, input=told, capture_output=True, text=True)
    if outcome.returncode:
        raise AssertionError(outcome.stdout[-4000:] + outcome.stderr[-4000:])
    return json.loads(outcome.stdout)


def _rates(random: Random) -> list[dict[str, Any]]:
    """Rates from Monday to Friday that walk at random."""
    rows = []
    level = dict(START)
    for offset in range(HISTORY, -1, -1):
        day: date = TODAY - timedelta(days=offset)
        if day.weekday() > 4:
            continue
        for code in level:
            level[code] *= 1 + random.gauss(0, DAILY)
            rows.append(
                {
                    "rate_date": day,
                    "base_currency": "USD",
                    "target_currency": code,
                    "rate": Decimal(str(round(level[code], 8))),
                    "rate_kind": "final",
                    "source_timestamp": datetime.combine(day, datetime.min.time()),
                    "_sluice_run_id": "run-0",
                    "_sluice_sequence": 1,
                    "_sluice_loaded_at": LOADED,
                    "_sluice_source_file": "part-00000",
                    "_sluice_row_number": len(rows),
                }
            )
    return rows
