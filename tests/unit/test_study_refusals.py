"""What a comparison cannot tell is refused, flagged or listed; it is never a number that looks like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import comparison_of, event_study_rows, make_sample

from analysis.estimation.did.did import compare, difference_in_differences, model_of
from analysis.estimation.did.robustness import high_use_placebo
from analysis.estimation.inference.bootstrap import cluster_bootstrap
from analysis.estimation.inference.clustered import cr1_covariance
from analysis.estimation.job import Found, Job, run_job
from analysis.estimation.regression import poisson
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.sample import Sample, UnitTables
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

Rows = list[dict[str, Any]]
OUTCOME = "non_elective_admissions"
SEED = 3


@pytest.fixture
def sample() -> Sample:
    made, _ = make_sample(list(range(30)), [0, 1, 2], 60, seed=1)
    return made


@pytest.fixture(params=["poisson", "log_rate"])
def specification(request: pytest.FixtureRequest, protocol: Protocol) -> Specification:
    update = {"draws": 49, "years": False, "estimator": request.param}
    return protocol.specification("primary").model_copy(update=update)


@pytest.fixture
def rows_of(specification: Specification, protocol: Protocol) -> Callable[[Sample], Rows]:
    """Rows of the difference-in-differences by every method, on the scale of log rates."""

    def rows(sample: Sample) -> Rows:
        found = difference_in_differences(sample, specification, SEED, protocol, every_method=True)
        return [row for row in found if row["scale"] == "log_rate"]

    return rows


def _masked(sample: Sample, cells: np.ndarray) -> Sample:
    return replace(
        sample, counts=np.where(cells, np.nan, sample.counts), population=np.where(cells, np.nan, sample.population)
    )


def _of(rows: Rows, method: str, design: str = "did") -> dict[str, Any]:
    (row,) = (row for row in rows if row["inference"] == method and row["design"] == design)
    return row


def _months(sample: Sample, which: slice) -> Sample:
    chosen = np.zeros(len(sample.months), bool)
    chosen[which] = True
    return sample.restrict(chosen)


# Nothing to compare


@pytest.mark.cases(quick=1, push=18)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda s: replace(s, treated=np.zeros(30, bool)), id="no treated"),
        pytest.param(lambda s: replace(s, treated=np.ones(30, bool)), id="no control"),
        pytest.param(lambda s: _months(s, slice(24, 60)), id="no month before"),
        pytest.param(lambda s: _months(s, slice(0, 24)), id="no month after"),
        pytest.param(lambda s: replace(s, counts=s.counts * (np.arange(30) != 7)[:, None]), id="a unit always zero"),
        pytest.param(lambda s: _masked(s, np.outer(np.arange(30) == 7, np.ones(60, bool))), id="a unit masked"),
        pytest.param(lambda s: _masked(s, np.outer(np.ones(30, bool), np.arange(60) == 30)), id="a month masked"),
        pytest.param(lambda s: _masked(s, np.ones((30, 60), bool)), id="all masked"),
        pytest.param(lambda s: _masked(s, np.outer(s.treated, np.arange(60) < 24)), id="treated masked before"),
        pytest.param(lambda s: _masked(s, np.outer(s.treated, np.arange(60) >= 24)), id="treated masked after"),
        pytest.param(
            lambda s: replace(s, counts=np.where(np.outer(s.treated, np.arange(60) >= 24), 0, s.counts)),
            id="treated zero after",
        ),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_cannot_be_compared_is_refused(
    sample: Sample, rows_of: Callable[[Sample], Rows], spoil: Callable[[Sample], Sample]
) -> None:
    """An error in words, by either estimator: no row, and no warning from NumPy in its stead."""
    assert len(rows_of(sample)) == 8
    with pytest.raises(NotIdentified, match=r"collinear|no observed count|no bound"):
        rows_of(spoil(sample))


def test_seasons_of_ones_own_in_a_single_year_leave_nothing(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """Twelve months and twelve season effects for each unit fit everything; so does treatment that never varies by month."""
    seasons = specification.model_copy(update={"unit_effects": "calendar_month"})
    with pytest.raises(NotIdentified, match=r"collinear|told apart"):
        compare(_months(sample, slice(18, 30)), seasons, np.arange(12) >= 6).fit()
    with pytest.raises(NotIdentified, match="collinear"):
        compare(sample, specification, np.ones(60)).fit()
    # An event study in which the treated are never seen in one of the quarters.
    gone = _masked(sample, np.outer(sample.treated, np.arange(60) // 3 == 12))
    with pytest.raises(NotIdentified, match="collinear"):
        event_study_rows(gone, specification, 0, SEED, protocol)


def test_covariates_that_are_not_numbers_or_do_not_differ_are_refused(
    sample: Sample, specification: Specification
) -> None:
    """A covariate that is missing (as one that is the same everywhere becomes, standardised) stops the fit."""
    covariates = np.random.default_rng(1).normal(0, 1, (30, 2))
    covariates[:, 1] = np.nan
    with pytest.raises(NotIdentified), np.errstate(all="ignore"):
        compare(replace(sample, covariates=covariates), specification, np.arange(60) >= 24).fit()


@pytest.mark.parametrize(("limit", "fit"), [("MAX_ITERATIONS", 1), ("MAX_MARGIN_ROUNDS", 0)])
def test_a_fit_that_does_not_settle_is_refused(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, limit: str, fit: int
) -> None:
    """With too few rounds to settle in there is an error that says how many there were, never the last round's number."""
    comparison = comparison_of(_masked(sample, np.outer(np.arange(30) == 5, np.arange(60) == 3)), np.arange(60) >= 24)
    monkeypatch.setattr(poisson, limit, 1)
    with pytest.raises(NotIdentified, match=r"did not settle in 1 (iterations|rounds)"):
        comparison.fit() if fit else comparison.null()


# One treated site


@pytest.fixture
def one_treated(sample: Sample) -> Sample:
    return replace(sample, treated=np.arange(30) == 4)


@pytest.mark.slow
def test_one_treated_site_is_flagged_and_has_no_jackknife(
    one_treated: Sample, rows_of: Callable[[Sample], Rows]
) -> None:
    """CR1 says that it does not hold, CR3 is null and says why; p by randomisation is no less than one in thirty."""
    rows = rows_of(one_treated)
    assert "one treated cluster: cluster-robust errors do not hold" in _of(rows, "CR1")["notes"]
    jackknife = _of(rows, "CR3")
    assert "leaving out one cluster leaves no comparison" in jackknife["notes"]
    assert np.isnan([jackknife[name] for name in ("std_error", "ci_low", "ci_high", "p_value")]).all()
    assert np.isnan(_of(rows, "CR3", "power")["estimate"])
    randomised = _of(rows, "randomisation")
    assert randomised["notes"] == "every assignment, 30 in all"
    assert randomised["p_value"] * 30 == pytest.approx(round(randomised["p_value"] * 30)) and randomised["p_value"] > 0
    assert not any("one treated" in row["notes"] for row in rows_of(replace(one_treated, treated=np.arange(30) < 2)))


def test_two_sites_have_every_number_but_none_that_rejects(rows_of: Callable[[Sample], Rows]) -> None:
    """One treated, one not: CR1 is flagged, and neither randomisation nor bootstrap can bound the effect."""
    sample, _ = make_sample([0, 1], [0], 60, seed=1)
    rows = rows_of(sample)
    assert "do not hold" in _of(rows, "CR1")["notes"]
    for method in {row["inference"] for row in rows} - {"CR1", "CR3"}:
        row = _of(rows, method)
        assert row["p_value"] >= 0.5
        assert (row["ci_low"], row["ci_high"]) == (-np.inf, np.inf)
        assert _of(rows, method, "power")["estimate"] == np.inf


# More draws than there are


@pytest.mark.cases(quick=4)
@pytest.mark.parametrize(
    ("draws", "note"),
    [
        (433, "433 random draws"),
        (434, "every assignment, 435 in all"),
        (1_000_000, "every assignment, 435 in all"),
    ],
)
def test_more_draws_than_assignments_lists_them_all_and_says_so(
    sample: Sample, specification: Specification, protocol: Protocol, draws: int, note: str
) -> None:
    """Two of thirty sites make 435 assignments: asked for 434 placebos or more, each is taken once."""
    two = replace(sample, treated=np.arange(30) < 2)
    rows = difference_in_differences(two, specification.model_copy(update={"draws": draws}), SEED, protocol)
    row = _of([row for row in rows if row["scale"] == "log_rate"], "randomisation")
    assert row["notes"] == note
    total = 434 if "random" in note else 435
    assert row["p_value"] * total == pytest.approx(round(row["p_value"] * total), abs=1e-9)


# From the panel: what is left out is listed


Run = Callable[..., Found]


@pytest.fixture
def run(panel: pd.DataFrame, protocol: Protocol) -> Run:
    """The job of one cohort on the panel with its rows changed."""

    def job(change: Callable[[pd.DataFrame], pd.DataFrame], cohort: str = "MCP", **update: Any) -> Found:
        choices = {"draws": 19, "designs": ["did"], "years": False} | update
        specification = protocol.specification("primary").model_copy(update=choices)
        return run_job(Job(change(panel), protocol.outcome(OUTCOME), cohort, specification, protocol, UnitTables()))

    return job


def _where(rows: pd.DataFrame, chosen: pd.Series, value: float) -> pd.DataFrame:
    if np.isnan(value):
        return rows.assign(value=rows.value.mask(chosen), population=rows.population.mask(chosen))
    return rows.assign(value=rows.value.mask(chosen, value))


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_unit_without_a_count_is_left_out_and_listed(run: Run, value: float) -> None:
    """Always zero, or masked throughout: the others are estimated, and the unit is named with the reason."""
    found = run(lambda rows: _where(rows, rows.unit == "U20", value))
    assert found.absent == [
        (OUTCOME, "MCP", "primary", "unit", "NHS U20 CCG: no known count above zero in any month used")
    ]  # fmt: skip
    assert {row["n_units"] for row in found.rows} == {38}  # forty less PACS' one and U20
    whole = run(lambda rows: rows)
    assert whole.absent == [] and {row["n_units"] for row in whole.rows} == {39}


@pytest.mark.parametrize(
    "units", [["U00", "U01"], [f"U{i:02d}" for i in range(3, 40)], [f"U{i:02d}" for i in range(40)]]
)
def test_a_cohort_without_treated_or_untreated_is_listed_and_has_no_row(run: Run, units: list[str]) -> None:
    """All the treated masked throughout, all the others, or everyone: no estimate, and a line that says so."""
    found = run(lambda rows: _where(rows, rows.unit.isin(units), np.nan))
    assert found.rows == []
    assert found.absent[-1][3:] == ("all", "no unit treated, or none untreated")
    assert len(found.absent) == len([u for u in units if u != "U02"]) + 1


def test_a_month_that_everyone_lacks_is_said(run: Run) -> None:
    """One month masked for every unit: the design is listed as not run, in words."""
    found = run(lambda rows: _where(rows, rows.month == "2016-01-01", np.nan))
    assert found.rows == []
    assert [entry[3:] for entry in found.absent] == [("did", "a unit or a month has no observed count above zero")]


def test_a_refused_robustness_check_does_not_end_the_run(run: Run) -> None:
    """One month masked for every unit: what sees it is listed as not run; placebo starts, which do not, are there."""
    found = run(lambda rows: _where(rows, rows.month == "2016-01-01", np.nan), designs=["robustness"])
    assert {entry[3] for entry in found.absent} == {"leave_one_out", "placebo_high_use", "placebo_places"}
    assert {row["design"] for row in found.rows} == {"placebo_start"}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bootstrap_interval_never_contradicts_its_p(seed: int) -> None:
    """Five sites have 32 sign vectors in pairs: p is at least 2/32 > 5%, so that no effect can be rejected."""
    sample, post = make_sample(list(range(5)), [0, 1], 60, seed)
    comparison = comparison_of(sample, post)
    fit = comparison.fit()
    error = float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0]))
    test = cluster_bootstrap(comparison, 999, 1, float(fit.coefficients[0]), error, 0.95)
    assert test.exact and test.p_value >= 2 / 32
    assert test.interval == (-np.inf, np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["bootstrap", "detectable effect", "event study"])
def test_one_treated_site_is_flagged_wherever_its_error_is_used(
    one_treated: Sample, rows_of: Callable[[Sample], Rows], protocol: Protocol, what: str
) -> None:
    """The bootstraps, CR1's detectable effect and the event study's CR1 rows fail with one treated site as CR1 does."""
    rows = [row for row in rows_of(one_treated) if row["inference"] != "randomisation"]
    chosen = {
        "bootstrap": [row for row in rows if row["design"] == "did" and row["inference"].endswith("bootstrap")],
        "detectable effect": [row for row in rows if row["design"] == "power"],
        "event study": event_study_rows(one_treated, protocol.specification("primary"), 0, SEED, protocol),
    }[what]
    assert chosen and all("one treated" in row["notes"] for row in chosen)


@pytest.mark.parametrize("treated", [2, 7])
def test_a_joint_test_of_more_quarters_than_treated_sites_can_bear_is_flagged(protocol: Protocol, treated: int) -> None:
    """Seven quarters before: with two treated sites p is below 1e-6 on noise; with seven it is below 5% five times in six."""
    sample, _ = make_sample(list(range(60)), list(range(treated)), 60, seed=5)
    rows = event_study_rows(sample, protocol.specification("primary"), 0, SEED, protocol)
    (row,) = (row for row in rows if row["term"] == "pre_period")
    assert np.isnan(row["p_value"]) or "few treated" in row["notes"]


def test_a_year_that_cannot_be_estimated_leaves_the_whole_standing(run: Run) -> None:
    """A control with no count before 2016/17: the first year has no estimate and is listed; the programme as a whole has."""
    found = run(lambda rows: _where(rows, (rows.unit == "U20") & (rows.month < "2016-04-01"), 0.0), years=True)
    assert any(row["term"] == "att" for row in found.rows)
    assert found.absent


def test_leaving_out_the_only_site_is_listed_as_not_run(run: Run) -> None:
    """PACS has one site here: there is no estimate without it, and a line says so."""
    found = run(lambda rows: rows, "PACS", designs=["robustness"])
    assert not any(row["design"] == "leave_one_out" for row in found.rows)
    assert any(entry[3] == "leave_one_out" for entry in found.absent)


def test_placebo_places_without_an_estimate_have_no_row(run: Run) -> None:
    """The treated masked in every month before: like every other design, placebo places are listed and not reported."""

    def before_masked(rows: pd.DataFrame) -> pd.DataFrame:
        return _where(rows, rows.unit.isin(["U00", "U01"]) & (rows.month < "2015-04-01"), np.nan)

    found = run(before_masked, designs=["robustness"])
    assert {entry[3] for entry in found.absent} >= {"leave_one_out", "placebo_start", "placebo_high_use"}
    assert not any(row["design"] == "placebo_places" for row in found.rows)


def test_a_control_unseen_in_the_last_year_is_not_a_control_of_high_use(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """The quality rule masks up to twelve months; such a control has no use to rank by, and the rest still have."""
    unseen = _masked(sample, np.outer(np.arange(30) == 9, (np.arange(60) >= 12) & (np.arange(60) < 24)))
    with np.errstate(all="ignore"):
        rows = high_use_placebo(unseen, specification, SEED, protocol)
    assert "controls of highest use" in rows[0]["notes"]


@pytest.mark.parametrize(
    "estimator",
    ["poisson", "log_rate"],
)
def test_equal_sites_are_equal_whatever_the_estimator(protocol: Protocol, estimator: str) -> None:
    """Without treatment the working weights of a site's units add up to the same for every site."""
    sample, _ = make_sample([0, 0, *range(1, 15)], [0, 1, 2], 24, seed=5, missing=0.1)
    choices = {"weights": "equal_sites", "estimator": estimator}
    model = model_of(sample, protocol.specification("primary").model_copy(update=choices))
    fit = model.fit(np.empty((0, *sample.counts.shape)))
    by_site = np.bincount(sample.cluster, fit.weights.sum(axis=1))
    assert by_site == pytest.approx(by_site.mean(), rel=1e-6)


def test_sites_keep_their_estimates_where_no_donor_is_whole(run: Run) -> None:
    """Every control without a count in some month: no synthetic design, which is said, and every site by itself."""

    def holes(rows: pd.DataFrame) -> pd.DataFrame:
        number = rows.unit.str[1:].astype(int)
        return _where(rows, (number > 2) & (rows.month.dt.month == 1 + number % 12) & (rows.month.dt.year == 2016), 0.0)

    found = run(holes, "MCP+PACS", designs=["synthetic", "sites"])
    reasons = {(cohort, design): reason for _, cohort, _, design, reason in found.absent}
    assert reasons == {
        (cohort, "synthetic"): "no control has a known count above zero in every month" for cohort in ("MCP+PACS", "sites")
    }
    (table,) = found.sites
    assert len(table) == 3 and table.synthetic.isna().all()


def test_a_site_without_a_usable_month_stands_in_the_table_with_the_reason(run: Run) -> None:
    found = run(lambda rows: _where(rows, rows.unit == "U00", np.nan), "MCP+PACS", designs=["sites"])
    (table,) = found.sites
    row = table.set_index("site").iloc[0]
    assert np.isnan(row.estimate) and not row.in_pool
    assert row.reason == "no unit of the site has a known count above zero in any month"


def test_quarters_whose_covariance_is_singular_leave_the_event_study_and_a_reason(run: Run) -> None:
    """Fewer placebo assignments than quarters: their covariance has no inverse."""
    found = run(lambda rows: rows, "PACS", designs=["event_study", "trends"])
    assert {row["design"] for row in found.rows} == {"event_study", "trend_sensitivity"}
    few = run(lambda rows: rows[rows.unit < "U15"], "PACS", designs=["event_study", "trends"])
    assert {row["design"] for row in few.rows} == {"event_study"}
    ((*_, design, reason),) = few.absent
    assert design == "trend_sensitivity" and "singular" in reason


@pytest.mark.slow
def test_an_event_study_with_one_quarter_before_is_listed_as_not_run(run: Run) -> None:
    """Only the quarter that effects are measured from lies before the programme: there is nothing to test."""
    found = run(lambda rows: rows[rows.month >= "2015-01-01"], "MCP", designs=["event_study"])
    assert found.rows == []
    assert [entry[3:] for entry in found.absent] == [
        ("event_study", "no quarter before the programme but the one that effects are measured from")
    ]


def test_placebo_starts_without_room_are_listed_as_not_run(run: Run) -> None:
    """Nine months before, six of which a placebo start needs on either side."""
    found = run(lambda rows: rows[rows.month >= "2014-07-01"], "MCP", designs=["robustness"])
    assert not any(row["design"] == "placebo_start" for row in found.rows)
    reasons = {entry[3]: entry[4] for entry in found.absent}
    assert reasons["placebo_start"] == "9 months before the start: none has 6 on either side"
