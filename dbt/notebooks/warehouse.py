"""The warehouse that a notebook reads, by the setting that chooses dbt's target: SLUICE_DBT_TARGET=duckdb or snowflake.

The other settings are dbt's too (dbt/profiles.yml), but for the role and the warehouse: a notebook reads what is published.
"""

import os
from typing import Any, Callable

Query = Callable[[str], list[tuple[Any, ...]]]


def connect() -> Query:
    """Runs a query and gives its rows; `{reporting}` in it is the schema that BI may read."""
    target = os.environ.get("SLUICE_DBT_TARGET", "duckdb")
    if target == "duckdb":
        return _duckdb(os.environ.get("SLUICE_DUCKDB_PATH", "sluice.duckdb"))
    if target == "snowflake":
        return _snowflake()
    raise ValueError(f"SLUICE_DBT_TARGET is duckdb or snowflake, not {target}")


def _duckdb(path: str) -> Query:
    import duckdb

    # Another process may read at the same time; one that writes may not.
    connection = duckdb.connect(path, read_only=True)
    return lambda text: connection.execute(text.format(reporting='"ANALYTICS__REPORTING"')).fetchall()


def _snowflake() -> Query:
    import snowflake.connector

    database = os.environ.get("SNOWFLAKE_DATABASE", "ANALYTICS")
    connection = snowflake.connector.connect(
        account=os.environ["SNOWFLAKE_ACCOUNT"],
        user=os.environ["SNOWFLAKE_USER"],
        authenticator="SNOWFLAKE_JWT",
        private_key_file=os.environ["SNOWFLAKE_PRIVATE_KEY_PATH"],
        private_key_file_pwd=os.environ.get("DBT_ENV_SECRET_SNOWFLAKE_PASSPHRASE") or None,
        role=os.environ.get("SNOWFLAKE_ROLE", "ANALYTICS_REPORTER"),
        warehouse=os.environ.get("SNOWFLAKE_WAREHOUSE", "REPORTING"),
        database=database,
        session_parameters={"QUERY_TAG": "notebook", "TIMEZONE": "UTC"},
    )
    return lambda text: connection.cursor().execute(text.format(reporting=f"{database}.REPORTING")).fetchall()
