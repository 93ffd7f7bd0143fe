"""Missing provider returns and lasting shifts of level, found by rules that are blind to cohort and programme.

A provider that sends no return leaves its CCGs' counts low, not blank. A run of months is taken for such a
gap when every month of it departs by more than ``departure`` from the level before and from the level
after, and those two levels agree: activity went away and came back. Levels are medians of the log of the
count after removing each unit's own level and the national movement (median polish), so that one
hospital's gap does not move the others.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd

from analysis.protocol.schema import Quality

OK = "ok"
PENDING = "pending"
TOO_LOW = "missing_return"
TOO_HIGH = "double_count"
SMALL = "small_count"  # of patients: suppressed by disclosure control

FloatArray = np.ndarray


def assess(counts: pd.DataFrame, rule: Quality) -> pd.DataFrame:
    """The months to mask, or to watch, in one outcome.

    Parameters
    ----------
    counts
        Units × months, complete.

    Returns
    -------
    DataFrame
        [unit, month, published_value, expected_value, ratio, rule], one row per unit-month that a rule names;
        ``expected_value`` is the count that the neighbouring level implies.
    """
    centred, movement = median_polish(counts)
    labels = np.full(counts.shape, OK, dtype=object)
    expected = np.full(counts.shape, np.nan)
    # Runs with a level on both sides first, so that a gap that ended cannot pass for the level before a pending one.
    for first, last, before, after in sorted(_windows(centred, rule), key=lambda window: window[3] is None):
        run = centred[:, first:last]
        pending = after is None and first >= counts.shape[1] - rule.pending_months
        if after is None and not pending:
            continue
        if after is None:
            levels = [_level_before(centred, labels, first, rule)]
            agrees = np.ones(len(counts), dtype=bool)
        else:
            levels = [before, after]
            agrees = np.abs(np.expm1(after - before)) <= rule.agreement
            # The run is whole: the months beside it are at the neighbouring levels.
            for month, level in ((first - 1, before), (last, after)):
                agrees &= ~_departs(centred[:, [month]], level, -1, rule.departure)
                agrees &= ~_departs(centred[:, [month]], level, 1, rule.departure)
        too_low, too_high = (
            np.all([_departs(run, level, sign, rule.departure) for level in levels], axis=0) for sign in (-1, 1)
        )
        for hit, label in ((too_low & agrees, TOO_LOW), (too_high & agrees, TOO_HIGH)):
            labels[hit, first:last] = PENDING if pending else label
            expected[hit, first:last] = np.mean(levels, axis=0)[hit, None]
    rows, columns = np.nonzero(labels != OK)
    published = counts.to_numpy(float)[rows, columns]
    level = np.exp(expected + movement)[rows, columns]
    return pd.DataFrame(
        {
            "unit": counts.index[rows],
            "month": counts.columns[columns],
            "published_value": published,
            "expected_value": level,
            "ratio": published / level,
            "rule": labels[rows, columns].astype(str),
        }
    )


def lasting_shifts(counts: pd.DataFrame, flagged: pd.DataFrame, rule: Quality) -> pd.DataFrame:
    """Units whose level changed and stayed changed: listed, never masked, left out in a sensitivity.

    Compares, at every month, the median of everything from it to the end (at least half of ``lasting_shift_months``)
    with that of the ``lasting_shift_months`` before and with that of everything before; the smaller difference counts,
    so that a rise that went away again is no lasting shift. Flagged months are set aside.

    Returns
    -------
    DataFrame
        [unit, month, ratio]: the month from which the level differs most, and new level ÷ old level.
    """
    centred, _ = median_polish(counts)
    flagged_cells = flagged.assign(flagged=True).pivot(index="unit", columns="month", values="flagged")
    unflagged = flagged_cells.reindex(index=counts.index, columns=counts.columns).isna().to_numpy()
    centred = np.where(unflagged, centred, np.nan)
    span = rule.lasting_shift_months
    starts = np.arange(span, counts.shape[1] - span // 2 + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a year that is flagged throughout has no level
        after = [np.nanmedian(centred[:, start:], axis=1) for start in starts]
        near = np.stack(after) - np.stack([np.nanmedian(centred[:, s - span : s], axis=1) for s in starts])
        whole = np.stack(after) - np.stack([np.nanmedian(centred[:, :s], axis=1) for s in starts])
    # The smaller of the two, and none where they differ in sign: what went back differs from the year before only.
    change = np.where(near * whole > 0, np.sign(near) * np.minimum(np.abs(near), np.abs(whole)), 0.0)
    largest = np.abs(change).argmax(axis=0)
    ratio = np.exp(change[largest, np.arange(len(counts))])
    table = pd.DataFrame({"unit": counts.index, "month": counts.columns[starts[largest]], "ratio": ratio})
    return table[np.abs(np.log(ratio)) > np.log1p(rule.lasting_shift)].reset_index(drop=True)


def median_polish(counts: pd.DataFrame, rounds: int = 10) -> tuple[FloatArray, FloatArray]:
    """Log counts less unit and month medians, and those medians' sum: (units × months, units × months)."""
    logs = np.log(np.maximum(counts.to_numpy(float), 0.5))
    centred = logs
    for _ in range(rounds if len(counts) else 0):  # no month has a median where no unit is shown throughout
        centred = centred - np.median(centred, axis=1, keepdims=True)
        centred = centred - np.median(centred, axis=0, keepdims=True)
    return centred, logs - centred


def _windows(centred: FloatArray, rule: Quality) -> Iterator[tuple[int, int, FloatArray, FloatArray | None]]:
    """Every run of months that has a level before it: first, one past last, level before, level after if seen."""
    months = centred.shape[1]
    level = cache(lambda first, end: np.median(centred[:, first:end], axis=1))  # runs that begin or end together share one
    for length in range(1, rule.longest_run + 1):
        for first in range(rule.shortest_neighbour, months - length + 1):
            last = first + length
            seen = months - last >= rule.shortest_neighbour
            after = level(last, last + rule.neighbour_window) if seen else None
            yield first, last, level(max(0, first - rule.neighbour_window), first), after


def _level_before(centred: FloatArray, labels: np.ndarray, first: int, rule: Quality) -> FloatArray:
    """Median of the last unflagged months before ``first``, as many as a neighbouring level uses."""
    seen = np.where(labels[:, :first] == OK, centred[:, :first], np.nan)
    return np.array([np.median(row[np.isfinite(row)][-rule.neighbour_window :]) for row in seen])


def _departs(run: FloatArray, level: FloatArray, sign: int, threshold: float) -> np.ndarray:
    return (sign * np.expm1(run - level[:, None]) > threshold).all(axis=1)


def doubts(lines: Sequence[str]) -> str:
    """What a Notes sheet says of returns that are missing or doubtful; its lists of ordinary revisions are left out."""
    kept: list[str] = []
    listing: str | None = None
    for line in lines:
        if line.startswith("The following"):
            listing = line.rstrip(": ") if "did not submit" in line else None
        elif re.match(r"[A-Z0-9]{3,6} [A-Z]", line):
            if listing:
                kept.append(f"{listing}: {line}")
        else:
            kept.append(line)
    return "; ".join(kept)
