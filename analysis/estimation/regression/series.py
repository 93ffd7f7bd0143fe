"""Monthly series of groups of units: their counts, and what the counts are set against.

A group is a weighting of units: one for each member, or the part of it that is treated. A masked month of a member is filled
with the fitted value of the Poisson model without treatment, so that the sum stands for the same people in every month, or
its people leave the sum with their counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.poisson import fitted_without_treatment
from analysis.estimation.regression.sample import Sample


@dataclass(frozen=True, eq=False)  # one is another only if it is the same object: so what is fitted to it can be kept
class Series:
    """Monthly ``counts`` of one group (T), or of several (groups × T), and their ``exposure``, of the same shape.

    The exposure is what a count is proportional to while nothing happens: the people times the days of the month or, of a
    controlled series, the count that the group would have had at the rate of those it is compared with.
    """

    months: pd.DatetimeIndex
    counts: np.ndarray
    exposure: np.ndarray

    @property
    def log_rate(self) -> np.ndarray:
        """Log of the count per unit of exposure: a log rate per head per day, or a log rate ratio."""
        return np.log(self.counts / self.exposure)

    def relative_to(self, log_rate: np.ndarray) -> Series:
        """The same counts against those expected at this log rate per head per day."""
        return replace(self, exposure=self.exposure * np.exp(log_rate))

    def __getitem__(self, groups: Any) -> Series:
        """Some of several groups, chosen as rows of an array are."""
        return replace(self, counts=self.counts[groups], exposure=self.exposure[groups])


def cohort_series(sample: Sample, weights: np.ndarray, complete: bool = True) -> Series:
    """The sum of units by ``weights`` (n, or n × groups): true for members, or the part of each unit that counts.

    ``complete`` fills what is masked; otherwise masked people leave the sum, numerator and denominator.

    Raises
    ------
    NotIdentified
        Some month has no people in it, or no count, which has no logarithm.
    """
    series = group_series(sample, weights, complete)
    for values, absence in ((series.exposure, "no people"), (series.counts, "no known count above zero")):
        empty = np.argwhere(~(values > 0))
        if len(empty):
            raise NotIdentified(f"{absence} in {sample.months[empty[0][-1]]:%B %Y}")
    return series


def group_series(sample: Sample, weights: np.ndarray, complete: bool = True) -> Series:
    """The same without a check: a group may have a month without people or counts."""
    counts, population = completed(sample) if complete else _seen(sample)
    days = sample.months.days_in_month.to_numpy()
    share = np.asarray(weights, float).T
    return Series(sample.months, share @ counts, share @ population * days)


def completed(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Every unit's counts and population (n × T), what is masked filled from the model without treatment."""
    counts, population = _seen(sample)
    absent = np.maximum(sample.population_full - population, 0.0)
    if absent.any():
        counts = counts + fitted_without_treatment(sample) * absent
    return counts, population + absent


def _seen(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    return np.nan_to_num(sample.counts), np.nan_to_num(sample.population)
