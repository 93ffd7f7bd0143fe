"""The protocol's verdict on a cohort, as a rule: the sentence cannot say more than the evidence does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reduction supported", "increase supported", "trends in doubt", "unconfirmed", "inconclusive"]

SMALLEST_BREAKDOWN = 0.5
SMALLEST_SHARE = 0.8


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
