"""Puts rows into the raw tables as the platform would, on either warehouse."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Callable

from raw import CONTACTS, TABLES, Row

Execute = Callable[[str], Any]

# Rows of one INSERT.
CHUNK = 500


def duckdb_name(source: str) -> str:
    database, schema, table = TABLES[source]
    return f"{database}__{schema}.{table}"


def snowflake_name(source: str) -> str:
    return ".".join(TABLES[source])


def literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | Decimal():
            return str(value)
        case datetime():
            return f"cast('{value.isoformat(sep=' ')}' as timestamp)"
        case date():
            return f"cast('{value.isoformat()}' as date)"
        case _:
            # A backslash would be an escape in one of the two warehouses; the shop invents none.
            assert "\\" not in str(value)
            return "'" + str(value).replace("'", "''") + "'"


def load(execute: Execute, name: Callable[[str], str], batch: dict[str, list[Row]]) -> None:
    """Adds a batch: contacts as a merge by id where the newer version wins, everything else as it is."""
    for source, rows in batch.items():
        table = name(source)
        if source == CONTACTS:
            rows = _newest(rows)
            for row in rows:
                execute(f"delete from {table} where id = {row['id']} and lastmodifieddate <= {literal(row['lastmodifieddate'])}")
        _insert(execute, table, rows)
        if source == CONTACTS:
            # An older version that came later loses.
            execute(
                f"delete from {table} where exists (select 1 from {table} as newer where newer.id = {table}.id"
                f" and newer.lastmodifieddate > {table}.lastmodifieddate)"
            )


def _newest(rows: list[Row]) -> list[Row]:
    newest: dict[int, Row] = {}
    for row in rows:
        if row["id"] not in newest or row["lastmodifieddate"] > newest[row["id"]]["lastmodifieddate"]:
            newest[row["id"]] = row
    return list(newest.values())


def _insert(execute: Execute, table: str, rows: list[Row]) -> None:
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        columns = list(chunk[0])
        values = ", ".join("(" + ", ".join(literal(row[column]) for column in columns) + ")" for row in chunk)
        execute(f"insert into {table} ({', '.join(columns)}) values {values}")
