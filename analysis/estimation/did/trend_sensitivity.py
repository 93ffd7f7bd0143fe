"""How far the cohorts' trends may have parted by themselves before a conclusion falls (Rambachan & Roth 2023).

Applied to the event study by quarter, whose effects are measured from the last quarter before the programme. The covariance
of the quarters is that of placebo assignments of sites: with so few treated sites the clustered one is far too small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.estimation.did.event_study import EventStudy, Placebos
from analysis.estimation.parallel_trends.parallel_trends import (
    breakdown_relative,
    breakdown_smoothness,
    relative_magnitudes,
    smoothness,
)
from analysis.estimation.regression.estimates import LOG_RATE, RATIO, both_scales, single_scale
from analysis.protocol.protocol import Protocol

DESIGN = "trend_sensitivity"
FLCI, CONDITIONAL, HYBRID = "FLCI", "conditional", "conditional_hybrid"
WHOLE, FIRST = "att", "quarter_+0"


def trend_sensitivity(study: EventStudy, placebos: Placebos, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the estimates table: confidence sets of the mean effect after the start, and of the first quarter's.

    ``…_relative_M``: the difference in trends from quarter to quarter is at most M times the largest before the start.
    ``…_smoothness_M``: it bends by at most M log points from one quarter to the next. ``…_breakdown_…``: the M up to which
    every set leaves out zero, 0 where the set at M = 0 holds it.

    Raises
    ------
    NotIdentified
        The covariance of the quarters is singular, or there is no quarter before the base.
    """
    level, bounds = protocol.study.conf_level, protocol.inference.trends
    before = int(study.before.sum())
    covariance = np.cov(placebos.estimates[1:].T)
    estimates = study.fit.coefficients
    context: dict[str, Any] = {"design": DESIGN, "n_obs": int(study.comparison.model.observed.sum())}
    drawn = f"covariance of {len(placebos.estimates) - 1:,} placebo assignments"
    rows: list[dict[str, Any]] = []
    for target, weights in _targets(len(estimates) - before).items():
        given = (estimates, covariance, before, weights)
        point = float(weights @ estimates[before:])
        found = [
            ("smoothness", FLCI, LOG_RATE, bounds.smoothness, smoothness(*given, bounds.smoothness, level), breakdown_smoothness(*given, level))
        ]  # fmt: skip
        for hybrid, method in ((False, CONDITIONAL), (True, HYBRID)):
            sets = relative_magnitudes(*given, bounds.relative_magnitudes, level, hybrid)
            largest = breakdown_relative(*given, level, hybrid)
            found.append(("relative", method, RATIO, bounds.relative_magnitudes, sets, largest))
        for kind, method, scale, magnitudes, sets, largest in found:
            for magnitude, (low, high) in zip(magnitudes, sets, strict=True):
                term = f"{target}_{kind}_{magnitude:g}"
                rows += both_scales(term, method, point, (float(low), float(high)), notes=drawn, **context)
            rows.append(single_scale(f"{target}_breakdown_{kind}", method, scale, largest, notes=drawn, **context))
    return rows


def _targets(after: int) -> dict[str, np.ndarray]:
    """Weights of the quarters after the start: their mean, and the first alone."""
    return {WHOLE: np.full(after, 1 / after), FIRST: np.eye(after)[0]}
