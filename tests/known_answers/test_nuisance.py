"""Each unit its own season or trend, covariates month by month, site-equal weights: against formulas with every dummy.

The oracles are statsmodels' formulas and pyfixest's fixed effects on one row per observed cell; of the package they share
nothing. Some 15% of the cells are masked.

Tolerances. Coefficients 1e-8 of a log point: fits stop where the deviance moves by 1e-10 of itself. Standard errors
1e-7 of their size. Projections 1e-9.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyfixest
import pytest
import statsmodels.api as sm
from brute_force import independent, least_squares, poisson
from patsy import dmatrix
from synthetic import cells, explicit_effects, make_sample

from analysis.estimation.did.did import compare
from analysis.estimation.inference.clustered import cr1_covariance, cr3_std_error
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments, statistics
from analysis.estimation.regression.absorbed import Absorbed, NotIdentified, Nuisance
from analysis.estimation.regression.log_rate import LogRate
from analysis.estimation.regression.poisson import Poisson
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

# pyfixest's own calls of pandas, not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning"),
    pytest.mark.filterwarnings("ignore:.*singleton fixed effect:UserWarning"),
]

CLUSTERS, TREATED, MONTHS = [0, 0, *range(1, 14)], [0, 1, 2, 3], 36
FORMULAS = {
    "two effects": "C(unit) + C(month)",
    "own seasons": "C(unit):C(calendar) + C(month)",
    "own trends": "C(unit) + C(unit):time + C(month)",
    "covariates by month": "C(unit) + C(month) + C(month):z0 + C(month):z1",
    "trends and covariates": "C(unit) + C(unit):time + C(month) + C(month):z0 + C(month):z1",
}
CHOICES = {
    "two effects": {},
    "own seasons": {"unit_effects": "calendar_month"},
    "own trends": {"unit_effects": "trend"},
    "covariates by month": {"month_effects_by": ["z0", "z1"]},
    "trends and covariates": {"unit_effects": "trend", "month_effects_by": ["z0", "z1"]},
}


@pytest.fixture(scope="module")
def sample() -> Sample:
    made, _ = make_sample(CLUSTERS, TREATED, MONTHS, seed=17, missing=0.15, effect=-0.08, noise=0.08)
    return made


@pytest.fixture(params=CHOICES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _specification(protocol: Protocol, **changes: object) -> Specification:
    return protocol.specification("primary").model_copy(update=changes)


def _comparison(sample: Sample, protocol: Protocol, kind: str, **changes: object) -> Comparison:
    if "covariates" in kind:
        sample = replace(sample, covariates=np.random.default_rng(5).normal(0, 1, (len(sample.units), 2)))
    return compare(sample, _specification(protocol, **CHOICES[kind], **changes), np.arange(MONTHS) >= MONTHS // 2)


def _rows(sample: Sample, comparison: Comparison) -> pd.DataFrame:
    """One row per observed cell, with the columns that the formulas name."""
    table = cells(sample, comparison.treatment[None])
    z = np.random.default_rng(5).normal(0, 1, (len(sample.units), 2))
    return table.assign(
        calendar=(table.month + 3) % 12, time=table.month, z0=z[table.unit, 0], z1=z[table.unit, 1],
        log_rate=np.log(table.y) - table.log_population,
    )  # fmt: skip


def _design(table: pd.DataFrame, kind: str) -> np.ndarray:
    """x0 and every dummy of the formula that those before it do not give."""
    return independent(np.column_stack([table.x0, dmatrix(f"0 + {FORMULAS[kind]}", table)]))


def _std_error(comparison: Comparison) -> float:
    fit = comparison.fit()
    return float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0]))


@pytest.mark.slow
def test_poisson_is_a_glm_with_every_dummy(sample: Sample, protocol: Protocol, kind: str) -> None:
    """Coefficient, fitted counts and the covariance without clusters are statsmodels'."""
    comparison = _comparison(sample, protocol, kind)
    table, fit = _rows(sample, comparison), comparison.fit()
    y, offset = table.y.to_numpy(), table.log_population.to_numpy()
    oracle = sm.GLM(y, _design(table, kind), family=sm.families.Poisson(), offset=offset)
    found = oracle.fit(tol=1e-12, tol_criterion="params", maxiter=100)
    assert fit.coefficients[0] == pytest.approx(found.params[0], abs=1e-8)
    assert fit.weights[sample.observed] == pytest.approx(found.fittedvalues, rel=1e-7)
    assert fit.bread[0, 0] == pytest.approx(found.cov_params()[0, 0], rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_with_every_dummy(sample: Sample, protocol: Protocol, kind: str, weighted: bool) -> None:
    """Log rates, with and without a weight for each unit: coefficient, fit and CR1 are statsmodels' WLS."""
    plain = _comparison(sample, protocol, kind, estimator="log_rate")
    weight = np.random.default_rng(2).uniform(0.2, 5, len(sample.units)) if weighted else np.ones(len(sample.units))
    comparison = replace(plain, model=replace(plain.model, weight=weight))
    table = _rows(sample, comparison)
    oracle = sm.WLS(table.log_rate.to_numpy(), _design(table, kind), weights=weight[table.unit])
    found = oracle.fit(cov_type="cluster", cov_kwds={"groups": table.cluster.to_numpy(), "use_correction": False})
    fit, clusters = comparison.fit(), comparison.clusters
    assert fit.coefficients[0] == pytest.approx(found.params[0], abs=1e-9)
    assert fit.linear[sample.observed] == pytest.approx(found.fittedvalues, abs=1e-9)
    cr1 = np.sqrt(found.cov_params()[0, 0] * clusters / (clusters - 1))
    assert _std_error(comparison) == pytest.approx(cr1, rel=1e-7)


@pytest.mark.slow
def test_own_seasons_are_fixed_effects_of_unit_and_calendar_month(sample: Sample, protocol: Protocol) -> None:
    """pyfixest's fepois and feols with unit × calendar-month effects: coefficient and CR1."""
    for estimator, model, y in (("poisson", pyfixest.fepois, "y"), ("log_rate", pyfixest.feols, "log_rate")):
        comparison = _comparison(sample, protocol, "own seasons", estimator=estimator)
        table = _rows(sample, comparison).assign(season=lambda t: t.unit * 12 + t.calendar)
        poisson_only = {"offset": "log_population", "iwls_tol": 1e-12, "iwls_maxiter": 100} if y == "y" else {}
        oracle = model(
            f"{y} ~ x0 | season + month", table, vcov={"CRV1": "cluster"}, ssc=pyfixest.ssc(k_adj=False, G_adj=True),
            demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12), **poisson_only,
        )  # fmt: skip
        # A season that a unit shows once is fitted exactly; pyfixest drops it, which changes no estimate.
        assert comparison.fit().coefficients[0] == pytest.approx(oracle.coef()["x0"], abs=1e-8)
        assert _std_error(comparison) == pytest.approx(oracle.se()["x0"], rel=1e-6)


@pytest.mark.slow
def test_randomisation_statistics_are_brute_force(sample: Sample, protocol: Protocol, kind: str) -> None:
    """Least squares is linear: a placebo's one-step statistic is the t of a full refit on it, to 1e-8."""
    comparison = _comparison(sample, protocol, kind, estimator="log_rate")
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 12, seed=3)
    found = statistics(comparison, assignment_matrix(assignments, comparison))
    model = comparison.model
    assert isinstance(model, LogRate)
    for chosen, statistic in zip(assignments.clusters, found, strict=True):
        treatment = np.outer(np.isin(comparison.cluster, chosen), comparison.post).astype(float)
        estimate, covariance = least_squares(
            model.values, model.observed.astype(float), treatment[None], model.nuisance, comparison.cluster
        )
        assert statistic == pytest.approx(estimate[0] / np.sqrt(covariance[0, 0]), abs=1e-8)


@pytest.mark.slow
def test_the_jackknife_is_a_loop_of_full_fits(sample: Sample, protocol: Protocol, kind: str) -> None:
    """CR3 of Poisson: every site left out, and the rest fitted by statsmodels from the start."""
    comparison = _comparison(sample, protocol, kind)
    model, fit = comparison.model, comparison.fit()
    assert isinstance(model, Poisson)
    squares = []
    for site in range(comparison.clusters):
        kept = comparison.cluster != site
        left, _ = poisson(
            model.counts[kept], model.population[kept], comparison.treatment[None][:, kept],
            Nuisance(model.nuisance.within, model.nuisance.across[kept]), comparison.cluster[kept],
        )  # fmt: skip
        squares.append((left[0] - fit.coefficients[0]) ** 2)
    assert len(squares) == 14
    assert cr3_std_error(comparison, fit) == pytest.approx(np.sqrt(13 / 14 * sum(squares)), rel=1e-6)


def _projected(n: int, missing: float, covariates: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest departure of ``Absorbed`` from least squares on every column: of its residuals, and of its effects' sum."""
    generator, months = np.random.default_rng(3), 30
    within = np.hstack([np.eye(12)[np.arange(months) % 12], np.linspace(-1, 1, months)[:, None]])
    nuisance = Nuisance(within, np.hstack([np.ones((n, 1)), generator.normal(0, 1, (n, covariates))]))
    weights = generator.gamma(2, 50, (n, months)) * (generator.random((n, months)) >= missing)
    values = generator.normal(0, 1, (2, n, months))
    projection, columns, root = Absorbed(weights, nuisance), explicit_effects(nuisance), np.sqrt(weights).ravel()
    unit, month = projection.effects(values)
    assert (unit.shape, month.shape) == ((2, n, 13), (2, 1 + covariates, months))
    residual = projection.residual(values)
    beta = np.linalg.lstsq(columns * root[:, None], (values.reshape(2, -1) * root).T, rcond=None)[0]
    expected = values - (columns @ beta).T.reshape(values.shape)
    added = np.einsum("kna,ta->knt", unit, within) + np.einsum("nq,kqt->knt", nuisance.across, month)
    return np.abs(residual - expected)[:, weights > 0].max(), np.abs(values - residual - added).max()


@pytest.mark.parametrize(("n", "missing"), [(9, 0.0), (20, 0.3)])
def test_projection_is_weighted_least_squares_on_every_column(n: int, missing: float) -> None:
    """Residuals of ``Absorbed`` with seasons, trends and covariates at once, its effects adding up to the rest."""
    assert max(_projected(n, missing, covariates=2)) < 1e-9


def test_a_season_that_the_window_never_shows_changes_nothing() -> None:
    """Four years without their Septembers: twelve season columns, one of them nought, are as good as the other eleven."""
    generator, months = np.random.default_rng(1), np.flatnonzero(np.arange(48) % 12 != 5)
    seasons = np.eye(12)[months % 12]
    weights, values = generator.gamma(2, 50, (12, 44)), generator.normal(0, 1, (12, 44))
    residuals = [
        Absorbed(weights, Nuisance(columns, np.ones((12, 1)))).residual(values)
        for columns in (seasons, seasons[:, seasons.any(axis=0)])
    ]
    assert residuals[0] == pytest.approx(residuals[1], abs=1e-9)


def test_masks_that_leave_no_answer_are_refused_or_met() -> None:
    """So few units and so many masks that a month's covariates are not identified: an error, or the right residuals."""
    try:
        found = _projected(9, 0.3, covariates=2)
    except NotIdentified:
        return
    assert max(found) < 1e-9


@pytest.mark.parametrize("estimator", ["poisson", "log_rate"])
@pytest.mark.parametrize("second", ["the same again", "the same everywhere"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a fit that runs away before it is refused
def test_a_covariate_that_adds_nothing_is_refused_or_adds_nothing(
    sample: Sample, protocol: Protocol, estimator: str, second: str
) -> None:
    """Covariates that repeat each other or the month effects: an error, or the estimate without them. Never another."""
    z = np.random.default_rng(5).normal(0, 1, (len(sample.units), 1))
    post, specification = np.arange(MONTHS) >= MONTHS // 2, _specification(protocol, estimator=estimator)
    once = compare(replace(sample, covariates=z), specification, post).fit().coefficients[0]
    both = np.hstack([z, z if second == "the same again" else np.ones_like(z)])
    try:
        found = compare(replace(sample, covariates=both), specification, post).fit().coefficients[0]
    except NotIdentified:
        return
    assert found == pytest.approx(once, abs=1e-8)


# Site-equal weights


def _equal(sample: Sample, protocol: Protocol) -> Comparison:
    post = np.arange(len(sample.months)) >= len(sample.months) // 2
    return compare(sample, _specification(protocol, weights="equal_sites"), post)


def test_equal_weights_are_a_weighted_glm(sample: Sample, protocol: Protocol) -> None:
    """Weights of one over each site's count in the months seen, handed to statsmodels: coefficient and CR1."""
    comparison = _equal(sample, protocol)
    table = _rows(sample, comparison)
    weight = (1 / table.groupby("cluster").y.sum())[table.cluster].to_numpy()
    design, offset = _design(table, "two effects"), table.log_population.to_numpy()
    model = sm.GLM(table.y.to_numpy(), design, sm.families.Poisson(), offset=offset, var_weights=weight)
    oracle = model.fit(tol=1e-12, tol_criterion="params", maxiter=100)
    assert comparison.fit().coefficients[0] == pytest.approx(oracle.params[0], abs=1e-8)
    mean = oracle.fittedvalues
    scores = pd.DataFrame(design * (weight * (table.y - mean)).to_numpy()[:, None]).groupby(table.cluster).sum()
    bread = np.linalg.inv(design.T @ (design * (weight * mean)[:, None]))
    variance = (bread @ scores.T.to_numpy() @ scores.to_numpy() @ bread)[0, 0] * 14 / 13
    assert _std_error(comparison) == pytest.approx(np.sqrt(variance), rel=1e-6)


def _with_rows(sample: Sample, rows: np.ndarray, factor: np.ndarray) -> Sample:
    """Units chosen by number, with counts and population times a factor."""
    scaled = {name: getattr(sample, name)[rows] * factor[:, None] for name in ("counts", "population", "population_full")}  # fmt: skip
    return replace(
        sample, units=sample.units[rows], treated=sample.treated[rows], cluster=sample.cluster[rows],
        site=None, **scaled,
    )  # fmt: skip


@pytest.mark.parametrize("unit", [0, 2, 9], ids=["one of a site's two", "a site's only one", "a control"])
@pytest.mark.parametrize("change", ["doubled", "a thousand times as large", "cut in three"])
def test_equal_weights_do_not_see_a_sites_size(sample: Sample, protocol: Protocol, unit: int, change: str) -> None:
    """A unit listed twice within its site, cut up, or blown up, is one site still: estimate, CR1 and CR3 stay.

    Blowing up or doubling one of a site's two units shifts that site's mix, so there the whole site is treated alike.
    """
    members = np.flatnonzero(sample.cluster == sample.cluster[unit])
    everyone = np.arange(len(sample.units))
    copies, factor = {"doubled": (2, 1.0), "a thousand times as large": (1, 1e3), "cut in three": (3, 1 / 3)}[change]
    rows = np.concatenate([np.setdiff1d(everyone, members), *[members] * copies])
    other = _with_rows(sample, rows, np.where(np.isin(rows, members), factor, 1.0))
    before, after = _equal(sample, protocol), _equal(other, protocol)
    fits = before.fit(), after.fit()
    assert fits[1].coefficients[0] == pytest.approx(fits[0].coefficients[0], abs=1e-9)
    assert _std_error(after) == pytest.approx(_std_error(before), rel=1e-7)
    assert cr3_std_error(after, fits[1]) == pytest.approx(cr3_std_error(before, fits[0]), rel=1e-6)
    if change != "cut in three":  # cutting up changes nothing in the plain fit either; the rest must
        post = before.post
        plain = [compare(s, _specification(protocol), post).fit().coefficients[0] for s in (sample, other)]
        assert abs(plain[1] - plain[0]) > 1e-4
