"""Cluster-robust variance: from scores (CR1) and from leaving out one cluster at a time (CR3)."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

from analysis.models.absorbed import NotIdentified
from analysis.models.regression import Comparison, Fit, by_cluster


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
    shifts = np.empty(clusters)
    for cluster in range(clusters):
        try:
            left = comparison.without_cluster(cluster).fit(start=fit.linear[comparison.cluster != cluster])
        except NotIdentified as problem:
            raise NotIdentified("leaving out one cluster leaves no comparison") from problem
        shifts[cluster] = left.coefficients[0] - fit.coefficients[0]
    return float(np.sqrt((clusters - 1) / clusters * (shifts**2).sum()))


def one_step_jackknife(comparison: Comparison, fit: Fit) -> float:
    """CR3 standard error with each refit without a cluster replaced by one Newton step from the full solution.

    The linearised jackknife of MacKinnon, Nielsen & Webb (2025), for one effect of each unit
    and each month alone: what a simulation can afford.
    """
    weights, treatment = fit.weights, comparison.treatment
    months, every = weights.shape[1], np.arange(weights.shape[1])
    weighted = weights * treatment
    by_unit = np.column_stack([weights, weighted.sum(axis=1)])
    # Information on (month effects, treatment) of each unit, its own effect taken off.
    information = -by_unit[:, :, None] * (by_unit / weights.sum(axis=1)[:, None])[:, None, :]
    information[:, every, every] += weights
    information[:, every, -1] += weighted
    information[:, -1, every] += weighted
    information[:, -1, -1] += (weighted * treatment).sum(axis=1)
    scores = np.column_stack([fit.scores, (fit.scores * treatment).sum(axis=1)])
    of_cluster = by_cluster(information, comparison.cluster)
    left = of_cluster.sum(axis=0) - of_cluster
    # A constant in all months is the unit effects' own: this makes its direction regular and moves nothing else.
    left[:, :-1, :-1] += weights.sum() / months**2
    steps = np.linalg.solve(left, by_cluster(scores, comparison.cluster)[:, :, None])[:, -1, 0]
    clusters = comparison.clusters
    return float(np.sqrt((clusters - 1) / clusters * (steps**2).sum()))


def t_interval(
    estimate: float, std_error: float, degrees: float, conf_level: float
) -> tuple[tuple[float, float], float]:
    """Two-sided interval and p-value by Student's t with ``degrees`` of freedom."""
    if not std_error > 0:
        return (float("nan"), float("nan")), float("nan")
    half = student.ppf(0.5 + conf_level / 2, degrees) * std_error
    return (estimate - half, estimate + half), float(2 * student.sf(abs(estimate) / std_error, degrees))
