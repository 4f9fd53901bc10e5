"""Forecasts of a daily series and the back-test that decides whether one is published.

The naive forecast, that nothing changes, is hard to beat for exchange rates. So a model is chosen by the older half of a
series' cuts and has to beat the naive forecast on the newer half, which had no part in the choice.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

HORIZON = 10  # Days that are forecast.
CUTS = 12  # Days in the past on which a forecast is made again from what was known then.
SHORTEST = 60  # Observations that the first cut has before it.
ENOUGH = SHORTEST + CUTS * HORIZON
# Of the naive forecast's mean absolute error; less is published.
BETTER = 0.95
# The interval leaves out a tenth on either side.
LOW, HIGH = 10, 90


def naive(series: np.ndarray) -> np.ndarray:
    return np.repeat(series[-1], HORIZON)


def drift(series: np.ndarray) -> np.ndarray:
    """Goes on as it went from the first observation to the last."""
    slope = (series[-1] - series[0]) / (len(series) - 1)
    return series[-1] + slope * np.arange(1, HORIZON + 1)


def smoothing(series: np.ndarray) -> np.ndarray:
    """Simple exponential smoothing; the weight is the one with the smallest errors one step ahead."""
    best, level_of_best = np.inf, series[-1]
    for weight in np.arange(0.1, 1.0, 0.1):
        level, error = series[0], 0.0
        for value in series[1:]:
            error += (value - level) ** 2
            level += weight * (value - level)
        if error < best:
            best, level_of_best = error, level
    return np.repeat(level_of_best, HORIZON)


def autoregression(series: np.ndarray) -> np.ndarray:
    """Returns to its mean by a share of the distance each day; the share is fitted by least squares."""
    before, after = series[:-1], series[1:]
    spread = np.sum((before - before.mean()) ** 2)
    share = np.sum((before - before.mean()) * (after - after.mean())) / spread if spread > 0 else 1.0
    share = float(np.clip(share, 0.0, 1.0))
    return series.mean() + (series[-1] - series.mean()) * share ** np.arange(1, HORIZON + 1)


MODELS = {"naive": naive, "drift": drift, "smoothing": smoothing, "autoregression": autoregression}


@dataclass
class Verdict:
    """What the back-test says of a series. `model` is what is published, None where the naive forecast stands."""

    model: str | None
    best: str
    error: float  # Of the best model on the newer cuts, as a share of the naive one's.
    coverage: float  # Share of the newer cuts' values inside of the interval, which should be near 0.8.
    values: np.ndarray  # The forecast of the best model from today, with its interval.
    low: np.ndarray
    high: np.ndarray


def judge(series: np.ndarray) -> Verdict | None:
    """None where there are too few observations to judge by."""
    series = np.asarray(series, dtype=float)
    if len(series) < ENOUGH:
        return None
    errors = {name: _errors(model, series) for name, model in MODELS.items()}
    older, newer = slice(0, CUTS // 2), slice(CUTS // 2, CUTS)
    others = [name for name in MODELS if name != "naive"]
    best = min(others, key=lambda name: np.abs(errors[name][older]).mean())
    stands = np.abs(errors["naive"][newer]).mean()
    error = float(np.abs(errors[best][newer]).mean() / stands) if stands > 0 else 1.0
    low, high = _interval(errors[best][older])
    inside = (errors[best][newer] >= low) & (errors[best][newer] <= high)
    values = MODELS[best](series)
    low, high = _interval(errors[best])
    return Verdict(best if error < BETTER else None, best, error, float(inside.mean()), values, values + low, values + high)


def next_days(last: date) -> list[date]:
    """The days from Monday to Friday after the last one, as many as are forecast."""
    days: list[date] = []
    while len(days) < HORIZON:
        last += timedelta(days=1)
        if last.weekday() < 5:
            days.append(last)
    return days


def _errors(model, series: np.ndarray) -> np.ndarray:
    """What came less what was forecast, a row for each cut; the model sees nothing from behind the cut."""
    rows = []
    for cut in range(len(series) - CUTS * HORIZON, len(series), HORIZON):
        rows.append(series[cut : cut + HORIZON] - model(series[:cut].copy()))
    return np.array(rows)


def _interval(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors grow with the distance, which is taken to be by its root; so all distances together tell of each."""
    growth = np.sqrt(np.arange(1, HORIZON + 1))
    low, high = np.percentile(errors / growth, [LOW, HIGH])
    return low * growth, high * growth
