"""The table of estimates: ids, scales, and a whole evaluation of a made-up panel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors
import pytest
from synthetic import attributes_of, changed, cleaned_panel, two_way_counts

from analysis.estimation.evaluate import Results, evaluate, job_count
from analysis.estimation.regression.estimates import both_scales, estimates_table
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import SpecificationCurve

CONTEXT = {
    "design": "did", "outcome": "o", "cohort": "MCP", "specification": "primary", "conf_level": 0.95, "n_units": 9,
    "n_treated": 3, "n_obs": 90, "window": "2013-04/2018-03", "dataset": "mar",
}  # fmt: skip


def test_both_scales_say_the_same() -> None:
    """Percent is 100(eˣ − 1) of estimate and ends, its standard error by the delta method, p the same."""
    log_rate, percent = both_scales("att", "CR1", -0.05, (-0.11, 0.01), std_error=0.03, p_value=0.1, **CONTEXT)
    assert (log_rate["term"], log_rate["scale"], percent["term"], percent["scale"]) == (
        "att",
        "log_rate",
        "att_percent",
        "percent",
    )
    assert percent["estimate"] == pytest.approx(100 * (math.exp(-0.05) - 1))
    assert percent["ci_low"] == pytest.approx(100 * (math.exp(-0.11) - 1))
    assert percent["ci_high"] == pytest.approx(100 * (math.exp(0.01) - 1))
    assert percent["std_error"] == pytest.approx(100 * math.exp(-0.05) * 0.03)
    assert percent["p_value"] == log_rate["p_value"] == 0.1


def test_ids_are_made_of_their_parts_and_sorted() -> None:
    """The id names design, outcome, cohort, specification, term and method; order of the rows does not matter."""
    rows = both_scales("att", "randomisation", 0.1, **CONTEXT) + both_scales("att", "CR1", 0.1, **CONTEXT)
    table = estimates_table(rows)
    assert table.estimate_id.tolist() == sorted(
        f"did/o/MCP/primary/{term}/{method}" for term in ("att", "att_percent") for method in ("CR1", "randomisation")
    )
    pd.testing.assert_frame_equal(table, estimates_table(rows[::-1]))


@pytest.mark.parametrize(
    "change", [{"p_value": 1.2}, {"scale": "odds"}, {"ci_low": 1.0, "ci_high": 0.0}, {"n_units": None}]
)
def test_a_row_against_the_contract_is_refused(change: dict[str, Any]) -> None:
    """Impossible p-values, scales, intervals and counts do not get into the table."""
    rows = both_scales("att", "CR1", 0.1, (0.0, 0.2), p_value=0.5, **CONTEXT)
    with pytest.raises((pandera.errors.SchemaError, ValueError, TypeError)):
        estimates_table([{**rows[0], **change}, rows[1]])


def test_two_rows_of_one_id_are_refused() -> None:
    """An id that stood for two numbers would be none."""
    with pytest.raises(pandera.errors.SchemaError, match="estimate_id"):
        estimates_table(both_scales("att", "CR1", 0.1, **CONTEXT) * 2)


EFFECT = math.log(0.9)


@pytest.fixture(scope="module")
def small_protocol(protocol: Protocol) -> Protocol:
    """Two outcomes, two specifications, few draws."""
    wanted = [s.model_copy(update={"draws": 49}) for s in protocol.specifications if s.id in ("primary", "unmasked")]
    inference = protocol.inference.model_copy(update={"event_study_draws": 49, "variant_draws": 39})
    curve = SpecificationCurve(crossed=["unmasked"], draws=19)
    its = protocol.its.model_copy(update={"pseudo_cohorts": 99, "national_checks": []})
    changes = {"specifications": wanted, "specification_curve": curve, "inference": inference, "its": its}
    return protocol.model_copy(update={"outcomes": protocol.outcomes[:2], **changes})


def _counts(seed: int) -> pd.DataFrame:
    """Counts with 2% noise; the two MCP units fall by 10% from April 2015; U20 lost nine months."""
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.02, (40, 60)))
    counts = two_way_counts() * noise
    for unit in ("U00", "U01"):
        counts = changed(counts, unit, 24, 60, math.exp(EFFECT))
    return changed(counts, "U20", 15, 24, 0.1).round()


def _evaluate(protocol: Protocol, tables: dict[str, pd.DataFrame], workers: int = 1) -> Results:
    sites = {
        "U00": ("MCP", "Alpha", 1.0),
        "U01": ("MCP", "Beta", 1.0),
        "U02": ("PACS", "Gamma", 1.0),
        "U03": ("PACS", "Delta", 1.0),
    }
    cleaned = cleaned_panel(tables, attributes_of(list(two_way_counts().index), sites), protocol)
    ticks: list[int] = []
    none = pd.DataFrame(columns=["unit"]), pd.DataFrame(columns=["unit", "rank", "similar_unit"])
    england = cleaned.panel[cleaned.panel.geography == "england"]
    national = england[["outcome", "month"]].assign(value=england.value_published, missing=0.0)
    results = evaluate(cleaned.panel, cleaned.shifts, *none, national, protocol, workers, lambda: ticks.append(1))
    assert len(ticks) == job_count(cleaned.panel, protocol)
    return results


@pytest.fixture(scope="module")
def tables(small_protocol: Protocol) -> dict[str, pd.DataFrame]:
    return {outcome.id: _counts(seed) for seed, outcome in enumerate(small_protocol.outcomes)}


@pytest.fixture(scope="module")
def results(small_protocol: Protocol, tables: dict[str, pd.DataFrame]) -> Results:
    return _evaluate(small_protocol, tables)


@pytest.mark.slow
def test_every_design_of_every_cohort_is_there_on_both_scales(results: Results, small_protocol: Protocol) -> None:
    """Ids are unique, and each log rate has its percent twin, for every outcome, cohort and specification."""
    table = results.estimates
    assert table.estimate_id.is_unique
    assert results.not_run.empty
    cohorts, sites = set(small_protocol.treated_cohorts), {"Alpha", "Beta", "Gamma", "Delta"}
    for keys, rows in table.groupby(["outcome", "specification"]):
        sceptic = keys == ("non_elective_admissions", "primary")
        headline = {"england", *sites} if keys[1] == "primary" else set()
        assert set(rows.cohort) == {*cohorts, "rest"} | headline, keys
        wanted = {"did", "event_study", "growth", "its", "cits", "power"}
        wanted |= {"trend_sensitivity", "sdid", "synthetic_control", "site", "cits_synthetic"} if sceptic else set()
        for cohort in cohorts:
            assert wanted <= set(rows.design[rows.cohort == cohort])
    spreads = table.term.isin(["tau"]) | table.term.str.endswith("_breakdown_smoothness")  # log points, but no effects
    log_rates = table[(table.scale == "log_rate") & ~spreads]
    twins = log_rates.estimate_id.str.replace(r"/([^/]+)/([^/]+)$", r"/\1_percent/\2", regex=True)
    assert set(twins) == set(table.estimate_id[table.scale == "percent"])


@pytest.mark.slow
def test_the_effect_put_in_comes_out(results: Results) -> None:
    """The MCP units' 10% is found and significant; PACS, where nothing was put in, shows none."""
    table = results.estimates.set_index("estimate_id")
    mcp, pacs = (table.loc[f"did/non_elective_admissions/{cohort}/primary/att/CR1"] for cohort in ("MCP", "PACS"))
    assert mcp.estimate == pytest.approx(EFFECT, abs=0.01)
    assert mcp.ci_high < 0
    assert abs(pacs.estimate) < 0.01
    assert (mcp.n_units, mcp.n_treated, pacs.n_treated) == (38, 2, 2)
    assert table.loc["cits/non_elective_admissions/MCP/primary/level/HAC"].estimate == pytest.approx(EFFECT, abs=0.03)


@pytest.mark.slow
def test_masking_changes_what_it_should(results: Results) -> None:
    """Nine lost months of a control before the start bend the unmasked effect downwards, not the masked one."""
    table = results.estimates.set_index("estimate_id").estimate
    masked, unmasked = (table[f"did/non_elective_admissions/MCP/{s}/att/CR1"] for s in ("primary", "unmasked"))
    assert unmasked < masked - 0.001
    assert masked == pytest.approx(EFFECT, abs=0.01)


@pytest.mark.slow
@pytest.mark.nightly
def test_workers_never_change_a_result(
    results: Results, small_protocol: Protocol, tables: dict[str, pd.DataFrame]
) -> None:
    """Two processes give one outcome's rows and paths as one does, to the last bit."""
    outcome = small_protocol.outcomes[0]
    again = _evaluate(
        small_protocol.model_copy(update={"outcomes": [outcome]}), {outcome.id: tables[outcome.id]}, workers=2
    )
    for first, second in (
        (results.estimates, again.estimates),
        (results.series["its_series"], again.series["its_series"]),
    ):
        alone = first[first.outcome == outcome.id].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, second, check_exact=True)
    controls = ["control", "control_p", "verdict"]  # what a run without the control outcome cannot know
    for name, table in results.tables.items():
        alone = table[table.outcome == outcome.id].reset_index(drop=True)
        first, second = (t.drop(columns=controls, errors="ignore") for t in (alone, again.tables[name]))
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert {"specification_curve", "curve_choices", "sites", "verdicts", "its_methods"} == set(results.tables)
    assert not any(table.empty for table in results.tables.values())


@pytest.mark.nightly
def test_what_cannot_be_estimated_is_listed_and_the_rest_runs(
    small_protocol: Protocol, tables: dict[str, pd.DataFrame]
) -> None:
    """A unit that never counted one admission is left out of its outcome's models and named; all the rest runs."""
    empty = dict(tables)
    empty["elective_admissions"] = changed(tables["elective_admissions"], "U30", 0, 60, 0.0)
    results = _evaluate(small_protocol, empty)
    assert set(results.not_run.outcome) == {"elective_admissions"}
    assert set(results.not_run.design) == {"unit"}
    assert results.not_run.reason.str.contains("U30.*no known count above zero").all()
    counts = results.estimates.set_index("estimate_id").n_units
    assert counts["did/elective_admissions/MCP/primary/att/CR1"] == 37
    assert counts["did/non_elective_admissions/MCP/primary/att/CR1"] == 38


@pytest.mark.slow
def test_every_method_stands_beside_the_others_with_what_it_could_have_found(results: Results) -> None:
    """The primary outcome's effects, overall and by year, by four methods; each has its minimum detectable effect."""
    rows = results.estimates.query(
        "outcome == 'non_elective_admissions' and cohort == 'MCP' and specification == 'primary'"
    )
    methods = {"CR1", "CR3", "score_bootstrap", "randomisation"}
    for term in ("att", "att_year1", "att_year2", "att_year3"):
        here = rows[(rows.design == "did") & (rows.term == term)]
        assert methods <= set(here.inference)
        assert here.estimate.nunique() == 1
        detectable = rows[(rows.design == "power") & (rows.term == term.replace("att", "mde"))]
        assert set(detectable.inference) == methods
        half = here.set_index("inference").eval("(ci_high - ci_low) / 2")[sorted(methods)]
        assert detectable.set_index("inference").estimate[sorted(methods)].to_numpy() == pytest.approx(
            half.to_numpy() * 2.80 / 1.96, rel=2e-3
        )
