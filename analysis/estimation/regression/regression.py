"""What a fitted regression gives to inference, and the comparison that it is fitted for.

An estimator of the outcome (Poisson pseudo-likelihood, or least squares of log rates) is a ``Model``. Whatever it is, at
its solution it is a weighted regression: working weights, residual scores, and regressors with the effects projected out.
The inference methods need nothing else, so they are written once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from analysis.estimation.regression.absorbed import Absorbed, Nuisance


@dataclass(frozen=True)
class Fit:
    """A solution: ``coefficients`` (k) of the ``given`` regressors (k × n × T), and the working regression there.

    ``weights`` (n × T) are the working weights, for Poisson the expected counts; ``scores`` (n × T) the residuals times these, 0 where nothing
    was observed; ``linear`` (n × T) the log rate per head that is fitted in every cell. What is asked for the coefficients alone pays for no more.
    """

    coefficients: np.ndarray
    given: np.ndarray
    weights: np.ndarray
    scores: np.ndarray
    linear: np.ndarray
    nuisance: Nuisance

    @cached_property
    def effects(self) -> Absorbed:
        return Absorbed(self.weights, self.nuisance)

    @cached_property
    def regressors(self) -> np.ndarray:
        """The regressors less their unit and month effects (k × n × T)."""
        return self.effects.residual(self.given)

    @cached_property
    def bread(self) -> np.ndarray:
        """Inverse information (k × k)."""
        return np.linalg.inv(np.einsum("jnt,nt,knt->jk", self.regressors, self.weights, self.regressors))

    @property
    def unit_scores(self) -> np.ndarray:
        """Score of each unit (n × k)."""
        return np.einsum("jnt,nt->nj", self.regressors, self.scores)


class Model(Protocol):
    """An outcome, units × months, and how it is regressed."""

    @property
    def nuisance(self) -> Nuisance: ...

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def observed(self) -> np.ndarray:
        """Cells (n × T booleans) that the fit uses."""

    def fit(self, regressors: np.ndarray, start: np.ndarray | None = None) -> Fit:
        """Fit ``regressors`` (k × n × T; k may be 0). ``start`` is a linear predictor near the solution."""

    def less(self, effect: np.ndarray) -> Model:
        """The same outcome with ``effect`` (n × T, log points) taken off: what it would be without it, if it is the truth."""

    def units(self, kept: np.ndarray) -> Model:
        """The units where ``kept`` is true."""

    def working_nulls(self, treatment: np.ndarray) -> Callable[[float], Working]:
        """Effect of ``treatment`` (n × T) that is taken off (log points) → the working regression without it. A search asks for hundreds."""


@dataclass(frozen=True)
class Working:
    """The model without treatment at its solution (n × T each): ``weights``, residual ``scores``, and the ``treatment`` less its effects."""

    weights: np.ndarray
    scores: np.ndarray
    treatment: np.ndarray

    def statistic(self, cluster: np.ndarray) -> float:
        """The studentised one-step estimate of the actual assignment, straight from its definition."""
        spread = (self.weights * self.treatment**2).sum(axis=1)
        score = (self.treatment * self.scores).sum(axis=1)
        estimate = score.sum() / spread.sum()
        scores = np.bincount(cluster, weights=score - spread * estimate)
        clusters = len(scores)
        return float(estimate * spread.sum() / np.sqrt((scores**2).sum() * clusters / (clusters - 1)))


def working_nulls(model: Model, treatment: np.ndarray) -> Callable[[float], Working]:
    """As ``Model.working_nulls``, for any model: it is fitted anew for every effect."""

    def at(theta: float) -> Working:
        null = model.less(theta * treatment).fit(np.empty((0, *model.shape)), none.linear)
        return Working(null.weights, null.scores, null.effects.residual(treatment))

    none = model.fit(np.empty((0, *model.shape)))
    return at


@dataclass(frozen=True)
class Comparison:
    """One effect of treatment: ``dose`` (n, 0 for controls) in the months ``post`` (T); ``cluster`` (n) numbers the sites."""

    model: Model
    dose: np.ndarray
    post: np.ndarray
    cluster: np.ndarray

    @property
    def treatment(self) -> np.ndarray:
        return np.outer(self.dose, self.post)

    @property
    def clusters(self) -> int:
        return int(self.cluster.max()) + 1

    def fit(self, start: np.ndarray | None = None) -> Fit:
        return self.model.fit(self.treatment[None], start)

    def null(self, theta: float = 0.0, start: Fit | None = None) -> Fit:
        """The model without treatment, fitted to the outcome less an effect of ``theta`` log points.

        ``start`` is the same with an effect near ``theta``: it saves iterations.
        """
        nothing = np.empty((0, *self.model.shape))
        return self.model.less(theta * self.treatment).fit(nothing, start.linear if start else None)

    def statistic_along(self) -> Callable[[float], float]:
        """Effect that is taken off (log points) → the studentised one-step estimate of what is left of it."""
        nulls = self.model.working_nulls(self.treatment)
        return lambda theta: nulls(theta).statistic(self.cluster)

    def without_cluster(self, cluster: int) -> Comparison:
        kept = self.cluster != cluster
        numbered = self.cluster[kept]
        return Comparison(self.model.units(kept), self.dose[kept], self.post, numbered - (numbered > cluster))


def by_cluster(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Sums of ``values`` (n × …) over the units of each cluster (G × …), every number 0 … G − 1 being one of ``cluster``'s."""
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(int(cluster.max()) + 1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))
