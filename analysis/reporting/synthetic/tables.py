"""Synthetic designs: estimates with their fits, and the donors that carry most weight."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.estimation.regression.estimates import PLACEBO
from analysis.reporting.results import Results
from analysis.reporting.synthetic.counterfactuals_words import DESIGNS, synthetic_fit, synthetic_weights
from analysis.reporting.table import NONE, Table, p_number, p_value, unbroken, with_bounds
from analysis.reporting.wording import counted, headed

TOP = 10  # donors shown of each cohort and design


def synthetic_table(results: Results, outcome: str) -> Table:
    """Estimate, placebo p-value and rank, and quality of the counterfactual, by cohort and design."""
    protocol = results.protocol
    rows, data = [], []
    for cohort in protocol.treated_cohorts:
        for design, name in DESIGNS.items():
            found = results.find(design, outcome, cohort, "att", PLACEBO)
            fit = synthetic_fit(results, outcome, cohort, design)
            if found is None or fit is None:
                continue
            names = [headed(protocol.cohort_labels[cohort]), headed(name)]
            rank = f"{fit['rank']:,.0f} of {fit.placebos + 1:,.0f}"
            rows.append(
                [
                    *names,
                    unbroken(with_bounds(found)),
                    p_value(found),
                    rank,
                    p_number(fit.ratio_p),
                    f"{fit.pre_period_rmse:.1f}",
                    f"{fit.effective_donors:.0f}",
                ]
            )
            data.append(
                (
                    *names,
                    found.value,
                    found.low,
                    found.high,
                    found.p_value,
                    fit["rank"],
                    fit.placebos,
                    fit.ratio_p,
                    fit.pre_period_rmse,
                    fit.effective_donors,
                )
            )
    headers = ["Cohort", "Design", "Effect, %", "p", "Rank", "p, ratio", "Error before, %", "Donors"]
    columns = [
        "cohort",
        "design",
        "effect_percent",
        "ci_low",
        "ci_high",
        "p_value",
        "rank",
        "placebos",
        "ratio_p",
        "pre_period_rmse_percent",
        "effective_donors",
    ]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Synthetic difference-in-differences and synthetic control",
        data=pd.DataFrame(data, columns=columns),
        note=f"{protocol.study.conf_level:.0%} interval, p and rank against placebos, which are other places; rank by size of the effect; p, ratio: by the ratio of the "
        "error after the start to that before. Error before: root mean square, about the "
        "intercept where the design has one. Donors: so many of equal weight would be worth as much (one over the sum of squared weights).",
        widths=(15, 22, 19, 7, 11, 8, 9, 9),
    )


def donors_table(results: Results, outcome: str) -> Table:
    """The donors that carry most weight, side by side for both designs, cohort by cohort."""
    protocol = results.protocol
    parts, data = [], []
    for cohort in protocol.treated_cohorts:
        columns = {}
        for design, name in DESIGNS.items():
            found = synthetic_weights(results, outcome, cohort, design)
            data.append(found.assign(cohort=cohort, design=design))
            columns[f"{headed(name)}: donor (weight)"] = pd.Series(
                [_donor(row) for row in found.head(TOP).itertuples()]
            )
        parts.append(pd.DataFrame(columns).fillna(NONE).assign(Cohort=headed(protocol.cohort_labels[cohort])))
    cells = pd.concat(parts, ignore_index=True)
    return Table(
        cells=cells[["Cohort", *cells.columns.drop("Cohort")]],
        numeric=(),
        caption=f"The {counted(TOP)} heaviest donors of each cohort",
        data=pd.concat(data, ignore_index=True)[["cohort", "design", "name", "weight"]],
        note="The CSV has every donor with a weight.",
        widths=(26, 37, 37),
    )


def _donor(row: Any) -> str:
    return f"{row.name.removeprefix('NHS ').removesuffix(' CCG')} ({row.weight:.1%})"
