"""The protocol's verdict on each model: the rule, and the table of everything that the rule looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.estimation.did.did import RANDOMISATION
from analysis.estimation.did.event_study import PRE_PERIOD
from analysis.estimation.did.trend_sensitivity import DESIGN as TREND_SENSITIVITY
from analysis.estimation.did.trend_sensitivity import HYBRID
from analysis.estimation.inference.multiple import HOLM
from analysis.estimation.regression.estimates import PERCENT_SUFFIX, fall_of_equal_size
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Outcome

Verdict = Literal["reduction supported", "increase supported", "trends in doubt", "unconfirmed", "inconclusive"]

SMALLEST_BREAKDOWN = 0.5
SMALLEST_SHARE = 0.8
COLUMNS = [
    "outcome", "cohort", "verdict", "estimate", "ci_low", "ci_high", "p_value", "holm_p", "breakdown", "same_sign", "significant_share",
    "specifications", "pre_period_p", "pre_period_difference", "control_p", "control", "detectable_fall", "detectable_rise",
]  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What the rule looks at. None means that the check is not part of this edition.

    ``breakdown`` is the relative-magnitude breakdown value; ``same_sign`` the share of specifications with the sign
    of the estimate; ``pre_period_p`` the joint test of the months before; ``control_p`` the smallest negative control's p-value.
    """

    estimate: float
    holm_p: float
    breakdown: float | None = None
    same_sign: float | None = None
    pre_period_p: float | None = None
    control_p: float | None = None


def verdict(evidence: Evidence, level: float) -> Verdict:
    """Apply the protocol's rule at significance ``level`` (0.05).

    A difference that is significant but whose further checks are not all part of the edition is "unconfirmed".
    """
    if not evidence.holm_p < level:
        return "inconclusive"
    doubted = evidence.pre_period_p is not None and evidence.pre_period_p < level
    fragile = evidence.breakdown is not None and evidence.breakdown < SMALLEST_BREAKDOWN
    if doubted or fragile:
        return "trends in doubt"
    unsigned = evidence.same_sign is not None and evidence.same_sign < SMALLEST_SHARE
    uncontrolled = evidence.control_p is not None and evidence.control_p < level
    if unsigned or uncontrolled:
        return "inconclusive"
    if None in (evidence.breakdown, evidence.same_sign, evidence.pre_period_p, evidence.control_p):
        return "unconfirmed"
    return "reduction supported" if evidence.estimate < 0 else "increase supported"


def verdict_table(estimates: pd.DataFrame, curve: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """One row for each primary outcome and model: the verdict, and every input to the rule beside it.

    ``estimates`` and ``curve`` are as the data dictionary describes them. Effects are in percent; an input that could not be had
    is empty. ``control`` is the negative control with the smallest p-value. Models without an estimate have no row.
    """
    held = estimates.set_index("estimate_id")
    rows = []
    for outcome in protocol.primary_outcomes:
        for model in protocol.model_ids:
            if _id("did", outcome.id, model, "att", RANDOMISATION) in held.index:
                rows.append({"outcome": outcome.id, "cohort": model, **_inputs(held, curve, outcome, model, protocol)})
    table = pd.DataFrame(rows, columns=COLUMNS)
    level = protocol.study.level
    return table.assign(verdict=[verdict(evidence(row), level) for _, row in table.iterrows()])


def evidence(row: pd.Series) -> Evidence:
    """What the rule looks at, from a row of the table."""
    optional = {name: None if pd.isna(row[name]) else float(row[name]) for name in
                ("breakdown", "same_sign", "pre_period_p", "control_p")}  # fmt: skip
    return Evidence(estimate=float(row.estimate), holm_p=float(row.holm_p), **optional)


def headline_id(outcome: str, cohort: str) -> str:
    """The estimate that a verdict is about."""
    return _id("did", outcome, cohort, "att" + PERCENT_SUFFIX, RANDOMISATION)


def _inputs(
    held: pd.DataFrame, curve: pd.DataFrame, outcome: Outcome, model: str, protocol: Protocol
) -> dict[str, object]:
    def number(column: str, design: str, term: str, method: str, of: str = outcome.id) -> float:
        key = _id(design, of, model, term, method)
        return float(held.loc[key, column]) if key in held.index else math.nan

    effect = {
        name: number(name, "did", "att" + PERCENT_SUFFIX, RANDOMISATION)
        for name in ("estimate", "ci_low", "ci_high", "p_value")
    }
    controls = [o.id for o in protocol.outcomes if o.role == "negative_control"]
    by_control = {id: number("p_value", "did", "att", RANDOMISATION, id) for id in controls}
    least = min(
        (id for id in by_control if not math.isnan(by_control[id])), key=lambda id: by_control[id], default=None
    )
    rise = number("estimate", "power", "mde" + PERCENT_SUFFIX, RANDOMISATION)
    ran = curve[(curve.outcome == outcome.id) & (curve.cohort == model) & (curve.reason == "")]
    return effect | {
        "holm_p": number("p_value", "did", "att", HOLM),
        "breakdown": number("estimate", TREND_SENSITIVITY, "att_breakdown_relative", HYBRID),
        "same_sign": float((ran.estimate * effect["estimate"] > 0).mean()),
        "significant_share": float((ran.p_value < protocol.study.level).mean()),
        "specifications": len(ran),
        "pre_period_p": number("p_value", "event_study", PRE_PERIOD, RANDOMISATION),
        "pre_period_difference": number("estimate", "event_study", PRE_PERIOD + PERCENT_SUFFIX, RANDOMISATION),
        "control_p": by_control[least] if least else math.nan,
        "control": least or "",
        "detectable_fall": fall_of_equal_size(rise),
        "detectable_rise": rise,
    }  # fmt: skip


def _id(design: str, outcome: str, cohort: str, term: str, method: str) -> str:
    return "/".join([design, outcome, cohort, "primary", term, method])
