"""The table of estimates: one row per number and inference method, with an id that outlives refreshes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

Rows = list[dict[str, Any]]  # of the table, before they are checked

LOG_RATE, PERCENT, RATIO, STATISTIC, COUNT = "log_rate", "percent", "ratio", "statistic", "count"
PERCENT_SUFFIX = "_percent"
PLACEBO = "placebo"  # inference from what the same method finds in other places
ID_PARTS = ["design", "outcome", "cohort", "specification", "term", "inference"]

ESTIMATES = pa.DataFrameSchema(
    {
        "estimate_id": pa.Column(str, unique=True),
        **{name: pa.Column(str) for name in ID_PARTS[:5]},
        "scale": pa.Column(str, pa.Check.isin([LOG_RATE, PERCENT, RATIO, STATISTIC, COUNT])),
        "estimate": pa.Column(float, nullable=True),
        "std_error": pa.Column(float, nullable=True),
        "ci_low": pa.Column(float, nullable=True),
        "ci_high": pa.Column(float, nullable=True),
        "conf_level": pa.Column(float),
        "p_value": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "inference": pa.Column(str),
        "n_units": pa.Column("int64"),
        "n_treated": pa.Column("int64"),
        "n_obs": pa.Column("int64"),
        "window": pa.Column(str),
        "dataset": pa.Column(str),
        "notes": pa.Column(str),
    },
    checks=pa.Check(lambda t: (t.ci_low.isna() | (t.ci_low <= t.ci_high)).all(), error="ci_low above ci_high"),
    strict=True,
    ordered=True,
)


def both_scales(
    term: str,
    inference: str,
    estimate: float,
    interval: tuple[float, float] = (math.nan, math.nan),
    *,
    std_error: float = math.nan,
    p_value: float = math.nan,
    notes: str = "",
    **context: Any,
) -> list[dict[str, Any]]:
    """A log-rate estimate and its percent twin (100·(exp(x) − 1); the standard error by the delta method)."""
    common = {"inference": inference, "p_value": p_value, "notes": notes, **context}
    with np.errstate(over="ignore"):  # an end beyond any number is infinite
        low, high = (100 * float(np.expm1(end)) for end in interval)
    log_rate = {
        **common, "term": term, "scale": LOG_RATE,
        "estimate": estimate, "std_error": std_error, "ci_low": interval[0], "ci_high": interval[1],
    }  # fmt: skip
    percent = {
        **common, "term": term + PERCENT_SUFFIX, "scale": PERCENT,
        "estimate": 100 * _or_infinite(math.expm1, estimate), "std_error": 100 * _or_infinite(math.exp, estimate) * std_error,
        "ci_low": low, "ci_high": high,
    }  # fmt: skip
    return [log_rate, percent]


def _or_infinite(function: Callable[[float], float], value: float) -> float:
    """``function`` of a value in log points, which of a few hundred is no longer a number: an effect of any size fits such an interval."""
    try:
        return function(value)
    except OverflowError:
        return math.inf


def single_scale(
    term: str,
    inference: str,
    scale: str,
    estimate: float,
    interval: tuple[float, float] = (math.nan, math.nan),
    *,
    p_value: float = math.nan,
    notes: str = "",
    **context: Any,
) -> dict[str, Any]:
    """A number that is no effect in percent: a ratio, a test statistic, a spread in log points."""
    numbers = {"estimate": estimate, "std_error": math.nan, "ci_low": interval[0], "ci_high": interval[1]}
    return {
        "term": term,
        "inference": inference,
        "scale": scale,
        "p_value": p_value,
        "notes": notes,
        **numbers,
        **context,
    }


def minimum_detectable(half_width: float, conf_level: float, power: float) -> float:
    """Smallest true effect found with probability ``power``, in the units of the interval's half-width.

    (z for the level + z for the power) ÷ z for the level times the half-width: 2.80 ÷ 1.96 at 95% and 80%.
    Source: Bloom (1995), Minimum detectable effects, Evaluation Review 19(5).
    """
    from scipy.stats import norm

    level = norm.ppf(0.5 + conf_level / 2)
    return float(half_width * (level + norm.ppf(power)) / level)


def fall_of_equal_size(rise: float) -> float:
    """The fall, in percent, that is as large in log points as a ``rise`` in percent."""
    return 100 - 100 / (1 + rise / 100)


def estimate_ids(table: pd.DataFrame) -> pd.Series:
    """The id of each row: its parts, joined."""
    first, *others = (table[name] for name in ID_PARTS)
    return first.str.cat(others, sep="/")


def estimates_table(rows: Rows) -> pd.DataFrame:
    """Rows with everything but the id → the checked table, in a fixed order."""
    table = pd.DataFrame(rows, columns=None if rows else list(ESTIMATES.columns))
    table["estimate_id"] = estimate_ids(table)
    counts = {name: "int64" for name in ("n_units", "n_treated", "n_obs")}
    numbers = {name: float for name in ("estimate", "std_error", "ci_low", "ci_high", "conf_level", "p_value")}
    texts = {
        name: str for name in ESTIMATES.columns if name not in counts | numbers
    }  # which an empty table does not show
    table = table.astype(counts | numbers | texts)[list(ESTIMATES.columns)]
    return ESTIMATES.validate(table.sort_values("estimate_id", ignore_index=True))
