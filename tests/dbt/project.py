"""Runs the dbt project inside this process, on a DuckDB file of its own. Starting dbt costs seconds; here it is paid once."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import duckdb
from dbt.cli.main import dbtRunner, dbtRunnerResult

ROOT = Path(__file__).resolve().parents[2]

# What a run sets, so that one test's setting is not there for the next one.
SETTINGS = ("DBT_SLUICE_COMPILE_AS", "DBT_SLUICE_RELATIONS", "DBT_SLUICE_SCHEMA_PREFIX")


class Project:
    """The project, or a copy of it to break, with its warehouse and what dbt writes in one folder."""

    def __init__(self, folder: Path, source: Path = ROOT / "dbt"):
        self.folder = folder
        self.source = source
        self.warehouse = folder / "warehouse.duckdb"

    def copy(self, folder: Path) -> "Project":
        """The warehouse as it is now, and models that a test may change, in a folder of their own."""
        shutil.copytree(self.source, folder / "models", ignore=shutil.ignore_patterns("target", "logs"))
        shutil.copy(self.warehouse, folder)
        return Project(folder, folder / "models")

    def change(self, path: str, old: str, new: str) -> None:
        file = self.source / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{path} does not hold {old!r}")
        file.write_text(text.replace(old, new), encoding="utf-8")

    def dbt(self, *arguments: str, **settings: str) -> dbtRunnerResult:
        """Any command, whatever its outcome."""
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(
            DBT_PROJECT_DIR=str(self.source),
            DBT_PROFILES_DIR=str(self.source),
            DBT_TARGET_PATH=str(self.folder / "target"),
            DBT_LOG_PATH=str(self.folder / "logs"),
            DBT_USE_COLORS="false",
            DBT_QUIET="true",
            DBT_LOG_LEVEL_FILE="none",
            SLUICE_DUCKDB_PATH=str(self.warehouse),
            SLUICE_DBT_TARGET=settings.pop("target", "duckdb"),
            **settings,
        )
        return dbtRunner().invoke(list(arguments))

    def succeed(self, *arguments: str, **settings: str) -> Any:
        """A command that must succeed; its result."""
        outcome = self.dbt(*arguments, **settings)
        if not outcome.success:
            raise AssertionError(f"dbt {' '.join(arguments)} failed: {outcome.exception or failures(outcome)}")
        return outcome.result

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return connection.sql(query).fetchall()


def failures(outcome: dbtRunnerResult) -> list[str]:
    """Names of the nodes of a run that failed or were skipped."""
    bad = ("error", "fail", "runtime error")
    return [result.node.name for result in getattr(outcome.result, "results", []) if result.status in bad]


@contextmanager
def scratch_project() -> Iterator[Project]:
    """A project with empty raw tables, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sluice-dbt-") as folder:
        project = Project(Path(folder))
        project.succeed("run-operation", "create_raw_tables")
        yield project
