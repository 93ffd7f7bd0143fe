"""One site's estimates by every design, and the list of all sites with their briefs."""

from __future__ import annotations

import pandas as pd

from analysis.core.untrusted import slug
from analysis.estimation.its.terms import CONTROLLED, KENWARD_ROGER, LEVEL, PSEUDO_COHORTS, SINGLE, SLOPE
from analysis.estimation.regression.estimates import PLACEBO
from analysis.protocol.protocol import REST
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.words import late_term
from analysis.reporting.sites.places_words import sites
from analysis.reporting.sites.site_words import growth
from analysis.reporting.table import NONE, Table, number, p_value, unbroken, with_bounds
from analysis.reporting.wording import headed, in_sentence


def site_table(results: Results, outcome: str, site: str) -> Table:
    """Every design that was used on the site, with its interval and p-value."""
    protocol = results.protocol
    month = protocol.its.effect_month
    wanted = [
        ("Difference-in-differences", "site", "att", PLACEBO, 1),
        ("Drawn towards the mean of its model", "site", "att_shrunken", "REML", 1),
        ("Synthetic difference-in-differences", "sdid", "att", PLACEBO, 1),
        ("Synthetic control", "synthetic_control", "att", PLACEBO, 1),
        ("Controlled time series: step at the start", CONTROLLED, LEVEL, PSEUDO_COHORTS, 1),
        ("Controlled time series: slope, a month", CONTROLLED, SLOPE, PSEUDO_COHORTS, 2),
        (f"Controlled time series: departure in month {month}", CONTROLLED, late_term(results), PSEUDO_COHORTS, 1),
        (f"Its own time series: departure in month {month}", SINGLE, late_term(results), KENWARD_ROGER, 1),
    ]  # fmt: skip
    rows, data = [], []
    for name, design, term, inference, digits in wanted:
        found = results.find(design, outcome, site, term, inference)
        if found is not None:
            rows.append([name, unbroken(with_bounds(found, digits)), p_value(found)])
            data.append((name, design, term, inference, found.value, found.low, found.high, found.p_value))
    return Table(
        cells=pd.DataFrame(rows, columns=["Design", "Change, %", "p"]),
        numeric=("Change, %", "p"),
        caption=f"{protocol.outcome(outcome).label} per head, by each design",
        data=pd.DataFrame(
            data, columns=["name", "design", "term", "inference", "percent", "ci_low", "ci_high", "p_value"]
        ),
        note=f"{protocol.study.conf_level:.0%} intervals from what the same design finds in other places; of its own series, by REML. Many looks at one place are no "
        "family of tests: some would stand out by chance.",
    )


def site_growth_table(results: Results, outcome: str, site: str) -> Table:
    """Growth per head of the site and of the rest, on each of the protocol's comparisons."""
    found = growth(results, outcome, site)
    rest = headed(results.protocol.cohort_labels[REST])
    return Table(
        cells=pd.DataFrame(
            {
                "Compared": found.compared.map(headed),
                "Here, %": found.site.map(number),
                f"{rest}, %": found.rest.map(number),
            }
        ),
        numeric=("Here, %", f"{rest}, %"),
        caption=f"Growth of {in_sentence(results.protocol.outcome(outcome).label)} per head",
        data=found,
    )


def briefs_table(results: Results, outcome: str, folder: str) -> Table:
    """Every site with links to its brief in ``folder``, by model and name."""
    rows, table = [], sites(results, outcome)
    for row in table.itertuples():
        found = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)
        name = slug(row.site)
        files = {"PDF": f"{name}.pdf", "CSV": f"csv/fig-{name}.csv", "SVG": f"figures/{name}.svg"}
        files |= {} if row.reason else {"designs": f"csv/tbl-{name}.csv", "growth": f"csv/tbl-{name}-growth.csv"}
        rows.append(
            [
                f"[{row.site}]({folder}/{name}.html)",
                results.protocol.cohort_labels[row.model],
                NONE if pd.isna(row.population) else f"{row.population:,.0f}",
                NONE if row.reason else unbroken(with_bounds(found)),
                ", ".join(f"[{word}]({folder}/{file})" for word, file in files.items()),
            ]
        )
    cells = pd.DataFrame(rows, columns=["Site", "Model", "People", "Change, %", "Files"])
    several = len(results.protocol.models) > 1
    return Table(
        cells=cells if several else cells.drop(columns="Model"),
        numeric=("People", "Change, %"),
        caption=f"Every site, with its brief: {results.protocol.outcome(outcome).label.lower()} per head over the programme against the rest of England",
        data=table[["site", "model", "population", "estimate", "ci_low", "ci_high", "p_value", "reason"]],
        note=f"Difference-in-differences, {results.protocol.study.conf_level:.0%} intervals from placebo places. By {'model and ' if several else ''}name: it is no league table, and a rank by size "
        "would be little more than a draw of lots. People: those of the commissioners that the estimate uses. Files: the brief to print; the figure and its numbers; the estimates of every design; growth.",
        widths=(32, 9, 11, 23, 25) if several else (38, 12, 25, 25),
    )
