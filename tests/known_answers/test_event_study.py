"""Event study: the joint test against statsmodels, and the band against placebo event studies refitted one by one.

Medicaid's event study, with R's coefficients and covariance, is in ``test_reference_data.py``.

Tolerances. Statistics 1e-8 and p-values 1e-9 of statsmodels, relative: the same regression with every dummy. Least squares
is linear, so that a placebo's one step is its refit: 1e-8. The placebo event studies of Poisson are one Newton step:
correlations above 0.999.
"""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from brute_force import independent, least_squares, poisson
from scipy.stats import f as f_distribution
from scipy.stats import t as student
from synthetic import cells, event_study_rows, explicit_effects, make_sample, row_of

from analysis.estimation.did.did import compare
from analysis.estimation.did.event_study import placebo_event_studies, wald
from analysis.estimation.inference.clustered import cr1_covariance
from analysis.estimation.inference.inversion import critical_value
from analysis.estimation.inference.randomisation import draw_assignments
from analysis.estimation.regression.absorbed import two_way
from analysis.estimation.regression.log_rate import LogRate
from analysis.estimation.regression.poisson import Poisson
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol

QUARTERS = [q for q in range(-8, 12) if q != -1]
BEFORE = np.array(QUARTERS) < 0
SHAPES = np.stack([np.arange(60) // 3 - 8 == q for q in QUARTERS]).astype(float)
LEVEL = 0.95


@pytest.fixture(scope="module")
def sample() -> Sample:
    made, _ = make_sample([0, 0, *range(1, 24)], list(range(12)), 60, seed=71, missing=0.03, effect=-0.05)
    return made


def _comparison(sample: Sample, protocol: Protocol, estimator: str) -> Comparison:
    specification = protocol.specification("primary").model_copy(update={"estimator": estimator})
    return compare(sample, specification, np.ones(60))


def _rows(sample: Sample, protocol: Protocol, estimator: str, draws: int = 0) -> list[dict]:
    specification = protocol.specification("primary").model_copy(update={"estimator": estimator})
    return event_study_rows(sample, specification, draws, 1, protocol)


def _regressors(dose: np.ndarray) -> np.ndarray:
    return dose[:, None] * SHAPES[:, None, :]


def test_the_joint_test_is_statsmodels(sample: Sample, protocol: Protocol) -> None:
    """All quarters before are zero: statsmodels' F test with clustered errors, its own factor exchanged for G/(G − 1)."""
    comparison = _comparison(sample, protocol, "log_rate")
    table = cells(sample, _regressors(comparison.dose))
    effects = explicit_effects(comparison.model.nuisance)[sample.observed.ravel()]
    names = [f"x{k}" for k in range(len(QUARTERS))]
    design = independent(np.hstack([table[names], effects]))
    model = sm.OLS(np.log(table.y.to_numpy()) - table.log_population.to_numpy(), design)
    groups = {"groups": table.cluster.to_numpy(), "use_correction": True, "df_correction": True}
    oracle = model.fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    (n, p), clusters, number = design.shape, comparison.clusters, int(BEFORE.sum())
    restrictions = np.eye(p)[: len(QUARTERS)][BEFORE]
    test = oracle.wald_test(restrictions, use_f=True, scalar=True)
    assert (test.df_num, test.df_denom) == (number, clusters - 1) == (7, 23)
    statistic = test.statistic * (n - 1) / (n - p)

    rows = _rows(sample, protocol, "log_rate")
    row = row_of(rows, "pre_period", "CR1")
    assert row["p_value"] == pytest.approx(f_distribution.sf(statistic, number, clusters - 1), rel=1e-6)
    assert "F with 7 and 23 degrees of freedom" in row["notes"]
    quarters = [row_of(rows, f"quarter_{q:+d}", "CR1") for q in QUARTERS]
    assert [q["estimate"] for q in quarters] == pytest.approx(oracle.params[: len(QUARTERS)], abs=1e-9)
    errors = oracle.bse[: len(QUARTERS)] / np.sqrt((n - 1) / (n - p))
    assert [q["std_error"] for q in quarters] == pytest.approx(errors, rel=1e-7)
    # The mean of the quarters before, and its error from their whole covariance.
    weights = np.r_[BEFORE, np.zeros(p - len(QUARTERS))] / number
    assert row["estimate"] == pytest.approx(weights @ oracle.params, abs=1e-9)
    error = np.sqrt(weights @ oracle.cov_params() @ weights / ((n - 1) / (n - p)))
    assert row["std_error"] == pytest.approx(error, rel=1e-7)
    half = student.ppf(0.975, clusters - 1) * error
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["estimate"] - half, row["estimate"] + half), rel=1e-6)


def test_the_joint_test_of_poisson_is_brute_force(sample: Sample, protocol: Protocol) -> None:
    """The same of the Poisson event study: coefficients and covariance of a GLM with every dummy, joined by hand."""
    comparison = _comparison(sample, protocol, "poisson")
    model = comparison.model
    assert isinstance(model, Poisson)
    estimates, covariance = poisson(
        model.counts, model.population, _regressors(comparison.dose), model.nuisance, comparison.cluster
    )
    rows = _rows(sample, protocol, "poisson")
    for k, quarter in enumerate(QUARTERS):
        row = row_of(rows, f"quarter_{quarter:+d}")
        assert row["estimate"] == pytest.approx(estimates[k], abs=1e-8)
        assert row["std_error"] == pytest.approx(np.sqrt(covariance[k, k]), rel=1e-7)
        assert row["p_value"] == pytest.approx(
            2 * student.sf(abs(estimates[k]) / np.sqrt(covariance[k, k]), 23), rel=1e-5
        )
    block = covariance[np.ix_(BEFORE, BEFORE)]
    statistic = estimates[BEFORE] @ np.linalg.solve(block, estimates[BEFORE])
    assert wald(estimates[BEFORE], block) == pytest.approx(statistic, rel=1e-9)
    assert row_of(rows, "pre_period")["p_value"] == pytest.approx(f_distribution.sf(statistic / 7, 7, 23), rel=1e-6)


@pytest.mark.slow
def test_placebo_event_studies_are_refits(sample: Sample, protocol: Protocol) -> None:
    """Least squares: the largest |t| and the Wald statistic of each of 20 placebos are those of a whole regression."""
    comparison = _comparison(sample, protocol, "log_rate")
    model = comparison.model
    assert isinstance(model, LogRate)
    largest, walds, _ = placebo_event_studies(comparison, SHAPES, BEFORE, 20, seed=1)
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 20, 1)
    for chosen, found, statistic in zip(assignments.clusters, largest, walds, strict=True):
        dose = np.isin(comparison.cluster, chosen).astype(float)
        estimates, covariance = least_squares(
            model.values, model.observed.astype(float), _regressors(dose), model.nuisance, comparison.cluster
        )
        assert found == pytest.approx(np.max(np.abs(estimates) / np.sqrt(np.diag(covariance))), rel=1e-7)
        block = covariance[np.ix_(BEFORE, BEFORE)]
        assert statistic == pytest.approx(estimates[BEFORE] @ np.linalg.solve(block, estimates[BEFORE]), rel=1e-6)


@pytest.mark.slow
def test_one_step_of_poisson_stands_for_refits(sample: Sample, protocol: Protocol) -> None:
    """Largest |t| and Wald statistics of 60 placebos, each fitted anew by the package: correlation above 0.999."""
    comparison = _comparison(sample, protocol, "poisson")
    largest, walds, _ = placebo_event_studies(comparison, SHAPES, BEFORE, 60, seed=2)
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 60, 2)
    model, refits = comparison.model, []
    assert isinstance(model, Poisson)
    for chosen in assignments.clusters:
        fit = model.fit(_regressors(np.isin(comparison.cluster, chosen).astype(float)))
        covariance = cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)
        t = np.abs(fit.coefficients) / np.sqrt(np.diag(covariance))
        refits.append((t.max(), wald(fit.coefficients[BEFORE], covariance[np.ix_(BEFORE, BEFORE)])))
    for found, refit in zip((largest, walds), np.array(refits).T, strict=True):
        assert np.corrcoef(found, refit)[0, 1] > 0.999
        assert np.abs(found / refit - 1).max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["poisson", "log_rate"])
def test_the_band_is_wider_than_every_pointwise_interval(sample: Sample, protocol: Protocol, estimator: str) -> None:
    """One critical value for all quarters: at least each quarter's own under the same placebos, and Student's."""
    draws = 79
    rows = _rows(sample, protocol, estimator, draws)
    comparison = _comparison(sample, protocol, estimator)
    largest, walds, _ = placebo_event_studies(comparison, SHAPES, BEFORE, draws, seed=1)
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, draws, 1)
    assert not assignments.exact
    band = critical_value(largest, LEVEL)
    widths = []
    for quarter in QUARTERS:
        point, wide = (row_of(rows, f"quarter_{quarter:+d}", method) for method in ("CR1", "simultaneous"))
        assert wide["estimate"] == point["estimate"] and wide["std_error"] == point["std_error"]
        assert wide["ci_low"] < point["ci_low"] < point["ci_high"] < wide["ci_high"]
        widths.append((wide["ci_high"] - wide["estimate"]) / wide["std_error"])
        t = abs(point["estimate"] / point["std_error"])
        assert wide["p_value"] == (1 + (largest[1:] >= t).sum()) / (draws + 1)
        assert (wide["p_value"] < 1 - LEVEL - 1e-9) == (not wide["ci_low"] <= 0 <= wide["ci_high"])
    assert widths == pytest.approx([band] * len(QUARTERS), rel=1e-9)
    assert band > student.ppf(0.975, comparison.clusters - 1)
    for k in (0, 6, 7, 18):  # |t| of one quarter alone is the root of its Wald statistic
        only = np.arange(len(QUARTERS)) == k
        alone = np.sqrt(placebo_event_studies(comparison, SHAPES, only, draws, seed=1)[1])
        assert (alone <= largest * (1 + 1e-9)).all()
        assert critical_value(alone, LEVEL) <= band
    joint = row_of(rows, "pre_period", "randomisation")
    assert joint["p_value"] == (walds >= walds[0] * (1 - 1e-9)).mean()
    assert np.isnan([joint["ci_low"], joint["ci_high"]]).all()


def test_a_difference_before_the_programme_is_found_and_an_effect_after_is_not_taken_for_one(
    protocol: Protocol,
) -> None:
    """A rise of the treated in two quarters before has the smallest p there is; an effect of −30% afterwards leaves p high."""
    months = np.arange(60)
    before = np.isin(months // 3 - 8, [-4, -3]) * 0.15
    found = {}
    for name, path in (("before", before), ("after", (months >= 24) * np.log(0.7)), ("none", 0 * before)):
        sample, _ = make_sample(list(range(60)), list(range(12)), 60, seed=73, noise=0.02)
        counts = sample.counts * np.exp(np.outer(sample.treated, path))
        changed = Sample(sample.units, sample.months, counts, *(sample.population,) * 2, sample.treated, sample.cluster)
        rows = _rows(changed, protocol, "poisson", 99)
        found[name] = row_of(rows, "pre_period", "randomisation")["p_value"]
    assert found["before"] == 1 / 100
    assert found["none"] > 0.05
    assert found["after"] > 0.05


@pytest.mark.slow
def test_the_joint_placebo_test_holds_its_level() -> None:
    """120 panels of exchangeable units, two of seven treated: p ≤ 2/21 in 2/21 of them (within 3 standard errors)."""
    rejected, shapes, before = 0, np.eye(5)[[0, 1, 3, 4]], np.array([True, True, False, False])
    for seed in range(120):
        generator = np.random.default_rng(9000 + seed)
        model = LogRate(generator.normal(0, 1, (7, 5)) + generator.normal(0, 1, (7, 1)), two_way(7, 5), np.ones(7))
        comparison = Comparison(model, (np.arange(7) < 2).astype(float), np.ones(5), np.arange(7))
        walds = placebo_event_studies(comparison, shapes, before, 999, seed)[1]
        assert len(walds) == 21
        rejected += (walds >= walds[0] * (1 - 1e-9)).mean() <= 2 / 21 + 1e-9
    assert abs(rejected / 120 - 2 / 21) < 3 * np.sqrt(2 / 21 * 19 / 21 / 120)
