"""Growth per head between two windows of the same calendar months, as NHS England reported it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.inference.clustered import t_interval
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.estimates import both_scales
from analysis.estimation.regression.sample import Sample
from analysis.protocol.schema import Growth

LINEARISED = "linearised"


def growth_per_head(sample: Sample, rule: Growth, conf_level: float) -> list[dict[str, Any]]:
    """Log growth of the rate per head over every unit of the sample, with a linearised interval over its clusters.

    Matched unit × calendar months: a month masked in either window leaves both, numerator and denominator. The
    variance is that of a ratio of sums, by its first-order expansion, with clusters as the sampling units.
    """
    estimate, variance, clusters, cells = _log_growth(sample, rule)
    return _row(f"growth_{rule.id}", estimate, variance, clusters - 1, conf_level, cells)


def growth_gap(cohort: Sample, rest: Sample, rule: Growth, conf_level: float) -> list[dict[str, Any]]:
    """Log growth of the cohort less that of the rest; degrees of freedom are the cohort's clusters less one."""
    growth, variance, clusters, cells = _log_growth(cohort, rule)
    elsewhere, variance_elsewhere, _, cells_elsewhere = _log_growth(rest, rule)
    term = f"growth_gap_{rule.id}"
    return _row(
        term, growth - elsewhere, variance + variance_elsewhere, clusters - 1, conf_level, cells + cells_elsewhere
    )


def _row(
    term: str, estimate: float, variance: float, degrees: int, conf_level: float, cells: int
) -> list[dict[str, Any]]:
    std_error = float(np.sqrt(variance))
    interval, p_value = t_interval(estimate, std_error, degrees, conf_level)
    return both_scales(
        term, LINEARISED, estimate, interval, std_error=std_error, p_value=p_value, design="growth", n_obs=cells
    )


def _log_growth(sample: Sample, rule: Growth) -> tuple[float, float, int, int]:
    """Log growth, its variance, and the number of clusters and of cells it rests on.

    Raises
    ------
    NotIdentified
        No unit has the same calendar month in both windows, or a window has no count or no people.
    """
    window, baseline = (_sums(sample, ends) for ends in (rule.window, rule.baseline))
    matched = np.isfinite(window[0]) & np.isfinite(baseline[0])
    parts = [np.where(matched, part, 0.0).sum(axis=1) for part in (*window, *baseline)]
    totals = [part.sum() for part in parts]
    if not all(total > 0 for total in totals):
        raise NotIdentified(f"no known count above zero in the months that can be compared for {rule.label}")
    estimate = float(np.log(totals[0] / totals[1]) - np.log(totals[2] / totals[3]))
    influence = sum(sign * part / total for sign, part, total in zip((1, -1, -1, 1), parts, totals, strict=True))
    clusters = int(sample.cluster.max()) + 1
    by_cluster = np.bincount(sample.cluster, weights=influence, minlength=clusters)
    variance = float((by_cluster**2).sum() * clusters / (clusters - 1)) if clusters > 1 else float("nan")
    return estimate, variance, clusters, int(2 * matched.sum())


def _sums(sample: Sample, ends: tuple[pd.Timestamp, pd.Timestamp]) -> tuple[np.ndarray, np.ndarray]:
    """Counts and population, units × the twelve calendar months in the order of the calendar."""
    inside = sample.months[(sample.months >= ends[0]) & (sample.months <= ends[1])]
    columns = sample.months.get_indexer(sorted(inside, key=lambda month: month.month))
    return sample.counts[:, columns], sample.population[:, columns]
