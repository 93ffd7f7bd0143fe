"""The protocol: a change of a sign in the estimates must change the sentence. All estimates turned about turn every sentence, table and figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from worlds import MINUS, World, directions

from analysis.reporting.certainty import words as certainty
from analysis.reporting.certainty.tables import certainty_table, joint_tests_table, methods_table
from analysis.reporting.choices import words as choices
from analysis.reporting.choices.curve_tables import moves_table
from analysis.reporting.effects import words as effects
from analysis.reporting.effects.figures import choices_figure, variants_figure
from analysis.reporting.effects.paths_figures import event_study_figure
from analysis.reporting.effects.tables import effects_table, growth_table, outcomes_table
from analysis.reporting.figure import Figure
from analysis.reporting.growth import words as growth
from analysis.reporting.reconciliation import words as reconciliation
from analysis.reporting.results import Results
from analysis.reporting.sensitivity import words as sensitivity
from analysis.reporting.sensitivity.figures import leave_one_out_figure, placebo_starts_figure
from analysis.reporting.sensitivity.tables import controls_table, group_time_table, placebo_table, variants_table
from analysis.reporting.series import national_words as national
from analysis.reporting.series import tables as series_tables
from analysis.reporting.series import words as series
from analysis.reporting.series.figures import controlled_series_figure, methods_figure, single_series_figure
from analysis.reporting.series.series_checks_tables import national_table, placebo_starts_table
from analysis.reporting.sites import places_words as places
from analysis.reporting.sites.figures import forest_figure, funnel_figure
from analysis.reporting.sites.tables import estimates_table, pool_table
from analysis.reporting.synthetic import counterfactuals_words as counterfactuals
from analysis.reporting.synthetic.figures import synthetic_figure
from analysis.reporting.synthetic.tables import synthetic_table
from analysis.reporting.table import Table
from analysis.reporting.trends import words as trends
from analysis.reporting.trends.figures import relative_figure, smoothness_figure
from analysis.reporting.trends.tables import trends_table
from analysis.reporting.verdicts import two_designs_words as two_designs
from analysis.reporting.verdicts import words as verdicts

MOVES = {"unmasked": -0.04, "log_rate": -0.03, "baseline_12": -0.02, "unit_seasons": -0.001, "unit_trends": -0.05, "dose": -0.01}


@pytest.fixture()
def down(world, told) -> Results:
    """Every estimate below zero, and choices that move them further from it."""
    return told(replace(world, moves=MOVES))


@pytest.fixture()
def up(world, told) -> Results:
    mirrored: World = replace(world, moves=MOVES).mirrored()
    return told(mirrored)


def of_role(results: Results, role: str) -> list[str]:
    return [outcome.id for outcome in results.protocol.outcomes if outcome.role == role]


def published(results: Results) -> str:
    return next(rule.id for rule in results.protocol.growth if rule.published)


SENTENCES: dict[str, Callable[[Results, str, str], str]] = {
    "verdict": verdicts.verdict_sentence,
    "headline": lambda r, o, c: "\n".join(verdicts.headline(r)),
    "gap": lambda r, o, c: growth.gap_sentence(r, published(r), o),
    "pooled": lambda r, o, c: reconciliation.controlled_sentence(r, o).partition("Our pooled")[2],
    "years": effects.years_sentence,
    "event study": effects.event_study_sentence,
    "controls": lambda r, o, c: effects.controls_sentence(r, c),
    "joint tests": certainty.joint_tests_sentence,
    "choices": choices.sensitivity_sentence,
    "variants": lambda r, o, c: re.sub(r"; \d+ of \d+ estimates lie below zero", "", choices.variants_sentence(r, o, c)),
    "summary of variants": lambda r, o, c: choices.variants_summary(r, o),
    "curve": lambda r, o, c: re.sub(r"\S+ of them lie below zero|lies (?:above|below) \S+ of the others", "", choices.curve_sentence(r, o, c)),
    "plain curve": lambda r, o, c: choices.plain_curve_sentence(r, o),
    "leave one out": sensitivity.leave_one_out_sentence,
    "placebo starts": lambda r, o, c: re.sub(r", (?:all|none) below zero", "", sensitivity.placebo_starts_sentence(r, o, c)),
    "placebo places": sensitivity.placebo_places_sentence,
    "high use": sensitivity.high_use_sentence,
    "group-time": sensitivity.group_time_sentence,
    "delayed days": lambda r, o, c: sensitivity.secondary_sentence(r).replace("a fall under", ""),
    "trends": trends.trends_sentence,
    "other bounds": trends.other_bounds_sentence,
    "synthetic": counterfactuals.synthetic_sentence,
    "summary of synthetic": lambda r, o, c: counterfactuals.synthetic_summary(r, o),
    "pool": places.pool_sentence,
    "summary of sites": lambda r, o, c: places.sites_summary(r, o),
    "series": series.its_sentence,
    "two designs": two_designs.reconciliation,
    "synthetic series": series.synthetic_sentence,
    "choices of series": lambda r, o, c: series.its_choices_sentence(r, o),
    "what a series rests on": series.rests_on_sentence,
    "single groups": lambda r, o, c: series.single_groups_sentence(r, o),
    "England": lambda r, o, c: national.national_sentence(r),
}  # fmt: skip

TABLES: dict[str, Callable[[Results, str, str], Table]] = {
    "effects": lambda r, o, c: effects_table(r, o),
    "growth": lambda r, o, c: growth_table(r, o),
    "outcomes": lambda r, o, c: outcomes_table(r),
    "delayed days": lambda r, o, c: effects_table(r, of_role(r, "secondary")[0]),
    "certainty": lambda r, o, c: certainty_table(r, o),
    "methods": methods_table,
    "joint tests": lambda r, o, c: joint_tests_table(r, o),
    "variants": lambda r, o, c: variants_table(r, o),
    "placebos": lambda r, o, c: placebo_table(r, o),
    "controls": lambda r, o, c: controls_table(r, of_role(r, "negative_control")),
    "group-time": lambda r, o, c: group_time_table(r, o),
    "moves": lambda r, o, c: moves_table(r, o),
    "synthetic": lambda r, o, c: synthetic_table(r, o),
    "sites": estimates_table,
    "pool": lambda r, o, c: pool_table(r, o),
    "trends": lambda r, o, c: trends_table(r, o, trends.WHOLE),
    "trends of the first quarter": lambda r, o, c: trends_table(r, o, trends.FIRST),
    "series": lambda r, o, c: series_tables.its_table(r, o),
    "series by method": series_tables.methods_table,
    "choices of series": lambda r, o, c: series_tables.its_variants_table(r, o),
    "series of sites": lambda r, o, c: series_tables.site_series_table(r, o),
    "series of other outcomes": lambda r, o, c: series_tables.other_outcomes_table(r, o),
    "placebo starts": lambda r, o, c: placebo_starts_table(r, o),
    "England": lambda r, o, c: national_table(r),
}
WITHOUT_THE_ESTIMATE = {"certainty", "moves", "trends", "trends of the first quarter"}  # they print intervals, or what moves it

FIGURES: list[Callable[[Results, str], Figure]] = [
    event_study_figure, controlled_series_figure, single_series_figure, methods_figure, choices_figure, variants_figure, leave_one_out_figure,
    placebo_starts_figure, relative_figure, smoothness_figure, synthetic_figure, forest_figure, funnel_figure,
]  # fmt: skip
MORE_THAN_SIGNS = {relative_figure, smoothness_figure, synthetic_figure, forest_figure, funnel_figure}  # sets and intervals of either sign
PATHS = {controlled_series_figure, single_series_figure}  # made-up worlds do not turn the paths that they draw


@pytest.mark.parametrize("name", SENTENCES)
def test_the_other_sign_gives_the_other_words(name, down, up, outcome, first):
    below, above = (SENTENCES[name](results, outcome, first) for results in (down, up))
    assert set(directions(below)) == {-1} and set(directions(above)) == {1}, f"{below}\n{above}"
    assert len(directions(below)) == len(directions(above))


def test_intervals_turn_about_too(down, up, outcome, first):
    assert certainty.methods_sentence(down, outcome, first) != certainty.methods_sentence(up, outcome, first)


@pytest.mark.parametrize("name", TABLES)
def test_the_other_sign_changes_every_table_and_its_numbers(name, down, up, outcome, first):
    below, above = (TABLES[name](results, outcome, first) for results in (down, up))
    assert below.markdown() != above.markdown() and len(below.data) and not below.data.equals(above.data)
    if name not in WITHOUT_THE_ESTIMATE:
        printed = f"{MINUS}2.1"
        assert printed in below.markdown() and printed not in above.markdown() and "2.1" in above.markdown()


@pytest.mark.parametrize("draw", FIGURES)
def test_the_other_sign_changes_a_figures_caption_and_its_alternative_text(draw, undrawn, down, up, outcome):
    below, above = (draw(results, outcome) for results in (down, up))
    assert below.alt != above.alt and (draw in PATHS or not below.data.equals(above.data))
    assert len(below.alt) > 60 and re.search(r"\d\.\d", below.alt) and below.caption.startswith("**")
    if draw not in MORE_THAN_SIGNS:
        assert set(directions(below.alt)) == {-1} and set(directions(above.alt)) == {1}, f"{below.alt}\n{above.alt}"
    if draw not in MORE_THAN_SIGNS | {single_series_figure, methods_figure}:  # whose captions name no direction
        assert set(directions(below.caption)) == {-1} and set(directions(above.caption)) == {1}, f"{below.caption}\n{above.caption}"
