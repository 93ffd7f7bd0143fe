"""Rules that say how often each method of inference errs, from the simulated panels."""

from __future__ import annotations

import math

import pandas as pd

from analysis.estimation.regression.estimates import fall_of_equal_size
from analysis.reporting.certainty.words import METHODS
from analysis.reporting.results import HEADLINE_INFERENCE, Results
from analysis.reporting.wording import listed

SIZE_TOLERANCE = 0.2  # a test that errs within a fifth of its level is said to keep it
COVERAGE_TOLERANCE = 0.02

BASE = "base"
CASES = {
    BASE: "real sites, base case",
    "few_sites": "fixed numbers of sites",
    "effects_differ": "effects that differ between sites",
    "heavy_masking": "heavy masking",
    "real_paths": "noise drawn as whole paths of controls",
}


def no_effect(results: Results, method: str, scenario: str | None = None) -> pd.DataFrame:
    """Rows of the simulation in which there is no effect to find: ``size_or_power`` is how often the method finds one."""
    table = _simulated(results)
    kept = (table.method == method) & (table.true_effect == 0)
    return table[kept & (table.scenario == scenario)] if scenario else table[kept]


def an_effect(results: Results, method: str, scenario: str | None = None) -> pd.DataFrame:
    """Rows with an effect to find: ``size_or_power`` is how often the method finds it, ``coverage`` how often its interval holds it."""
    table = _simulated(results)
    kept = (table.method == method) & (table.true_effect != 0)
    return table[kept & (table.scenario == scenario)] if scenario else table[kept]


def size_sentence(results: Results) -> str:
    """In the base case: how often the primary method errs where there is no effect, and how often the others do."""
    if results.simulation is None:
        return "Simulated error rates are not part of this edition."
    level = results.protocol.study.level
    main = no_effect(results, HEADLINE_INFERENCE, BASE)
    parts = [
        f"{share:.1%} ({case_sites(results, cohort)})"
        for cohort, share in zip(main.cohort, main.size_or_power, strict=True)
    ]
    others = [
        f"{METHODS[name]} {_from_to(no_effect(results, name, BASE).size_or_power)}"
        for name in METHODS
        if name != HEADLINE_INFERENCE and len(no_effect(results, name, BASE))
    ]
    return (
        f"In panels simulated from the published data by commissioner, with the real sites and no effect, randomisation finds one, wrongly, in {listed(parts)} of them; it should in "
        f"{level:.0%}. The other methods: {listed(others)}."
    )


def limits_sentences(results: Results) -> list[str]:
    """Where the primary method errs more or less often than it should, and how often its interval holds a true effect."""
    if results.simulation is None:
        return []
    level, conf_level = results.protocol.study.level, results.protocol.study.conf_level
    sizes = no_effect(results, HEADLINE_INFERENCE)
    low, high = (round(level * (1 + off), 9) for off in (-SIZE_TOLERANCE, SIZE_TOLERANCE))
    printed = sizes.size_or_power.round(3)  # a share that prints as the limit is not beyond it
    often, seldom = sizes[printed > high], sizes[printed < low]
    found = [
        f"Over all {len(sizes)} cases without an effect on average, randomisation errs in {_from_to(sizes.size_or_power)} of panels."
    ]
    if len(often):
        found.append(
            f"It errs more often than {high:.0%}, and is then too sure of itself, for {_cases(results, often)}."
        )
    if len(seldom):
        found.append(f"It errs less often than {low:.0%}, and is then too cautious, for {_cases(results, seldom)}.")
    if not len(often) and not len(seldom):
        found.append(f"It never leaves the range from {low:.0%} to {high:.0%}.")
    held = an_effect(results, HEADLINE_INFERENCE)
    if len(held):
        outside = held[(held.coverage - conf_level).abs().round(3) > COVERAGE_TOLERANCE]
        text = (
            f"Where there is an effect, its {conf_level:.0%} interval holds it in {_from_to(held.coverage)} of panels"
        )
        far = f", furthest from {conf_level:.0%} for {_cases(results, outside, 'coverage')}" if len(outside) else ""
        found.append(f"{text}{far}.")
    return found


def simulated_power(results: Results, outcome: str, cohort: str) -> list[tuple[float, float]]:
    """(true effect in percent, share of panels in which the primary method finds it), smallest first, in the base case; nothing where it was
    not simulated: the panels are of the primary outcome, from the published data by commissioner."""
    primary = {each.id for each in results.protocol.primary_outcomes}
    if results.simulation is None or results.dataset != "mar" or outcome not in primary:
        return []
    rows = an_effect(results, HEADLINE_INFERENCE, BASE)
    rows = rows[rows.cohort == cohort].sort_values("true_effect_percent", key=abs)
    return list(zip(rows.true_effect_percent, rows.size_or_power, strict=True))


def power_sentence(results: Results) -> str:
    """How often the primary method finds the middle one of the base case's true effects."""
    if results.simulation is None or not len(found := an_effect(results, HEADLINE_INFERENCE, BASE)):
        return ""
    effects = sorted(found.true_effect_percent.unique(), key=abs)
    effect = effects[(len(effects) - 1) // 2]
    rows = found[found.true_effect_percent == effect]
    parts = [
        f"{share:.0%} for {case_sites(results, cohort)}"
        for cohort, share in zip(rows.cohort, rows.size_or_power, strict=True)
    ]
    return f"A true {'fall' if effect < 0 else 'rise'} of {abs(effect):g}% would be found in {listed(parts)}."


def usual_fall(results: Results, outcome: str, cohort: str) -> float | None:
    """The detectable fall, in percent, that such sites have in simulated panels on average; None where none were simulated."""
    if not simulated_power(results, outcome, cohort):
        return None
    rows = no_effect(results, HEADLINE_INFERENCE, BASE)
    return fall_of_equal_size(100 * math.expm1(float(rows.mean_mde[rows.cohort == cohort].iloc[0])))


def detectable_note(results: Results, outcome: str) -> str:
    """What a table means by a detectable fall, and what simulated panels say of it."""
    usual = {cohort: usual_fall(results, outcome, cohort) for cohort in results.protocol.treated_cohorts}
    said = [f"{fall:.1f}% for {case_sites(results, cohort)}" for cohort, fall in usual.items() if fall is not None]
    simulated = f"; in simulated panels, the better guide, it is {listed(said)} over the programme" if said else ""
    return f"Detectable fall: the true fall found {results.protocol.inference.power:.0%} of the time, by the width of this interval{simulated}."


def width_sentence(results: Results, outcome: str) -> str:
    """What the width of the interval says could be found, in the data and on average in such panels; nothing where none were simulated."""
    parts = []
    for model in results.protocol.model_ids:
        usual = usual_fall(results, outcome, model)
        ours, _ = results.fall_found(outcome, model)
        if usual is not None and math.isfinite(ours):
            parts.append(f"{ours:.1f}% for {case_sites(results, model)} (in simulated panels {usual:.1f}% on average)")
    if not parts:
        return ""
    return (
        f"By the width of its own interval the smallest fall that is found {results.protocol.inference.power:.0%} of the time would be {listed(parts)}: "
        "with so few sites the width is itself a matter of chance, so that the summary quotes the simulations."
    )


def case_name(scenario: str) -> str:
    """A scenario in words; the number of one that varies something comes from its id."""
    name, _, number = scenario.rpartition("_")
    if name == "treated_variance":
        return f"variance of treated sites × {number}"
    return CASES.get(scenario, scenario.replace("_", " "))


def case_sites(results: Results, cohort: str) -> str:
    return results.protocol.cohort_labels.get(cohort, cohort)


def _cases(results: Results, rows: pd.DataFrame, column: str = "size_or_power") -> str:
    """The cases of rows, those of one scenario together: heavy masking (one cohort 3.1%, another 3.9%)."""
    parts = []
    for scenario, group in rows.groupby("scenario", sort=False):
        cells = [f"{case_sites(results, row.cohort)} {getattr(row, column):.1%}" for row in group.itertuples()]
        parts.append(f"{case_name(str(scenario))} ({', '.join(cells)})")
    return listed(parts)


def _simulated(results: Results) -> pd.DataFrame:
    assert results.simulation is not None
    return results.simulation


def _from_to(shares: pd.Series) -> str:
    low, high = f"{shares.min():.1%}", f"{shares.max():.1%}"
    return low if low == high else f"{low} to {high}"
