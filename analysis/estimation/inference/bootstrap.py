"""Cluster bootstrap with the null imposed: the wild bootstrap for least squares, the score bootstrap for Poisson.

Under the null that the effect is θ₀ the model without treatment is fitted to the outcome less θ₀D. Each draw
multiplies the residual scores of every cluster by −1 or 1 and takes the studentised estimate anew. For least squares this is the
restricted wild cluster bootstrap (Cameron, Gelbach & Miller 2008; Roodman et al. 2019); for Poisson the score bootstrap
(Kline & Santos 2012) on the working regression at the null, with the unit and month effects taken off anew in every draw, as the
wild bootstrap does. Fitted once, all draws are two matrix products. Intervals invert the test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.estimation.inference.inversion import invert, p_value
from analysis.estimation.regression.regression import Comparison, Fit, by_cluster


@dataclass(frozen=True)
class BootstrapTest:
    """``statistics`` are those of every draw under no effect, the actual one first; ``exact`` if all signs are listed."""

    p_value: float
    interval: tuple[float, float]
    statistics: np.ndarray
    exact: bool


def draw_signs(clusters: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Signs (G × draws + 1), the first column all 1; every one of the 2^G columns, once, where they number ``draws`` or fewer.

    The flag says whether every column is there.
    """
    if clusters < 63 and 2**clusters <= draws:
        bits = np.arange(2**clusters)
        return 1.0 - 2.0 * ((bits >> np.arange(clusters)[:, None]) & 1), True
    signs = np.random.default_rng(seed).integers(0, 2, size=(clusters, draws + 1)) * 2.0 - 1.0
    signs[:, 0] = 1.0
    return signs, False


def cluster_bootstrap(
    comparison: Comparison, draws: int, seed: int, estimate: float, std_error: float, conf_level: float
) -> BootstrapTest:
    """Test of no effect, and the interval of effects (log rate) that the test does not reject.

    ``estimate`` and ``std_error`` only start the search for the interval. An end that no finite effect reaches is infinite.
    """
    signs, exact = draw_signs(comparison.clusters, draws, seed)
    none = comparison.null()
    under_null = bootstrap_statistics(comparison, none, signs)
    if exact and 2 / signs.shape[1] > 1 - conf_level:
        interval = -np.inf, np.inf  # all signs turned give the same |t|, so that nothing can be rejected
    else:
        interval = invert(
            everywhere=lambda theta: bootstrap_statistics(comparison, comparison.null(theta, none), signs),
            actual=comparison.statistic_along(),
            under_null=under_null, estimate=estimate, std_error=std_error, conf_level=conf_level,
        )  # fmt: skip
    return BootstrapTest(p_value(under_null), interval, under_null, exact)


def bootstrap_statistics(comparison: Comparison, null: Fit, signs: np.ndarray) -> np.ndarray:
    """Studentised estimates of each column of ``signs`` (G × draws), the first with every sign 1.

    Flipping scores leaves each unit's own effects at rest and moves only the months': with D̃ the treatment less its
    effects and m* the months' effects of the flipped residuals, cluster g's score is ±Σ D̃e − Σ W D̃ m* − δ* Σ W D̃².
    All three are linear in the signs: one matrix, clusters × clusters, gives the scores of every draw.
    """
    treatment = null.effects.residual(comparison.treatment)
    weighted = null.weights * treatment
    across, cluster = null.effects.nuisance.across, comparison.cluster
    score = by_cluster((treatment * null.scores).sum(axis=1), cluster)
    spread = by_cluster((weighted * treatment).sum(axis=1), cluster)
    by_month = by_cluster(_per_month(null.scores, across), cluster)
    loading = by_cluster(_per_month(weighted, across), cluster)
    of_months = loading @ (null.effects.schur_inverse @ by_month.T)
    scores = (np.diag(score) - of_months - np.outer(spread, score / spread.sum())) @ signs
    clusters = len(score)
    with np.errstate(
        divide="ignore"
    ):  # signs that leave no residual at all give an endless statistic, and count as such
        return np.asarray(score @ signs / np.sqrt(np.einsum("gd,gd->d", scores, scores) * clusters / (clusters - 1)))


def _per_month(cells: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Cells (n × T) times each of the months' columns (n × q·T), in the order of the months' effects."""
    return np.asarray((across[:, :, None] * cells[:, None, :]).reshape(len(cells), -1))
