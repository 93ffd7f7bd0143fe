"""What a fitted regression gives to inference, and the comparison that it is fitted for.

An estimator of the outcome (Poisson pseudo-likelihood, or least squares of log rates) is a ``Model``. Whatever it is, at
its solution it is a weighted regression: working weights, residual scores, and regressors with the effects projected out.
The inference methods need nothing else, so they are written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.models.absorbed import Absorbed


@dataclass(frozen=True)
class Fit:
    """A solution: ``coefficients`` (k), ``bread`` (k × k, inverse information), and the working regression there.

    ``regressors`` (k × n × T) are as given less their unit and month effects, ``scores`` (n × T) the residuals times the
    working weights, 0 where nothing was observed; ``linear`` (n × T) the log rate per head that is fitted in every cell.
    """

    coefficients: np.ndarray
    bread: np.ndarray
    regressors: np.ndarray
    scores: np.ndarray
    linear: np.ndarray
    effects: Absorbed

    @property
    def weights(self) -> np.ndarray:
        """Working weights (n × T): for Poisson the expected counts."""
        return self.effects.weights

    @property
    def unit_scores(self) -> np.ndarray:
        """Score of each unit (n × k)."""
        return np.einsum("jnt,nt->nj", self.regressors, self.scores)


class Model(Protocol):
    """An outcome, units × months, and how it is regressed."""

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

    def without_cluster(self, cluster: int) -> Comparison:
        kept = self.cluster != cluster
        numbered = self.cluster[kept]
        return Comparison(self.model.units(kept), self.dose[kept], self.post, numbered - (numbered > cluster))


def by_cluster(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Sums of ``values`` (n × …) over the units of each cluster (G × …), every number 0 … G − 1 being one of ``cluster``'s."""
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(int(cluster.max()) + 1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))
