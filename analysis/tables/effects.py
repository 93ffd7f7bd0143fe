"""Tables of estimates: growth, difference-in-differences, other outcomes, interrupted time series."""

from __future__ import annotations

import pandas as pd

from analysis.protocol import REST
from analysis.results import Estimate, Results
from analysis.tables.table import Table
from analysis.wording import NO_BREAK, headed, p_text, plain, signed, span


def growth_table(results: Results, outcome: str) -> Table:
    """Growth per head on each baseline, cohort by cohort, and each model's difference from the rest."""
    labels, models = results.protocol.cohort_labels, results.protocol.model_ids
    columns = {f"{headed(labels[c])}, %": (c, "growth") for c in [*models, REST]}
    columns |= {f"{labels[m]} less the rest, %": (m, "growth_gap") for m in models}
    rows, data = [], []
    for rule in results.protocol.growth:
        cells = [headed(rule.label) + ("*" if rule.baseline_in_programme else "")]
        for cohort, kind in columns.values():
            found = results.percent("growth", outcome, cohort, f"{kind}_{rule.id}", "linearised")
            number = _number(found.value) if kind == "growth_gap" else plain(found.value).removesuffix("%")
            cells.append(f"{number} ({_range(found)})")
            data.append((rule.label, cohort, kind, found.value, found.low, found.high))
        rows.append(cells)
    return Table(
        cells=pd.DataFrame(rows, columns=["Compared", *columns]),
        numeric=tuple(columns),
        caption=f"Growth of non-elective admissions per head, with {results.protocol.study.conf_level:.0%} intervals",
        data=pd.DataFrame(data, columns=["compared", "cohort", "kind", "percent", "ci_low", "ci_high"]),
        note="\\* The baseline holds months of the programme. Intervals by linearised ratio of sums, over sites or, for the rest of England, its units.",
    )


def effects_table(results: Results, outcome: str) -> Table:
    """Difference-in-differences of every cohort: three years together and each year, by both kinds of inference."""
    protocol = results.protocol
    periods = {"att": "Whole programme"} | {f"att_{year.id}": year.label for year in protocol.programme_years}
    rows, data = [], []
    for cohort in protocol.treated_cohorts:
        for term, period in periods.items():
            main = results.effect(outcome, cohort, term)
            clustered = results.percent("did", outcome, cohort, term, "CR1")
            fall, rise = results.detectable(outcome, cohort, term.replace("att", "mde"))
            label = protocol.cohort_labels[cohort]
            rows.append([label, period, _number(main.value), _range(main), _p(main), _range(clustered), f"{fall:.1f}"])
            data.append(
                (
                    label,
                    period,
                    main.value,
                    main.low,
                    main.high,
                    main.p_value,
                    clustered.low,
                    clustered.high,
                    fall,
                    rise,
                )
            )
    level = f"{protocol.study.conf_level:.0%}"
    headers = ["Cohort", "Period", "Effect, %", f"{level} interval", "p", "CR1 interval", "Detectable fall, %"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption=f"{protocol.outcome(outcome).label} per head: difference-in-differences",
        data=pd.DataFrame(
            data,
            columns=[
                "cohort",
                "period",
                "effect_percent",
                "ci_low",
                "ci_high",
                "p_value",
                "cr1_low",
                "cr1_high",
                "detectable_fall_percent",
                "detectable_rise_percent",
            ],
        ),
        note="Interval and p by randomisation over sites. CR1 is the usual clustered interval, too narrow with so few sites. "
        f"Detectable fall: the true fall found {protocol.inference.power:.0%} of the time.",
    )


def outcomes_table(results: Results) -> Table:
    """The effect on every outcome, primary and negative controls, model by model."""
    protocol = results.protocol
    rows, data = [], []
    for outcome in protocol.outcomes:
        cells = [outcome.label, "primary" if outcome.role == "primary" else f"negative{NO_BREAK}control"]
        for model in protocol.model_ids:
            effect = results.effect(outcome.id, model)
            cells += [f"{_number(effect.value)} ({_range(effect)})", _p(effect)]
            data.append((outcome.label, outcome.role, model, effect.value, effect.low, effect.high, effect.p_value))
        rows.append(cells)
    headers = ["Outcome", "Role"]
    for model in protocol.model_ids:
        headers += [f"{protocol.cohort_labels[model]}, %", f"p{NO_BREAK}({protocol.cohort_labels[model]})"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Effect over the programme on each outcome",
        data=pd.DataFrame(
            data, columns=["outcome", "role", "cohort", "effect_percent", "ci_low", "ci_high", "p_value"]
        ),
        note=f"Difference-in-differences with {protocol.study.conf_level:.0%} randomisation intervals.",
    )


def its_table(results: Results, outcome: str) -> Table:
    """Level and slope change and the late effect, controlled and single-group, cohort by cohort."""
    protocol = results.protocol
    month = protocol.its.effect_month
    designs = {"cits": "controlled", "its": f"single{NO_BREAK}group"}
    rows, data = [], []
    for cohort in protocol.treated_cohorts:
        for design, name in designs.items():
            terms = {
                term: results.percent(design, outcome, cohort, term, "HAC")
                for term in ("level", "slope", f"effect_{month}")
            }
            level, slope, late = terms.values()
            label = protocol.cohort_labels[cohort]
            rows.append(
                [label, name, f"{_number(level.value)} ({_range(level)})", f"{_number(slope.value, 2)} ({_range(slope, 2)})",
                 f"{_number(late.value)} ({_range(late)})"]
            )  # fmt: skip
            data += [(label, name, term, e.value, e.low, e.high, e.p_value) for term, e in terms.items()]
    headers = ["Cohort", "Series", "Level change, %", "Slope change, % a month", f"Departure in month {month}, %"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption=f"{protocol.outcome(outcome).label} per head: segmented regression",
        data=pd.DataFrame(data, columns=["cohort", "series", "term", "percent", "ci_low", "ci_high", "p_value"]),
        note=f"Newey–West {protocol.study.conf_level:.0%} intervals, {protocol.its.hac_lags} lags, {protocol.its.harmonics} harmonic pairs.",
    )


def _number(value: float, digits: int = 1) -> str:
    return signed(value, digits).removesuffix("%")


def _range(estimate: Estimate, digits: int = 1) -> str:
    return span(estimate, digits).replace("%", "")


def _p(estimate: Estimate) -> str:
    return p_text(estimate.p_value).removeprefix("p").removeprefix(f"{NO_BREAK}=").strip()
