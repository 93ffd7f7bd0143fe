"""Pseudo-cohorts: the same model fitted to sets of places without the programme, and what it finds there.

An interrupted time series asks for more than its residuals can know: that the trend of the months before would have gone on.
How often that fails by itself is seen in other places. A pseudo-cohort is a set of as many controls as the cohort has units,
set against the other controls (Linden 2018, J Eval Clin Pract 24(2), has the idea for single places). The statistic is the
least-squares estimate over its usual error, so that small and noisy places do not count as unusual for that alone; that error
need not be right, since every pseudo-cohort is judged by the same one. All but exact if places are exchangeable and the effect
is the same everywhere: a pseudo-cohort has fewer others to be set against than the cohort has, which tells with few controls
(with nineteen, a test at 5% errs in 5.2%). An effect that is constant in log points moves an estimate and leaves its error, so that the interval is the
estimate with the critical value of the statistics on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.placebo_sets import placebo_sets
from analysis.estimation.its.segments import Segments
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.sample import Sample
from analysis.estimation.regression.series import Series, group_series

FEWEST_OTHERS = 2  # controls that are left to compare a pseudo-cohort with


@dataclass(frozen=True)
class Judgement:
    """One contrast of a series beside those of its pseudo-cohorts; ``statistics`` has the actual one first."""

    estimate: float
    std_error: float
    interval: tuple[float, float]
    p_value: float
    critical_value: float
    statistics: np.ndarray


class PseudoCohorts:
    """The controlled series of sets of ``controls``, made once for each number of units (or each list of doses).

    ``complete``: what is masked is filled. A set with a month without any count is left out.
    """

    def __init__(self, controls: Sample, draws: int, seed: int, complete: bool = True) -> None:
        self._controls, self._complete = controls, complete
        self._draws, self._seed = draws, seed
        self.of: Callable[[tuple[float, ...]], tuple[Series, str]] = cache(self._of)

    def _of(self, doses: tuple[float, ...]) -> tuple[Series, str]:
        """The series of every set of as many controls as there are ``doses`` (1 for a whole unit), and which sets these are.

        Raises
        ------
        NotIdentified
            There are too few controls, or every set has a month without any count.
        """
        number = len(self._controls.units)
        if number - len(doses) < FEWEST_OTHERS:
            raise NotIdentified(
                f"{number} controls, too few for pseudo-cohorts of {len(doses)} and others to compare them with"
            )
        sets, every = placebo_sets(number, len(doses), self._draws, self._seed)
        weights = np.zeros((number, len(sets)))
        weights[sets.T, np.arange(len(sets))] = np.array(doses)[:, None]
        chosen = group_series(self._controls, weights, self._complete)
        others = group_series(self._controls, weights == 0, self._complete)
        usable = ((chosen.counts > 0) & (others.counts > 0)).all(axis=1)
        if not usable.any():
            raise NotIdentified("every set of controls has a month without any count")
        kind = "single controls" if len(doses) == 1 else f"sets of {len(doses)} controls"
        said = f"pseudo-cohorts: {'all' if every else 'random'} {kind}, {int(usable.sum()):,} of them"
        return chosen[usable].relative_to(others[usable].log_rate), said


class Beside:
    """One series of log rate ratios (T) beside ``placebos`` (P × T), all fitted by one design: judges any contrast of it."""

    def __init__(self, log_rates: np.ndarray, placebos: np.ndarray, design: Segments, conf_level: float) -> None:
        everyone = np.vstack([log_rates, placebos])
        self._coefficients, self._spread, self._inverse = least_squares(design.matrix, everyone)
        self._conf_level = conf_level

    def __call__(self, contrast: np.ndarray) -> Judgement:
        """``contrast``: weights (k) of the design's coefficients."""
        estimates = self._coefficients @ contrast
        errors = self._spread * np.sqrt(contrast @ self._inverse @ contrast)
        statistics = estimates / errors
        critical = critical_value(statistics, self._conf_level)
        estimate, error = float(estimates[0]), float(errors[0])
        interval = (estimate - critical * error, estimate + critical * error)
        return Judgement(estimate, error, interval, p_value(statistics), critical, statistics)


def least_squares(matrix: np.ndarray, outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ``outcomes`` (B × T) on ``matrix`` (T × k): coefficients (B × k), residual standard deviations (B), (X'X)⁻¹."""
    inverse = np.linalg.inv(matrix.T @ matrix)
    coefficients = outcomes @ matrix @ inverse
    squares = ((outcomes - coefficients @ matrix.T) ** 2).sum(axis=1)
    return coefficients, np.sqrt(squares / (matrix.shape[0] - matrix.shape[1])), inverse
