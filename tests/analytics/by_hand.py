"""The tiles of the report as SQL that somebody wrote by hand over the marts, and when rows are the same."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any, Iterable

import duckdb

MARTS = "ANALYTICS__MARTS"
# What a pound is worth, with the change since the rate before; to the decimals that readers see.
POUNDS = f"""create or replace temp view pounds as
select rate_date, code, rate, kind, before, round(rate / before - 1, 8) as change from (
  select *, lag(rate) over (partition by code order by rate_date) as before from (
    select g.rate_date, t.target_currency as code, round(t.rate / g.rate, 10) as rate,
      case when t.rate_kind = 'final' and g.rate_kind = 'final' then 'final' else 'provisional' end as kind
    from {MARTS}.fct_exchange_rates as g join {MARTS}.fct_exchange_rates as t using (rate_date, base_currency)
    where base_currency = 'USD' and g.target_currency = 'GBP' and t.target_currency not in ('GBP', 'USD')
    union all
    select rate_date, 'USD', round(1 / rate, 10), rate_kind from {MARTS}.fct_exchange_rates
    where base_currency = 'USD' and target_currency = 'GBP'))"""
# Averages are floats here, whose last digits depend on the order of adding.
CLOSE = 1e-6


def queries() -> dict[str, str]:
    """By tile."""
    text = (Path(__file__).with_suffix(".sql")).read_text(encoding="utf-8")
    parts = text.split("\n-- ")[1:]
    found = {name: sql for name, _, sql in (part.partition("\n") for part in parts) if "/" in name and " " not in name}
    return {name: sql.strip() for name, sql in found.items()}


def ask(connection: duckdb.DuckDBPyConnection, days: dict[str, date]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every tile, with periods that count from these days."""
    connection.execute(f"set schema = '{MARTS}'")
    connection.execute(POUNDS)
    given = {name: day.isoformat() for name, day in days.items()}
    return {tile: connection.execute(sql.format(**given)).fetchall() for tile, sql in queries().items()}


def same(one: Iterable[Iterable[Any]], other: Iterable[Iterable[Any]]) -> bool:
    """Whether rows are the same, whichever types have them."""
    rows, others = [list(map(plain, row)) for row in one], [list(map(plain, row)) for row in other]
    return len(rows) == len(others) and all(
        len(row) == len(twin) and all(map(equal, row, twin)) for row, twin in zip(rows, others, strict=True)
    )


def plain(value: Any) -> Any:
    if isinstance(value, (date, datetime)):
        return value.isoformat()[:10]
    if isinstance(value, str) and len(value) > 10 and value[4] == value[7] == "-" and value[10] in "T ":
        return value[:10]
    return value


def equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    try:
        return math.isclose(float(one), float(other), rel_tol=CLOSE, abs_tol=1e-9)
    except ValueError:
        return str(one) == str(other)
