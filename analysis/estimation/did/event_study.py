"""Event study by quarter: when a cohort and the rest moved apart, with a band for all quarters and a test of those before.

The quarters share one base and move together, so a row of pointwise intervals says less than it seems to. The band is as wide
as the largest studentised quarter of placebo assignments of sites; the test of the quarters before is of all of them jointly,
against the F distribution with CR1 errors and against the same placebo assignments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution

from analysis.estimation.did.did import CR1, ONE_TREATED, RANDOMISATION, compare, treated_clusters
from analysis.estimation.inference.clustered import cr1_covariance, t_interval
from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.estimates import both_scales
from analysis.estimation.regression.regression import Comparison, Fit
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

SIMULTANEOUS = "simultaneous"
PRE_PERIOD = "pre_period"
MONTHS_A_QUARTER = 3
FEW_TREATED = 30  # with fewer treated clusters the F test's row says so; Cameron & Miller (2015) speak of 20 to 50


@dataclass(frozen=True)
class EventStudy:
    """The fit of one effect a quarter: ``times`` (Q) from the programme's start, ``shapes`` (Q × T) their months; ``base`` is
    the first month of the quarter they are measured from."""

    comparison: Comparison
    times: list[int]
    shapes: np.ndarray
    base: pd.Timestamp
    fit: Fit

    @property
    def before(self) -> np.ndarray:
        """Which of the quarters (Q booleans) lie before the programme."""
        return np.array(self.times) < 0


class Placebos(NamedTuple):
    """Of each placebo assignment, the actual one first: the largest |t| of any quarter, the Wald statistic of the quarters
    before, and the one-step estimates (draws × Q)."""

    largest: np.ndarray
    walds: np.ndarray
    estimates: np.ndarray


def fit_event_study(sample: Sample, specification: Specification, protocol: Protocol) -> EventStudy:
    """Fit the effect in every quarter relative to the base."""
    quarter, times, base = _quarters(sample, protocol)
    comparison = compare(sample, specification, np.ones(len(sample.months)))
    shapes = np.stack([quarter == time for time in times]).astype(float)
    fit = comparison.model.fit(comparison.dose[:, None] * shapes[:, None, :])
    return EventStudy(comparison, times, shapes, base, fit)


def event_study(study: EventStudy, placebos: Placebos | None, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the estimates table: the effect in every quarter, and the quarters before taken together.

    The row ``pre_period`` holds the mean of the quarters before the programme (log points) and the p-value of the test that all
    of them are zero. ``placebos`` give the band and the second test.

    Raises
    ------
    NotIdentified
        The base is the only quarter before the programme.
    """
    comparison, fit, times, base, before = study.comparison, study.fit, study.times, study.base, study.before
    conf_level = protocol.study.conf_level
    covariance = cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)
    errors = np.sqrt(np.diag(covariance))
    context: dict[str, Any] = {"design": "event_study", "n_obs": int(comparison.model.observed.sum())}
    treated = treated_clusters(comparison)
    alone = f"; {ONE_TREATED}" if treated == 1 else ""
    few = f"; few treated clusters ({treated}): it rejects far too often" if 1 < treated < FEW_TREATED else alone
    rows: list[dict[str, Any]] = []
    for time, estimate, error in zip(times, fit.coefficients, errors, strict=True):
        interval, p = t_interval(float(estimate), float(error), comparison.clusters - 1, conf_level)
        rows += both_scales(
            f"quarter_{time:+d}", CR1, float(estimate), interval, std_error=float(error), p_value=p,
            notes=f"against the quarter from {base:%B %Y}; pointwise interval{alone}", **context,
        )  # fmt: skip
    number = int(before.sum())
    if not number:
        raise NotIdentified("no quarter before the programme but the one that effects are measured from")
    statistic = wald(fit.coefficients[before], covariance[np.ix_(before, before)])
    mean = float(fit.coefficients[before].mean())
    mean_error = float(np.sqrt(covariance[np.ix_(before, before)].sum()) / number)
    interval, _ = t_interval(mean, mean_error, comparison.clusters - 1, conf_level)
    joint = float(f_distribution.sf(statistic / number, number, comparison.clusters - 1))
    note = f"mean of {number} quarters; the p-value is of the test that all are zero (F with {number} and"
    rows += both_scales(
        PRE_PERIOD, CR1, mean, interval, std_error=mean_error, p_value=joint,
        notes=f"{note} {comparison.clusters - 1} degrees of freedom){few}", **context,
    )  # fmt: skip
    if placebos:
        largest, walds, _ = placebos
        band = critical_value(largest, conf_level)
        for time, estimate, error in zip(times, fit.coefficients, errors, strict=True):
            t = abs(estimate / error)
            rows += both_scales(
                f"quarter_{time:+d}", SIMULTANEOUS, float(estimate),
                (float(estimate - band * error), float(estimate + band * error)), std_error=float(error),
                p_value=float((1 + (largest[1:] >= t).sum()) / len(largest)),
                notes=f"band for all quarters at once, {len(largest) - 1:,} placebo assignments", **context,
            )  # fmt: skip
        rows += both_scales(
            PRE_PERIOD, RANDOMISATION, mean, p_value=p_value(walds),
            notes=f"joint test against {len(walds) - 1:,} placebo assignments", **context,
        )  # fmt: skip
    return rows


def wald(estimates: np.ndarray, covariance: np.ndarray) -> float:
    """Wald statistic of the estimates all being zero; a singular covariance is met by its pseudo-inverse."""
    return float(estimates @ np.linalg.pinv(covariance, hermitian=True) @ estimates)


def placebo_event_studies(
    comparison: Comparison, shapes: np.ndarray, before: np.ndarray, draws: int, seed: int
) -> Placebos:
    """Event studies of placebo assignments, of quarters ``shapes`` (Q × T), some of them ``before`` (Q).

    One Newton step from the model without treatment, as in ``randomisation``.
    """
    assignments = draw_assignments(comparison.cluster, comparison.dose, draws, seed)
    everyone = assignment_matrix(assignments, comparison)
    null = comparison.null()
    largest, walds = np.empty(everyone.shape[1]), np.empty(everyone.shape[1])
    every = np.empty((everyone.shape[1], len(shapes)))
    for column in range(everyone.shape[1]):
        chosen = slice(everyone.indptr[column], everyone.indptr[column + 1])
        units, doses = everyone.indices[chosen], everyone.data[chosen]
        estimates, covariance = _one_step(null, units, doses[:, None] * shapes[:, None, :], comparison.cluster)
        largest[column] = np.max(np.abs(estimates) / np.sqrt(np.diag(covariance)))
        walds[column] = wald(estimates[before], covariance[np.ix_(before, before)])
        every[column] = estimates
    return Placebos(largest, walds, every)


def _one_step(null: Fit, units: np.ndarray, regressors: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates (Q) of ``regressors`` (Q × some × T), which are zero but for these ``units``, and their CR1 covariance.

    What the model without treatment leaves, and what the estimates leave of it, are orthogonal to the effects of units and months. So sums of
    products with the regressors less their effects are mostly sums over the units with a regressor.
    """
    effects = null.effects
    across, within = effects.nuisance.across, effects.nuisance.within
    weights, shares = null.weights[units], effects.shares[units]
    by_unit = (weights * regressors) @ within
    seen = weights * regressors - np.einsum("qna,nat->qnt", by_unit, shares)
    month = ((across[units].T @ seen).reshape(len(regressors), -1) @ effects.schur_inverse).reshape(len(regressors), -1, seen.shape[-1])
    alone = np.einsum("nab,qnb->qna", effects.block_inverse[units], by_unit)  # effects of units, were there none of months
    of_months = across[units] @ month
    residual = regressors - of_months - (alone - np.einsum("nat,qnt->qna", shares, of_months)) @ within.T
    bread = np.linalg.inv(np.einsum("qnt,rnt->qr", weights * regressors, residual, optimize=True))
    estimates = bread @ np.einsum("qnt,nt->q", regressors, null.scores[units])
    of_months = across @ np.tensordot(estimates, month, axes=1)
    effect = np.einsum("nat,nt->na", effects.shares, of_months) @ within.T - of_months  # the estimates' sum of regressors less their effects
    effect[units] += np.tensordot(estimates, regressors, axes=1) - np.tensordot(estimates, alone, axes=1) @ within.T
    left = null.scores - null.weights * effect
    scores = -(across[:, :, None] * left[:, None, :]).reshape(len(left), -1) @ month.reshape(len(month), -1).T
    scores[units] += np.einsum("qnt,nt->nq", regressors, left[units])
    return estimates, cr1_covariance(bread, scores, cluster)


def _quarters(sample: Sample, protocol: Protocol) -> tuple[np.ndarray, list[int], Any]:
    """Quarter of each month counted from the programme's start, the quarters estimated, and the first month of the base."""
    start, base = protocol.study.programme_start, protocol.inference.event_study_base
    since = (sample.months.year - start.year) * 12 + sample.months.month - start.month
    quarter = np.asarray(since) // MONTHS_A_QUARTER
    base_time = int(quarter[sample.months.get_loc(base)])
    return quarter, [int(time) for time in np.unique(quarter) if time != base_time], base
