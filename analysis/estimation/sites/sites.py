"""The sites one by one: the estimate of each against the units of no model, and partial pooling over those wholly covered.

A site has few units, mostly one, so that its chance is that of placebo sites: as many controls as it has units, against the
other controls, scaled by size (``analysis/estimation/inference/placebo_sites.py``). One site's estimate says little; what the sites say
together is a random-effects mean, and each of them shrunken towards the mean of its model.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.did.did import compare
from analysis.estimation.inference.meta_analysis import RandomEffects, random_effects
from analysis.estimation.inference.placebo_sites import SMALLER_NOTE, scaled_placebo
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments, one_step
from analysis.estimation.regression.absorbed import NotIdentified, not_identified_where_singular
from analysis.estimation.regression.estimates import (
    LOG_RATE,
    PERCENT,
    PLACEBO,
    RATIO,
    STATISTIC,
    both_scales,
    minimum_detectable,
    single_scale,
)
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample, UnitTables, build_sample
from analysis.panel.panel import CCG
from analysis.panel.quality import OK, PENDING
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

DESIGN, REML, KNAPP_HARTUNG, ADHOC = "site", "REML", "REML_knapp_hartung", "REML_adhoc"
WHOLE, PART, UNKNOWN_PART = "whole", "part", "unknown part"
DILUTED, MASKED, SHIFTED, LEFT_OUT, SMALLER = (
    "diluted", "masked_months", "lasting_shift", "unit_left_out", "smaller_than_placebos",
)  # fmt: skip
SITES = [
    "site", "model", "units", "unit_names", "population", "covered_share", "coverage", "masked_months", "lasting_shift",
    "estimate", "ci_low", "ci_high", "p_value", "shrunken", "synthetic", "synthetic_low", "synthetic_high",
    "in_pool", "flags", "reason",
]  # fmt: skip

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Placebos:
    """One-step ``estimates`` (draws, log points) of placebo sites and their ``sizes`` (draws, expected counts)."""

    estimates: np.ndarray
    sizes: np.ndarray
    notes: str


def site_samples(
    panel: pd.DataFrame,
    outcome: str,
    specification: Specification,
    protocol: Protocol,
    tables: UnitTables | None = None,
) -> tuple[dict[str, Sample], Sample]:
    """Each site that has a usable unit, with all of its units treated and every control; and the controls alone.

    ``panel``: rows by commissioner or area. Units covered in part are treated here; other sites are in neither group. A unit
    of which nobody knows what part is covered is left out where that of another unit of its site is known.
    """
    panel = panel.drop(_doubtful(panel, protocol).index)
    ours = panel[(panel.outcome == outcome) & panel.model.isin(protocol.model_ids)]
    everyone = specification.model_copy(update={"also_treated": sorted(set(ours.unit)), "treatment": "whole"})
    sample = build_sample(panel, outcome, protocol.model_ids, everyone, protocol, tables)
    assert sample.site is not None
    names = sample.site
    sites = sorted(set(names[sample.treated]))
    return {site: sample.only(~sample.treated | (names == site)) for site in sites}, sample.only(~sample.treated)


def site_estimates(
    panel: pd.DataFrame, outcome: str, specification: Specification, protocol: Protocol, tables: UnitTables
) -> tuple[Rows, pd.DataFrame]:
    """Rows of the estimates table for every site, each model and all together, and the table of facts by site.

    The facts are [site, model, units, unit_names, population, covered_share, coverage, masked_months, lasting_shift,
    in_pool, flags, reason]: ``population`` is that of the anchor month, ``masked_months`` counts unit-months, and
    ``reason`` says why a site has no estimate. ``in_pool``: covered as a whole, with an estimate.
    """
    samples, controls = site_samples(panel, outcome, specification, protocol, tables)
    ours = panel[(panel.outcome == outcome) & panel.model.isin(protocol.model_ids)]
    doubtful = _doubtful(ours, protocol)
    facts = _facts(ours.drop(doubtful.index), set(doubtful.site), samples, protocol, tables)
    post = np.asarray(controls.months >= protocol.study.programme_start)

    @cache
    def placebos(units: int) -> Placebos:
        return placebo_sets(controls, units, specification, post, protocol)

    rows: Rows = []
    flags, reasons = [], []
    for site, coverage, known in zip(facts.site, facts.coverage, facts["flags"], strict=True):
        found, flag, reason = _site(site, samples.get(site), coverage, specification, post, placebos, protocol)
        rows += found
        flags.append(";".join(filter(None, [known, flag])))
        reasons.append(reason)
    facts = facts.assign(flags=flags, reason=reasons)
    facts["in_pool"] = (facts.coverage == WHOLE) & (facts.reason == "")
    pooled = _pool(rows, facts[facts.in_pool], len(controls.units), protocol)
    return rows + pooled, facts


def sites_table(facts: pd.DataFrame, rows: Iterable[dict[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """All sites in one table (``SITES``), effects in percent, from the ``facts`` and the estimates of one outcome.

    ``rows`` are those of ``site_estimates`` and of the design ``sdid`` by site; what they do not hold stays empty.
    """
    table = pd.DataFrame(rows)
    table = table[(table.scale == PERCENT) & table.inference.isin([PLACEBO, REML])]

    def of(design: str, term: str) -> pd.DataFrame:
        found = table[(table.design == design) & (table.term == f"{term}_percent")]
        return found.set_index("cohort").reindex(facts.site)

    estimate, shrunken, synthetic = of(DESIGN, "att"), of(DESIGN, "att_shrunken"), of("sdid", "att")
    numbers = {name: estimate[name].to_numpy() for name in ("estimate", "ci_low", "ci_high", "p_value")}
    numbers |= {"shrunken": shrunken.estimate.to_numpy(), "synthetic": synthetic.estimate.to_numpy()}
    numbers |= {"synthetic_low": synthetic.ci_low.to_numpy(), "synthetic_high": synthetic.ci_high.to_numpy()}
    return facts.assign(**numbers)[SITES]


def _site(
    site: str,
    sample: Sample | None,
    coverage: str,
    specification: Specification,
    post: np.ndarray,
    placebos: Callable[[int], Placebos],
    protocol: Protocol,
) -> tuple[Rows, str, str]:
    """One site's rows, a flag, and why it has no estimate, where it has none."""
    conf_level = protocol.study.conf_level
    context: dict[str, Any] = {"cohort": site, "n_units": 0, "n_treated": 0, "n_obs": 0}
    try:
        if sample is None:
            raise NotIdentified("no unit of the site has a known count above zero in any month")
        with not_identified_where_singular():
            comparison = compare(sample, specification, post)
            context |= {"n_units": len(sample.units), "n_treated": int(sample.treated.sum())}
            context |= {"n_obs": int(comparison.model.observed.sum())}
            others = placebos(context["n_treated"])
            estimate = float(comparison.fit().coefficients[0])
            size = float(_sizes(sample)[sample.treated].sum())
            test = scaled_placebo(estimate, size, others.estimates, others.sizes, conf_level)
    except NotIdentified as problem:
        return both_scales("att", PLACEBO, math.nan, design=DESIGN, notes=str(problem), **context), "", str(problem)
    said = [others.notes]
    said += ["part of its people covered: the effect is diluted"] if coverage != WHOLE else []
    flag = SMALLER if size < others.sizes.min() else ""
    said += [SMALLER_NOTE] if flag else []
    rows = both_scales(
        "att", PLACEBO, estimate, test.interval, std_error=test.std_error, p_value=test.p_value, design=DESIGN,
        notes="; ".join(said), **context,
    )  # fmt: skip
    half_width = (test.interval[1] - test.interval[0]) / 2
    detectable = minimum_detectable(half_width, conf_level, protocol.inference.power)
    return rows + both_scales("mde", PLACEBO, detectable, design="power", **context), flag, ""


def placebo_sets(
    controls: Sample, units: int, specification: Specification, post: np.ndarray, protocol: Protocol
) -> Placebos:
    """Placebo sites of so many ``units``: every set of controls where those are few, else seeded random sets.

    Raises
    ------
    NotIdentified
        There are not enough controls for a set and others to compare it with, or the fit without treatment fails.
    """
    seen = np.nan_to_num(controls.counts)
    changes = (seen[:, post].sum(axis=1) > 0) & (seen[:, ~post].sum(axis=1) > 0)
    if changes.sum() <= units:
        raise NotIdentified(
            f"controls with counts before and after the start: {changes.sum()}, too few for placebo sites of {units}"
        )
    controls = controls.only(changes)
    dose = (np.arange(len(controls.units)) < units).astype(float)  # which set leads the list does not matter here
    comparison = Comparison(compare(controls, specification, post).model, dose, post, np.arange(len(dose)))
    seed = zlib.crc32(f"{protocol.study.seed}/sites of {units}".encode())
    assignments = draw_assignments(comparison.cluster, dose, protocol.inference.variant_draws, seed)
    sets = assignments.clusters if assignments.exact else assignments.clusters[1:]
    _, estimates = one_step(comparison, assignment_matrix(assignments, comparison), comparison.null())
    said = f"{len(sets):,} placebo sites of {f'{units} controls' if units > 1 else 'one control'} each, scaled by size"
    return Placebos(estimates[-len(sets) :], _sizes(controls)[sets].sum(axis=1), said)


def _sizes(sample: Sample) -> np.ndarray:
    """Expected count of each unit (n) over the months observed: with an effect for every unit it equals the actual count."""
    return np.asarray(np.nansum(sample.counts, axis=1))


def _pool(rows: Rows, pool: pd.DataFrame, controls: int, protocol: Protocol) -> Rows:
    """Means, spread and heterogeneity of each model's sites and of all together; each site shrunken to its own model's mean."""
    own = {row["cohort"]: row for row in rows if row["term"] == "att"}
    found: Rows = []
    for cohort, models in protocol.treated_cohorts.items():
        sites = [own[site] for site in pool.site[pool.model.isin(models)]]
        effects, errors = (np.array([row[name] for row in sites]) for name in ("estimate", "std_error"))
        treated = sum(row["n_treated"] for row in sites)
        context = {
            "design": DESIGN, "cohort": cohort, "n_units": controls + treated, "n_treated": treated, "n_obs": len(sites),
            "notes": f"{len(sites)} sites covered as a whole",
        }  # fmt: skip
        conf_level = protocol.study.conf_level
        try:
            classical = random_effects(effects, errors, conf_level, "z")
        except NotIdentified as problem:
            found += both_scales("mean", KNAPP_HARTUNG, math.nan, **context | {"notes": str(problem)})
            continue
        pooled, cautious = (random_effects(effects, errors, conf_level, test) for test in ("knapp_hartung", "adhoc"))
        found += _mean(KNAPP_HARTUNG, pooled, context)
        # Where sites differ less than their errors would have them, Knapp and Hartung's interval is the narrower for it.
        found += _mean(ADHOC, cautious, context)
        found += both_scales("prediction", KNAPP_HARTUNG, pooled.mean, pooled.prediction, **context)
        found += both_scales("prediction", ADHOC, cautious.mean, cautious.prediction, **context)
        spread = tuple(np.sqrt(pooled.tau_squared_interval).tolist())
        found.append(single_scale("tau", REML, LOG_RATE, pooled.tau, spread, **context))
        found.append(single_scale("i_squared", REML, RATIO, pooled.i_squared, pooled.i_squared_interval, **context))
        found.append(single_scale("heterogeneity", REML, STATISTIC, pooled.q, p_value=pooled.q_p_value, **context))
        if len(models) == 1:
            found += _shrunken(sites, classical)
    return found


def _mean(inference: str, pooled: RandomEffects, context: dict[str, Any]) -> Rows:
    return both_scales(
        "mean", inference, pooled.mean, pooled.interval, std_error=pooled.std_error, p_value=pooled.p_value, **context
    )


def _shrunken(sites: Rows, pooled: RandomEffects) -> Rows:
    rows: Rows = []
    values = zip(sites, pooled.shrunken, pooled.shrunken_errors, pooled.shrunken_intervals.tolist(), strict=True)
    for site, estimate, error, (low, high) in values:
        rows += both_scales(
            "att_shrunken", REML, float(estimate), (low, high), std_error=float(error),
            notes=f"towards the mean of {len(sites)} sites of its model",
            **{name: site[name] for name in ("design", "cohort", "n_units", "n_treated", "n_obs")},
        )  # fmt: skip
    return rows


def _doubtful(panel: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """Rows of units with an unknown covered share, of sites that have a unit with a known one."""
    ours = panel[panel.model.isin(protocol.model_ids)]
    known = ours.groupby("site").covered_share.transform("count") > 0
    return ours[known & ours.covered_share.isna()]


def _facts(
    rows: pd.DataFrame, fewer: set[str], samples: dict[str, Sample], protocol: Protocol, tables: UnitTables
) -> pd.DataFrame:
    """What is known of each site beside its estimate, models in the protocol's order.

    ``rows``: units in a model; ``fewer``: sites of which some unit is not among them.
    """
    facts = []
    for (model, site), theirs in rows.groupby(["model", "site"]):
        units = theirs.drop_duplicates("unit").set_index("unit").sort_index()
        anchor = theirs[theirs.month == protocol.population.anchor].set_index("unit")
        people = anchor.population_published.reindex(units.index)
        whole, known = (units.covered_share == 1).all(), units.covered_share.notna().all()
        coverage = WHOLE if whole else PART if known else UNKNOWN_PART
        masked = int((~theirs.quality.isin([OK, PENDING])).sum())
        shifted = bool(units.index.isin(tables.shifted).any())
        used = len(samples[site].units[samples[site].treated]) if site in samples else 0
        raised = {
            DILUTED: not whole,
            MASKED: masked > 0,
            SHIFTED: shifted,
            LEFT_OUT: site in fewer or 0 < used < len(units),
        }
        facts.append(
            {
                "site": site, "model": model, "units": len(units), "unit_names": ";".join(units.unit_name),
                "population": people.sum(min_count=len(units)),
                "covered_share": float((units.covered_share * people).sum(skipna=False) / people.sum()),
                "coverage": coverage, "masked_months": masked,
                "lasting_shift": shifted if (units.geography == CCG).all() else None,  # not sought in areas
                "flags": ";".join(flag for flag, up in raised.items() if up),
            }
        )  # fmt: skip
    table = pd.DataFrame(facts)
    order = table.model.map(protocol.model_ids.index)
    return table.assign(order=order).sort_values(["order", "site"], ignore_index=True).drop(columns="order")
