"""All sites in one table, by model and name, and what they say together."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.sites.sites import DILUTED, LEFT_OUT, MASKED, SHIFTED, SMALLER, WHOLE
from analysis.reporting.results import Estimate, Results
from analysis.reporting.sites.places_words import pool, sites
from analysis.reporting.table import NONE, Table, bounds, number, p_value, unbroken, with_bounds
from analysis.reporting.wording import headed

FLAGS = {
    DILUTED: "diluted",
    SHIFTED: "lasting change of level",
    LEFT_OUT: "a unit left out",
    SMALLER: "smaller than the placebos",
}


def estimates_table(results: Results, outcome: str, model: str) -> Table:
    """Controlled, shrunken and synthetic estimate of each site of a model, its people, coverage and flags, in order of name."""
    label, level = results.protocol.cohort_labels[model], f"{results.protocol.study.conf_level:.0%}"
    table = sites(results, outcome)
    table = table[table.model == model]
    rows = list(table.itertuples())
    cells = pd.DataFrame(
        {
            "Site": table.site,
            "People": [NONE if pd.isna(row.population) else f"{row.population:,.0f}" for row in rows],
            "Effect, %": [_with_bounds(row.estimate, row.ci_low, row.ci_high) for row in rows],
            "Shrunk, %": [NONE if pd.isna(row.shrunken) else number(row.shrunken) for row in rows],
            "Synthetic, %": [_with_bounds(row.synthetic, row.synthetic_low, row.synthetic_high) for row in rows],
            "Notes": [_notes(row) for row in rows],
        }
    )
    return Table(
        cells=cells,
        numeric=("People", "Effect, %", "Shrunk, %", "Synthetic, %"),
        caption=f"Every {label} site by itself, in order of name",
        data=table,
        note=f"Effect: difference-in-differences with {level} intervals from placebo sites, scaled to its size. Shrunk: towards the mean of the model's sites covered as a "
        f"whole. Synthetic: synthetic difference-in-differences with {level} intervals. Diluted: only a part of its CCGs' people is covered. A unit left "
        "out: nobody knows what share of it is covered, or it has no counts.",
        widths=(25, 10, 19, 10, 19, 17),
    )


def pool_table(results: Results, outcome: str) -> Table:
    """Mean, prediction and heterogeneity of each model's sites and of all."""
    protocol = results.protocol
    rows, data = [], []
    for cohort in protocol.treated_cohorts:
        found, label = pool(results, outcome, cohort), headed(protocol.cohort_labels[cohort])
        if found is None:
            rows.append([label, *[NONE] * 7])
            continue
        differ = p_value(Estimate(0, 0, 0, found.heterogeneity_p))
        tau = f"{100 * found.tau:.1f}"
        rows.append(
            [
                label,
                str(found.sites),
                unbroken(with_bounds(found.mean)),
                bounds(found.cautious),
                bounds(found.prediction),
                tau,
                f"{100 * found.i_squared:.0f}",
                differ,
            ]
        )
        ends = (
            found.mean.low,
            found.mean.high,
            found.cautious.low,
            found.cautious.high,
            found.prediction.low,
            found.prediction.high,
        )
        data.append(
            (
                label,
                found.sites,
                found.mean.value,
                *ends,
                found.mean.p_value,
                found.tau,
                found.i_squared,
                found.heterogeneity_p,
            )
        )
    headers = ["Of", "Sites", "Mean, %", "Cautious interval, %", "One more site, %", "τ", "I², %", "p"]
    columns = [
        "cohort", "sites", "mean_percent", "ci_low", "ci_high", "cautious_low", "cautious_high", "prediction_low", "prediction_high",
        "p_value", "tau_log_points", "i_squared", "heterogeneity_p",
    ]  # fmt: skip
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="The sites covered as a whole, pooled by random effects",
        data=pd.DataFrame(data, columns=columns),
        note=f"Restricted maximum likelihood; {protocol.study.conf_level:.0%} interval of the mean by Knapp and Hartung's method, and, cautious, with an error that may not fall "
        "below the classical one; one more site by that error. τ: standard deviation of the sites' own effects, log points × 100. p: of Cochran's Q, that all sites are alike.",
        widths=(17, 8, 17, 17, 17, 7, 8, 9),
    )


def _with_bounds(value: float, low: float, high: float) -> str:
    return NONE if pd.isna(value) else unbroken(with_bounds(Estimate(value, low, high, float("nan"))))


def _notes(row: pd.Series) -> str:
    """Coverage, masked months and other flags in words, or why there is no estimate."""
    flags = str(row.flags).split(";")
    notes = [text for flag, text in FLAGS.items() if flag in flags]
    if row.coverage != WHOLE and not pd.isna(row.covered_share):
        notes[0] += f" ({row.covered_share:.0%} covered)"
    if MASKED in flags:
        notes.append(f"{row.masked_months} months masked")
    if row.reason:
        notes.append(f"no estimate: {row.reason}")
    return headed("; ".join(notes)) or NONE
