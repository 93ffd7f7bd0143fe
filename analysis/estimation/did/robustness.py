"""Does the estimate rest on one site, and what does the method find where there was nothing to find?

Leaving out one site at a time; pretending that the programme began earlier, in the months before it did; placebo places, the
estimates of other choices of sites; and pseudo-vanguards drawn from the places with the highest use before the programme,
which show regression to the mean.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.did.did import compare, infer
from analysis.estimation.inference.randomisation import Assignments, assignment_matrix, draw_assignments, one_step
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.estimates import PLACEBO, both_scales
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

MONTHS_A_YEAR = 12


def leave_one_out(sample: Sample, specification: Specification, seed: int, protocol: Protocol) -> list[dict[str, Any]]:
    """The estimate without each treated site in turn.

    Raises
    ------
    NotIdentified
        There is only one.
    """
    assert sample.site is not None
    sites = sample.site
    if len(set(sites[sample.treated])) == 1:
        raise NotIdentified(f"nothing is left without {sites[sample.treated][0]}, the only site")
    post = np.asarray(sample.months >= protocol.study.programme_start)
    rows: list[dict[str, Any]] = []
    for site in sorted(set(sites[sample.treated])):
        comparison = compare(sample.only(~(sample.treated & (sites == site))), specification, post)
        rows += infer(
            comparison, specification, f"att_without_{slug(site)}", seed, protocol,
            notes=f"without {site}", design="leave_one_out",
        )  # fmt: skip
    return rows


def placebo_starts(sample: Sample, specification: Specification, seed: int, protocol: Protocol) -> list[dict[str, Any]]:
    """Effects of a programme that did not yet exist: every start in the months before it with enough of them on either side.

    Raises
    ------
    NotIdentified
        No month before the programme has enough of them on either side.
    """
    before = sample.restrict(np.asarray(sample.months < protocol.study.programme_start))
    margin = protocol.inference.shortest_placebo
    rows: list[dict[str, Any]] = []
    if len(before.months) < 2 * margin:
        raise NotIdentified(f"{len(before.months)} months before the start: none has {margin} on either side")
    for start in before.months[margin : len(before.months) - margin + 1]:
        comparison = compare(before, specification, np.asarray(before.months >= start))
        rows += infer(
            comparison, specification, f"att_from_{start:%Y-%m}", seed, protocol,
            notes=f"months before the programme only; placebo start {start:%B %Y}", design="placebo_start",
        )  # fmt: skip
    return rows


def placebo_places(
    sample: Sample, specification: Specification, seed: int, protocol: Protocol
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Estimates of other choices of as many sites: their mean and middle range, and [draw, estimate, statistic], the actual first.

    The p-value is the share of choices with an estimate at least as far from zero as the actual one, not studentised.

    Raises
    ------
    NotIdentified
        The actual choice has no estimate.
    """
    post = np.asarray(sample.months >= protocol.study.programme_start)
    comparison = compare(sample, specification, post)
    comparison.fit()
    assignments = draw_assignments(sample.cluster, sample.dose, specification.draws, seed)
    statistics, estimates = one_step(comparison, assignment_matrix(assignments, comparison), comparison.null())
    rows = _spread(
        estimates[1:], estimates[0], "placebo_places", protocol, comparison, "other choices of as many sites"
    )
    draws = pd.DataFrame({"draw": np.arange(len(estimates)), "estimate": estimates, "statistic": statistics})
    return rows, draws


def high_use_placebo(
    sample: Sample, specification: Specification, seed: int, protocol: Protocol
) -> list[dict[str, Any]]:
    """Estimates of pseudo-vanguards among the controls with the highest use in the last year before the programme.

    Where places chosen for high use fall back by themselves, these estimates lie below zero.

    Raises
    ------
    NotIdentified
        There are fewer such controls than treated sites.
    """
    actual = compare(sample, specification, np.asarray(sample.months >= protocol.study.programme_start))
    controls = sample.only(~sample.treated)
    year = (controls.months < protocol.study.programme_start) & (
        controls.months >= protocol.study.programme_start - pd.DateOffset(months=MONTHS_A_YEAR)
    )
    population = np.where(controls.observed, controls.population, 0.0)
    people = population[:, year].sum(axis=1)
    use = np.divide(
        np.nansum(controls.counts[:, year], axis=1), people, out=np.full(len(people), np.nan), where=people > 0
    )
    pool = np.flatnonzero(use >= np.nanquantile(use, 1 - protocol.inference.high_use_share))
    sites = len(np.unique(sample.cluster[sample.treated]))
    if len(pool) <= sites:
        raise NotIdentified(f"{len(pool)} controls of high use, too few to draw {sites} pseudo-vanguards from")
    order = np.random.default_rng(seed).random((specification.draws, len(pool))).argsort(axis=1)[:, :sites]
    chosen = pool[order]
    first = np.zeros(len(controls.units))
    first[chosen[0]] = 1.0
    comparison = Comparison(compare(controls, specification, actual.post).model, first, actual.post, controls.cluster)
    assigned = assignment_matrix(Assignments(controls.cluster[chosen], exact=False), comparison)
    _, estimates = one_step(comparison, assigned, comparison.null())
    said = f"pseudo-vanguards from the {len(pool)} controls of highest use"
    return _spread(estimates, float(actual.fit().coefficients[0]), "placebo_high_use", protocol, comparison, said)


def _spread(
    estimates: np.ndarray, actual: float, design: str, protocol: Protocol, comparison: Comparison, said: str
) -> list[dict[str, Any]]:
    """Mean, standard deviation and central range of placebo estimates, beside the actual one."""
    tail = (protocol.study.level) / 2
    low, high = np.quantile(estimates, [tail, 1 - tail])
    p_value = (1 + int((np.abs(estimates) >= abs(actual)).sum())) / (1 + len(estimates))
    return both_scales(
        "att", PLACEBO, float(estimates.mean()), (float(low), float(high)), std_error=float(estimates.std(ddof=1)),
        p_value=p_value, design=design, n_obs=int(comparison.model.observed.sum()),
        notes=f"{len(estimates):,} {said}: mean and central {protocol.study.conf_level:.0%}; the p-value is the share as far from zero",
    )  # fmt: skip


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
