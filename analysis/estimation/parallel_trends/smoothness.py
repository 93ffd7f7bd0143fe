"""The shortest interval of fixed length for an effect, if trends differ by a line that bends by at most M a period.

The estimator is l'β_after + v'β_before. Any straight difference in trends must cancel in it, and bends of at most M then leave a bias
of at most M (Σ|a_after| + Σ|a_before|), where a are the second sums of the weights, counted from the far ends. Of all v with as
little bias the best has the least variance. That is a lasso in a_before, and its path, a polyline, is the same for every M:
the shortest interval is a search along it (Armstrong & Kolesár 2018; Rambachan & Roth 2023, section 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import ncx2, norm

from analysis.estimation.regression.absorbed import NotIdentified

FAR = 8.0  # standard errors of bias from which the other tail no longer counts
ROUNDING = 1e-12
MOST_CORNERS = 10_000


@dataclass(frozen=True)
class Frontier:
    """Best estimators: ``weights`` (K × n) of the event study's estimates and their ``bias`` (K, rising) at M = 1.

    Between two rows the best weights lie on a straight line. The last row has the least variance of all.
    """

    bias: np.ndarray
    weights: np.ndarray

    def at(self, bias: float) -> np.ndarray:
        return np.array([np.interp(bias, self.bias, column) for column in self.weights.T])


def frontier(covariance: np.ndarray, before: int, weights: np.ndarray) -> Frontier:
    """The best estimators of ``weights`` (T) times the effects, with ``before`` estimates from before treatment, the base left out."""
    after = len(weights)
    time = np.arange(1, after + 1)
    bends = np.maximum(time - np.arange(after)[:, None], 0) @ weights
    # The weight of the estimate t periods before the base is a[t − 1] − 2a[t] + a[t + 1]. a[0] cancels a straight line; the rest is free.
    sums_to_weights = np.diff(np.eye(before + 2, before), n=2, axis=0)[::-1]
    least_biased = np.concatenate([sums_to_weights[:, 0] * bends[0], weights])
    free = np.vstack([sums_to_weights[:, 1:], np.zeros((after, before - 1))])
    path = lasso_path(free.T @ covariance @ free, free.T @ covariance @ least_biased)
    return Frontier(np.abs(path).sum(axis=1) + np.abs(bends).sum(), least_biased + path @ free.T)


def shortest_interval(
    line: Frontier, estimates: np.ndarray, covariance: np.ndarray, bound: float, conf_level: float
) -> tuple[float, float]:
    """The shortest interval that holds the effect with ``conf_level`` whatever the bends of at most ``bound``."""

    def half_length(bias: float) -> float:
        chosen = line.at(bias)
        error = float(np.sqrt(chosen @ covariance @ chosen))
        return error * folded_quantile(bound * bias / error, conf_level)

    low, high = float(line.bias[0]), float(line.bias[-1])
    inner = minimize_scalar(half_length, bounds=(low, high), method="bounded", options={"xatol": ROUNDING * high})
    best = min((low, float(inner.x), high), key=half_length)
    centre, half = float(line.at(best) @ estimates), half_length(best)
    return centre - half, centre + half


def folded_quantile(bias: float, conf_level: float) -> float:
    """Quantile of |N(bias, 1)|."""
    if bias > FAR:
        return bias + float(norm.ppf(conf_level))
    return float(np.sqrt(ncx2.ppf(conf_level, 1, bias**2)))


def lasso_path(quadratic: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Corners (K × k) of the path of the minimisers of ½a'Qa + q'a + λ|a|₁, from a = 0 down to λ = 0 (Osborne et al. 2000)."""
    point, gradient = np.zeros_like(linear), linear
    penalty = float(np.abs(linear).max(initial=0.0))
    sign = np.where(np.abs(linear) == penalty, -np.sign(linear), 0.0)
    corners = [point]
    if penalty == 0:
        return np.array(corners)
    for _ in range(MOST_CORNERS):
        active = sign != 0
        step = np.zeros_like(point)
        step[active] = np.linalg.solve(quadratic[np.ix_(active, active)], sign[active])
        turn = quadratic @ step
        # λ falls until an a comes back to 0, or a gradient reaches −λ or λ and its a starts to rise or to fall.
        room = np.stack([sign * point, penalty + gradient, penalty - gradient])
        speed = np.stack([-sign * step, 1 - turn, 1 + turn])
        closing = np.stack([active, ~active, ~active]) & (speed > ROUNDING)
        until = np.where(closing, np.maximum(room, 0.0), np.inf) / np.where(closing, speed, 1.0)
        event, which = np.unravel_index(until.argmin(), until.shape)
        fall = min(float(until[event, which]), penalty)
        corners.append(point + fall * step)
        if fall == penalty:
            return np.array(corners)
        point, penalty = corners[-1], penalty - fall
        gradient = linear + quadratic @ point
        sign[which] = (0.0, 1.0, -1.0)[event]
    raise NotIdentified("the shortest interval does not settle: the covariance is close to singular")
