"""Synthetic difference-in-differences and synthetic control of the cohorts: numbers and sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.estimation.regression.estimates import PLACEBO
from analysis.estimation.synthetic.synthetic import SDID, SYNTHETIC_CONTROL
from analysis.reporting.results import HEADLINE_INFERENCE, Estimate, Results
from analysis.reporting.wording import counted, interval, listed, p_text, plain, signed, span

DESIGNS = {SDID: "synthetic difference-in-differences", SYNTHETIC_CONTROL: "synthetic control"}
PER, DAYS = 1000, 30  # people and days of a printed rate


def synthetic_fit(results: Results, outcome: str, cohort: str, design: str) -> pd.Series | None:
    """[rank, placebos, pre_period_rmse (percent), effective_donors]; None where the design could not be run."""
    found = _of(results, "synthetic_fit", outcome, cohort, design)
    if found.empty:
        return None
    return found.assign(pre_period_rmse=100 * np.expm1(found.pre_period_rmse)).iloc[0]


def synthetic_weights(results: Results, outcome: str, cohort: str, design: str) -> pd.DataFrame:
    """[name, weight] of the donors by name, the heaviest first; weights of one design sum to one."""
    found = _of(results, "synthetic_weights", outcome, cohort, design)
    if found.empty:
        return pd.DataFrame(columns=["name", "weight"])
    names = results.panel.drop_duplicates("unit").set_index("unit").unit_name
    found = found[found.kind == "unit"].sort_values("weight", ascending=False, kind="stable", ignore_index=True)
    return found.assign(name=found.name.map(lambda unit: names.get(unit, unit)))[["name", "weight"]]


def synthetic_paths(results: Results, outcome: str) -> pd.DataFrame:
    """[cohort, design, month, observed, synthetic] of the cohorts: rates per 1,000 people per 30 days."""
    paths = results.series("synthetic_paths")
    if paths.empty:
        return paths
    ours = paths[(paths.outcome == outcome) & paths.cohort.isin(list(results.protocol.treated_cohorts))]
    rates = {name: PER * DAYS * np.exp(ours[name]) for name in ("observed", "synthetic")}
    return ours.assign(**rates)[["cohort", "design", "month", "observed", "synthetic"]]


def synthetic_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Both estimates with their intervals and p-values, where they rank, and how good the counterfactual is."""
    label, level = results.protocol.cohort_labels[cohort], results.protocol.study.conf_level
    parts, fits = [], []
    for design, name in DESIGNS.items():
        found, fit = _estimate(results, outcome, cohort, design), synthetic_fit(results, outcome, cohort, design)
        if found is not None and fit is not None:
            parts.append(f"{signed(found.value)} by {name} ({interval(found, level)}, {p_text(found.p_value)})")
            fits.append(fit)
    if not parts:
        return f"{label}: no synthetic counterfactual could be made."
    ranks = listed([f"{fit['rank']:,.0f} of {fit.placebos + 1:,.0f}" for fit in fits])
    errors = listed([plain(fit.pre_period_rmse) for fit in fits])
    donors = listed([f"{fit.effective_donors:.0f}" for fit in fits])
    return (
        f"{label}: {listed(parts)}. By size the effects rank {ranks}, placebos included. Before the start the counterfactuals miss the observed "
        f"path by {errors}; their weights are worth {donors} donors of equal weight."
    )


def synthetic_summary(results: Results, outcome: str) -> str:
    """The models' synthetic difference-in-differences, and whether it says what the main design says."""
    labels, found = results.protocol.cohort_labels, {}
    for model in results.protocol.model_ids:
        estimate = _estimate(results, outcome, model, SDID)
        if estimate is not None:
            found[model] = estimate
    if not found:
        return "No synthetic counterfactual could be made on this data set."
    parts = [f"{signed(e.value)} for {labels[m]} ({span(e)}, {p_text(e.p_value)})" for m, e in found.items()]
    main = {model: results.find("did", outcome, model, "att", HEADLINE_INFERENCE) for model in found}
    other = [labels[m] for m, e in found.items() if (first := main[m]) and e.excludes_zero != first.excludes_zero]
    ending = f"Whether zero is left out differs from the main design for {listed(other)}." if other else ""
    if not other:
        ending = "Its intervals include zero where the main design's do."
    return (
        "Synthetic difference-in-differences [@arkhangelsky2021] weights the other places, and the months before, so that the paths before the start "
        f"run more alike, and so leans less on parallel trends. It gives {listed(parts)}. {ending}"
    )


def donors_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How concentrated the weights are."""
    label = results.protocol.cohort_labels[cohort]
    found = synthetic_weights(results, outcome, cohort, SYNTHETIC_CONTROL)
    if found.empty:
        return f"{label}: no weights."
    return f"{label}: {counted(len(found))} donors have weight in the synthetic control; the heaviest is {found.name[0]} ({found.weight[0]:.0%})."


def _estimate(results: Results, outcome: str, cohort: str, design: str) -> Estimate | None:
    return results.find(design, outcome, cohort, "att", PLACEBO)


def _of(results: Results, name: str, outcome: str, cohort: str, design: str) -> pd.DataFrame:
    table = results.series(name)
    if table.empty:
        return table
    return table[(table.outcome == outcome) & (table.cohort == cohort) & (table.design == design)]
