"""Is the largest of several linear moments above zero by more than chance? Conditional and least favourable tests.

With nuisance parameters δ the statistic is the least η for which y − Xδ ≤ ησ, a linear program. Its value is the largest γ'y over
the vertices γ of the dual program, which do not depend on y. So where the vertices are known, the tests of Andrews, Roth & Pakes
(2023, Review of Economic Studies) with nuisance parameters are those without: inner products, and no program is solved.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr
from scipy.stats import norm

DIRECTIONS = 720  # of the plane: the least favourable value is then right to about 1e-6 of itself
NEWTON_STEPS = 12
PARALLEL = 1e-9  # moments whose slopes in the largest one differ from 1 by no more than this never cross it


def rejects(levels: np.ndarray, loadings: np.ndarray, size: float, ceiling: np.ndarray | float = np.inf) -> np.ndarray:
    """Whether it is rejected that no moment is above zero in expectation (…): the conditional test, or the hybrid.

    ``levels`` (…, K) are the observed moments; ``loadings`` (…, K, D) times D independent standard normals are their errors. Given
    which moment is largest, and all that is independent of it, it is normal, cut to the values at which it stays the largest. It
    is rejected above that distribution's 1 − ``size`` quantile, and never below 0. With a ``ceiling`` (…), a first test
    rejects whatever is above; what is left is cut there too, and ``size`` is that of the second test.
    """
    largest = levels.argmax(axis=-1)[..., None]
    level = np.take_along_axis(levels, largest, axis=-1)
    all_loadings = np.broadcast_to(loadings, (*levels.shape, loadings.shape[-1]))
    loading = np.take_along_axis(all_loadings, largest[..., None], axis=-2)
    variance = (loading**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Each moment moves with the largest by its slope; what is left of it is independent of the largest.
        slope = (all_loadings * loading).sum(axis=-1) / variance
        crossing = (levels - slope * level) / (1 - slope)
        lowest = np.where(slope < 1 - PARALLEL, crossing, -np.inf).max(axis=-1)
        highest = np.minimum(np.where(slope > 1 + PARALLEL, crossing, np.inf).min(axis=-1), ceiling)
        level, error = level[..., 0], np.sqrt(variance[..., 0])
        tail = _upper_tail(level / error, lowest / error, highest / error)
        return np.asarray((level > ceiling) | ((level > 0) & (tail < size)))


def least_favourable(loadings: np.ndarray, size: float) -> np.ndarray:
    """What the largest moment exceeds with probability ``size`` if every one has expectation zero (…).

    For moments that move with two random numbers alone: ``loadings`` (…, K, 2). The largest moment is then the distance of a
    standard normal point from the origin times its value m in that direction, and the two are independent: it exceeds c with
    the probability exp(−c² ÷ 2m²), averaged over the directions, where m > 0. The logarithm of this is convex in c², so Newton's steps
    climb to the root from below, the quantile of the most variable moment alone, and do not pass it.
    """
    if loadings.shape[-1] != 2:
        raise ValueError(f"the moments move with two random numbers here, not with {loadings.shape[-1]}")
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    height = (loadings @ np.array([np.cos(angle), np.sin(angle)])).max(axis=-2)
    above = height > 0
    rate = 0.5 / np.where(above, height, 1.0) ** 2
    squared = norm.isf(size) ** 2 * (loadings**2).sum(axis=-1).max(axis=-1)
    for _ in range(NEWTON_STEPS):
        density = above * np.exp(-rate * squared[..., None])
        share = density.mean(axis=-1)
        squared = squared + share * np.log(share / size) / (density * rate).mean(axis=-1)
    return np.asarray(np.sqrt(squared))


def _upper_tail(z: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Probability that a standard normal cut to (``lowest``, ``highest``) exceeds ``z``; by logarithms, for what is far out."""
    beyond = log_ndtr(-highest)

    def between(low: np.ndarray) -> np.ndarray:
        tail = log_ndtr(-low)
        return np.asarray(tail + np.log1p(-np.exp(np.minimum(beyond - tail, 0.0))))

    return np.asarray(np.exp(between(z) - between(lowest)))
