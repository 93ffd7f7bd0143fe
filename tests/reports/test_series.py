"""What the reports say of interrupted time series follows the estimates: one thing of a made-up study changed at a time."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from worlds import MINUS, Number, World

from analysis.core.workspace import Workspace
from analysis.estimation.its.terms import (
    AGAINST_SYNTHETIC,
    CONTROLLED,
    HAC,
    JUDGED_BY,
    KENWARD_ROGER,
    LEVEL,
    MEAN,
    MODEL_BASED,
    OLS,
    PLACEBO_START,
    PSEUDO_COHORTS,
    SINGLE,
    SLOPE,
    STEP,
    TREND,
)
from analysis.protocol.protocol import ENGLAND_COHORT, REST, Protocol
from analysis.reporting.about import study_words as prose
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series import national_words as national
from analysis.reporting.series import series_checks_words as series_checks
from analysis.reporting.series import series_errors_words as series_errors
from analysis.reporting.series import series_methods_words as series_methods
from analysis.reporting.series import words as series
from analysis.reporting.series.figures import autocorrelation_figure
from analysis.reporting.series.series_checks_tables import (
    residuals_table,
    series_errors_table,
    series_power_table,
)
from analysis.reporting.series.tables import (
    its_table,
    its_variants_table,
    methods_table,
    site_series_table,
)
from analysis.reporting.verdicts import two_designs_words as two_designs
from analysis.reporting.wording import NO_BREAK, counted

CLEAR = Number(-0.06, 0.02)


def late(protocol: Protocol) -> str:
    return f"effect_{protocol.its.effect_month}"


@pytest.mark.slow
def test_one_cohorts_number_changes_its_own_sentence_and_no_other(world, told, outcome, protocol):
    first, second = protocol.model_ids
    moved = world.with_numbers({(CONTROLLED, first): Number(0.033, 0.05)})
    for sentence in (series.its_sentence, two_designs.reconciliation):
        assert sentence(told(world), outcome, first) != sentence(told(moved), outcome, first)
        assert sentence(told(world), outcome, second) == sentence(told(moved), outcome, second)


# Which inference speaks


@pytest.mark.slow
def test_the_controlled_series_is_judged_beside_pseudo_cohorts_and_by_nothing_else(
    world, told, outcome, first, protocol
):
    """Every model-based method finds a change; the places in which nothing began do not."""
    loud = world.with_numbers({(CONTROLLED, method): CLEAR for method in MODEL_BASED})
    found = series.late_departure(told(loud), outcome, first)
    assert found is not None and not found.excludes_zero and JUDGED_BY[CONTROLLED] == PSEUDO_COHORTS
    assert "finds no clear difference either" in series.second_method_sentence(told(loud), outcome)
    quiet = world.with_numbers({(CONTROLLED, PSEUDO_COHORTS): CLEAR})
    text = series.second_method_sentence(told(quiet), outcome)
    assert "below it by the last month" in text and all(model in text for model in protocol.model_ids)


def test_the_late_departure_is_dated_by_its_month(world, told, outcome, protocol):
    """The first month of the programme is month 1."""
    of_programme = protocol.months[protocol.months >= protocol.study.programme_start]
    date = of_programme[protocol.its.effect_month - 1]
    assert f"by {date:%B %Y}, " in series.second_method_sentence(told(world), outcome)


def test_the_summary_says_how_many_methods_find_a_departure(world, told, outcome, protocol):
    first, second = protocol.model_ids
    numbers = {(CONTROLLED, first, method, late(protocol)): CLEAR for method in (OLS, HAC)}
    numbers |= {(CONTROLLED, second, method, late(protocol)): CLEAR for method in MODEL_BASED}
    text = series_methods.methods_summary(told(world.with_numbers(numbers)), outcome)
    assert f"for {first} by two of eight (beside other places p" in text and f"for {second} by all eight (" in text
    assert f"for {first} by none (" in series_methods.methods_summary(told(world), outcome)


@pytest.mark.slow
def test_the_summary_says_what_the_rule_first_written_would_have_said(world, told, outcome, first, protocol):
    numbers = {(CONTROLLED, first, HAC, late(protocol)): CLEAR}
    text = series_methods.methods_summary(told(world.with_numbers(numbers)), outcome)
    assert f"Newey–West errors, would have said {MINUS}5.8% for {first} ({MINUS}7.7% to {MINUS}3.9%" in text
    assert "of sets of other places" not in text
    rows = (*_simulated(0.2, 0.6), (None, HAC, late(protocol), 0.57))
    simulated = told(replace(world.with_numbers(numbers), its_simulated=rows))
    assert (
        "by that rule a late departure is found in 57% of sets of four other places"
        in series_methods.methods_summary(simulated, outcome)
    )


@pytest.mark.slow
def test_a_method_without_a_test_is_said_to_tell_nothing(world, told, outcome, first):
    silent = world.with_numbers({(CONTROLLED, first, KENWARD_ROGER, SLOPE): Number(-0.002, math.inf, math.nan)})
    text = series_methods.disagreement_sentence(told(silent), outcome, first)
    assert "Slope: no method finds a change. REML (Kenward–Roger) cannot tell." in text
    rows = told(silent).its_methods
    rows = rows[(rows.outcome == outcome) & (rows.cohort == first) & (rows.design == CONTROLLED)]
    assert set(rows.methods[rows.term == SLOPE]) == {8} and set(rows.methods[rows.term == LEVEL]) == {9}


@pytest.mark.slow
def test_methods_that_disagree_are_named_and_those_that_agree_are_not(world, told, outcome, first, protocol):
    apart = told(world.with_numbers({(CONTROLLED, first, OLS, SLOPE): CLEAR}))
    text = series_methods.disagreement_sentence(apart, outcome, first)
    assert "Slope: least squares find a change; Newey–West" in text and "Level: no method finds a change" in text
    everywhere = told(world.with_numbers({(CONTROLLED, first, SLOPE): CLEAR}))
    assert "Slope: every method finds a change" in series_methods.disagreement_sentence(everywhere, outcome, first)
    table = methods_table(apart, outcome, first)
    assert "controlled, slope: 1 of 9 find a change" in table.note
    assert "The methods agree on every term" in methods_table(told(world), outcome, first).note


@pytest.mark.slow
def test_the_table_of_methods_in_the_results_says_where_they_disagree(world, told, outcome, first, protocol):
    rows = told(world.with_numbers({(CONTROLLED, first, HAC, LEVEL): CLEAR})).its_methods
    ours = rows[(rows.outcome == outcome) & (rows.cohort == first) & (rows.design == CONTROLLED)]
    assert set(ours.disagree[ours.term == LEVEL]) == {True} and set(ours.reject[ours.term == LEVEL]) == {1}
    assert not ours.disagree[ours.term != LEVEL].any()
    assert set(ours.term) == {LEVEL, SLOPE, late(protocol)} and list(ours.method[:9]) == [*MODEL_BASED, PSEUDO_COHORTS]
    assert {REST, *protocol.treated_cohorts} <= set(rows.cohort)


def test_pairs_that_disagree_are_counted_over_every_series(world, told, outcome, first):
    quiet = series_methods.pairs_sentence(told(world), outcome)
    assert "in none of pairs" in quiet
    one = told(world.with_numbers({(CONTROLLED, first, OLS, SLOPE): CLEAR}))
    table = one.its_methods
    table = table[(table.outcome == outcome) & (table.method != PSEUDO_COHORTS)]
    sizes = table.groupby(["cohort", "design", "term"]).size()
    expected = 7 / sum(math.comb(size, 2) for size in sizes)  # one method against the seven others
    assert f"in {expected:.0%} of pairs" in series_methods.pairs_sentence(one, outcome).replace("hardly any", "0%")
    assert f"({len(sizes):,} in all)" in quiet


# Reconciliation


@pytest.mark.slow
def test_the_reconciliation_adds_up(told, world, outcome, first, protocol):
    """Step less trend carried to the middle of the programme is the mean departure: the paragraph prints all three."""
    trend, months = 0.002, len(protocol.months) / 2
    numbers = {
        (CONTROLLED, first, STEP): Number(-0.01, 0.05), (CONTROLLED, first, TREND): Number(trend, 0.005, 0.16),
        (CONTROLLED, first, MEAN): Number(-0.01 - months * trend, 0.09), ("did", first, "att", "primary"): Number(-0.012, 0.05),
    }  # fmt: skip
    text = two_designs.reconciliation(told(world.with_numbers(numbers)), outcome, first)
    for value in (-0.01, -0.01 - months * trend, -0.012):
        assert f"{MINUS}{abs(100 * math.expm1(value)):.1f}%" in text
    assert f"+{100 * math.expm1(months * trend):.1f}%" in text and "rose by 0.20% a month" in text
    assert (
        "close to the difference-in-differences" in text and "in 16% of sets" in text and "may well be chance" in text
    )
    numbers[CONTROLLED, first, TREND] = Number(trend, 0.001, 0.01)
    numbers["did", first, "att", "primary"] = Number(-0.05, 0.02)
    text = two_designs.reconciliation(told(world.with_numbers(numbers)), outcome, first)
    assert "unlikely to be chance alone" in text and "points from the difference-in-differences" in text


# What could not be made


@pytest.mark.slow
def test_a_data_set_without_the_other_publication_says_so(world, told, protocol):
    check = protocol.its.national_checks[0]
    text = national.national_sentence(told(replace(world, absent=frozenset({check.id}))))
    assert "are not in this data set" in text and "Held against" not in text
    assert "Held against" in national.national_sentence(told(world))


@pytest.mark.slow
@pytest.mark.parametrize(("clear", "said"), [(True, "The level and slope moved"), (False, "Neither moved")])
def test_a_change_of_counting_is_said_only_where_it_is_clear(clear, said, world, told):
    number = CLEAR if clear else Number(0.001, 0.05)
    moved = world.with_numbers({(CONTROLLED, ENGLAND_COHORT, term, KENWARD_ROGER): number for term in (LEVEL, SLOPE)})
    assert said in national.national_sentence(told(moved))


@pytest.mark.slow
def test_an_interval_without_ends_is_printed_as_one(world, told, outcome, first):
    endless = world.with_numbers({(CONTROLLED, KENWARD_ROGER, SLOPE): Number(-0.002, math.inf, 0.99)})
    assert f"(no{NO_BREAK}limit)" in methods_table(told(endless), outcome, first).markdown()
    wide = world.with_numbers({(CONTROLLED, PSEUDO_COHORTS): Number(-0.002, 8.0, 0.9)})
    text = series.its_sentence(told(wide), outcome, first)
    assert "no lower limit to over +1,000%" in text and "inconclusive" in text


@pytest.mark.slow
def test_how_sure_is_said_first_and_what_could_have_been_found_last(world, told, outcome, first, protocol):
    text = series.its_sentence(told(world), outcome, first)
    assert text.startswith(f"{first}: inconclusive. ") and re.search(
        r"By the width of this interval a true fall of [\d.]+%, or rise of [\d.]+%, by then", text
    )
    fall = told(world.with_numbers({(CONTROLLED, first, PSEUDO_COHORTS): CLEAR}))
    assert series.its_sentence(fall, outcome, first).startswith(f"{first}: a clear fall. ")
    blind = (CONTROLLED, first, PSEUDO_COHORTS, late(protocol))
    endless = told(world.with_numbers({blind: Number(-0.02, math.inf, 0.9)}))
    assert "No departure, however large" in series.its_sentence(endless, outcome, first)
    assert f"no size of a departure in month {protocol.its.effect_month}" in series_checks.power_sentence(
        endless, outcome, first
    )
    assert "nan" not in series_power_table(endless, outcome).markdown()


@pytest.mark.slow
def test_a_site_without_a_series_is_left_out(world, told, outcome, protocol):
    lost = f"West {protocol.model_ids[0]}"
    every, fewer = (told(w) for w in (world, replace(world, lost={lost: "too few months"})))
    assert (
        lost in site_series_table(every, outcome).markdown()
        and lost not in site_series_table(fewer, outcome).markdown()
    )
    count = len(series_checks.site_departures(every, outcome))
    assert f"Of {count} sites" in series_checks.single_sites_sentence(every, outcome)
    assert f"Of {count - 1} sites" in series_checks.single_sites_sentence(fewer, outcome)


@pytest.mark.slow
def test_a_site_that_stands_out_is_named(world, told, outcome, protocol):
    site = f"East {protocol.model_ids[1]}"
    text = series_checks.single_sites_sentence(told(world.with_numbers({(CONTROLLED, site): CLEAR})), outcome)
    assert f"leaves out zero for {site};" in text
    assert "leaves out zero for none;" in series_checks.single_sites_sentence(told(world), outcome)
    assert "known break" not in text


def test_a_site_that_stands_out_and_holds_a_break_is_told_without_it(world, told, outcome, protocol, monkeypatch):
    """The sites of the worlds hold none, so one is taken for theirs."""
    site, known = f"East {protocol.model_ids[1]}", protocol.its.known_breaks[0]
    monkeypatch.setattr(series_checks, "known_breaks", lambda *_: [known])
    results = told(world.with_numbers({(CONTROLLED, site): CLEAR}))
    holds = f"{site} holds known breaks ({known.label}); "
    text = series_checks.single_sites_sentence(results, outcome)
    assert text.endswith(f"{holds}and the series cannot tell them from the programme.")
    monkeypatch.setattr(series_checks, "late_departure", lambda *_: Estimate(1.3, -2.0, 4.7, 0.4))
    text = series_checks.single_sites_sentence(results, outcome)
    assert f"{holds}with a step of its own for each that can be told from the start the departure is +1.3% (" in text


# Checks


@pytest.mark.cases(quick=1, push=4)
@pytest.mark.parametrize(
    ("diagnosed", "said"),
    [
        ({"ljung_box_p": 0.001}, "autocorrelation can be seen, and an autoregression of order one takes it up"),
        ({"ljung_box_p": 0.001, "innovations_ljung_box_p": 0.01}, "does not take all of it up"),
        ({"ljung_box_p": 0.4}, "no autocorrelation can be seen"),
        ({"innovations_ljung_box_p": 0.01}, "one test sees no autocorrelation, the other some"),
        ({"phi": 0.83}, "φ = 0.83)"),
        ({"phi": 0.99}, "φ = 0.99, the last that is allowed"),
        ({"dispersion": 7.25}, "7.2 times"),
        ({"influence": 0.034}, "June 2014, the departure in month 36 would be +1.3%, where it is \N{MINUS SIGN}2.1%"),
    ],
)
def test_the_residuals_sentence_follows_the_diagnostics(diagnosed, said, world, told, outcome, first):
    results = told(replace(world, diagnosed=diagnosed))
    assert said in series_checks.residuals_sentence(results, outcome, first)


def test_the_residuals_table_and_figure_have_the_numbers(undrawn, world, told, outcome):
    results = told(replace(world, diagnosed={"phi": 0.47}))
    assert "0.47" in residuals_table(results, outcome).markdown()
    figure = autocorrelation_figure(results, outcome)
    assert "0.20" in figure.alt and set(figure.data.columns) == {"label", "lag", "acf", "pacf", "bound"}


@pytest.mark.slow
def test_a_start_without_a_test_is_not_counted_as_one_that_finds_nothing(world, told, outcome, first):
    silent = {
        (PLACEBO_START, term, first, KENWARD_ROGER): Number(0.01, math.inf, math.nan) for term in _starts(SLOPE)[:1]
    }
    text = series_checks.placebo_starts_sentence(told(world.with_numbers(silent)), outcome, first)
    tested = len(_starts(SLOPE)) - 1
    assert f"and the slope at none of the {counted(tested)} that can be tested." in text
    assert "beside other places the level changed at none and the slope at none;" in text


def test_placebo_starts_that_find_something_are_counted_and_judged(world, told, outcome, first):
    quiet = series_checks.placebo_starts_sentence(told(world), outcome, first)
    assert quiet.count("the level changed at none and the slope at none") == 2 and "no straight line" not in quiet
    loud = told(world.with_numbers({(PLACEBO_START, SLOPE_FROM, first): CLEAR for SLOPE_FROM in _starts(SLOPE)}))
    text = series_checks.placebo_starts_sentence(loud, outcome, first)
    assert "the slope at three" in text and "Its path seems to have been no straight line before the programme" in text
    assert "the slope at three" in series_checks.bends_sentence(loud, outcome, first)
    assert f"the path of {first} seems to have been no straight line" in series_checks.bends_summary(loud, outcome)
    assert "straight" not in series_checks.bends_summary(told(world), outcome)
    assert series_checks.bends_sentence(loud, outcome, first) and not series_checks.bends_sentence(
        told(world), outcome, first
    )


def _starts(term: str) -> list[str]:
    from worlds import PLACEBO_STARTS

    return [f"{term}_from_{start}" for start in PLACEBO_STARTS]


def test_the_power_sentence_has_the_detectable_falls(world, told, outcome, first, protocol):
    results = told(world)
    table = series_power_table(results, outcome)
    row = table.data[(table.data.cohort == first) & (table.data.series == CONTROLLED)].set_index("term").fall_percent
    text = series_checks.power_sentence(results, outcome, first)
    assert (
        f"a step of {MINUS}{row[LEVEL]:.1f}%" in text
        and f"a change of slope of {MINUS}{row[SLOPE]:.2f}% a month" in text
    )
    assert f"of {MINUS}{row[late(protocol)]:.1f}%" in text


# Choices


@pytest.mark.slow
def test_the_choices_sentence_names_the_ends_and_what_leaves_out_zero(world, told, outcome, first, protocol):
    lowest, highest = "phase_in_6", "start_6_earlier"
    numbers = {
        (CONTROLLED, first, lowest): Number(-0.09, 0.02), (CONTROLLED, first, highest): Number(0.05, 0.2),
    }  # fmt: skip
    text = series.its_choices_sentence(told(world.with_numbers(numbers)), outcome)
    labels = [protocol.specification(id).label for id in (lowest, highest)]
    assert f"from {MINUS}8.6% (“{labels[0]}”) to +5.1% (“{labels[1]}”) for {first}" in text
    assert f"leaves out zero for {first} under “{labels[0]}”." in text
    later = [s.label for s in protocol.specifications if "its" in s.designs and s.start_shift > 0]
    assert all(f"“{label}”" in text.partition("With ")[2] for label in later) and len(later) == 2
    assert "Every interval includes zero" in series.its_choices_sentence(told(world), outcome)


@pytest.mark.slow
def test_choices_that_did_not_run_are_not_in_the_table(world, told, outcome, protocol):
    label = protocol.specification("known_breaks").label
    tables = [
        its_variants_table(told(w), outcome).markdown()
        for w in (world, replace(world, without=frozenset({"known_breaks"})))
    ]
    assert label in tables[0] and label not in tables[1]


@pytest.mark.slow
def test_known_breaks_are_named_with_what_becomes_of_the_departure(world, told, outcome, first, protocol, monkeypatch):
    """The units of the worlds hold none, so one of theirs is taken for one."""
    results = told(world.with_numbers({(CONTROLLED, first, "known_breaks"): Number(0.013, 0.05)}))
    assert series.known_breaks_sentence(results, outcome, first) == ""
    unit = results.panel.unit[(results.panel.model == first) & (results.panel.covered_share == 1)].iloc[0]
    known = protocol.its.known_breaks[0].model_copy(update={"unit": unit})
    its = protocol.its.model_copy(update={"known_breaks": [known]})
    broken = replace(results, protocol=protocol.model_copy(update={"its": its}))
    text = series.known_breaks_sentence(broken, outcome, first)
    assert known.label in text and f"from {MINUS}2.1% to +1.3%" in text
    missing = replace(told(replace(world, without=frozenset({"known_breaks"}))), protocol=broken.protocol)
    text = series.known_breaks_sentence(missing, outcome, first)
    assert text.startswith("No known break (") and "could be given a step of its own: needs single units" in text


def test_a_break_that_had_no_step_is_not_said_to_have_had_one(world, told, outcome, first, protocol):
    """Of two, the one that cannot be told from the start; and only one from the programme's time may be its doing."""
    results = told(world.with_numbers({(CONTROLLED, first, "known_breaks"): Number(0.013, 0.05)}))
    unit = results.panel.unit[(results.panel.model == first) & (results.panel.covered_share == 1)].iloc[0]
    early, start = (known.model_copy(update={"unit": unit}) for known in protocol.its.known_breaks[:2])
    its = protocol.its.model_copy(update={"known_breaks": [early, start]})
    row = f"{CONTROLLED}/{outcome}/{first}/known_breaks/{late(protocol)}_percent/{PSEUDO_COHORTS}"
    apart = f"a break in June 2015 ({start.label}), 2 months from the start, cannot be told apart from it"
    estimates = results.estimates.copy()
    estimates.loc[row, "notes"] = f"pseudo-cohorts; a further step in April 2014: {early.label}; {apart}"
    broken = replace(results, protocol=protocol.model_copy(update={"its": its}))
    broken.__dict__["estimates"] = estimates
    text = series.known_breaks_sentence(broken, outcome, first)
    steps, rest = text.split(" moves it from ")
    assert early.label in steps and start.label not in steps and "may or may not" not in steps
    assert rest.endswith(f". A{apart[1:]}: it was given no step, and stays in the estimate.")
    broken.__dict__["estimates"] = estimates.assign(notes="pseudo-cohorts")
    assert f"{start.label}, from June 2015, which may or may not be the programme" in series.known_breaks_sentence(
        broken, outcome, first
    )


@pytest.mark.slow
def test_the_site_whose_absence_matters_most_is_named(world, told, outcome, first, protocol):
    name = f"{late(protocol)}_without_site_b"
    text = series.rests_on_sentence(told(world.with_numbers({(first, name): Number(0.044, 0.05)})), outcome, first)
    assert f"from {MINUS}2.1% (without Site A) to +4.5% (without Site B)" in text


def test_england_is_told_by_where_its_series_begins(world, told, protocol):
    check = protocol.its.national_checks[0]
    found = national.national_departures(told(world), check.outcome)
    assert len(found) >= 1 and all(re.fullmatch(r"\d{4}-\d\d", start) for start in found)
    assert "what it finds depends on where it begins" in national.national_sentence(told(world))


# Error rates


def _simulated(worst: float, places: float) -> tuple[tuple[float | None, str, str, float], ...]:
    terms = (LEVEL, SLOPE, "effect_36")
    rows: list[tuple[float | None, str, str, float]] = []
    for phi in (0.0, 0.4, 0.7):
        rows += [(phi, PSEUDO_COHORTS, term, 0.05) for term in terms]
        rows += [(phi, OLS, term, worst if phi == 0.4 else 0.06) for term in terms]
        rows += [(phi, KENWARD_ROGER, term, 0.2 if phi == 0.7 else 0.05) for term in terms]
    rows += [(None, OLS, term, places) for term in terms]
    return tuple(rows)


def test_methods_that_keep_their_size_are_told_from_those_that_do_not(world, told, protocol):
    """The limit counts up to the protocol's autocorrelation and no further."""
    results = told(replace(world, its_simulated=_simulated(0.21, 0.6)))
    assert series_errors.kept_size(results) == ([KENWARD_ROGER, PSEUDO_COHORTS], [OLS])
    text = series_errors.size_sentence(results)
    assert "REML (Kenward–Roger) and pseudo-cohorts. The others: least squares in up to 21.0%" in text
    assert "least squares in 60% to 60%" in text
    kept = told(replace(world, its_simulated=_simulated(0.069, 0.6)))
    assert series_errors.kept_size(kept)[1] == []
    assert (
        "60" in series_errors_table(results).markdown()
        and "seed 1 from commit abc" in series_errors_table(results).note
    )


def test_without_a_table_of_error_rates_the_sentence_says_so(world, told):
    assert "not part of this edition" in series_errors.size_sentence(told(world))


def test_the_headline_method_keeps_its_size_in_the_committed_table(protocol, repository):
    """Size at most the protocol's limit for level, slope and late departure, in the table that is committed; in real places no
    method that is judged does."""
    work = Workspace(root=repository)
    results = Results(work, protocol)
    table = results.its_simulation
    assert table is not None and protocol.its.largest_size <= 0.07 and protocol.its.size_up_to >= 0.4
    keeps, others = series_errors.kept_size(results)
    assert JUDGED_BY[CONTROLLED] in keeps and {OLS, HAC} <= set(others)
    assert set(table.seed) == {protocol.study.seed} and table.commit.str.fullmatch(r"[0-9a-f]{10}").all()
    real = series_errors.errors(results, "real_places")
    assert set(real.method) == set(MODEL_BASED) and (real.size_or_power > protocol.its.largest_size).all()


# The summary page and the sources


def test_the_earlier_returns_are_counted_apart(world, told):
    results = told(world)
    files = [{"file": f"mar/{n}.xls", "month": month} for n, month in enumerate(["2012-04", "2013-04", "2013-05"])]
    results.provenance["files"] = files
    text = prose.source(results)
    assert "2 monthly files" in text and "one earlier months" in text
    results.provenance["files"] = files[1:]
    assert "earlier" not in prose.source(results)


def test_every_kind_of_series_is_in_the_table(world, told, outcome, first):
    text = its_table(told(world), outcome).markdown()
    assert all(name in text for name in ("controlled", "single-group", "against its synthetic control"))
    some = its_table(told(world), outcome, [first], [SINGLE])
    assert set(some.data.series) == {SINGLE} and set(some.data.cohort) == {first, REST}
    assert AGAINST_SYNTHETIC not in set(some.data.series)
    assert isinstance(some.data, pd.DataFrame) and not re.search(r"nan", some.markdown())


def test_worlds_have_every_series(world: World, told, outcome, protocol):
    """So that no test above passes for want of rows."""
    results = told(world)
    assert {SINGLE, CONTROLLED, AGAINST_SYNTHETIC, PLACEBO_START} <= set(results.estimates.design)
    assert len(series_checks.site_departures(results, outcome)) >= len(protocol.model_ids)
