"""Regressions with every effect's column written out, by NumPy and statsmodels: slow, plain, and none of the package's code."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
from synthetic import explicit_effects

from analysis.estimation.regression.absorbed import Nuisance


def independent(design: np.ndarray) -> np.ndarray:
    """The columns that those before them do not already give: statsmodels' GLM is imprecise where some do."""
    size = np.linalg.norm(design, axis=0)
    diagonal = np.abs(np.diag(np.linalg.qr(design / np.where(size > 0, size, 1.0), mode="r")))
    return np.asarray(design[:, : len(diagonal)][:, diagonal > 1e-9])


def _sandwich(design: np.ndarray, weights: np.ndarray, residual: np.ndarray, cluster: np.ndarray, k: int) -> np.ndarray:
    """CR1 covariance of the first k coefficients, G/(G − 1) and no other factor."""
    bread = np.linalg.pinv(design.T @ (design * weights[:, None]), hermitian=True)
    scores = np.stack([(design * (weights * residual)[:, None])[cluster == g].sum(axis=0) for g in np.unique(cluster)])
    return np.asarray((bread @ scores.T @ scores @ bread)[:k, :k] * len(scores) / (len(scores) - 1))


def _stacked(
    treatment: np.ndarray, nuisance: Nuisance, cluster: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Design of the cells seen, the k columns of ``treatment`` first, and their clusters."""
    months = treatment.shape[-1]
    columns = treatment.reshape(len(treatment), -1).T
    return independent(np.hstack([columns, explicit_effects(nuisance)])[seen]), np.repeat(cluster, months)[seen]


def least_squares(
    values: np.ndarray, weights: np.ndarray, treatment: np.ndarray, nuisance: Nuisance, cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (k) of ``treatment`` (k × n × T) and their CR1 covariance; cells of weight 0 are left out."""
    seen = (weights > 0).ravel()
    design, groups = _stacked(treatment, nuisance, cluster, seen)
    y, w = values.ravel()[seen], weights.ravel()[seen]
    found = np.linalg.lstsq(design * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
    k = len(treatment)
    return found[:k], _sandwich(design, w, y - design @ found, groups, k)


def poisson(
    counts: np.ndarray, population: np.ndarray, treatment: np.ndarray, nuisance: Nuisance, cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poisson coefficients (k) with a population offset, and their CR1 covariance; NaN cells are left out."""
    seen = np.isfinite(counts).ravel()
    design, groups = _stacked(treatment, nuisance, cluster, seen)
    y, offset = counts.ravel()[seen], np.log(population.ravel()[seen])
    model = sm.GLM(y, design, family=sm.families.Poisson(), offset=offset)
    found = model.fit(tol=1e-12, tol_criterion="params", maxiter=100)
    mean, k = np.exp(design @ found.params + offset), len(treatment)
    return found.params[:k], _sandwich(design, mean, y / mean - 1, groups, k)


def studentised(estimate: np.ndarray, covariance: np.ndarray) -> float:
    return float(estimate[0] / np.sqrt(covariance[0, 0]))
