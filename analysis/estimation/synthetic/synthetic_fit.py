"""Synthetic difference-in-differences, synthetic control and plain difference-in-differences of many treated series at once.

Weights of donors make a synthetic series like the treated one in the periods before the start (Abadie, Diamond &
Hainmueller 2010); synthetic difference-in-differences adds an intercept, weights of periods, and a penalty that spreads the
weights of donors (Arkhangelsky, Athey, Hirshberg, Imbens & Wager 2021, algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.estimation.synthetic.synthetic_weights import Own, Shared, frank_wolfe, interior_point

SDID, SYNTHETIC_CONTROL, DID = "sdid", "synthetic_control", "did"
AT_ONCE = 250  # problems whose arrays fit a processor's cache
ROUNDING = 1e-12  # of the values: a noise level below this is none


@dataclass(frozen=True)
class Solver:
    """How weights are found, and the penalty in noise levels where it only has to make them unique."""

    weights: Callable[..., np.ndarray]
    least_penalty: float


MINIMUM = Solver(interior_point, 1e-2)
AS_PUBLISHED = Solver(frank_wolfe, 1e-6)


@dataclass(frozen=True)
class Fits:
    """Of B problems: ``estimates`` (B), treated less synthetic ``gaps`` (B × T), weights of units (B × N) and months (B × T₀)."""

    estimates: np.ndarray
    gaps: np.ndarray
    unit_weights: np.ndarray
    month_weights: np.ndarray

    def pre_period_rmse(self) -> np.ndarray:
        """Of each problem (B), about the intercept where the design has one."""
        before = self.gaps[:, : self.month_weights.shape[1]]
        return np.asarray(np.sqrt(((before - self.intercept()[:, None]) ** 2).mean(axis=1)))

    def rmse_ratio(self) -> np.ndarray:
        """Root mean squared gap after the start over that before (B)."""
        after = self.gaps[:, self.month_weights.shape[1] :] - self.intercept()[:, None]
        return np.asarray(np.sqrt((after**2).mean(axis=1)) / self.pre_period_rmse())

    def intercept(self) -> np.ndarray:
        return np.asarray((self.gaps[:, : self.month_weights.shape[1]] * self.month_weights).sum(axis=1))


def fit_synthetic(
    values: np.ndarray,
    targets: np.ndarray,
    donors: np.ndarray,
    before: int,
    design: str = SDID,
    treated: int = 1,
    solver: Solver = MINIMUM,
) -> Fits:
    """Fit B treated series ``targets`` (B × T) from ``values`` (N × T) of the units that ``donors`` (B × N) allows each.

    ``before``: periods before the start, the first of them; ``treated``: units behind each series, on which the penalty
    of synthetic difference-in-differences depends, (units × periods after)^¼ noise levels, the noise level being the
    standard deviation of the donors' changes from one period to the next before the start.
    """
    pieces = [
        _fit(values, targets[k : k + AT_ONCE], donors[k : k + AT_ONCE], before, design, treated, solver)
        for k in range(0, len(targets), AT_ONCE)
    ]
    return Fits(*(np.concatenate(parts) for parts in zip(*(vars(piece).values() for piece in pieces), strict=True)))


def _fit(
    values: np.ndarray,
    targets: np.ndarray,
    donors: np.ndarray,
    before: int,
    design: str,
    treated: int,
    solver: Solver,
) -> Fits:
    number = donors.sum(axis=1, keepdims=True)
    unit_weights = donors / number
    month_weights = np.full((len(targets), before), 1 / before if design != SYNTHETIC_CONTROL else 0.0)
    if design != DID:
        noise = _noise_level(values[:, :before], donors)
        own = design == SYNTHETIC_CONTROL
        periods = values.shape[1] - before
        penalty = solver.least_penalty if own else (treated * periods) ** 0.25
        # What every unit has in a month, and what a unit has in every month, drop out where weights sum to one.
        common = values[:, :before].mean(axis=0)
        factor, aims = (values[:, :before] - common).T, targets[:, :before] - common
        if not own:
            factor, aims = factor - factor.mean(axis=0), aims - aims.mean(axis=1, keepdims=True)
        shared = Shared(factor / math.sqrt(before), (penalty * noise) ** 2)
        unit_weights = solver.weights(shared, aims @ factor / before, donors, noise)
        if not own:
            h, c = _month_problem(values, donors, before)
            ridge = (solver.least_penalty * noise) ** 2
            everything = np.ones_like(c, bool)
            month_weights = solver.weights(Own(h + np.eye(before) * ridge[:, None, None]), c, everything, noise)
    gaps = targets - unit_weights @ values
    estimates = gaps[:, before:].mean(axis=1) - (gaps[:, :before] * month_weights).sum(axis=1)
    return Fits(estimates, gaps, unit_weights, month_weights)


def _noise_level(values: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Standard deviation (B) of the allowed units' changes between neighbouring periods."""
    change = np.diff(values, axis=1)
    number = donors.sum(axis=1) * change.shape[1]
    mean = donors @ change.sum(axis=1) / number
    centred = change - change.mean()
    squares = donors @ (centred**2).sum(axis=1) - number * (mean - change.mean()) ** 2
    return np.sqrt(np.maximum(squares / (number - 1), (ROUNDING * np.abs(values).max()) ** 2))


def _month_problem(values: np.ndarray, donors: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean cross-products over donors of the months before, centred (B × T₀ × T₀), and theirs with the mean after (B × T₀)."""
    columns = np.column_stack([values[:, :before], values[:, before:].mean(axis=1)])
    columns = columns - columns.mean(axis=1, keepdims=True)
    columns = columns - columns.mean(axis=0)
    size = columns.shape[1]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    weights = donors / donors.sum(axis=1, keepdims=True)
    mean = weights @ columns
    moments = (weights @ products).reshape(-1, size, size) - mean[:, :, None] * mean[:, None, :]
    return moments[:, :-1, :-1], moments[:, :-1, -1]
