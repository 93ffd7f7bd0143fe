"""The headline on the real panel, worked out again from its rows by other means than the package's.

Tolerances. 1e-6 of a log point against pyfixest and against arithmetic on sums; both sides are far closer. One Newton step
for full refits: a correlation above 0.999, p-values within 0.01.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyfixest
import pytest
from real_data import RealData

from analysis.estimation.did.did import compare, difference_in_differences
from analysis.estimation.inference.clustered import cr1_covariance
from analysis.estimation.inference.inversion import p_value
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments, one_step
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.protocol.protocol import Protocol

pytestmark = [
    pytest.mark.slow,
    # pyfixest's own calls of pandas, not ours.
    pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning"),
]

OUTCOME = "non_elective_admissions"


@pytest.fixture(params=["MCP", "PACS", "MCP+PACS"])
def cohort(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _rows(real: RealData, cohort: str) -> pd.DataFrame:
    """CCGs wholly in the cohort's models and those in none, with treatment from April 2015, by plain pandas."""
    rows = real.ccgs[real.ccgs.outcome == OUTCOME]
    ours = rows.model.isin(cohort.split("+")) & (rows.covered_share == 1)
    rows = rows[ours | (rows.model == "none")].assign(ours=ours)
    rows["treatment"] = (rows.ours & (rows.month >= "2015-04-01")).astype(float)
    rows["place"] = rows.site.where(rows.ours, rows.unit)
    return rows


def _sample(real: RealData, cohort: str, protocol: Protocol, specification: str = "primary") -> Sample:
    models = protocol.treated_cohorts[cohort]
    return build_sample(real.panel, OUTCOME, models, protocol.specification(specification), protocol)


def _comparison(real: RealData, cohort: str, protocol: Protocol, specification: str = "primary") -> Comparison:
    sample = _sample(real, cohort, protocol, specification)
    post = np.asarray(sample.months >= protocol.study.programme_start)
    return compare(sample, protocol.specification(specification), post)


def test_the_headline_is_pyfixests(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Estimate and CR1 of the difference-in-differences, from the panel's rows: same mask, same offset, sites as clusters."""
    rows = _rows(real, cohort).dropna(subset=["value"])
    rows["log_population"] = np.log(rows.population)
    oracle = pyfixest.fepois(
        "value ~ treatment | unit + month", rows, vcov={"CRV1": "place"}, offset="log_population", iwls_tol=1e-12,
        iwls_maxiter=100, demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12), ssc=pyfixest.ssc(k_adj=False, G_adj=True),
    )  # fmt: skip
    fewest = protocol.specification("primary").model_copy(update={"draws": 19, "years": False})
    found = difference_in_differences(_sample(real, cohort, protocol), fewest, 1, protocol)
    (row,) = (row for row in found if (row["term"], row["inference"]) == ("att", "CR1"))
    assert row["estimate"] == pytest.approx(oracle.coef()["treatment"], abs=1e-6)
    assert row["std_error"] == pytest.approx(oracle.se()["treatment"], rel=1e-5)
    assert row["n_obs"] == len(rows) < len(_rows(real, cohort))
    treated_places = {"MCP": 9, "PACS": 7, "MCP+PACS": 16}[cohort]
    assert rows[rows.ours].place.nunique() == treated_places


def test_without_masks_or_growth_the_effect_is_a_ratio_of_ratios(
    real: RealData, protocol: Protocol, cohort: str
) -> None:
    """Nothing masked and people held fixed: published sums before and after, treated and not, and no regression at all."""
    rows = _rows(real, cohort)
    sums = rows.groupby([rows.ours, rows.month >= "2015-04-01"]).value_published.sum()
    ratio = sums[True, True] / sums[True, False] / (sums[False, True] / sums[False, False])
    fit = _comparison(real, cohort, protocol, "unmasked_fixed_population").fit()
    assert fit.coefficients[0] == pytest.approx(np.log(ratio), abs=1e-6)


def test_one_step_stands_for_999_refits_of_the_real_panel(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Placebo statistics, estimates and p of 999 assignments of the real sites, each fitted anew."""
    comparison = _comparison(real, cohort, protocol)
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 999, seed=11)
    matrix = assignment_matrix(assignments, comparison)
    null = comparison.null()
    found, estimates = one_step(comparison, matrix, null)
    refits = []
    for column in matrix.toarray().T:
        fit = replace(comparison, dose=column).fit(null.linear)
        error = np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0])
        refits.append((fit.coefficients[0] / error, fit.coefficients[0]))
    full = np.array(refits)
    assert np.corrcoef(found, full[:, 0])[0, 1] > 0.999
    assert np.corrcoef(estimates, full[:, 1])[0, 1] > 0.999
    assert abs(p_value(found) - p_value(full[:, 0])) <= 0.01
