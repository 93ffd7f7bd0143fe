"""Tables of the data: how much is masked, what shifts and stays, parts and wholes, the headline under other thresholds."""

from __future__ import annotations

import pandas as pd

from analysis.reporting.data.data_quality_words import masked_by_outcome, whole_and_parts
from analysis.reporting.results import HEADLINE_INFERENCE, PRIMARY, Results
from analysis.reporting.table import Table, number, unbroken, with_bounds
from analysis.reporting.wording import NO_BREAK


def masked_table(results: Results) -> Table:
    """Unit-months that the rule masks, outcome by outcome."""
    data = masked_by_outcome(results)
    cells = pd.DataFrame(
        {
            "Outcome": data.label,
            "Masked": data.masked.map("{:,}".format),
            "of them too high": data.too_high.map("{:,}".format),
            "Places": data.units.map("{:,}".format),
            "Share of all, %": (100 * data.share).map("{:.2f}".format),
            "Pending": data.pending.map("{:,}".format),
        }
    )
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption="Unit-months that the data-quality rule masks",
        data=data,
        note="Pending: doubtful values of the last months, where a return to the old level cannot be seen yet; they are kept, and a specification masks them.",
    )


def shifts_table(results: Results, outcome: str) -> Table:
    """Units with a lasting change of level: never masked, and left out in a sensitivity."""
    rows = results.shifts[results.shifts.outcome == outcome].sort_values(["unit_name", "month"])
    cells = pd.DataFrame(
        {
            "Unit": rows.unit_name.str.removeprefix("NHS ").str.removesuffix(" CCG") + " (" + rows.unit + ")",
            "From": rows.month.dt.strftime(f"%B{NO_BREAK}%Y"),
            "Change, %": (100 * (rows.ratio - 1)).map(lambda change: number(change, 0)),
        }
    )
    return Table(
        cells=cells,
        numeric=("Change, %",),
        caption=f"{results.protocol.outcome(outcome).label}: units whose level changes and stays",
        data=rows,
        note="From: the month whose levels before and after differ most, which can lie some weeks from what caused the change. A sensitivity leaves these units out.",
    )


def whole_table(results: Results) -> Table:
    """Sums over units beside England's published totals, by calendar year."""
    data = whole_and_parts(results)
    years = sorted(data.year.unique())
    cells = pd.DataFrame({"Outcome": data.label.unique()})
    for year in years:
        share = data[data.year == year].set_index("label").outside
        cells[str(year)] = [f"{100 * share[label]:.1f}" for label in cells.Outcome]
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption="Share of England's published total that lies outside the units, per cent",
        data=data,
        note="The months of each calendar year that are in the study. Outside the units is what NHS England commissions directly.",
    )


def thresholds_table(results: Results, outcome: str) -> Table:
    """The headline under other rules for what is masked."""
    protocol = results.protocol
    rows, data = [], []
    for choice in protocol.specifications:
        masks = not choice.masked or choice.departure or choice.pending_masked
        if choice.id != PRIMARY and not (masks and choice.population == "moving"):
            continue
        found = {m: results.find("did", outcome, m, "att", HEADLINE_INFERENCE, choice.id) for m in protocol.model_ids}
        if not any(found.values()):
            continue
        rows.append([choice.label, *[unbroken(with_bounds(each)) for each in found.values()]])
        data += [(choice.id, choice.label, m, e.value, e.low, e.high, e.p_value) for m, e in found.items() if e]
    headers = ["What is masked", *[f"{protocol.cohort_labels[m]}, %" for m in protocol.model_ids]]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="The effect over the programme under other rules for masking",
        data=pd.DataFrame(
            data, columns=["specification", "label", "cohort", "percent", "ci_low", "ci_high", "p_value"]
        ),
        note=f"Difference-in-differences with {protocol.study.conf_level:.0%} randomisation intervals.",
    )
