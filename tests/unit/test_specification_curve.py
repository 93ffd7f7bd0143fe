"""The curve's list of specifications, what a row says when there is no estimate, and the analysis of which choices matter."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import attributes_of, changed, cleaned_panel, protocol_with, two_way_counts

from analysis.core.errors import StudyError
from analysis.estimation.did.did import difference_in_differences
from analysis.estimation.did.specification_curve import (
    Combination,
    CurveJob,
    choices_that_move,
    curve_combinations,
    curve_rows,
    curve_table,
)
from analysis.estimation.evaluate import known_of_units
from analysis.estimation.regression.sample import UnitTables, build_sample, unit_months
from analysis.panel.panel import CCG
from analysis.protocol.protocol import Protocol

SITES = {
    "U00": ("MCP", "Alpha", 1.0),
    "U01": ("MCP", "Beta", 1.0),
    "U02": ("PACS", "Gamma", 1.0),
    "U03": ("PACS", "Delta", 1.0),
}


def test_the_protocol_lists_between_200_and_400_specifications(protocol: Protocol) -> None:
    """Each once: no two of the combinations ask the same of the data and the model."""
    made = curve_combinations(protocol)
    assert 200 <= len(made) <= 400
    asked = [repr(c.specification.model_copy(update={"id": "", "label": ""})) for c in made]
    assert len(set(asked)) == len({c.specification.id for c in made}) == len(made)
    assert made[0].departures == ()
    assert {c.specification.draws for c in made} == {protocol.specification_curve.draws}


def test_the_crossed_half_keeps_every_choice_apart_from_up_to_four_others_taken_together(protocol: Protocol) -> None:
    """Coded ±1, the columns of any eight or fewer of the nine choices multiply to zero on average: resolution nine."""
    crossed = protocol.specification_curve.crossed
    made = [c.departures for c in curve_combinations(protocol) if c.crossed]
    assert len(made) == 2 ** (len(crossed) - 1)
    codes = np.array([[1 if id in group else -1 for id in crossed] for group in made])
    for size in range(1, len(crossed)):
        for columns in combinations(range(len(crossed)), size):
            assert codes[:, columns].prod(axis=1).sum() == 0
    assert abs(codes.prod(axis=1).sum()) == len(made)


def test_a_combination_makes_the_choices_of_all_its_parts(protocol: Protocol) -> None:
    """Every field of every part is set, and nothing else of the primary specification changes."""
    primary = protocol.specifications[0]
    for combination in curve_combinations(protocol):
        wanted = {k: v for id in combination.departures for k, v in protocol.specification(id).choices.items()}
        for name in type(primary).model_fields.keys() - {"id", "label", "years", "draws"}:
            assert getattr(combination.specification, name) == wanted.get(name, getattr(primary, name))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"log_rate", "unmasked"', '"log_rates", "unmasked"', "'log_rates', which is no specification"),
        ('"log_rate", "unmasked"', '"primary", "unmasked"', "'primary', which is no specification"),
        ('"log_rate", "unmasked"', '"flat_backfill", "unmasked"', "'flat_backfill' and 'fixed_population' both set population"),
    ],
)  # fmt: skip
def test_a_curve_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        protocol_with(tmp_path, (old, new))


@pytest.fixture(scope="module")
def panel(protocol: Protocol) -> pd.DataFrame:
    """The two MCP units fall by 10% from April 2015; U20 lost nine months before it."""
    noise = np.exp(np.random.default_rng(4).normal(0, 0.02, (40, 60)))
    counts = two_way_counts() * noise
    for unit in ("U00", "U01"):
        counts = changed(counts, unit, 24, 60, 0.9)
    counts = changed(counts, "U20", 6, 15, 0.1).round()
    tables = {outcome.id: counts for outcome in protocol.outcomes if outcome.source == "mar"}
    cleaned = cleaned_panel(tables, attributes_of(list(counts.index), SITES), protocol)
    return cleaned.panel[(cleaned.panel.geography == CCG) & (cleaned.panel.outcome == protocol.primary_outcomes[0].id)]


def _rows(panel: pd.DataFrame, protocol: Protocol, *departures: str, **changes: object) -> dict[str, dict]:
    """Rows by cohort of the combination of these departures, or of the primary specification with these fields changed."""
    made = next(c for c in curve_combinations(protocol) if set(c.departures) == set(departures))
    made = Combination(made.departures, made.specification.model_copy(update=changes), made.crossed)
    outcome = protocol.primary_outcomes[0]
    job = CurveJob(unit_months(panel, outcome.id), outcome, made, protocol, UnitTables())
    return {row["cohort"]: row for row in curve_rows(job)}


def test_a_row_is_the_difference_in_differences_of_its_specification(panel: pd.DataFrame, protocol: Protocol) -> None:
    """The same estimate and the same randomisation p as the main analysis gives, for two choices made together."""
    outcome = protocol.primary_outcomes[0].id
    row = _rows(panel, protocol, "unmasked", "fixed_population")["MCP"]
    specification = protocol.specification("unmasked_fixed_population")
    sample = build_sample(panel, outcome, ["MCP"], specification, protocol)
    wanted = next(
        r for r in difference_in_differences(sample, specification, 1, protocol)
        if (r["term"], r["inference"]) == ("att", "randomisation")
    )  # fmt: skip
    assert row["estimate"] == pytest.approx(wanted["estimate"], abs=1e-12)
    assert row["percent"] == pytest.approx(100 * math.expm1(wanted["estimate"]))
    assert row["p_value"] == wanted["p_value"]  # 666 assignments: every one, so that no seed matters
    assert (row["n_units"], row["n_treated"], row["reason"]) == (38, 2, "")
    assert row["departures"] == "unmasked;fixed_population"


@pytest.mark.slow
def test_a_shorter_baseline_and_another_start_choose_the_months(panel: pd.DataFrame, protocol: Protocol) -> None:
    """Counts outside the months that a specification sees make no difference to it."""

    def spoiled(months: pd.Series) -> pd.DataFrame:
        hit = months & panel.unit.isin(["U00", "U01"])
        return panel.assign(value=panel.value.where(~hit, panel.value * 3))

    usual = _rows(panel, protocol, "start_3_later", "baseline_12")["MCP"]["estimate"]
    outside, inside = (panel.month < pd.Timestamp(2014, month, 1) for month in (7, 8))
    assert _rows(spoiled(outside), protocol, "start_3_later", "baseline_12")["MCP"]["estimate"] == usual
    assert _rows(spoiled(inside), protocol, "start_3_later", "baseline_12")["MCP"]["estimate"] != usual


@pytest.mark.slow
def test_rows_without_an_estimate_say_why(panel: pd.DataFrame, protocol: Protocol) -> None:
    """Every treated unit removed, no list of similar places, a unit that is not there, effects that cannot be told apart."""
    removed = panel[~panel.model.eq("MCP")]
    row = _rows(removed, protocol)["MCP"]
    assert (row["reason"], row["n_treated"]) == ("no unit treated, or none untreated", 0)
    assert math.isnan(row["estimate"]) and math.isnan(row["p_value"])
    assert "similar" in _rows(panel, protocol, controls="similar")["MCP"]["reason"]
    assert "does not hold" in _rows(panel, protocol, also_treated=["01H+01K"])["PACS"]["reason"]
    seasons = _rows(panel, protocol, unit_effects="calendar_month", baseline=1)["MCP"]
    assert seasons["reason"] == "" and math.isfinite(seasons["estimate"])
    started = _rows(panel, protocol, start_shift=-24)["MCP"]
    assert "collinear" in started["reason"] and math.isnan(started["estimate"])


def test_a_choice_about_units_of_another_model_is_none_for_this_cohort(panel: pd.DataFrame, protocol: Protocol) -> None:
    """U03 covered in part and taken as treated: a departure for PACS and for both, the primary specification for MCP."""
    part = panel.assign(covered_share=panel.covered_share.where(panel.unit != "U03", 0.6))
    pooled = protocol.specification("pooled_unit_treated").model_copy(update={"also_treated": ["U03"]})
    others = [pooled if s.id == pooled.id else s for s in protocol.specifications]
    changed_protocol = protocol.model_copy(update={"specifications": others})
    rows = _rows(part, changed_protocol, "log_rate", "pooled_unit_treated")
    assert (rows["MCP"]["id"], rows["PACS"]["id"]) == ("log_rate", "log_rate+pooled_unit_treated")
    assert rows["MCP"]["departures"] == "log_rate" and rows["PACS"]["departures"] == "log_rate;pooled_unit_treated"
    alone = _rows(part, changed_protocol, "log_rate")
    table = curve_table([*rows.values(), *alone.values()])
    assert list(table.cohort) == ["MCP", "PACS", "MCP+PACS", "PACS", "MCP+PACS"]
    assert (rows["PACS"]["n_treated"], alone["PACS"]["n_treated"]) == (2, 1)


@pytest.mark.slow
def test_a_choice_about_a_unit_that_nobody_has_leaves_the_row_as_it_is_without_it(
    panel: pd.DataFrame, protocol: Protocol
) -> None:
    """On areas the pooled unit does not exist: what is crossed with it still runs, under its own name."""
    rows = _rows(panel, protocol, "log_rate", "pooled_unit_treated")
    for cohort, row in rows.items():
        assert (row["id"], row["departures"], row["reason"]) == ("log_rate", "log_rate", ""), cohort
        assert row["label"] == protocol.specification("log_rate").label
        assert row["estimate"] == _rows(panel, protocol, "log_rate")[cohort]["estimate"]


def test_controls_are_those_like_the_treated_that_are_left(protocol: Protocol, panel: pd.DataFrame) -> None:
    """U00 has a lasting shift and is left out: what is like U00 alone is no control."""
    similar = pd.DataFrame({"unit": ["U00", "U01", "U01"], "rank": [1, 1, 2], "similar_unit": ["U10", "U11", "U12"]})
    tables = UnitTables(frozenset({"U00"}), pd.DataFrame(), similar)
    made = next(c for c in curve_combinations(protocol) if c.departures == ("no_lasting_shift", "similar_controls"))
    outcome = protocol.primary_outcomes[0].id
    sample = build_sample(panel, outcome, ["MCP"], made.specification, protocol, tables)
    assert list(sample.units) == ["U01", "U11", "U12"]


def _made_up(protocol: Protocol, moves: dict[str, float], lost: str | None = None) -> pd.DataFrame:
    """A curve in which each choice adds its own to an estimate of 1%."""
    rows = []
    for c in curve_combinations(protocol):
        percent = 1 + sum(moves.get(id, 0.0) for id in c.departures)
        rows.append(
            {"outcome": "o", "cohort": "MCP", "id": c.specification.id, "label": "", "departures": ";".join(c.departures),
             "crossed": c.crossed, "estimate": percent / 100, "percent": percent, "p_value": 0.5, "n_units": 9, "n_treated": 2,
             "reason": "lost" if lost in c.departures else ""}
        )  # fmt: skip
    return curve_table(rows)


def test_the_choices_that_matter_are_found_in_their_order(protocol: Protocol) -> None:
    """Known moves come back, their shares of the variance add to one, and their ranks go by size, not by sign."""
    moves = {"unmasked": -3.0, "baseline_12": 1.5, "fixed_population": -0.5, "unit_trends": 7.0}
    found = choices_that_move(_made_up(protocol, moves), protocol).set_index("choice")
    for choice in protocol.specification_curve.crossed:
        assert found.change[choice] == pytest.approx(moves.get(choice, 0.0), abs=1e-9)
    assert [found["rank"].idxmin(), *found["rank"].sort_values().index[1:3]] == [
        "unmasked",
        "baseline_12",
        "fixed_population",
    ]
    assert found.variance_share.sum() == pytest.approx(1)
    assert found.variance_share["unmasked"] == pytest.approx(9 / (9 + 2.25 + 0.25))
    assert not found.crossed["unit_trends"] and found.change["unit_trends"] == pytest.approx(7)
    assert math.isnan(found["rank"]["unit_trends"])


def test_a_choice_that_could_not_be_run_leaves_the_others_as_they_are(protocol: Protocol) -> None:
    """Without every row that makes one choice, the others' changes are the same and that one is not in the table."""
    moves = {"unmasked": -3.0, "baseline_12": 1.5, "similar_controls": 40.0}
    found = choices_that_move(_made_up(protocol, moves, lost="similar_controls"), protocol).set_index("choice")
    assert "similar_controls" not in found.index
    assert found.change["unmasked"] == pytest.approx(-3) and found.change["baseline_12"] == pytest.approx(1.5)


def test_a_curve_of_nothing_is_empty(protocol: Protocol) -> None:
    assert choices_that_move(curve_table([]), protocol).empty


@pytest.mark.fault("an extract so small that every commissioner has a suppressed month", "other thresholds of the masking rule mask nothing of it; the results come out")
def test_nothing_is_masked_where_every_unit_has_a_suppressed_month(panel: pd.DataFrame, protocol: Protocol) -> None:
    first = {unit: panel[panel.unit == unit].index[at % 7] for at, unit in enumerate(panel.unit.unique())}
    rows = panel.drop(columns="value_published").join(panel.value_published.drop([*first.values()]))
    empty = pd.DataFrame(columns=["outcome", "unit", "rank", "similar_unit"])
    outcome, covariates = protocol.primary_outcomes[0].id, pd.DataFrame({"unit": rows.unit.unique()})
    known = known_of_units(rows, empty, covariates, empty, protocol)[outcome]
    specification = next(s for s in protocol.specifications if s.departure)
    found = build_sample(rows, outcome, ["MCP"], specification, protocol, known)
    assert np.isnan(found.counts).sum() == np.isfinite(rows.value_published).eq(False)[rows.model.isin(["none", "MCP"])].sum() > 0
