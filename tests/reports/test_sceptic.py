"""What a sceptic reads follows the estimates: trends, the specification curve, synthetic counterfactuals, single sites."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from worlds import MINUS, SITES, Number, World, directions

from analysis.estimation.did.specification_curve import curve_combinations
from analysis.estimation.sites.sites import PART
from analysis.reporting.choices import words as choices
from analysis.reporting.choices.curve_figures import curve_figure
from analysis.reporting.choices.curve_tables import moves_table
from analysis.reporting.sensitivity.tables import absent_table
from analysis.reporting.sites import places_words as places
from analysis.reporting.sites.figures import MEAN, forest_figure, funnel_figure
from analysis.reporting.sites.tables import estimates_table, pool_table
from analysis.reporting.synthetic import counterfactuals_words as counterfactuals
from analysis.reporting.synthetic.figures import synthetic_figure
from analysis.reporting.synthetic.tables import donors_table, synthetic_table
from analysis.reporting.trends import words as trends
from analysis.reporting.trends.figures import relative_figure
from analysis.reporting.trends.tables import trends_table
from analysis.reporting.wording import counted, headed, signed

CLEAR = Number(-0.06, 0.02)
MOST, SECOND, THIRD, LEAST = "unmasked", "log_rate", "baseline_12", "unit_seasons"
MOVES = {MOST: -0.04, SECOND: -0.03, THIRD: -0.02, LEAST: -0.001, "unit_trends": -0.05, "dose": -0.01}


@pytest.fixture()
def moving(world) -> World:
    """Choices that move the estimate further from zero, by known amounts."""
    return replace(world, moves=MOVES)


# Mutation: what is clear and what is not


@pytest.mark.slow
def test_zero_that_is_left_out_with_parallel_trends_is_said_with_the_breakdown_value(world, told, outcome, first):
    inside = trends.trends_sentence(told(world.with_ratios(breakdown=0.0)), outcome, first)
    assert "zero is inside: there is no finding" in inside and "breakdown value 0" in inside
    clear = world.with_numbers({("trend_sensitivity", first): CLEAR}).with_ratios(breakdown=0.62)
    text = trends.trends_sentence(told(clear), outcome, first)
    assert "zero is left out, and stays so" in text and "up to 0.62 times" in text and "5.8% below the last" in text


def test_the_bar_of_the_rule_is_said_in_the_size_of_a_fall(world, told, outcome, first):
    """The set at half the largest departure reaches so far above the estimate; a fall as far below zero would just clear it."""
    results = told(world.with_numbers({("trend_sensitivity", first): Number(-0.02, 0.2)}))
    found = trends.confidence_set(results, outcome, first, trends.RELATIVE, 0.5)
    assert found.low < found.value < found.high
    reach = math.log1p(found.high / 100) - math.log1p(found.value / 100)
    text = trends.reach_sentence(results, outcome)
    assert f"{signed(100 * math.expm1(-reach))} for {first}" in text and "12 quarters" in text
    endless = told(world.with_numbers({("trend_sensitivity", first): Number(-0.02, math.inf, 0.5)}))
    assert f"for {first}" not in trends.reach_sentence(endless, outcome)
    assert trends.reach_sentence(told(replace(world, dropped=frozenset({"trend_sensitivity"}))), outcome) == ""


@pytest.mark.slow
def test_the_summary_of_trends_tells_the_models_apart(world, told, outcome, protocol):
    first, second = protocol.model_ids
    results = told(replace(world, ratios={("breakdown", first): 0.0, ("breakdown", second): 0.7}))
    text = trends.trends_summary(results, outcome)
    before, after = text.split("; ")
    assert first in before and second not in before and "no finding that a departure could overturn" in before
    assert f"0.7 for {second}" in after and first not in after
    none = trends.trends_summary(told(world.with_ratios(breakdown=0.0)), outcome)
    assert f"For {first} and {second}" in none and ";" not in none


def test_the_sets_of_every_departure_are_in_the_figure_and_the_table(undrawn, world, told, outcome, first, protocol):
    results = told(world.with_ratios(breakdown=0.3))
    bounds = protocol.inference.trends
    figure = relative_figure(results, outcome)
    assert sorted(set(figure.data.magnitude)) == bounds.relative_magnitudes
    assert "zero is inside every set" in figure.caption
    wider = figure.data[figure.data.label == first].sort_values("magnitude")
    assert (wider.high - wider.low).is_monotonic_increasing
    clear = relative_figure(told(world.with_numbers({("trend_sensitivity", first): CLEAR})), outcome)
    assert f"zero is left out for {first}." in clear.caption
    cells = trends_table(results, outcome, trends.WHOLE).cells
    assert len(cells) == 2 * (len(bounds.relative_magnitudes) + 1) + len(bounds.smoothness) + 1
    assert set(cells[cells["Allowed"] == "Breakdown value"][f"{first}, %"]) == {"0.3"}


@pytest.mark.slow
def test_an_end_that_no_effect_reaches_is_said_in_words(undrawn, world, told, outcome, first):
    endless = world.with_numbers({("trend_sensitivity", first): Number(-0.02, math.inf, 0.5)})
    results = told(endless)
    texts = [
        trends.trends_sentence(results, outcome, first),
        relative_figure(results, outcome).alt,
        trends_table(results, outcome, trends.WHOLE).markdown(),
    ]
    for text in texts:
        assert "no upper limit" in text and not re.search(r"\b(?:inf|nan)\b", text)


# The specification curve


def test_the_choices_that_move_the_curve_most_are_named_with_their_change(moving, told, outcome, first, protocol):
    text = choices.curve_sentence(told(moving), outcome, first)
    label = {id: protocol.specification(id).label for id in MOVES}
    assert text.index(label[MOST]) < text.index(label[SECOND]) < text.index(label[THIRD]) and label[LEAST] not in text
    crossed = choices.moves(told(moving), outcome, first).set_index("choice")
    assert list(crossed.index[:3]) == [MOST, SECOND, THIRD] and list(crossed["rank"][:3]) == [1, 2, 3]
    assert crossed.change[MOST] == pytest.approx(100 * math.expm1(-0.04), abs=0.4)
    assert f"“{label[MOST]}” ({MINUS}{-crossed.change[MOST]:.1f} percentage points)" in text
    alone = 100 * (math.exp(-0.021 - 0.05) - math.exp(-0.021))
    assert f"“{label['unit_trends']}” ({MINUS}{-alone:.1f}) moves the estimate most" in text
    assert crossed.variance_share.sum() == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_the_shares_of_the_curve_are_those_of_its_rows(world, told, outcome, first, protocol):
    half = told(replace(world, ratios={("same_sign",): 0.5, ("significant",): 0.1}))
    text = choices.curve_sentence(half, outcome, first)
    found = choices.curve(half, outcome, first)
    assert f"{len(found)} specifications" in text and len(found) == len(half.curve[half.curve.cohort == first])
    assert "50% of them lie below zero" in text and "10% have p under 5%" in text
    every = choices.curve_sentence(told(world.with_ratios(significant=0.0)), outcome, first)
    assert "all of them lie below zero" in every and "none have p under 5%" in every


@pytest.mark.slow
def test_where_the_primary_estimate_lies_among_the_others_is_said(world, told, outcome, first):
    above = choices.curve_sentence(told(replace(world, moves=dict.fromkeys(MOVES, -0.01))), outcome, first)
    below = choices.curve_sentence(told(replace(world, moves=dict.fromkeys(MOVES, 0.01))), outcome, first)
    assert re.search(r"lies above \d\d% of the others", above) and re.search(r"lies below \d\d% of the others", below)


@pytest.mark.slow
def test_choices_that_the_data_rule_out_are_counted_with_their_reason(undrawn, moving, told, outcome, first, protocol):
    lost = told(replace(moving, without=frozenset({MOST})))
    without = sum(MOST in made.departures for made in curve_combinations(protocol))
    text = choices.not_in_curve(lost, outcome)
    assert f"needs single units ({without * len(protocol.treated_cohorts)})" in text
    assert protocol.specification(MOST).label not in choices.moves_sentence(lost, outcome, first)
    assert "Every specification" in choices.not_in_curve(told(moving), outcome)
    assert protocol.specification(MOST).label not in moves_table(lost, outcome).markdown()


def test_the_figure_of_the_curve_says_how_many_lie_where(undrawn, moving, told, outcome, first):
    down, up = (curve_figure(told(w), outcome) for w in (moving, moving.mirrored()))
    assert "all lie below zero" in down.caption and "all lie above zero" in up.caption
    assert "30% with p under 5%" in down.alt and set(directions(re.sub("below zero", "", down.alt))) == {-1}
    assert len(down.data) == len(told(moving).curve)


@pytest.mark.slow
def test_the_curve_is_drawn_with_a_strip_for_each_choice(moving, told, outcome, protocol):
    svg = curve_figure(told(moving), outcome).svg
    for id in protocol.specification_curve.crossed:
        assert protocol.specification(id).label.split()[0] in svg
    assert svg.count("<svg") == 1 and len(svg) < 1_500_000


# Synthetic counterfactuals


@pytest.mark.slow
def test_a_synthetic_effect_beyond_the_placebos_is_named(undrawn, world, told, outcome, first):
    clear = world.with_numbers({("sdid", first): CLEAR})
    quiet, loud = (synthetic_figure(told(w), outcome).caption for w in (world, clear))
    assert "no further than placebos' do" in quiet and f"for {first} (synthetic difference-in-differences)" in loud
    assert "include zero where the main design" in counterfactuals.synthetic_summary(told(world), outcome)
    assert f"differs from the main design for {first}." in counterfactuals.synthetic_summary(told(clear), outcome)


def test_the_rank_the_error_and_the_donors_are_those_of_the_fit(world, told, outcome, first):
    results = told(world)
    text = counterfactuals.synthetic_sentence(results, outcome, first)
    assert "rank 40 of 100 and 40 of 100" in text and "1.0% and 1.0%" in text and "4 and 4 donors" in text
    assert "heaviest is NHS C02 CCG (75%)" in counterfactuals.donors_sentence(results, outcome, first)
    cells = donors_table(results, outcome).cells
    assert list(cells.iloc[0, 1:]) == ["C02 (75.0%)"] * 2 and not cells.isin(["nan"]).any().any()
    assert "40 of 100" in synthetic_table(results, outcome).markdown()
    paths = counterfactuals.synthetic_paths(results, outcome)
    assert paths.observed.iloc[0] == pytest.approx(10) and paths.synthetic.iloc[0] == pytest.approx(
        10 * math.exp(0.021)
    )


# Sites


@pytest.mark.slow
def test_sites_are_in_order_of_name_whatever_their_estimates(undrawn, world, told, outcome, first):
    names = sorted(f"{name} {first}" for name in SITES)
    for number in (Number(-0.3, 0.1), Number(0.3, 0.1)):
        results = told(world.with_numbers({("site", names[1]): number}))
        assert list(estimates_table(results, outcome, first).cells["Site"]) == names
        drawn = forest_figure(results, outcome).data
        assert list(drawn[drawn.label == first].site) == [*names, MEAN]


@pytest.mark.slow
def test_a_site_that_stands_out_is_named_beside_what_chance_would_give(undrawn, world, told, outcome, first):
    name = f"{SITES[0]} {first}"
    clear = told(world.with_numbers({("site", name): CLEAR}))
    text = places.single_sites_sentence(clear, outcome)
    assert f"leaves out zero for one, where chance alone would give 0.4: {name} ({MINUS}5.8%)" in text
    assert "every interval includes zero" in places.single_sites_sentence(told(world), outcome)
    titles = [forest_figure(w, outcome).caption for w in (told(world), clear)]
    assert "Every single site's interval includes zero" in titles[0] and titles[1].startswith(
        "**One of the 8 single sites' intervals leaves out zero."
    )


def test_part_covered_sites_are_diluted_and_out_of_the_pool(world, told, outcome, first):
    results = told(world)
    assert "Two sites are covered in part" in places.part_sentence(results, outcome)
    cells = estimates_table(results, outcome, first).cells.set_index("Site")
    row = cells.loc[f"{SITES[-1]} {first}"]
    assert "Diluted (50% covered)" in row["Notes"] and "months masked" in row["Notes"] and row["Shrunk, %"] == "–"
    assert places.pool(results, outcome, first).sites == 3


@pytest.mark.slow
def test_a_site_without_an_estimate_is_listed_with_its_reason(undrawn, world, told, outcome, first):
    name = f"{SITES[1]} {first}"
    results = told(replace(world, lost={name: "no usable month"}))
    assert f"Without an estimate: {name} (no usable month)." in places.part_sentence(results, outcome)
    assert "Of the 8 sites, 7 have a difference" in places.single_sites_sentence(results, outcome)
    cells = estimates_table(results, outcome, first).cells.set_index("Site")
    assert cells.loc[name, "Effect, %"] == "–" and "no estimate: no usable month" in cells.loc[name, "Notes"].lower()
    assert name not in set(forest_figure(results, outcome).data.site)
    assert places.pool(results, outcome, first).sites == 2
    assert (
        f"Synthetic counterfactual ({name}) | Non-elective admissions | No usable month"
        in absent_table(results).markdown()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("p", "words"), [(0.4, "no more than chance explains"), (0.01, "by more than chance explains")]
)
def test_whether_sites_differ_follows_the_test(world, told, outcome, first, p, words):
    text = places.pool_sentence(told(world.with_ratios(heterogeneity=p, i_squared=0.63)), outcome, first)
    assert f"The sites differ {words}" in text and "I² 63%" in text


@pytest.mark.slow
def test_sites_smaller_than_every_placebo_are_said_to_look_too_sure(world, told, outcome, first):
    assert "too narrow" not in places.part_sentence(told(world), outcome)
    name = f"{SITES[0]} {first}"
    results = told(replace(world, small=(name,)))
    assert "One site is smaller than every placebo site" in places.part_sentence(results, outcome)
    cells = estimates_table(results, outcome, first).cells.set_index("Site")
    assert cells.loc[name, "Notes"] == "Smaller than the placebos"
    assert "understated" not in places.single_sites_sentence(results, outcome)
    clear = told(replace(world.with_numbers({("site", name): CLEAR}), small=(name,)))
    assert "Of these, one is smaller than every placebo site" in places.single_sites_sentence(clear, outcome)


@pytest.mark.slow
def test_synthetic_estimates_of_sites_are_counted_too(world, told, outcome, first):
    assert "every interval includes zero" in places.synthetic_sites_sentence(told(world), outcome)
    name = f"{SITES[0]} {first}"
    text = places.synthetic_sites_sentence(told(world.with_numbers({("sdid", name): CLEAR})), outcome)
    assert f"leaves out zero for one, where chance alone would give 0.4: {name} ({MINUS}5.8%)" in text


@pytest.mark.slow
def test_sets_beyond_the_figure_are_said_to_be_cut(undrawn, world, told, outcome, first):
    assert "are cut" not in relative_figure(told(world), outcome).caption
    wide = world.with_numbers({("trend_sensitivity", first): Number(-0.02, 0.9)})
    assert "beyond 40% are cut" in relative_figure(told(wide), outcome).caption


@pytest.mark.slow
def test_a_classical_error_that_is_the_larger_is_printed_too(world, told, outcome, first):
    assert "classical" not in places.pool_sentence(told(world), outcome, first)
    wide = world.with_numbers({("site", first, "mean", "REML_adhoc"): Number(-0.021, 0.08)})
    assert "classical" in places.pool_sentence(told(wide), outcome, first)
    assert f"{MINUS}9.6 to +6.1" in pool_table(told(wide), outcome).markdown()


def test_the_cautious_interval_of_the_mean_and_the_prediction_have_a_column_each(world, told, outcome, first):
    wide = world.with_numbers({("site", first, "prediction"): Number(-0.02, 0.3), ("site", first, "mean", "REML_adhoc"): Number(-0.02, 0.1)})
    results = told(wide)
    row = pool_table(results, outcome).cells.set_index("Of").loc[headed(results.protocol.cohort_labels[first])]
    assert row.iloc[2:4].to_list() == [f"{MINUS}11.3 to +8.3", f"{MINUS}27.4 to +32.3"]


def test_hollow_points_are_the_sites_covered_in_part(monkeypatch, world, told, outcome):
    drawn = []
    monkeypatch.setattr("analysis.reporting.sites.figures.draw", lambda plot, height: drawn.append(plot) or "")
    forest_figure(told(world), outcome)
    hollow = [layer.geom.data for layer in drawn[0].layers if layer.geom.aes_params.get("fill") == "white"]
    assert [set(data.coverage) for data in hollow] == [{PART}]


@pytest.mark.slow
def test_the_funnel_says_how_wide_small_and_large_sites_are(undrawn, world, told, outcome, first):
    small, large = f"{SITES[0]} {first}", f"{SITES[-1]} {first}"
    narrow = world.with_numbers({("site", large): Number(-0.02, 0.01)})
    alike = funnel_figure(told(world), outcome).caption
    assert "no wider than large ones'" in alike
    caption = funnel_figure(told(narrow), outcome).caption
    assert "Small sites have wider intervals" in caption and f"250,000 people ({small})" in caption and large in caption
    turned = world.with_numbers({("site", small): Number(-0.02, 0.01)})
    assert "no wider" in funnel_figure(told(turned), outcome).caption


# What could not be run


def test_what_could_not_be_run_is_said_and_breaks_nothing(world, told, outcome, first):
    dropped = frozenset({"trend_sensitivity", "sdid", "synthetic_control", "site"})
    results = told(replace(world, dropped=dropped))
    for sentence in (
        trends.trends_sentence, trends.other_bounds_sentence, counterfactuals.synthetic_sentence, counterfactuals.donors_sentence,
        places.pool_sentence,
    ):  # fmt: skip
        text = sentence(results, outcome, first)
        assert text.startswith(f"{first}: ") and re.search(r"\b(?:no|not|too few)\b", text), text
    for summary in (
        trends.trends_summary,
        counterfactuals.synthetic_summary,
        places.sites_summary,
        places.single_sites_sentence,
    ):
        assert re.search(r"\b(?:no|not|No)\b", summary(results, outcome))
    assert places.part_sentence(results, outcome) == ""
    assert counterfactuals.synthetic_paths(results, outcome).empty
    assert set(pool_table(results, outcome).cells.iloc[:, 1]) == {"–"}


def test_a_curve_of_which_nothing_ran_is_said(world, told, outcome, first, protocol):
    results = told(world)
    results.__dict__["curve"] = results.curve.assign(reason="no unit treated")
    try:
        assert "no specification" in choices.curve_sentence(results, outcome, first)
        assert "No specification" in choices.curve_summary(results, outcome)
        assert "could not be worked out" in choices.plain_curve_sentence(results, outcome)
        number = f"{(results.curve.outcome == outcome).sum():,}"
        assert choices.not_in_curve(results, outcome).startswith(f"Of {number} specifications {number} could not")
    finally:
        del results.__dict__["curve"]


@pytest.mark.slow
def test_a_breakdown_value_beyond_what_is_sought_is_said_in_words(world, told, outcome, first):
    clear = world.with_numbers({("trend_sensitivity", first): CLEAR}).with_ratios(breakdown=math.inf)
    results = told(clear)
    text = trends.trends_sentence(results, outcome, first) + trends_table(results, outcome, trends.WHOLE).markdown()
    assert "more than 20" in text
    assert "inf" not in text


def test_masked_sites_are_counted_and_named(world, told, outcome, protocol):
    """Only those covered as a whole count; the number of months stands beside the name."""
    first, second = protocol.model_ids
    results = told(world)
    table = results.sites
    whole = table[(table.coverage == "whole") & (table.model == first)]
    months = table.masked_months.where(table.site != whole.site.iloc[0], 7).where(table.coverage == "whole", 9)
    none = table.masked_months * 0
    for column, said in (
        (months, f"{whole.site.iloc[0]}, seven months"),
        (none, f"none of {counted(len(whole))} {first} sites"),
    ):
        results.__dict__["sites"] = table.assign(masked_months=column.where(table.model == first, 0))
        text = places.masked_sentence(results, outcome)
        assert (
            said in text
            and f"none of {counted(sum((table.coverage == 'whole') & (table.model == second)))} {second} sites" in text
        )
        assert "nine months" not in text
    del results.__dict__["sites"]
