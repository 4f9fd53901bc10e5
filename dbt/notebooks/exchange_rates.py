"""What a pound was worth, how much that moves, and a forecast where one is better than none.

    SLUICE_DUCKDB_PATH=warehouse.duckdb marimo edit dbt/notebooks/exchange_rates.py
    python dbt/notebooks/exchange_rates.py -- --out forecasts.json          as a script; the last line says how many are published
"""

import marimo

__generated_with = "0.25.2"

app = marimo.App(width="medium", app_title="Exchange rates of the pound")


@app.cell
def _():
    import json
    import sys
    from pathlib import Path

    import altair as alt
    import marimo as mo
    import numpy as np

    # Its own modules stand beside it, wherever it is started.
    sys.path.insert(0, str(Path(__file__).parent))
    import forecast
    import warehouse

    return Path, alt, forecast, json, mo, np, warehouse


@app.cell
def _(mo):
    mo.md("""
    # Exchange rates of the pound

    Daily rates as published in `rpt_gbp_exchange_rates`. To look at: money is converted with the rates as they came.
    """)
    return


@app.cell
def _(warehouse):
    query = warehouse.connect()
    rows = query("select target_currency, rate_date, rate from {reporting}.rpt_gbp_exchange_rates order by target_currency, rate_date")
    rates = {}
    for currency, day, rate in rows:
        rates.setdefault(currency, []).append((day, float(rate)))
    if not rates:
        raise SystemExit("there are no rates: build the dbt project first")
    return (rates,)


@app.cell
def _(alt, mo, rates):
    # Each begins at 100, so that yen and dollars fit on one axis.
    shown = [code for code in ("USD", "EUR", "CHF", "JPY", "AUD", "CAD") if code in rates]
    points = [
        {"day": str(day), "currency": currency, "index": 100 * rate / rates[currency][-180:][0][1]}
        for currency in shown
        for day, rate in rates[currency][-180:]
    ]
    lines = alt.Chart(alt.Data(values=points)).mark_line().encode(
        x=alt.X("day:T", title="Date"), y=alt.Y("index:Q", title="First day = 100", scale=alt.Scale(zero=False)), color="currency:N"
    )
    mo.vstack([mo.md("## The last 180 rates"), lines])
    return


@app.cell
def _(mo, np, rates):
    volatility = [
        {"currency": code, "rates": len(found), "volatility": f"{np.std(np.diff(values) / values[:-1], ddof=1):.3%}"}
        for code, found in rates.items()
        for values in [np.array([rate for _, rate in found[-91:]])]
        if len(found) > 2
    ]
    mo.vstack([mo.md("## Volatility: standard deviation of the last 90 changes, not of the rates"), mo.ui.table(volatility)])
    return


@app.cell
def _(forecast, np, rates):
    judged = {}
    for code, found in rates.items():
        verdict = forecast.judge(np.array([rate for _, rate in found]))
        last = found[-1][0]
        if verdict is None:
            judged[code] = {"model": None, "why": f"{len(found)} rates, and {forecast.ENOUGH} are needed to judge a forecast"}
            continue
        entry = {"best": verdict.best, "error_of_naive": round(verdict.error, 3), "coverage": round(verdict.coverage, 2)}
        if verdict.model is None:
            judged[code] = {"model": None, "why": f"the naive forecast stands: {verdict.best} has {verdict.error:.2f} of its error", **entry}
        else:
            days = zip(forecast.next_days(last), verdict.values, verdict.low, verdict.high)
            published = [{"date": str(day), "rate": rate, "low": low, "high": high} for day, rate, low, high in days]
            judged[code] = {"model": verdict.model, "why": f"{verdict.model} has {verdict.error:.2f} of the naive error", **entry, "forecast": published}
    return (judged,)


@app.cell
def _(judged, mo):
    table = [{"currency": code, "published": entry["model"] or "nothing", "why": entry["why"]} for code, entry in judged.items()]
    mo.vstack([mo.md("## Forecasts: the next ten days from Monday to Friday, published only where they beat the naive one"), mo.ui.table(table)])
    return


@app.cell
def _(Path, json, judged, mo):
    for currency_code, outcome in judged.items():
        print(f"{currency_code}: {outcome['model'] or 'nothing'} is published; {outcome['why']}")
    out = mo.cli_args().get("out")
    if out:
        Path(out).write_text(json.dumps(judged, indent=2), encoding="utf-8")
    print(json.dumps({"currencies": len(judged), "published": sum(1 for entry in judged.values() if entry["model"])}))
    return


if __name__ == "__main__":
    app.run()
