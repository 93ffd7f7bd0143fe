"""What an interrupted time series cannot tell is refused with a plain reason; in a job it is listed and ends nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import make_sample, months

from analysis.estimation.its.estimates import Interrupted, its_rows
from analysis.estimation.its.groups import Groups, leave_one_out, placebo_starts
from analysis.estimation.its.job import interrupted_series
from analysis.estimation.its.pseudo_cohorts import PseudoCohorts, placebo_sets
from analysis.estimation.its.segments import Break, Segments, segments
from analysis.estimation.its.terms import CONTROLLED, OLS, SINGLE
from analysis.estimation.job import Found, Job, run_job
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.job_results import Record
from analysis.estimation.regression.sample import Sample, UnitTables, build_sample
from analysis.estimation.regression.series import Series, cohort_series
from analysis.estimation.synthetic.synthetic import Pool
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import KnownBreak

OUTCOME = "non_elective_admissions"
START, MONTHS = 24, 60
PROGRAMME = months()[START]

Rows = list[dict[str, Any]]


def design_of(
    protocol: Protocol,
    when: pd.DatetimeIndex | None = None,
    start: pd.Timestamp = PROGRAMME,
    breaks: tuple[tuple[int, str], ...] = (),
    **choices: Any,
) -> Segments:
    """``breaks``: months from the first of sixty."""
    specification = protocol.specification("primary").model_copy(update=choices)
    when = months() if when is None else when
    further = [Break(months()[0] + pd.DateOffset(months=month), label) for month, label in breaks]
    return segments(when, start, protocol.its, protocol.outcome(OUTCOME), specification, further)


# Months


@pytest.mark.parametrize(
    ("first", "last", "choices", "said"),
    [
        (16, 60, {}, "8 months before the start and 36 after it: a side needs at least 9"),
        (0, 32, {}, "24 months before the start and 8 after it: a side needs at least 9"),
        (23, 60, {}, "1 months before the start and 36 after it: a side needs at least 9"),
        (0, 35, {"phase_in": 3}, "24 months before the start and 8 after it and 3 of phasing in: a side needs at least 9"),
        (0, 60, {"phase_in": 28}, "24 months before the start and 8 after it and 28 of phasing in"),
    ],
)  # fmt: skip
def test_too_few_months_on_a_side(
    protocol: Protocol, first: int, last: int, choices: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotIdentified) as refused:
        design_of(protocol, months()[first:last], **choices)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("first", "last", "phase_in"), [(15, 60, 0), (0, 33, 0), (0, 36, 3), (0, 60, 27)]
)  # fmt: skip
def test_nine_months_on_a_side_are_enough(protocol: Protocol, first: int, last: int, phase_in: int) -> None:
    """Phasing in counts on neither side."""
    design = design_of(protocol, months()[first:last], phase_in=phase_in)
    assert design.after.sum() == last - START - phase_in
    assert np.linalg.matrix_rank(design.matrix) == design.matrix.shape[1]


@pytest.mark.parametrize("gone", [3, 24, 40])
def test_a_gap_in_the_months_is_named(protocol: Protocol, gone: int) -> None:
    with pytest.raises(NotIdentified, match=f"the series has a gap: no {months()[gone]:%B %Y}"):
        design_of(protocol, months().delete(gone))


@pytest.mark.parametrize("start", ["2013-03-01", "2013-04-01", "2018-04-01", "2025-01-01"])
def test_a_start_outside_the_months(protocol: Protocol, start: str) -> None:
    """The first month is outside too: nothing lies before it."""
    when = pd.Timestamp(start)
    with pytest.raises(NotIdentified, match=f"the start, {when:%B %Y}, lies outside April 2013 to March 2018"):
        design_of(protocol, start=when)


# Breaks


@pytest.mark.parametrize("month", [-3, 0, 60, 70])
def test_a_break_outside_the_months(protocol: Protocol, month: int) -> None:
    said = f"a break in {months()[0] + pd.DateOffset(months=month):%B %Y} (a flood) lies outside the series"
    with pytest.raises(NotIdentified) as refused:
        design_of(protocol, breaks=((month, "a flood"),))
    assert str(refused.value) == said


@pytest.mark.parametrize("month", [24, 25, 26])
def test_a_break_inside_the_phasing_in(protocol: Protocol, month: int) -> None:
    with pytest.raises(NotIdentified, match=rf"{months()[month]:%B %Y} \(a flood\) lies inside the phasing in"):
        design_of(protocol, breaks=((month, "a flood"),), phase_in=3)


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (((24, "a flood"),), "0 months from the start"),
        (((29, "a flood"),), "5 months from the start"),
        (((19, "a flood"),), "5 months from the start"),
        (((55, "a flood"),), "5 months from the end"),
        (((59, "a flood"),), "1 months from the end"),
        (((40, "a strike"), (45, "a flood")), "5 months from another break (a strike)"),
        (((40, "a strike"), (35, "a flood")), "5 months from another break (a strike)"),
        (((40, "a strike"), (40, "a flood")), "0 months from another break (a strike)"),
    ],
)
def test_a_break_too_near_something_else(protocol: Protocol, breaks: tuple[tuple[int, str], ...], said: str) -> None:
    with pytest.raises(NotIdentified) as refused:
        design_of(protocol, breaks=breaks)
    assert f"{months()[breaks[-1][0]]:%B %Y} (a flood), {said}, cannot be told apart from it" in str(refused.value)


def test_breaks_six_months_from_everything_are_taken(protocol: Protocol) -> None:
    design = design_of(protocol, breaks=((18, "a"), (30, "b"), (36, "c"), (54, "d")))
    found = [name for name in design.columns if name.startswith("break")]
    assert found == ["break_2014_10", "break_2015_10", "break_2016_04", "break_2017_10"]
    assert design.notes.startswith("a further step in October 2014: a; a further step in October 2015: b")
    assert not design.change[:, [name.startswith("break") for name in design.columns]].any()


# The change is measured from the end of the phasing in: a break near that would leave the level to a month or two.
@pytest.mark.parametrize("month", [30, 31, 35])
def test_a_break_too_near_the_end_of_the_phasing_in(protocol: Protocol, month: int) -> None:
    with pytest.raises(NotIdentified, match="cannot be told apart"):
        design_of(protocol, breaks=((month, "a flood"),), phase_in=6)


# Series


def flat(level: float = 1000.0) -> Series:
    return Series(months(), np.full(MONTHS, level), np.full(MONTHS, level / 0.01))


@pytest.mark.parametrize("slope", [0.0, 0.003])
@pytest.mark.parametrize("trends", [True, False])
def test_a_series_without_noise(protocol: Protocol, slope: float, trends: bool) -> None:
    """A constant rate, or one on its segments to the last digit: no number, whatever the method."""
    series = flat()
    steady = replace(series, counts=series.counts * np.exp(slope * np.arange(MONTHS) * trends))
    specification = protocol.specification("primary")
    design = segments(months(), PROGRAMME, protocol.its, protocol.outcome(OUTCOME), specification, (), trends)
    with pytest.raises(NotIdentified, match="there is no noise to judge a change by"):
        its_rows(Interrupted(steady, design), SINGLE, [OLS], protocol)


def test_no_more_months_than_coefficients(protocol: Protocol) -> None:
    design = design_of(protocol)
    few = replace(design, months=months()[20:28], matrix=design.matrix[20:28])
    series = Series(months()[20:28], np.arange(1.0, 9), np.ones(8))
    with pytest.raises(NotIdentified, match="8 months for 8 coefficients"):
        its_rows(Interrupted(series, few), SINGLE, [OLS], protocol)


def test_columns_that_depend_on_one_another(protocol: Protocol) -> None:
    """More waves than a year has months to tell apart."""
    rule = protocol.its.model_copy(update={"harmonics": 6})
    with pytest.raises(NotIdentified, match="columns of the segmented regression depend on one another"):
        segments(months(), PROGRAMME, rule, protocol.outcome(OUTCOME), protocol.specification("primary"))


def a_sample(units: int = 12, treated: int = 2) -> Sample:
    return make_sample(list(range(units)), list(range(treated)), MONTHS, seed=4)[0]


def groups_of(sample: Sample, protocol: Protocol, **choices: Any) -> Groups:
    specification = protocol.specification("primary").model_copy(update=choices)
    pseudo = PseudoCohorts(sample.only(~sample.treated), 99, 1, specification.fill_masked)
    return Groups(sample, protocol.outcome(OUTCOME), specification, protocol, pseudo)


def test_a_month_without_people(protocol: Protocol) -> None:
    sample = a_sample()
    people = sample.population_full.copy()
    people[:2, 33] = 0.0
    gone = replace(sample, population=people, population_full=people)
    with pytest.raises(NotIdentified, match="no people in January 2016"):
        cohort_series(gone, gone.treated)
    with pytest.raises(NotIdentified, match="no people in January 2016"):
        groups_of(gone, protocol).of(SINGLE)


def test_a_month_without_counts(protocol: Protocol) -> None:
    """Of the group: both kinds of series. Of everyone else: the controlled one."""
    sample = a_sample()
    named = "no known count above zero in November 2013"
    for members, kinds in (
        (sample.treated, {SINGLE: named, CONTROLLED: named}),
        (~sample.treated, {CONTROLLED: named}),
    ):
        counts = np.where(np.outer(members, np.arange(MONTHS) == 7), 0.0, sample.counts)
        groups = groups_of(replace(sample, counts=counts), protocol)
        for kind, said in kinds.items():
            with pytest.raises(NotIdentified, match=said):
                groups.of(kind)
    with pytest.raises(NotIdentified, match=named):
        groups.rest()


def test_several_groups_are_refused_for_the_month_of_one() -> None:
    """The message names the month, not the group's number."""
    sample = a_sample()
    counts = sample.counts.copy()
    counts[3, 50] = 0.0
    with pytest.raises(NotIdentified, match="no known count above zero in June 2017"):
        cohort_series(replace(sample, counts=counts), np.eye(12))


@pytest.mark.parametrize(("units", "treated"), [(5, 2), (4, 2), (4, 3)])
def test_too_few_controls_for_pseudo_cohorts(protocol: Protocol, units: int, treated: int) -> None:
    """The series are there all the same, judged by models alone, and the controlled one says why."""
    groups = groups_of(a_sample(units, treated), protocol)
    said = f"{units - treated} controls, too few for pseudo-cohorts of {treated} and others to compare them with"
    one = groups.of(CONTROLLED)
    assert one.judge is None and one.notes == said
    for kind in (SINGLE, CONTROLLED):
        rows = its_rows(groups.of(kind), kind, [OLS], protocol)
        assert {row["inference"] for row in rows} == {OLS}


def test_too_few_controls_for_what_is_left_of_a_cohort(protocol: Protocol) -> None:
    with pytest.raises(NotIdentified, match="2 controls, too few for pseudo-cohorts of 1"):
        leave_one_out(groups_of(a_sample(4, 2), protocol))


def test_two_others_are_enough() -> None:
    assert placebo_sets(4, 2, 99, 1)[0].shape == (6, 2)


def test_every_set_with_a_month_without_counts(protocol: Protocol) -> None:
    """Each control has one such month; together they never do."""
    sample = a_sample(treated=1)
    counts = sample.counts.copy()
    counts[np.arange(1, 12), np.arange(1, 12)] = 0.0
    one = groups_of(replace(sample, counts=counts), protocol).of(CONTROLLED)
    assert one.judge is None and one.notes == "every set of controls has a month without any count"


def test_leaving_out_the_only_site(protocol: Protocol) -> None:
    with pytest.raises(NotIdentified, match="nothing is left without Site 0, the only site"):
        leave_one_out(groups_of(a_sample(treated=1), protocol))


def test_too_few_months_for_a_placebo_start(protocol: Protocol) -> None:
    sample = a_sample().restrict(np.arange(MONTHS) >= 7)
    with pytest.raises(NotIdentified, match="17 months before the start: none has 9 on either side"):
        placebo_starts(groups_of(sample, protocol), 99, 1)


# Through a job


KINDS = {SINGLE, f"{SINGLE} without trends", CONTROLLED, f"{CONTROLLED} without trends"}
WITHOUT = "cits_leave_one_out"

Run = Callable[..., Found]


@pytest.fixture
def run(panel: pd.DataFrame, protocol: Protocol) -> Run:
    """The interrupted time series of one cohort on the panel with its rows changed; ``breaks``: known ones, unit → month."""

    def job(
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
        cohort: str = "MCP",
        breaks: dict[str, str] | None = None,
        **update: Any,
    ) -> Found:
        known = [
            KnownBreak(unit=unit, month=month, outcomes=[OUTCOME], label="a flood", source="made up")
            for unit, month in (breaks or {}).items()
        ]
        rule = protocol.its.model_copy(update={"pseudo_cohorts": 99, "known_breaks": known})
        fewer = protocol.model_copy(update={"its": rule})
        specification = protocol.specification("primary").model_copy(update={"designs": ["its"]} | update)
        return run_job(Job(change(panel), protocol.outcome(OUTCOME), cohort, specification, fewer, UnitTables()))

    return job


def reasons(found: Found) -> dict[str, str]:
    assert all(entry[:3] == (OUTCOME, "MCP", "primary") for entry in found.absent)
    return {entry[3]: entry[4] for entry in found.absent}


def where(rows: pd.DataFrame, chosen: pd.Series, value: float) -> pd.DataFrame:
    if np.isnan(value):
        return rows.assign(value=rows.value.mask(chosen), population=rows.population.mask(chosen))
    return rows.assign(value=rows.value.mask(chosen, value))


def in_january(rows: pd.DataFrame, units: list[str]) -> pd.Series:
    return rows.unit.isin(units) & (rows.month == "2016-01-01")


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_whole_panel_has_every_series_and_nothing_absent(run: Run) -> None:
    found = run()
    assert found.absent == []
    assert {row["design"] for row in found.rows} == {SINGLE, CONTROLLED, WITHOUT, "cits_placebo_start", "power"}
    assert np.isfinite([row["estimate"] for row in found.rows]).all()
    assert {row["n_treated"] for row in found.rows} == {2} and {row["n_units"] for row in found.rows} == {39}
    assert {name: len(tables) for name, tables in found.series.items()} == {
        "its_series": 2, "its_diagnostics": 2, "its_autocorrelation": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_pseudo_cohorts_of_a_job_are_of_the_controls_alone(run: Run) -> None:
    """Seven controls make twenty-one sets of two; with the two treated places it would be thirty-six."""
    found = run(lambda rows: rows[rows.unit < "U10"])
    said = {row["notes"] for row in found.rows if row["design"] == CONTROLLED and row["inference"] == "pseudo_cohorts"}
    assert said == {"pseudo-cohorts: all sets of 2 controls, 21 of them"}


@pytest.mark.slow
def test_the_pooled_cohort_has_the_rest_by_itself_too(run: Run) -> None:
    found = run(cohort="MCP+PACS")
    rest = [row for row in found.rows if row["cohort"] == "rest"]
    assert rest and {row["design"] for row in rest} == {SINGLE, "power"} and {row["n_units"] for row in rest} == {37}
    assert not any(row["cohort"] == "rest" for row in run().rows)


@pytest.mark.slow
def test_a_job_with_too_few_months_before(run: Run) -> None:
    found = run(lambda rows: rows[rows.month >= "2014-10-01"])
    assert found.rows == []
    said = "6 months before the start and 36 after it: a side needs at least 9"
    assert reasons(found) == dict.fromkeys(KINDS | {WITHOUT}, said) | {
        "cits_placebo_start": "6 months before the start: none has 9 on either side"
    }


def test_a_job_with_a_gap(run: Run) -> None:
    """What sees the months before alone is still there."""
    found = run(lambda rows: rows[rows.month != "2016-01-01"])
    assert reasons(found) == dict.fromkeys(KINDS | {WITHOUT}, "the series has a gap: no January 2016")
    assert {row["design"] for row in found.rows} == {"cits_placebo_start"}


def test_a_job_with_a_month_without_counts(run: Run) -> None:
    found = run(lambda rows: where(rows, in_january(rows, ["U00", "U01"]), 0.0))
    assert reasons(found) == dict.fromkeys(KINDS | {WITHOUT}, "no known count above zero in January 2016")


@pytest.mark.slow
def test_a_job_with_everyone_of_a_cohort_masked(run: Run) -> None:
    """Filled, there is a series; dropped, there are no people to make one of."""

    def masked(rows: pd.DataFrame) -> pd.DataFrame:
        return where(rows, in_january(rows, ["U00", "U01"]), np.nan)

    assert run(masked).absent == []
    assert reasons(run(masked, fill_masked=False)) == dict.fromkeys(KINDS | {WITHOUT}, "no people in January 2016")


def test_a_job_with_a_month_that_everyone_lacks(run: Run) -> None:
    """Nothing to fill it from; the months before the start are whole."""
    found = run(lambda rows: where(rows, rows.month == "2016-01-01", np.nan))
    assert reasons(found) == dict.fromkeys(KINDS | {WITHOUT}, "a unit or a month has no observed count above zero")


@pytest.mark.slow
def test_a_job_with_too_few_controls(run: Run) -> None:
    """Series are estimated by models; what needs pseudo-cohorts of two is listed, and those of one site are there."""
    found = run(lambda rows: rows[rows.unit < "U06"])
    said = "3 controls, too few for pseudo-cohorts of 2 and others to compare them with"
    assert reasons(found) == {"cits_placebo_start": said}
    assert {row["design"] for row in found.rows} == {SINGLE, CONTROLLED, WITHOUT, "power"}
    controlled = [row for row in found.rows if row["design"] == CONTROLLED]
    assert all(said in row["notes"] and row["inference"] != "pseudo_cohorts" for row in controlled)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "said"), [(-24, "the start, April 2013, lies outside"), (40, "lies outside"), (30, "6 after it")]
)
def test_a_job_with_a_start_too_far_off(run: Run, shift: int, said: str) -> None:
    absent = reasons(run(start_shift=shift))
    assert all(said in absent[kind] for kind in KINDS)


@pytest.mark.slow
def test_a_job_with_known_breaks(run: Run) -> None:
    """Of a unit of the cohort it has a step, or a reason; a cohort without such a unit is not run at all."""
    found = run(known_breaks=True, breaks={"U00": "2016-06"})
    assert found.absent == [] and "a further step in June 2016: a flood" in found.rows[0]["notes"]
    near = run(known_breaks=True, breaks={"U00": "2015-06"})
    said = "a break in June 2015 (a flood), 2 months from the start, cannot be told apart from it"
    assert {kind: reasons(near)[kind] for kind in KINDS} == dict.fromkeys(KINDS, said)
    none = run(known_breaks=True, breaks={"U20": "2016-06"})
    assert not any(row["design"] in (SINGLE, CONTROLLED) for row in none.rows)
    assert not any("a further step" in row["notes"] for row in run(breaks={"U00": "2016-06"}).rows)


@pytest.mark.slow
def test_a_job_with_known_breaks_has_the_sites_that_have_one(run: Run) -> None:
    """Of the pooled cohort: all together, and the one site that holds the unit; no other site, and not the rest."""
    found = run(cohort="MCP+PACS", known_breaks=True, breaks={"U00": "2016-06"})
    assert found.absent == []
    series = {(row["cohort"], row["design"]) for row in found.rows if row["design"] in (SINGLE, CONTROLLED)}
    assert series == {(cohort, kind) for cohort in ("MCP+PACS", "Alpha") for kind in (SINGLE, CONTROLLED)}
    assert {row["n_treated"] for row in found.rows if row["cohort"] == "Alpha"} == {1}
    near = run(cohort="MCP+PACS", known_breaks=True, breaks={"U00": "2015-06"})
    assert {entry[1] for entry in near.absent if entry[3] in KINDS} == {"MCP+PACS", "Alpha"}


@pytest.mark.slow
def test_sites_and_the_synthetic_control_are_recorded_beside_the_cohort(
    panel: pd.DataFrame, protocol: Protocol
) -> None:
    """Each site against the same controls; where no donor is whole, the synthetic series alone is absent."""
    fewer = protocol.model_copy(
        update={
            "its": protocol.its.model_copy(update={"pseudo_cohorts": 99}),
            "inference": protocol.inference.model_copy(update={"variant_draws": 39}),
        }
    )
    months_without = 1 + panel.unit.str[1:].astype(int) % 12
    holes = (panel.unit > "U02") & (panel.month.dt.month == months_without) & (panel.month.dt.year == 2016)
    for rows, absent in ((panel, []), (where(panel, holes, 0.0), ["no control has a known count above zero in every month"])):
        primary = fewer.specification("primary")
        job = Job(rows, fewer.outcome(OUTCOME), "MCP+PACS", primary, fewer, UnitTables())
        record = Record(job)
        sample = build_sample(rows, OUTCOME, ["MCP", "PACS"], primary, fewer, UnitTables())
        interrupted_series(record, sample, 1, partial(Pool, sample, 1, fewer), sites=not absent)
        found = record.found
        assert [entry[4] for entry in found.absent] == absent
        designs = {(row["cohort"], row["design"]) for row in found.rows if row["design"] != "power"}
        expected = {("MCP+PACS", kind) for kind in (SINGLE, CONTROLLED, WITHOUT, "cits_placebo_start")} | {
            ("rest", SINGLE)
        }
        if not absent:
            expected |= {("MCP+PACS", "cits_synthetic")}
            expected |= {(site, kind) for site in ("Alpha", "Beta", "Gamma") for kind in (SINGLE, CONTROLLED)}
        assert designs == expected


def test_a_job_with_constant_rates(run: Run) -> None:
    """The same count per head and day everywhere, always."""

    def steady(rows: pd.DataFrame) -> pd.DataFrame:
        counts = 0.001 * rows.population_published * rows.month.dt.days_in_month
        return rows.assign(value=counts, value_published=counts)

    absent = reasons(run(steady))
    assert all("there is no noise to judge a change by" in absent[kind] for kind in KINDS)


# Counts that are the same throughout have noise in their log rate, since the days differ; a Poisson model that starts from the
# counts finds nothing to scale by.
@pytest.mark.slow
def test_a_job_with_constant_counts(run: Run) -> None:
    """The same count every month, of the same number of people: a list of reasons or numbers, never a crash."""
    found = run(
        lambda rows: rows.assign(value=1000.0, value_published=1000.0, population=5e4, population_published=5e4)
    )
    assert found.rows or found.absent


@pytest.mark.slow
@pytest.mark.parametrize("last", ["2018-02-01", "2017-06-01"])
def test_a_job_whose_series_ends_before_the_last_month_of_the_effect(run: Run, last: str) -> None:
    """The effects that the months reach are estimated; that in the thirty-sixth month is not."""
    found = run(lambda rows: rows[rows.month <= last])
    terms = {row["term"] for row in found.rows if row["design"] == CONTROLLED}
    assert {"level", "effect_24", "effect_mean"} <= terms and "effect_36" not in terms


@pytest.mark.slow
def test_two_cohorts_do_not_share_what_is_absent(run: Run) -> None:
    """What spoils the one leaves the other standing."""

    def spoilt(rows: pd.DataFrame) -> pd.DataFrame:
        return where(rows, in_january(rows, ["U02"]), 0.0)

    assert run(spoilt).absent == []
    assert {entry[1] for entry in run(spoilt, "PACS").absent} == {"PACS"}
