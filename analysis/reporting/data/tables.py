"""Tables about the data: who was in the programme, what was masked, which files were read."""

from __future__ import annotations

import pandas as pd

from analysis.core.files import sha256
from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import NO_MODEL
from analysis.reporting.data.baseline_words import baseline
from analysis.reporting.results import Results
from analysis.reporting.table import NONE, Table
from analysis.reporting.wording import NO_BREAK, NO_BREAK_HYPHEN, counted, headed


def sites_table(results: Results) -> Table:
    """Every site of the study: model, commissioners, coverage, population."""
    anchor = results.protocol.population.anchor
    rows = results.panel[
        results.panel.geography.isin(ANALYSED) & (results.panel.month == anchor) & (results.panel.model != NO_MODEL)
    ]
    first = rows.drop_duplicates("unit")
    sites = first.groupby(["model", "site"]).agg(
        population=("population_published", "sum"), share=("covered_share", "min"),
        known=("covered_share", lambda s: s.notna().all()),
    ).reset_index()  # fmt: skip
    coverage = [
        "whole" if known and share == 1 else f"{share:.0%}" if known else "part, share not known"
        for known, share in zip(sites.known, sites.share, strict=True)
    ]
    labels, several = results.protocol.cohort_labels, len(results.protocol.models) > 1
    of = f" of the {counted(len(results.protocol.models))} models" if several else ""
    model = {"Model": sites.model.map(labels)} if several else {}
    cells = pd.DataFrame(
        {
            "Site": sites.site,
            **model,
            "CCGs": sites.site.map(_commissioners(results)),
            "Covered": coverage,
            "Population, thousands": [f"{people / 1000:,.0f}" for people in sites.population],
        }
    )
    data = sites.drop(columns="known").assign(ccgs=cells["CCGs"]).rename(columns={"share": "covered_share"})
    return Table(
        cells=cells,
        numeric=("Population, thousands",),
        caption=f"Vanguard sites{of}, their commissioners and the share of those commissioners' people covered",
        data=data,
        note="Only sites covered as a whole are in the treated group; the others are in neither group. Where the covered share of some of a site's CCGs is not known, its own estimate uses the others.",
        source=f"`{results.protocol.study.cohorts}`, row by row; population: Office for National Statistics, mid-2015",
    )


def baseline_table(results: Results, outcome: str) -> Table:
    """What the places of each cohort were like before the programme."""
    found, name = baseline(results, outcome), results.protocol.outcome(outcome).label
    rows = {
        "Units": found.units.map("{:.0f}".format),
        "People a unit, thousands": (found.people / 1000).map("{:.0f}".format),
        "People aged 75 and over, %": (100 * found.share_75_plus).map("{:.1f}".format),
        "Index of Multiple Deprivation, mean score": found.imd.map("{:.1f}".format),
        f"{name} per 1,000 people, in the year before the last": found.before.map("{:.1f}".format),
        f"{name} per 1,000 people, in the last year": found["last"].map("{:.1f}".format),
    }
    names = {cohort: headed(results.protocol.cohort_labels[cohort]) for cohort in found.index}
    deprivation = "; English indices of deprivation 2015" if found.imd.notna().any() else ""
    cells = pd.DataFrame(rows).T.rename(columns=names).replace("nan", NONE)
    return Table(
        cells=cells.rename_axis("Before the start").reset_index(),
        numeric=tuple(names.values()),
        caption="The cohorts before the programme began",
        data=found.rename_axis("cohort").reset_index(),
        note="Shares and scores are means weighted by people; a higher score is more deprived. Masked months are left out with their people.",
        source=f"{results.dataset_name}; Office for National Statistics{deprivation}",
    )


def _commissioners(results: Results) -> pd.Series:
    """Site → the codes of its CCGs."""
    table = results.cohort_table
    ours = table[table.model.isin(results.protocol.model_ids)]
    return ours.groupby("vanguard").ccg_code.agg(", ".join)


def ledger_table(results: Results, outcome: str) -> Table:
    """Runs of masked months of one outcome: where, when, how far from the level around them."""
    rows = results.ledger[results.ledger.outcome == outcome].sort_values(["unit", "month"])
    gap = (
        rows.month.dt.to_period("M").astype("int64").diff().ne(1)
        | rows.unit.ne(rows.unit.shift())
        | rows.rule.ne(rows.rule.shift())
    )
    runs = rows.groupby(gap.cumsum()).agg(
        unit=("unit", "first"), unit_name=("unit_name", "first"), first=("month", "min"), last=("month", "max"),
        months=("month", "size"), ratio=("ratio", "mean"), rule=("rule", "first"), note=("note", "first"),
    )  # fmt: skip
    words = {
        "missing_return": "too low",
        "double_count": "too high",
        "pending": "pending",
    }
    cells = pd.DataFrame(
        {
            "CCG": runs.unit_name.str.removeprefix("NHS ").str.removesuffix(" CCG") + " (" + runs.unit + ")",
            "From": runs["first"].dt.strftime(f"%b{NO_BREAK}%Y"),
            "To": runs["last"].dt.strftime(f"%b{NO_BREAK}%Y"),
            "Months": runs.months.astype(str),
            "Published ÷ expected": runs.ratio.map("{:.2f}".format),
            "Rule": runs.rule.map(words),
        }
    )
    return Table(
        cells=cells,
        numeric=("Months", "Published ÷ expected"),
        caption=f"{results.protocol.outcome(outcome).label}: runs of months that the data-quality rule flags",
        data=runs,
        note="Too low: as where a return is missing; too high: as where one is counted twice. Expected: the level of the months before and after, with season and national movement. The ledger gives each month and the file's own note.",
    )


def sources_table(results: Results) -> Table:
    """Every published file and table of facts that the edition was made from."""
    study, report = results.protocol.study, results.protocol.report
    named = [study.cohorts, str(results.work.ccg_changes.relative_to(results.work.root))]
    named += [name for name in (report.published, report.reconciliation, report.facts) if name]
    own = [{"file": name, "sha256": sha256(results.work.named(name))} for name in named]
    files = pd.DataFrame([*results.provenance["files"], *own]).fillna("")
    cells = pd.DataFrame(
        {
            "File": files.file.str.rsplit("/", n=1).str[-1],
            "Month": files.month.str.replace("-", NO_BREAK_HYPHEN),
            "Published": files.published.str.replace("-", NO_BREAK_HYPHEN),
            "Revised": files.revised.str.replace("-", NO_BREAK_HYPHEN),
            "SHA-256 begins": files.sha256.str[:10],
        }
    )
    return Table(
        cells=cells,
        numeric=(),
        caption="Files that this edition was made from",
        data=files,
        note="The CSV and data_raw/manifest.csv give each SHA-256 in full. Published files: Open Government Licence v3.0. The last rows are this "
        "project's own tables of facts, each row with its source.",
        source="`data_raw/manifest.csv`",
        widths=(49, 10, 14, 14, 13),
    )
