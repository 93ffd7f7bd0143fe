"""Tables of how sure the estimates are: methods side by side, tests before the programme, simulated errors, detectable changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.estimation.did.event_study import PRE_PERIOD
from analysis.panel.panel import ANALYSED
from analysis.reporting.certainty.error_rates_words import an_effect, case_name, case_sites, detectable_note, no_effect
from analysis.reporting.certainty.words import LOG_RATE, METHODS, by_method, places
from analysis.reporting.results import HEADLINE_INFERENCE, PRIMARY, Results
from analysis.reporting.table import NONE, Table, bounds, fall_text, number, p_value, periods, values, with_bounds
from analysis.reporting.wording import NO_BREAK, headed

METHOD_COLUMNS = [
    "cohort", "method", "effect_percent", "ci_low", "ci_high", "p_value", "detectable_fall_percent", "detectable_rise_percent",
    "effect_text", "interval_text", "p_text", "fall_text",
]  # fmt: skip
FIT = {PRIMARY: "Counts", LOG_RATE: "Log rates"}


def certainty_table(results: Results, outcome: str) -> Table:
    """The whole programme's effect by each method of inference, model by model."""
    protocol = results.protocol
    data = pd.concat([_methods(results, outcome, model, "att", PRIMARY) for model in protocol.model_ids])
    cells = pd.DataFrame({"Method": [headed(METHODS[name]) for name in data.method.unique()]})
    for model in protocol.model_ids:
        label, rows = protocol.cohort_labels[model], data[data.cohort == model].set_index("method")
        rows = rows.reindex(data.method.unique()).fillna(NONE)
        cells[f"{label}: interval,{NO_BREAK}%"] = list(rows.interval_text)
        cells[f"p{NO_BREAK}({label})"] = list(rows.p_text)
        cells[f"{label}: detectable fall,{NO_BREAK}%"] = list(rows.fall_text)
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption=f"The same estimates, judged by each method: {protocol.study.conf_level:.0%} intervals over the programme",
        data=_numbers(data),
        note=f"The verdict uses randomisation; Poisson model of counts throughout. {detectable_note(results, outcome)}",
    )


def methods_table(results: Results, outcome: str, cohort: str) -> Table:
    """Every period's effect by each method, from the model of counts and from least squares of log rates."""
    protocol = results.protocol
    data = pd.concat(
        [
            _methods(results, outcome, cohort, term, specification).assign(model=model, period=period)
            for specification, model in FIT.items()
            for term, period in periods(results).items()
        ]
    )
    cells = pd.DataFrame(
        {
            "Model": data.model,
            "Period": data.period,
            "Method": data.method.map(METHODS).map(headed),
            "Effect, %": data.effect_text,
            "p": data.p_text,
            "Detectable fall, %": data.fall_text,
        }
    )
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[3:]),
        caption=f"{headed(protocol.cohort_labels[cohort])}: every method, for the whole programme and each year",
        data=_numbers(data),
        note=f"Effect with {protocol.study.conf_level:.0%} interval. Counts: Poisson model; log rates: least squares. "
        f"{detectable_note(results, outcome)}",
    )


def joint_tests_table(results: Results, outcome: str) -> Table:
    """Mean of the quarters before the programme, and both joint tests that all of them are zero, cohort by cohort."""
    protocol = results.protocol
    rows, data = [], []
    for cohort, label in ((c, protocol.cohort_labels[c]) for c in protocol.treated_cohorts):
        usual, placebo = (
            results.find("event_study", outcome, cohort, PRE_PERIOD, method) for method in ("CR1", HEADLINE_INFERENCE)
        )
        rows.append([label, with_bounds(usual), p_value(placebo), p_value(usual)])
        data.append((label, *values(usual)[:3], values(placebo)[3], values(usual)[3]))
    headers = ["Cohort", "Mean of the quarters before, %", "p, randomisation", "p, F with CR1 errors"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="The quarters before the programme: their mean, and tests that all of them are zero",
        data=pd.DataFrame(data, columns=["cohort", "mean_percent", "ci_low", "ci_high", "p_randomisation", "p_f"]),
        note=f"Relative to the quarter that began in {protocol.inference.event_study_base:%B %Y}; {protocol.study.conf_level:.0%} "
        "interval of the mean with CR1 errors. The joint tests do not depend on the base quarter.",
    )


def errors_table(results: Results) -> Table:
    """How often each method finds an effect where there is none, case by case."""
    return _simulation(
        results,
        {name: no_effect(results, name) for name in METHODS},
        lambda row: f"{100 * row.size_or_power:.1f}",
        ("Case", "Sites"),
        f"Simulated panels without an effect on average: share, %, in which each method finds one at the "
        f"{results.protocol.study.level:.0%} level",
    )


def power_table(results: Results) -> Table:
    """How often each method finds an effect, and how often its interval holds it, case by case."""
    return _simulation(
        results,
        {name: an_effect(results, name) for name in METHODS},
        lambda row: f"{100 * row.size_or_power:.0f} / {100 * row.coverage:.1f}",
        ("Case", "Sites", "True effect, %"),
        f"Simulated panels with an effect: share, %, in which each method finds it / its {results.protocol.study.conf_level:.0%} interval holds it",
    )


def evaluability_table(results: Results, outcome: str) -> Table:
    """The smallest fall and rise that an evaluation mostly finds: of single places, and of the cohorts as they were."""
    protocol = results.protocol
    rows, data = [], []
    for place in places(results, outcome):
        least = "at least " if place.bound else ""
        rows.append([place.name, f"{place.people:,}", f"{least}{place.fall:.1f}", f"{least}{place.rise:.1f}"])
        data.append((place.name, place.people, place.fall, place.rise, place.bound))
    for cohort, people in cohort_people(results).items():
        fall, rise = results.fall_found(outcome, cohort)
        name = f"{headed(protocol.cohort_labels[cohort])}, all sites"
        rows.append([name, f"{people:,.0f}", fall_text(fall), fall_text(rise)])
        data.append((name, people, fall, rise, False))
    headers = ["Evaluated", "People", "Detectable fall, %", "Detectable rise, %"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="What an evaluation of these years could have seen",
        data=pd.DataFrame(data, columns=["evaluated", "people", "fall_percent", "rise_percent", "lower_bound"]),
        note=f"{detectable_note(results, outcome)} “At least”: smaller than any place it could be compared with, so that only its own "
        "chance variation is added to that of the smallest of them.",
    )


def cohort_people(results: Results) -> dict[str, float]:
    """Cohort → people of its treated units, in the month that anchors population."""
    protocol, panel = results.protocol, results.panel
    rows = panel[
        panel.geography.isin(ANALYSED) & (panel.month == protocol.population.anchor) & (panel.covered_share == 1)
    ].drop_duplicates("unit")
    return {
        cohort: float(rows.population_published[rows.model.isin(models)].sum())
        for cohort, models in protocol.treated_cohorts.items()
    }


def _methods(results: Results, outcome: str, cohort: str, term: str, specification: str) -> pd.DataFrame:
    """One row a method: its numbers, and their text."""
    rows = []
    for name, found in by_method(results, outcome, cohort, term, specification).items():
        fall, rise = results.detectable(outcome, cohort, term.replace("att", "mde"), name, specification)
        rows.append(
            {
                "cohort": cohort, "method": name, "effect_percent": found.value, "ci_low": found.low, "ci_high": found.high,
                "p_value": found.p_value, "detectable_fall_percent": fall, "detectable_rise_percent": rise,
                "effect_text": with_bounds(found), "interval_text": bounds(found), "p_text": p_value(found),
                "fall_text": NONE if pd.isna(fall) else f"{fall:.1f}",
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else METHOD_COLUMNS)


def _numbers(data: pd.DataFrame) -> pd.DataFrame:
    return data.drop(columns=[name for name in data if name.endswith("_text")]).reset_index(drop=True)


def _simulation(
    results: Results,
    by_name: dict[str, pd.DataFrame],
    text: Callable[[Any], str],
    headers: tuple[str, ...],
    caption: str,
) -> Table:
    """Cases in rows, methods in columns."""
    keys = ["scenario", "cohort", "true_effect_percent"]
    used = {name: rows.set_index(keys) for name, rows in by_name.items() if len(rows)}
    everyone = pd.concat(by_name.values()).drop_duplicates(keys)
    cells = pd.DataFrame(
        {
            "Case": [headed(case_name(row.scenario)) for row in everyone.itertuples()],
            "Sites": [_sites(results, row) for row in everyone.itertuples()],
            "True effect, %": [number(row.true_effect_percent, 0) for row in everyone.itertuples()],
        }
    )[list(headers)]
    if everyone.scenario.nunique() == 1:
        caption += f": {case_name(everyone.scenario.iloc[0])}"
        cells = cells.drop(columns="Case")
    index = pd.MultiIndex.from_frame(everyone[keys])
    for name, rows in used.items():
        texts = pd.Series([text(row) for row in rows.itertuples()], index=rows.index)
        cells[headed(METHODS[name])] = list(texts.reindex(index).fillna(NONE))
    draws = pd.concat(by_name.values())
    return Table(
        cells=cells,
        numeric=tuple(name for name in cells if name not in ("Case", "Sites")),
        caption=caption,
        data=draws.reset_index(drop=True),
        note=f"Panels a case: {_counts(draws.draws)}, where the jackknife has fewest; Monte Carlo standard error at most "
        f"{100 * draws.monte_carlo_se.max():.1f} percentage points. The wild bootstrap judges log rates, the others counts.",
    )


def _sites(results: Results, row: Any) -> str:
    """A cohort and its number of sites, unless its name says it."""
    name = case_sites(results, row.cohort)
    return name if str(row.n_treated_sites) in name else f"{name} ({row.n_treated_sites})"


def _counts(draws: pd.Series) -> str:
    low, high = f"{draws.min():,}", f"{draws.max():,}"
    return low if low == high else f"{low} to {high}"
