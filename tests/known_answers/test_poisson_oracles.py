"""Poisson two-way effects against statsmodels' GLM with dummies and pyfixest's fepois.

Tolerances. Coefficients 1e-7 against fepois, run to 1e-10, and 1e-8 against statsmodels, run to 1e-12: the fit stops
when the deviance moves by less than 1e-10 of itself, which Newton's quadratic convergence turns into less than 1e-8 in
a coefficient. Covariances 1e-6 of their size, as they carry the weights of the last step.

Small-sample factors: this package multiplies by G/(G − 1) only. pyfixest with ``ssc(k_adj=False, G_adj=True)`` does the
same; its default multiplies further by (N − 1)/(N − k), k being the regressors and month effects (unit effects nest in
the clusters). statsmodels' ``use_correction`` multiplies by G/(G − 1) · (N − 1)/(N − p), p being every column.
"""

from __future__ import annotations

import numpy as np
import pyfixest
import pytest
import statsmodels.api as sm
from synthetic import cells, dummies, make_sample

from analysis.estimation.inference.clustered import cr1_covariance, t_interval
from analysis.estimation.regression.absorbed import Absorbed, NotIdentified, two_way
from analysis.estimation.regression.poisson import fit_poisson
from analysis.estimation.regression.regression import Fit
from analysis.estimation.regression.sample import Sample

# pyfixest's own calls of pandas, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")

CASES = {
    "complete": {"missing": 0.0, "regressors": 1},
    "missing cells": {"missing": 0.15, "regressors": 1},
    "three regressors": {"missing": 0.0, "regressors": 3},
    "three regressors, missing cells": {"missing": 0.25, "regressors": 3},
}


def _case(missing: float, regressors: int, seed: int = 5) -> tuple[Sample, np.ndarray]:
    sample, post = make_sample([0, 0, *range(1, 15)], [0, 1, 2, 3], 16, seed, missing=missing, effect=-0.08)
    generator = np.random.default_rng(seed)
    further = generator.normal(0, 0.3, (regressors - 1, *sample.counts.shape))
    return sample, np.stack([np.outer(sample.treated, post), *further])


def _fit(sample: Sample, regressors: np.ndarray) -> tuple[Fit, np.ndarray]:
    fit = fit_poisson(sample.counts, sample.population, regressors)
    return fit, cr1_covariance(fit.bread, fit.unit_scores, sample.cluster)


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[Sample, np.ndarray]:
    return _case(**CASES[request.param])


def test_against_statsmodels_with_dummies(case: tuple[Sample, np.ndarray]) -> None:
    """Coefficients, effects, fitted values and the clustered covariance are those of a GLM with every dummy written out."""
    sample, regressors = case
    fit, covariance = _fit(sample, regressors)
    table = cells(sample, regressors)
    k, seen = len(regressors), sample.observed.ravel()
    design = np.hstack([regressors.reshape(k, -1).T, dummies(*sample.counts.shape)])[seen]
    model = sm.GLM(table.y, design, family=sm.families.Poisson(), offset=table.log_population)
    groups = {"groups": table.cluster.to_numpy(), "use_correction": True}
    oracle = model.fit(tol=1e-12, tol_criterion="params", cov_type="cluster", cov_kwds=groups)

    assert fit.coefficients == pytest.approx(oracle.params.to_numpy()[:k], abs=1e-8)
    assert fit.weights[sample.observed] == pytest.approx(oracle.fittedvalues.to_numpy(), rel=1e-8)
    n, p = design.shape
    expected = oracle.cov_params().to_numpy()[:k, :k] / ((n - 1) / (n - p))
    assert np.allclose(covariance, expected, rtol=1e-6, atol=1e-12)
    naive = sm.GLM(table.y, design, family=sm.families.Poisson(), offset=table.log_population).fit(
        tol=1e-12, tol_criterion="params"
    )
    assert np.allclose(fit.bread, naive.cov_params().to_numpy()[:k, :k], rtol=1e-6)


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize("parameters_counted", [False, True])
def test_against_pyfixest(case: tuple[Sample, np.ndarray], parameters_counted: bool) -> None:
    """Coefficients and the CRV1 covariance are pyfixest's, without its parameter factor and with it undone."""
    sample, regressors = case
    fit, covariance = _fit(sample, regressors)
    table, k = cells(sample, regressors), len(regressors)
    oracle = pyfixest.fepois(
        f"y ~ {' + '.join(f'x{j}' for j in range(k))} | unit + month", table, vcov={"CRV1": "cluster"}, offset="log_population",
        iwls_tol=1e-10, iwls_maxiter=100, demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12), ssc=pyfixest.ssc(k_adj=parameters_counted, G_adj=True),
    )  # fmt: skip
    n, periods = len(table), sample.counts.shape[1]
    factor = (n - 1) / (n - k - periods) if parameters_counted else 1.0
    assert fit.coefficients == pytest.approx(oracle.coef().to_numpy(), abs=1e-7)
    assert np.allclose(covariance, oracle._vcov / factor, rtol=1e-6, atol=1e-12)


def test_the_interval_is_students_with_one_less_than_the_clusters() -> None:
    """The CR1 interval and p-value are pyfixest's, which uses t(G − 1)."""
    sample, regressors = _case(missing=0.1, regressors=1)
    fit, covariance = _fit(sample, regressors)
    interval, p_value = t_interval(fit.coefficients[0], covariance[0, 0] ** 0.5, sample.cluster.max(), 0.95)
    model = pyfixest.feols("y ~ x0 | unit + month", cells(sample, regressors), vcov={"CRV1": "cluster"})
    assert model._df_t == sample.cluster.max()
    half = 2.1447866879178 * covariance[0, 0] ** 0.5  # 97.5% point of t(14) from a printed table
    assert interval == pytest.approx((fit.coefficients[0] - half, fit.coefficients[0] + half), rel=1e-9)
    assert 0 < p_value < 1
    assert (p_value < 0.05) == (not interval[0] < 0 < interval[1])


def test_the_offset_is_log_population() -> None:
    """Doubling one cell's population and count leaves fitted rates alone; doubling only its population does not."""
    sample, regressors = _case(missing=0.0, regressors=1)
    scale = np.exp(np.random.default_rng(1).normal(0, 1, (len(sample.units), 1)) + np.linspace(0, 1, 16))
    factored = fit_poisson(sample.counts, sample.population * scale, regressors)
    plain = fit_poisson(sample.counts, sample.population, regressors)
    assert factored.coefficients == pytest.approx(
        plain.coefficients, abs=1e-9
    )  # unit × month factors go into the effects
    bent = sample.population.copy()
    bent[0, -1] *= 2
    assert abs(fit_poisson(sample.counts, bent, regressors).coefficients[0] - plain.coefficients[0]) > 1e-3


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_projection_is_weighted_least_squares_on_dummies(missing: float) -> None:
    """``Absorbed`` residuals are those of a weighted regression on unit and month dummies, to 1e-10."""
    generator = np.random.default_rng(3)
    weights = generator.gamma(2, 50, (9, 12)) * (generator.random((9, 12)) >= missing)
    values = generator.normal(0, 1, (2, 9, 12))
    root, design = np.sqrt(weights).ravel(), dummies(9, 12)
    projection = Absorbed(weights, two_way(9, 12))
    for value, residual in zip(values, projection.residual(values), strict=True):
        beta = np.linalg.lstsq(design * root[:, None], value.ravel() * root, rcond=None)[0]
        expected = (value.ravel() - design @ beta).reshape(9, 12)
        assert np.abs(residual - expected)[weights > 0].max() < 1e-10
    unit, month = projection.effects(values[0])
    assert unit.shape == (9, 1) and month.shape == (1, 12)
    assert unit + month == pytest.approx(values[0] - projection.residual(values[0]), abs=1e-12)


def test_noise_free_coefficients_come_back() -> None:
    """Counts that are exactly the model's mean give back its coefficients, unit and month effects."""
    generator = np.random.default_rng(8)
    population = generator.uniform(1e4, 5e5, (10, 12))
    regressors = generator.normal(0, 0.2, (2, 10, 12))
    unit, month = generator.normal(-4, 0.3, 10), generator.normal(0, 0.1, 12)
    mean = population * np.exp(unit[:, None] + month + np.einsum("j,jnt->nt", [0.3, -0.2], regressors))
    fit = fit_poisson(mean, population, regressors)
    assert fit.coefficients == pytest.approx([0.3, -0.2], abs=1e-10)
    effects = fit.linear - np.einsum("j,jnt->nt", fit.coefficients, regressors)
    assert effects == pytest.approx(unit[:, None] + month, abs=1e-10)


def _collinear(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    counts = generator.poisson(generator.uniform(20, 5000, (12, 1)) * np.ones((12, 20))).astype(float)
    population = generator.uniform(1e4, 1e6, counts.shape)
    few, post = np.arange(12) < 3, np.arange(20) >= 10
    effect = np.outer(few, post)
    if kind == "every unit treated":
        effect = np.outer(np.ones(12), post)
    elif kind == "treated from the first month":
        effect = np.outer(few, np.ones(20))
    elif kind == "treated units masked afterwards":
        counts[effect] = np.nan
    elif kind == "no unit ever counted":
        counts[4] = 0
    elif kind == "treated count nothing afterwards":
        counts[effect] = 0
    return counts, population, effect[None].astype(float)


@pytest.mark.parametrize(
    "kind",
    [
        "every unit treated", "treated from the first month", "treated units masked afterwards",
        "no unit ever counted", "treated count nothing afterwards",
    ],
)  # fmt: skip
def test_what_the_data_cannot_tell_is_refused(kind: str) -> None:
    """An effect that is collinear, unobserved or without bound is an error, never a number."""
    with pytest.raises(NotIdentified):
        fit_poisson(*_collinear(kind))
