"""Tables of editions: their headlines, what came in, what moved, and what moved it."""

from __future__ import annotations

import pandas as pd

from analysis.editions.ledger import CAUSES, GONE, MOVED, NEW, SAME
from analysis.estimation.its.terms import CUMULATIVE
from analysis.estimation.regression.estimates import PERCENT_SUFFIX
from analysis.panel.quality import OK, PENDING, TOO_HIGH, TOO_LOW
from analysis.reporting.editions.refresh_words import outcome_label, own_editions
from analysis.reporting.results import Results
from analysis.reporting.table import NONE, Table, number, p_number, unbroken
from analysis.reporting.wording import NO_BREAK, NO_BREAK_HYPHEN, headed

RULES = {OK: "kept", PENDING: "pending", TOO_LOW: "too low", TOO_HIGH: "too high"}
MOST = 20  # rows of the table of the largest movements


def editions_table(results: Results) -> Table:
    """The headlines of every edition of the data set at hand."""
    rows = own_editions(results)
    labels = results.protocol.cohort_labels
    several = rows.outcome.nunique() > 1
    cells = pd.DataFrame(
        {
            "Edition": rows.edition.str.replace("-", NO_BREAK_HYPHEN),
            "Recorded": rows.recorded.str.replace("-", NO_BREAK_HYPHEN),
            **({"Outcome": [outcome_label(results, id) for id in rows.outcome]} if several else {}),
            "Model": [labels.get(cohort, cohort) for cohort in rows.cohort],
            "Effect, %": [_with_bounds(row.estimate, row.ci_low, row.ci_high) for row in rows.itertuples()],
            "p": rows.p_value.map(p_number),
            "Verdict": rows.verdict.map(headed),
        }
    )
    return Table(
        cells=cells,
        numeric=("Effect, %", "p"),
        caption="Editions and their headlines",
        data=rows,
        note="Difference-in-differences over the programme, with randomisation intervals. Recorded: the day on which the edition entered the table of editions.",
    )


def files_table(results: Results) -> Table:
    """Files that came in, and earlier issues that stepped back."""
    rows = results.refreshed("files").fillna("")
    cells = pd.DataFrame(
        {
            "File": rows.file.str.rsplit("/", n=1).str[-1],
            "Month": rows.month.str.replace("-", NO_BREAK_HYPHEN),
            "": rows.what.map({"came": "came in", "went": "stepped back"}),
            "SHA-256 begins": rows.sha256.str[:10],
        }
    ).rename(columns={"": "What"})
    return Table(
        cells=cells,
        numeric=(),
        caption="Files that one edition was made from and the other was not",
        data=rows,
        note="An earlier issue that steps back stays in data_raw/manifest.csv, with the day on which it did.",
        widths=(55, 12, 17, 16),
    )


def headlines_table(results: Results) -> Table:
    """Each headline's movement and its parts."""
    rows = results.refreshed("headlines")
    causes = list(results.refreshed("causes").cause)
    labels = results.protocol.cohort_labels
    cells = pd.DataFrame(
        {
            "Model": [labels.get(cohort, cohort) for cohort in rows.cohort],
            "Before, %": rows.estimate_before.map(lambda value: number(value, 2)),
            **{f"{headed(CAUSES[cause])}": rows[f"by_{cause}"].map(lambda value: number(value, 2)) for cause in causes},
            "Now, %": rows.estimate_after.map(lambda value: number(value, 2)),
            "Moved, standard errors": rows.moved_in_se.map(lambda value: number(value, 2)),
        }
    )
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption="What moved the headlines, in percentage points",
        data=rows,
        note="Standard errors: those of the earlier edition, from its interval.",
    )


def masks_table(results: Results) -> Table:
    """Months that the data-quality rule judges otherwise than it did."""
    rows = results.refreshed("masks")
    places = results.panel.drop_duplicates("unit").set_index("unit").unit_name
    cells = pd.DataFrame(
        {
            "Outcome": [outcome_label(results, id) for id in rows.outcome],
            "CCG": [f"{places.get(u, u).removeprefix('NHS ').removesuffix(' CCG')} ({u})" for u in rows.unit],
            "Month": pd.to_datetime(rows.month).dt.strftime(f"%b{NO_BREAK}%Y"),
            "Was": rows.was.map(RULES),
            "Now": rows.now.map(RULES),
        }
    )
    return Table(
        cells=cells,
        numeric=(),
        caption="Months that the data-quality rule judges otherwise than in the edition before",
        data=rows,
        note="Pending: doubtful, in the last months of an edition, and kept. Too low or too high: masked. What was pending is masked once the old level is "
        "back, and kept where it was at that level after all, or where the data do not yet show it back and the run began before the last months.",
    )


def moved_table(results: Results) -> Table:
    """Estimates by design: how many moved, how far, and what moved most of them."""
    ledger = results.refreshed("ledger")
    rows = []
    for design, part in ledger.groupby("design", sort=True):
        moved = part[part.status == MOVED]
        sizes = moved.moved_in_se.abs().dropna()
        counts = [int((part.status == status).sum()) for status in (SAME, MOVED, NEW, GONE)]
        cause = moved.cause.mode().iloc[0] if len(moved) else ""
        rows.append((design, *counts, sizes.median(), sizes.max(), cause))
    data = pd.DataFrame(rows, columns=["design", SAME, MOVED, NEW, GONE, "median_se", "largest_se", "cause"])
    cells = pd.DataFrame(
        {
            "Design": data.design.str.replace("_", NO_BREAK),
            **{headed(status): data[status].map("{:,}".format) for status in (SAME, MOVED, NEW, GONE)},
            "Median, standard errors": data.median_se.map(_size),
            "Largest": data.largest_se.map(_size),
            "Mostly by": data.cause.map(lambda cause: headed(CAUSES[cause]) if cause else NONE),
        }
    )
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:-1]),
        caption="Estimates that moved, by design",
        data=data,
        note="Movements are in standard errors of the earlier edition. The same number stands in the table of estimates once for every way of inference.",
    )


def largest_table(results: Results) -> Table:
    """The estimates that moved furthest in their own standard errors, each once."""
    ledger = results.refreshed("ledger")
    measured = ledger.moved_in_se.notna() & ~ledger.term.str.endswith(PERCENT_SUFFIX) & (ledger.term != CUMULATIVE)
    moved = ledger[(ledger.status == MOVED) & measured]
    order = moved.moved_in_se.abs().sort_values(ascending=False, kind="stable").index
    rows = moved.loc[order].drop_duplicates(["design", "outcome", "cohort", "specification", "term"]).head(MOST)
    cells = pd.DataFrame(
        {
            "Estimate": rows.design.str.replace("_", " ") + ", " + rows.term.str.replace("_", " "),
            "Outcome": [outcome_label(results, id) for id in rows.outcome],
            "Cohort": [results.protocol.cohort_labels.get(id, id) for id in rows.cohort],
            "Specification": rows.specification.str.replace("_", " "),
            "Standard errors": rows.moved_in_se.map(lambda value: number(value, 2)),
            "Mostly by": rows.cause.map(lambda cause: headed(CAUSES[cause]) if isinstance(cause, str) else NONE),
        }
    )
    return Table(
        cells=cells,
        numeric=("Standard errors",),
        caption="The estimates that moved furthest, in their own earlier standard errors",
        data=rows,
        note="Sums over all months since the start, which grow with every month, are left out.",
    )


def _size(value: float) -> str:
    return NONE if pd.isna(value) else f"{value:.2f}"


def _with_bounds(estimate: float, low: float, high: float) -> str:
    return unbroken(f"{number(estimate)} ({number(low)} to {number(high)})")
