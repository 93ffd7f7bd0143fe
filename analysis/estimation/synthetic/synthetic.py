"""Synthetic difference-in-differences and synthetic control of the treated places, with placebo inference.

The treated places are one series of log rates per head per day; the donors are the controls. Chance is gauged by placebos: as
many controls as places were treated, with the other controls as donors (Abadie, Diamond & Hainmueller 2010; Arkhangelsky
et al. 2021, algorithm 4). An effect that is constant after the start moves the estimate by itself and touches no weight, so
that the interval is the estimate with the critical value of the placebos' on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.placebo_sets import placebo_sets
from analysis.estimation.inference.placebo_sites import SMALLER_NOTE, scaled_placebo
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.estimates import PLACEBO, Rows, both_scales
from analysis.estimation.regression.sample import Sample
from analysis.estimation.regression.series import Series, completed
from analysis.estimation.synthetic.synthetic_fit import SDID, SYNTHETIC_CONTROL, Fits, fit_synthetic
from analysis.protocol.protocol import Protocol

FEWEST_MONTHS = 6  # before the start
FEWEST_DONORS = 2  # of a placebo
POOR_FIT = 0.95  # share of placebos that fit better, from which the row says so


@dataclass(frozen=True)
class Placebos:
    """Of P sets of controls: ``fits`` by design, and ``sizes`` (P), their counts before the start."""

    fits: dict[str, Fits]
    sizes: np.ndarray
    notes: str


class Pool:
    """The controls of a sample as donors, ``series`` (N × T), and their placebos, made once for each number of places.

    Sites that are compared with the same controls share one pool: a placebo holds nothing of the treated site.

    Raises
    ------
    NotIdentified
        The months before or after the start are too few, or no control has a count in every month.
    """

    def __init__(self, sample: Sample, seed: int, protocol: Protocol) -> None:
        self.before = int((sample.months < protocol.study.programme_start).sum())
        if not FEWEST_MONTHS <= self.before < len(sample.months):
            after = len(sample.months) - self.before
            raise NotIdentified(f"{self.before} months before the start and {after} after are too few")
        controls = _counted(sample.only(~sample.treated))
        series = _complete(controls)
        whole = (series.counts > 0).all(axis=1)
        if not whole.any():
            raise NotIdentified("no control has a known count above zero in every month")
        self.units = controls.units[whole]
        self.series = series[whole]
        self.left_out = int((~sample.treated).sum() - whole.sum())
        self.placebos: Callable[[int, int], Placebos] = cache(self._placebos)
        self._seed, self._draws = seed, protocol.inference.variant_draws

    def _placebos(self, members: int, treated: int) -> Placebos:
        """Sets of so many ``members``: every one where they are few, else seeded random ones."""
        series, total = self.series, len(self.units)
        if total - members < FEWEST_DONORS:
            raise NotIdentified(f"{total} controls, too few for placebos of {members} with the others as donors")
        sets, every = placebo_sets(total, members, self._draws, self._seed)
        donors = np.ones((len(sets), total), bool)
        donors[np.arange(len(sets))[:, None], sets] = False
        chosen = _together(series, sets)
        fits = {
            design: fit_synthetic(series.log_rate, chosen.log_rate, donors, self.before, design, treated)
            for design in (SDID, SYNTHETIC_CONTROL)
        }
        places = "single controls" if members == 1 else f"sets of {members} controls"
        notes = f"placebos: {'all' if every else 'random'} {places}, {len(sets):,} of them"
        return Placebos(fits, chosen.counts[:, : self.before].sum(axis=1), notes)


def synthetic_designs(
    sample: Sample, seed: int, protocol: Protocol, pool: Pool | None = None
) -> tuple[Rows, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The treated units of ``sample`` as one series, by both designs.

    Units: log points of the rate per head per day. Placebos are sets of as many controls as there are treated sites or,
    where one site is treated, as it has units; they are then scaled by size, since by chance a small place moves more than a
    large one. ``pool`` is that of the same controls, where it has been made already.

    Returns
    -------
    rows of the estimates table; and three series: [design, rank, placebos, pre_period_rmse, effective_donors, ratio_p], the rank
    that of the estimate among the placebos' and its own (of one site, scaled by size), ``ratio_p`` the p-value by the ratio of the root mean squared
    error after the start to that before (Abadie, Diamond & Hainmueller 2010); [design, kind, name, weight] of the units and months with any weight;
    [design, month, observed, synthetic], log rates, the synthetic moved to the level of the observed where the design has an
    intercept.

    Raises
    ------
    NotIdentified
        No treated unit has a usable month; a month has no count; the months before the start, or the controls, are too few.
    """
    pool = pool or Pool(sample, seed, protocol)
    seen, series, placebos = _target(sample, pool)
    treated, sites = int(seen.treated.sum()), _sites(seen)
    size = float(series.counts[: pool.before].sum())
    notes = [placebos.notes]
    notes += ["scaled by size"] if sites == 1 else []
    notes += [SMALLER_NOTE] if size < placebos.sizes.min() else []
    notes += [f"{pool.left_out} controls left out: a month without any count"] if pool.left_out else []
    rows: Rows = []
    summaries, weights, paths = [], [], []
    for design, others in placebos.fits.items():
        donors = np.ones((1, len(pool.units)), bool)
        fit = fit_synthetic(pool.series.log_rate, series.log_rate[None], donors, pool.before, design, treated)
        estimate, level = float(fit.estimates[0]), protocol.study.conf_level
        if sites == 1:
            test = scaled_placebo(estimate, size, others.estimates, placebos.sizes, level)
            statistics, interval, std_error = test.statistics, test.interval, test.std_error
        else:
            statistics = np.append(estimate, others.estimates)
            margin = critical_value(statistics, level)
            interval, std_error = (estimate - margin, estimate + margin), float(others.estimates.std())
        p = p_value(statistics)
        rows += both_scales(
            "att", PLACEBO, estimate, interval, std_error=std_error, p_value=p, design=design,
            n_obs=int(seen.observed.sum()), notes="; ".join(notes + _poor_fit(fit, others)),
        )  # fmt: skip
        of_units, of_months = fit.unit_weights[0], fit.month_weights[0]
        summaries.append(
            {
                "design": design, "rank": round(p * len(statistics)), "placebos": len(statistics) - 1,
                "pre_period_rmse": float(fit.pre_period_rmse()[0]),
                "effective_donors": float(1 / (of_units**2).sum()), "ratio_p": _ratio_p(fit, others),
            }
        )  # fmt: skip
        months = series.months[: pool.before].strftime("%Y-%m")
        weights += [(design, "unit", *each) for each in zip(pool.units, of_units, strict=True)]
        weights += [(design, "month", *each) for each in zip(months, of_months, strict=True)]
        synthetic = series.log_rate - fit.gaps[0] + fit.intercept()[0]
        path = {"design": design, "month": series.months, "observed": series.log_rate, "synthetic": synthetic}
        paths.append(pd.DataFrame(path))
    named = pd.DataFrame(weights, columns=["design", "kind", "name", "weight"])
    named = named[named.weight > 0].reset_index(drop=True)
    return rows, pd.DataFrame(summaries), named, pd.concat(paths, ignore_index=True)


def synthetic_series(sample: Sample, pool: Pool) -> tuple[Series, np.ndarray, str]:
    """The treated units' counts against those expected at the rate of their synthetic control, and the gaps of the placebos.

    The gaps (P × T) are log rate ratios too, of sets of controls and their own synthetic controls; the text says which sets.

    Raises
    ------
    NotIdentified
        As ``synthetic_designs``.
    """
    seen, series, placebos = _target(sample, pool)
    donors = np.ones((1, len(pool.units)), bool)
    treated = int(seen.treated.sum())
    fit = fit_synthetic(pool.series.log_rate, series.log_rate[None], donors, pool.before, SYNTHETIC_CONTROL, treated)
    synthetic = series.log_rate - fit.gaps[0]
    return series.relative_to(synthetic), placebos.fits[SYNTHETIC_CONTROL].gaps, placebos.notes


def _target(sample: Sample, pool: Pool) -> tuple[Sample, Series, Placebos]:
    """The units that can be used, the treated ones among them as one series, and the placebos to judge it by."""
    seen = _counted(sample)
    if not seen.treated.any():
        raise NotIdentified("no treated unit has a usable month")
    series = _together(_complete(seen), np.flatnonzero(seen.treated))
    if not (series.counts > 0).all():
        raise NotIdentified("the treated units have a month without any count, which has no logarithm")
    treated, sites = int(seen.treated.sum()), _sites(seen)
    return seen, series, pool.placebos(sites if sites > 1 else treated, treated)


def _sites(sample: Sample) -> int:
    return len(np.unique(sample.cluster[sample.treated]))


def _ratio_p(fit: Fits, others: Fits) -> float:
    return p_value(np.append(fit.rmse_ratio(), others.rmse_ratio()))


def _poor_fit(fit: Fits, others: Fits) -> list[str]:
    """What a reader should know of the fit beside that of the placebos."""
    worse = float((fit.pre_period_rmse() > others.pre_period_rmse()).mean())
    return [f"fits the months before worse than {worse:.0%} of placebos"] if worse >= POOR_FIT else []


def _counted(sample: Sample) -> Sample:
    """The units with a count above zero in some month: of the others nothing can be said."""
    return sample.only(np.nansum(sample.counts, axis=1) > 0)


def _complete(sample: Sample) -> Series:
    """Every unit's series (n × T), what is masked filled."""
    counts, population = completed(sample)
    return Series(sample.months, counts, population * sample.months.days_in_month.to_numpy())


def _together(series: Series, members: np.ndarray) -> Series:
    """The sums of the rows that ``members`` lists (k, or P × k for P sums)."""
    return Series(series.months, series.counts[members].sum(axis=-2), series.exposure[members].sum(axis=-2))
