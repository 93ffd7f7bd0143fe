"""Cluster-robust variance from scores: the sandwich with one score per cluster (Liang & Zeger 1986)."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student


def cr1_covariance(bread: np.ndarray, unit_scores: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """CR1 covariance (k × k): bread · Σ_g s_g s_g' · bread times G/(G − 1).

    ``unit_scores`` (n × k) are summed within ``cluster`` (n integers, 0 … G − 1). No factor is taken for the number of
    parameters, as most of them, the unit effects, are nested in the clusters.
    """
    clusters = cluster.max() + 1
    scores = np.zeros((clusters, unit_scores.shape[1]))
    np.add.at(scores, cluster, unit_scores)
    return bread @ (scores.T @ scores) @ bread * clusters / (clusters - 1)


def t_interval(
    estimate: float, std_error: float, degrees: float, conf_level: float
) -> tuple[tuple[float, float], float]:
    """Two-sided interval and p-value by Student's t with ``degrees`` of freedom."""
    if not std_error > 0:
        return (float("nan"), float("nan")), float("nan")
    half = student.ppf(0.5 + conf_level / 2, degrees) * std_error
    return (estimate - half, estimate + half), float(2 * student.sf(abs(estimate) / std_error, degrees))
