"""The specification curve: the effect under every listed combination of choices, and which choices move it.

Half of all combinations of the protocol's crossed choices are fitted: those in which an even number of them departs from the
primary specification. In that fraction (2^(k − 1) runs of resolution k) every choice is made in half the rows and every pair
of choices in a quarter, so that a choice's own effect is a difference of two means. The other specifications stand in the
curve alone (Simonsohn, Simmons & Nelson 2020; Box & Hunter 1961 for the fraction).
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.did.did import compare, effects
from analysis.estimation.inference.inversion import p_value
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments, one_step
from analysis.estimation.regression.absorbed import NotIdentified, not_identified_where_singular
from analysis.estimation.regression.sample import UnitMonths, UnitTables, build_sample, why_not
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Outcome, Specification

SEPARATOR = ";"
CURVE = [
    "outcome", "cohort", "id", "label", "departures", "crossed", "estimate", "percent", "p_value", "n_units", "n_treated", "reason",
]  # fmt: skip
CHOICES = ["outcome", "cohort", "choice", "label", "crossed", "change", "variance_share", "rank"]


@dataclass(frozen=True)
class Combination:
    """Choices made together: the ids of the specifications that make them, and the specification they add up to."""

    departures: tuple[str, ...]
    specification: Specification
    crossed: bool


@dataclass(frozen=True)
class CurveJob:
    """One combination, for every cohort of an outcome."""

    cells: UnitMonths
    outcome: Outcome
    combination: Combination
    protocol: Protocol
    tables: UnitTables


def curve_combinations(protocol: Protocol) -> list[Combination]:
    """The primary specification, every even number of crossed choices, and every other one of this design alone."""
    crossed = protocol.specification_curve.crossed
    groups = [group for size in range(0, len(crossed) + 1, 2) for group in combinations(crossed, size)]
    made = [_choices(group, protocol) for group in groups]
    alone = [(s.id,) for s in protocol.specifications[1:] if "did" in s.designs and s.choices not in made]
    return [
        Combination(group, combined(group, protocol), fraction)
        for fraction, every in ((True, groups), (False, alone))
        for group in every
    ]


def combined(departures: tuple[str, ...], protocol: Protocol) -> Specification:
    """The primary specification with the choices of all ``departures``, and their ids and labels joined."""
    primary = protocol.specifications[0]
    names = {
        "id": "+".join(departures) or primary.id,
        "label": ", ".join(protocol.specification(id).label for id in departures) or primary.label,
        "years": False,
        "draws": protocol.specification_curve.draws,
    }
    return primary.model_copy(update=_choices(departures, protocol) | names)


def _choices(departures: tuple[str, ...], protocol: Protocol) -> dict[str, Any]:
    return {name: value for id in departures for name, value in protocol.specification(id).choices.items()}


def curve_rows(job: CurveJob) -> list[dict[str, Any]]:
    """One row a cohort: the effect over the programme (log points, percent) with its randomisation p, or why there is none."""
    return [_row(job, cohort, models) for cohort, models in job.protocol.treated_cohorts.items()]


def _row(job: CurveJob, cohort: str, models: list[str]) -> dict[str, Any]:
    protocol, cells = job.protocol, job.cells
    # A choice about units of another model is no choice for this cohort.
    theirs = set(cells.attributes.index[cells.attributes.model.isin(models)])
    departures = job.combination.departures
    made = tuple(id for id in departures if theirs.issuperset(protocol.specification(id).also_treated))
    specification = job.combination.specification if made == departures else combined(made, protocol)
    row: dict[str, Any] = {
        "outcome": job.outcome.id, "cohort": cohort, "id": specification.id, "label": specification.label,
        "departures": SEPARATOR.join(made), "crossed": job.combination.crossed, "estimate": math.nan, "percent": math.nan,
        "p_value": math.nan, "n_units": 0, "n_treated": 0, "reason": "",
    }  # fmt: skip
    reason = why_not(cells, specification, job.tables)
    if reason:
        return row | {"reason": reason}
    sample = build_sample(cells, job.outcome.id, models, specification, protocol, job.tables)
    row |= {"n_units": len(sample.units), "n_treated": int(sample.treated.sum())}
    if not sample.treated.any() or sample.treated.all():
        return row | {"reason": "no unit treated, or none untreated"}
    effect = effects(sample.months, specification, protocol)[0]
    try:
        with not_identified_where_singular():
            comparison = compare(sample.restrict(effect.used), specification, effect.post[effect.used])
            estimate = float(comparison.fit().coefficients[0])
            seed = zlib.crc32(f"{protocol.study.seed}/{cohort}".encode())
            assignments = draw_assignments(comparison.cluster, comparison.dose, specification.draws, seed)
            studentised, _ = one_step(comparison, assignment_matrix(assignments, comparison), comparison.null())
    except NotIdentified as problem:
        return row | {"reason": str(problem)}
    return row | {"estimate": estimate, "percent": 100 * math.expm1(estimate), "p_value": p_value(studentised)}


def curve_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a cohort and combination; the first of those that make the same choices for a cohort."""
    return pd.DataFrame(rows, columns=CURVE).drop_duplicates(["outcome", "cohort", "departures"], ignore_index=True)


def choices_that_move(curve: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """What each choice does to the estimate.

    Returns
    -------
    DataFrame
        [outcome, cohort, choice, label, crossed, change, variance_share, rank]. For a crossed choice ``change`` (percentage
        points) is the mean with it less the mean without, all other crossed choices balanced (a least-squares main effect where
        some combinations could not be run), ``variance_share`` its part of the variance over the crossed rows, and ``rank`` 1 the
        choice of the largest change either way. For a choice tried alone ``change`` is from the primary estimate.
    """
    parts = []
    for (outcome, cohort), rows in curve[curve.reason == ""].groupby(["outcome", "cohort"], sort=False):
        crossed = rows[rows.crossed].reset_index(drop=True)
        made = crossed.departures.str.split(SEPARATOR).map(set)
        tried = [id for id in protocol.specification_curve.crossed if 0 < sum(id in d for d in made) < len(made)]
        design = np.array([[float(id in d) for id in tried] for d in made]).reshape(len(made), len(tried))
        centred = design - design.mean(axis=0)
        change, *_ = np.linalg.lstsq(centred, crossed.percent - crossed.percent.mean(), rcond=None)
        # A choice's part of the variance is what it explains by itself: the choices are balanced.
        total = float(crossed.percent.var(ddof=0))
        share = change**2 * centred.var(axis=0) / total if total > 0 else np.zeros(len(tried))
        rank = pd.Series(-np.abs(change)).rank(method="first")
        balanced = pd.DataFrame(
            {"choice": tried, "crossed": True, "change": change, "variance_share": share, "rank": rank}
        )
        primary = rows.percent[rows.departures == ""].mean()  # of the one there is, if it could be made
        single = rows[~rows.crossed & ~rows.departures.isin(tried)]
        alone = pd.DataFrame({"choice": single.departures, "crossed": False, "change": single.percent - primary})
        both = pd.concat([balanced, alone], ignore_index=True)
        parts.append(both.assign(outcome=outcome, cohort=cohort))
    if not parts:
        return pd.DataFrame(columns=CHOICES)
    table = pd.concat(parts, ignore_index=True)
    return table.assign(label=table.choice.map(lambda id: protocol.specification(id).label))[CHOICES]
