"""More than one question asked: Holm's adjustment over the family of each model and each co-primary outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from analysis.protocol.protocol import Protocol

HOLM = "holm"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values, in their order (Holm 1979)."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def holm_rows(rows: Iterable[dict[str, Any]], protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the family, the difference-in-differences of each model and primary outcome, with adjusted p-values.

    A row repeats its estimate without an interval: what is adjusted is the test.
    """
    primary = {outcome.id for outcome in protocol.primary_outcomes}
    family = [
        row
        for row in rows
        if row["design"] == "did" and row["inference"] == "randomisation" and row["cohort"] in protocol.model_ids
        and row["specification"] == protocol.specifications[0].id and row["outcome"] in primary
        and row["term"] in ("att", "att_percent")
    ]  # fmt: skip
    found: list[dict[str, Any]] = []
    for term in ("att", "att_percent"):
        members = [row for row in family if row["term"] == term]
        adjusted = holm([row["p_value"] for row in members])
        said = f"p-value adjusted for {len(members)} tests"
        found += [
            row | {"inference": HOLM, "p_value": p, "ci_low": np.nan, "ci_high": np.nan, "notes": said}
            for row, p in zip(members, adjusted, strict=True)
        ]
    return found
