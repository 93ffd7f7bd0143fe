"""One treated place against placebo places of other sizes (Ferman & Pinto 2019, Review of Economics and Statistics 101(3)).

A small place moves by chance more than a large one, so that the bare rank of its estimate among those of larger places
rejects too often, and that of a large one too seldom. The variance of an estimate is taken for a + b ÷ size, fitted to the
squared placebo estimates by non-negative least squares, weighted as these squares vary; divided by their predicted standard
deviations the estimates are exchangeable, if the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.power import size_model
from analysis.estimation.regression.absorbed import NotIdentified

SMALLER_NOTE = "smaller than any placebo site: its uncertainty may be understated"


@dataclass(frozen=True)
class ScaledPlacebo:
    """``std_error`` is the predicted standard deviation of an estimate of this size; ``statistics`` the estimates over
    theirs, the actual one first."""

    p_value: float
    interval: tuple[float, float]
    std_error: float
    statistics: np.ndarray


def scaled_placebo(
    estimate: float, size: float, placebo_estimates: np.ndarray, placebo_sizes: np.ndarray, conf_level: float
) -> ScaledPlacebo:
    """Test of no effect and its interval, in the unit of ``estimate``, from n placebo places without the treated one.

    ``size`` is the place's and ``placebo_sizes`` (n) the others' expected count, in one unit. The p-value is the share of
    all n + 1 places, the actual one among them, whose scaled estimate is as far from zero as the actual one; the interval
    is of the constant effects that are not rejected. Placebo places without a finite estimate are not counted.

    Raises
    ------
    NotIdentified
        There is no estimate or no size, the placebo estimates do not vary, or they are too few for an interval.
    """
    estimates, sizes = np.asarray(placebo_estimates, float), np.asarray(placebo_sizes, float)
    usable = np.isfinite(estimates) & (sizes > 0)
    estimates, sizes = estimates[usable], sizes[usable]
    if not (np.isfinite(estimate) and size > 0):
        raise NotIdentified("the place has no estimate, or nothing is expected there")
    if not estimates.any():
        raise NotIdentified("no placebo place has an estimate other than zero")
    if len(estimates) < 2:
        raise NotIdentified("one placebo place is too few for an interval")
    constant, slope = size_model(estimates, sizes, np.zeros(len(sizes)))
    errors = np.sqrt(constant + slope / np.append(size, sizes))
    statistics = np.append(estimate, estimates) / errors
    critical = critical_value(statistics, conf_level)
    if not np.isfinite(critical):
        raise NotIdentified(f"{len(estimates)} placebo places are too few for an interval at {conf_level:.0%}")
    std_error = float(errors[0])
    interval = estimate - critical * std_error, estimate + critical * std_error
    return ScaledPlacebo(p_value(statistics), interval, std_error, statistics)
