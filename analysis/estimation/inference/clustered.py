"""Cluster-robust variance: from scores (CR1) and from leaving out one cluster at a time (CR3)."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from analysis.estimation.regression.absorbed import SINGULAR, NotIdentified
from analysis.estimation.regression.poisson import Poisson
from analysis.estimation.regression.regression import Comparison, Fit, by_cluster

SETTLED, MOST_STEPS = 1e-12, 100  # of the refits without a cluster: the largest step (log points), and how many there may be


def cr1_covariance(bread: np.ndarray, unit_scores: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """CR1 covariance (k × k): bread · Σ_g s_g s_g' · bread times G/(G − 1) (Liang & Zeger 1986).

    ``unit_scores`` (n × k) are summed within ``cluster`` (n integers, 0 … G − 1). No factor is taken for the number of
    parameters, as most of them, the unit effects, are nested in the clusters.
    """
    scores = by_cluster(unit_scores, cluster)
    clusters = len(scores)
    return np.asarray(bread @ (scores.T @ scores) @ bread * clusters / (clusters - 1))


def cr1_std_error(comparison: Comparison, fit: Fit) -> float:
    """CR1 standard error of the comparison's effect."""
    return float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0]))


def cr3_std_error(comparison: Comparison, fit: Fit) -> float:
    """Jackknife standard error: √((G − 1)/G · Σ_g (β₋g − β)²), each β₋g a full refit without cluster g.

    This is CV3 as MacKinnon, Nielsen & Webb (2023) define it; without the factor (G − 1)/G it is CR3 of clubSandwich.

    Raises
    ------
    NotIdentified
        Without some cluster there is no estimate: it held all the treated, or all the untreated.
    """
    clusters = comparison.clusters
    refits = _refits_at_once(comparison, fit) if comparison.model.nuisance.is_two_way else None
    if refits is None:
        refits = np.array([_refit(comparison, fit, cluster) for cluster in range(clusters)])
    return float(np.sqrt((clusters - 1) / clusters * ((refits - fit.coefficients[0]) ** 2).sum()))


def _refit(comparison: Comparison, fit: Fit, cluster: int) -> float:
    try:
        left = comparison.without_cluster(cluster).fit(start=fit.linear[comparison.cluster != cluster])
    except NotIdentified as problem:
        raise NotIdentified("leaving out one cluster leaves no comparison") from problem
    return float(left.coefficients[0])


def _refits_at_once(comparison: Comparison, fit: Fit) -> np.ndarray | None:
    """The effect without each cluster (G), of a model of one effect for each unit and each month; None where a refit does not settle so.

    Newton's method from the full solution, on the effects of months and of treatment, those of units profiled out, with the information at the
    full solution less the cluster's own. Least squares need one step.
    """
    information = _information_left(comparison, fit)
    if not np.linalg.cond(information).max() < SINGULAR:
        return None
    model = comparison.model
    if isinstance(model, Poisson):
        return _poisson_refits(comparison, model, fit, np.linalg.inv(information))
    return np.asarray(fit.coefficients[0] - _one_step(comparison, fit, information))


def _poisson_refits(comparison: Comparison, model: Poisson, fit: Fit, inverse: np.ndarray) -> np.ndarray | None:
    """Newton's method with the ``inverse`` information of each refit (G × T + 1 × T + 1).

    Expected counts of untreated units are products of what belongs to a unit and what belongs to a month, so that those of all refits are two
    matrix products.
    """
    treated, treatment = comparison.dose != 0, comparison.treatment
    kept = (comparison.cluster != np.arange(comparison.clusters)[:, None]).astype(float)  # G × n
    exposure, y = (np.where(model.observed, cells, 0.0) for cells in (model.population, model.counts))
    total, doses = y.sum(axis=1), treatment[treated]
    observed = kept @ np.column_stack([y, (y * treatment).sum(axis=1)])
    months = fit.linear[0] - fit.coefficients[0] * treatment[0]  # up to a constant, which is the unit effects' own
    found = np.tile(np.append(months, fit.coefficients[0]), (len(kept), 1))
    for _ in range(MOST_STEPS):
        rate = np.exp(found[:, :-1])
        by_unit = kept[:, ~treated] * total[~treated] / (rate @ exposure[~treated].T)
        cells = rate[:, None, :] * exposure[treated] * np.exp(found[:, -1, None, None] * doses)
        cells *= (kept[:, treated] * total[treated] / cells.sum(axis=2))[:, :, None]
        by_month = rate * (by_unit @ exposure[~treated]) + cells.sum(axis=1)
        expected = np.column_stack([by_month, (cells * doses).sum(axis=(1, 2))])
        step = np.einsum("gij,gj->gi", inverse, observed - expected)
        found += step
        if not np.isfinite(step).all():
            return None
        if np.abs(step).max() < SETTLED:
            return found[:, -1]
    return None


def one_step_jackknife(comparison: Comparison, fit: Fit) -> float:
    """CR3 standard error with each refit without a cluster replaced by one Newton step from the full solution.

    The linearised jackknife of MacKinnon, Nielsen & Webb (2025), for one effect of each unit
    and each month alone: what a simulation can afford.
    """
    clusters, steps = comparison.clusters, _one_step(comparison, fit, _information_left(comparison, fit))
    return float(np.sqrt((clusters - 1) / clusters * (steps**2).sum()))


def _one_step(comparison: Comparison, fit: Fit, information: np.ndarray) -> np.ndarray:
    """By how much one Newton step without each cluster lowers the effect (G)."""
    scores = np.column_stack([fit.scores, (fit.scores * comparison.treatment).sum(axis=1)])
    return np.asarray(np.linalg.solve(information, by_cluster(scores, comparison.cluster)[:, :, None])[:, -1, 0])


def _information_left(comparison: Comparison, fit: Fit) -> np.ndarray:
    """Information on (month effects, treatment) at the full solution without each cluster (G × T + 1 × T + 1), the unit effects taken off."""
    weights, treatment = fit.weights, comparison.treatment
    months, every = weights.shape[1], np.arange(weights.shape[1])
    weighted = weights * treatment
    by_unit = np.column_stack([weights, weighted.sum(axis=1)])
    information = -by_unit[:, :, None] * (by_unit / weights.sum(axis=1)[:, None])[:, None, :]
    information[:, every, every] += weights
    information[:, every, -1] += weighted
    information[:, -1, every] += weighted
    information[:, -1, -1] += (weighted * treatment).sum(axis=1)
    of_cluster = by_cluster(information, comparison.cluster)
    left = of_cluster.sum(axis=0) - of_cluster
    # A constant in all months is the unit effects' own: this makes its direction regular and moves nothing else.
    left[:, :-1, :-1] += weights.sum() / months**2
    return np.asarray(left)


def t_interval(
    estimate: float, std_error: float, degrees: float, conf_level: float
) -> tuple[tuple[float, float], float]:
    """Two-sided interval and p-value by Student's t with ``degrees`` of freedom."""
    if not std_error > 0:
        return (float("nan"), float("nan")), float("nan")
    half = student.ppf(0.5 + conf_level / 2, degrees) * std_error
    return (estimate - half, estimate + half), float(2 * student.sf(abs(estimate) / std_error, degrees))
