"""The verdict rule at its edges, and the table that holds what the rule looked at."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from analysis.estimation.inference.multiple import HOLM
from analysis.estimation.regression.estimates import both_scales, estimates_table, single_scale
from analysis.estimation.verdict import Evidence, evidence, verdict, verdict_table
from analysis.protocol.protocol import Protocol

SUPPORTED = Evidence(-5.0, 0.01, breakdown=0.8, same_sign=0.9, pre_period_p=0.4, control_p=0.3)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "reduction supported"),
        ({"estimate": 5.0}, "increase supported"),
        ({"holm_p": 0.05}, "inconclusive"),
        ({"holm_p": 0.049}, "reduction supported"),
        ({"holm_p": float("nan")}, "inconclusive"),
        ({"breakdown": 0.49}, "trends in doubt"),
        ({"breakdown": 0.5}, "reduction supported"),
        ({"pre_period_p": 0.049}, "trends in doubt"),
        ({"pre_period_p": 0.05}, "reduction supported"),
        ({"same_sign": 0.79}, "inconclusive"),
        ({"same_sign": 0.8}, "reduction supported"),
        ({"control_p": 0.049}, "inconclusive"),
        ({"control_p": 0.05}, "reduction supported"),
        ({"breakdown": None}, "unconfirmed"),
        ({"same_sign": None}, "unconfirmed"),
        ({"pre_period_p": None}, "unconfirmed"),
        ({"control_p": None}, "unconfirmed"),
        ({"breakdown": None, "pre_period_p": 0.01}, "trends in doubt"),
    ],
)
def test_the_rule(change: dict[str, float], word: str) -> None:
    """Each condition of the protocol turns the verdict by itself, at its own edge."""
    assert verdict(replace(SUPPORTED, **change), 0.05) == word


CONTEXT = {
    "specification": "primary", "conf_level": 0.95, "n_units": 9, "n_treated": 2, "n_obs": 99, "window": "w", "dataset": "mar",
}  # fmt: skip


def _estimates(protocol: Protocol, model: str, estimate: float, **changes: float) -> pd.DataFrame:
    """A made-up edition: one model's effect, and what the rule looks at."""
    given = {"p": 0.02, "holm": 0.04, "breakdown": 0.75, "pre_p": 0.3, "pre": 0.01} | changes
    outcome = protocol.primary_outcomes[0].id
    controls = [o.id for o in protocol.outcomes if o.role == "negative_control"]
    here = {"outcome": outcome, "cohort": model, **CONTEXT}
    interval = (estimate - 0.04, estimate + 0.04)
    rows = both_scales("att", "randomisation", estimate, interval, p_value=given["p"], design="did", **here)
    rows += both_scales("att", HOLM, estimate, p_value=given["holm"], design="did", **here)
    rows += both_scales("mde", "randomisation", 0.05, design="power", **here)
    rows += both_scales(
        "pre_period", "randomisation", given["pre"], p_value=given["pre_p"], design="event_study", **here
    )
    for number, control in enumerate(controls):
        at = here | {"outcome": control}
        rows += both_scales("att", "randomisation", 0.01, (0, 0.1), p_value=0.9 - 0.2 * number, design="did", **at)
    term = "att_breakdown_relative"
    if not math.isnan(given["breakdown"]):
        rows.append(
            single_scale(term, "conditional_hybrid", "ratio", given["breakdown"], design="trend_sensitivity", **here)
        )
    return estimates_table(rows)


def _curve(protocol: Protocol, model: str, signs: list[int]) -> pd.DataFrame:
    rows = [{"outcome": protocol.primary_outcomes[0].id, "cohort": model, "estimate": 0.01 * sign,
             "p_value": 0.01 if sign < 0 else 0.5, "reason": ""} for sign in signs]  # fmt: skip
    lost = {
        "outcome": protocol.primary_outcomes[0].id,
        "cohort": model,
        "estimate": math.nan,
        "p_value": math.nan,
        "reason": "x",
    }
    return pd.DataFrame([*rows, lost])


def test_the_table_holds_every_input(protocol: Protocol) -> None:
    model = protocol.model_ids[0]
    (row,) = verdict_table(
        _estimates(protocol, model, -0.05), _curve(protocol, model, [-1] * 9 + [1]), protocol
    ).to_dict("records")
    assert row["verdict"] == "reduction supported"
    assert (row["estimate"], row["p_value"], row["holm_p"]) == (pytest.approx(100 * math.expm1(-0.05)), 0.02, 0.04)
    assert row["ci_low"] == pytest.approx(100 * math.expm1(-0.09)) and row["ci_high"] == pytest.approx(
        100 * math.expm1(-0.01)
    )
    assert (row["breakdown"], row["same_sign"], row["significant_share"], row["specifications"]) == (0.75, 0.9, 0.9, 10)
    assert (row["pre_period_p"], row["pre_period_difference"]) == (0.3, pytest.approx(100 * math.expm1(0.01)))
    controls = [o.id for o in protocol.outcomes if o.role == "negative_control"]
    assert (row["control"], row["control_p"]) == (controls[-1], pytest.approx(0.9 - 0.2 * (len(controls) - 1)))
    assert row["detectable_rise"] == pytest.approx(100 * math.expm1(0.05))
    assert row["detectable_fall"] == pytest.approx(-100 * math.expm1(-0.05))


@pytest.mark.cases(quick=6)
@pytest.mark.parametrize(
    ("estimate", "changes", "signs", "word"),
    [
        (0.05, {}, [1] * 10, "increase supported"),
        (0.05, {}, [-1] * 10, "inconclusive"),  # the specifications have the other sign
        (-0.05, {"holm": 0.3}, [-1] * 10, "inconclusive"),
        (-0.05, {"pre_p": 0.01}, [-1] * 10, "trends in doubt"),
        (-0.05, {"breakdown": 0.25}, [-1] * 10, "trends in doubt"),
        (-0.05, {"breakdown": math.nan}, [-1] * 10, "unconfirmed"),
        (-0.05, {}, [], "unconfirmed"),
    ],
)
def test_a_change_of_an_input_changes_the_verdict(
    protocol: Protocol, estimate: float, changes: dict[str, float], signs: list[int], word: str
) -> None:
    """Flip the sign, widen the interval, break the trend before, lose a check: the verdict follows."""
    model = protocol.model_ids[0]
    table = verdict_table(_estimates(protocol, model, estimate, **changes), _curve(protocol, model, signs), protocol)
    assert list(table.verdict) == [word]


def test_a_p_value_of_exactly_the_level_is_not_under_it(protocol: Protocol) -> None:
    """50 of 1,000 draws: the interval touches zero, and neither the verdict nor the share of the curve counts it."""
    model = protocol.model_ids[0]
    curve = _curve(protocol, model, [-1] * 10).assign(p_value=50 / 1000)
    (row,) = verdict_table(_estimates(protocol, model, -0.05, holm=50 / 1000), curve, protocol).to_dict("records")
    assert (row["significant_share"], row["verdict"]) == (0, "inconclusive")
    assert protocol.study.level == 0.05


def test_the_verdict_follows_from_the_row_beside_it(protocol: Protocol) -> None:
    """A reader who applies the rule to the table's own inputs reaches the table's verdict."""
    model = protocol.model_ids[1]
    table = verdict_table(_estimates(protocol, model, -0.05, pre_p=0.02), _curve(protocol, model, [-1]), protocol)
    for _, row in table.iterrows():
        assert verdict(evidence(row), protocol.study.level) == row.verdict


def test_nothing_estimated_has_no_verdict(protocol: Protocol) -> None:
    nothing = _estimates(protocol, protocol.model_ids[0], -0.05).query("design == 'power'")
    assert verdict_table(nothing, _curve(protocol, protocol.model_ids[0], []), protocol).empty
