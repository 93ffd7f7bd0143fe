"""What could an evaluation of this length have seen? The minimum detectable effect by the size of the place evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import norm

from analysis.estimation.regression.absorbed import LEAST_NOISE, NotIdentified
from analysis.estimation.regression.estimates import both_scales, minimum_detectable
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol

SIZE_MODEL = "size_model"
CURVE_POINTS = 61
SMALLEST, LARGEST = 300, 1_000_000  # people, the ends of the curve


def evaluability(sample: Sample, protocol: Protocol) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Minimum detectable effect of one treated place among the untreated units of ``sample``, by its population.

    The change in the log rate from before to after the programme's start varies between untreated units by chance, whose
    Poisson variance is known, and by more. What is more is fitted as a + b ÷ population (non-negative least squares, weighted
    by the inverse square of the fitted variance): a is what size does not mend. A place smaller than any unit moves at
    least as the smallest units do, and by its own chance besides: for it the curve is a lower bound. One place against the
    mean of all the others has these variances and the mean's own; the detectable effect is the normal half-width scaled to the
    protocol's power (Bloom 1995).

    Returns
    -------
    rows of the estimates table, and [kind, unit, population, change, detectable]: ``kind`` is "unit" (``change``: its own, log
    points from the mean) or "curve" (``detectable``: log points).

    Raises
    ------
    NotIdentified
        There are not two untreated units, they all change alike, or one of them counts nothing before or after the start.
    """
    controls = sample.only(~sample.treated)
    if len(controls.units) < 2:
        raise NotIdentified("the spread of changes between untreated units cannot be seen in fewer than two of them")
    post = np.asarray(controls.months >= protocol.study.programme_start)
    change, population, chance = _changes(controls, post)
    if not np.abs(change).max() > LEAST_NOISE:
        raise NotIdentified("all untreated units change alike: there is no spread to judge a change by")
    constant, slope = size_model(change, population, chance)
    smallest, per_head = population.min(), np.mean(chance * population)

    def variance(people: np.ndarray) -> np.ndarray:
        return np.asarray(constant + slope / np.maximum(people, smallest) + per_head / people)

    def detectable(people: np.ndarray) -> np.ndarray:
        error = np.sqrt(variance(people) + variance(population).mean() / len(population))
        half_width = norm.ppf(0.5 + protocol.study.conf_level / 2) * error
        return np.array(
            [minimum_detectable(half, protocol.study.conf_level, protocol.inference.power) for half in half_width]
        )

    rows: list[dict[str, Any]] = []
    for name, people in protocol.inference.evaluability.items():
        bound = f"; at least, being smaller than any unit here ({smallest:,.0f})" if people < smallest else ""
        rows += both_scales(
            f"mde_{name}", SIZE_MODEL, float(detectable(np.array([people]))[0]), design="power",
            n_obs=int(controls.observed.sum()), notes=f"one place of {people:,} people{bound}",
        )  # fmt: skip
    grid = np.geomspace(SMALLEST, LARGEST, CURVE_POINTS)
    units = pd.DataFrame({"kind": "unit", "unit": controls.units, "population": population, "change": change})
    curve = pd.DataFrame({"kind": "curve", "unit": "", "population": grid, "detectable": detectable(grid)})
    return rows, pd.concat([units, curve], ignore_index=True)


def size_model(change: np.ndarray, population: np.ndarray, chance: np.ndarray, rounds: int = 10) -> tuple[float, float]:
    """Variance of ``change`` (n, about zero) beyond ``chance`` (n) as a + b ÷ ``population`` (n): a and b, neither below zero."""
    design = np.column_stack([np.ones(len(population)), 1 / population])
    square = change**2 * len(change) / (len(change) - 1)
    variance = np.full(len(change), square.mean())
    for _ in range(rounds):
        (constant, slope), _ = nnls(design / variance[:, None], (square - chance) / variance)
        variance = constant + slope / population + chance
    return float(constant), float(slope)


def _changes(sample: Sample, post: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log rate after less before of each unit less their mean (n), its mean population (n), and the Poisson variance (n)."""
    observed = sample.observed
    counts, people = np.where(observed, sample.counts, 0.0), np.where(observed, sample.population, 0.0)
    after, before = counts[:, post].sum(axis=1), counts[:, ~post].sum(axis=1)
    if not ((after > 0) & (before > 0)).all():
        raise NotIdentified(
            "an untreated unit has no count before or after the start, so that its change has no logarithm"
        )
    change = np.log(after / people[:, post].sum(axis=1)) - np.log(before / people[:, ~post].sum(axis=1))
    return change - change.mean(), sample.population_full.mean(axis=1), 1 / after + 1 / before
