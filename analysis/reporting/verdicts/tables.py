"""The verdicts, with everything that the rule looked at."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.verdict import SMALLEST_BREAKDOWN, SMALLEST_SHARE
from analysis.reporting.results import Estimate, Results
from analysis.reporting.table import NONE, Table, number, p_value, with_bounds
from analysis.reporting.trends.words import breakdown_text
from analysis.reporting.wording import headed, in_sentence, share_text


def verdicts_table(results: Results, outcome: str) -> Table:
    """Inputs in rows, what the rule asks of them, and a column for each model."""
    protocol = results.protocol
    level = f"{protocol.study.level:.0%}"
    rows = results.verdicts[results.verdicts.outcome == outcome].set_index("cohort")
    found = {model: rows.loc[model] for model in protocol.model_ids if model in rows.index}
    asked = {
        "Verdict": "",
        "Effect, %": "",
        "p": "",
        "p, Holm": f"under {level}",
        "Breakdown value": f"at least {SMALLEST_BREAKDOWN:g}",
        "Specifications": "",
        "of them with the estimate's sign": f"at least {SMALLEST_SHARE:.0%}",
        f"of them with p under {level}": "",
        "p, quarters before": f"{level} or more",
        "Quarters before, mean, %": "",
        "Smallest p of a control": f"{level} or more",
        "Detectable fall, %": "",
    }
    cells = pd.DataFrame({"Looked at": list(asked), "The rule asks for": [text or NONE for text in asked.values()]})
    for model in protocol.model_ids:
        cells[protocol.cohort_labels[model]] = _texts(results, found[model]) if model in found else NONE
    return Table(
        cells=cells,
        numeric=tuple(protocol.cohort_labels[model] for model in protocol.model_ids),
        caption=f"{protocol.outcome(outcome).label}: the verdicts, and what the rule looked at",
        data=results.verdicts[results.verdicts.outcome == outcome],
        note=f"Effect with {protocol.study.conf_level:.0%} randomisation interval. Breakdown value: of the event study's mean effect, relative magnitudes, hybrid. "
        f"Quarters before: their mean relative to the last of them.{_accident(found)} The CSV has every number.",
    )


def _accident(found: dict[str, pd.Series]) -> str:
    """An estimate that is printed as zero has its sign by accident."""
    tiny = any(number(row.estimate) == number(0.0) for row in found.values())
    return " Where the estimate is printed as zero, its sign is an accident." if tiny else ""


def _texts(results: Results, row: pd.Series) -> list[str]:
    control = f" ({in_sentence(results.protocol.outcome(row.control).label)})" if row.control else ""
    effect = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)

    def p(value: float) -> str:
        return p_value(Estimate(row.estimate, row.ci_low, row.ci_high, value))

    def optional(value: float, text: str) -> str:
        return NONE if pd.isna(value) else text

    return [
        headed(row.verdict),
        with_bounds(effect),
        p(row.p_value),
        p(row.holm_p),
        optional(row.breakdown, breakdown_text(row.breakdown)),
        f"{row.specifications:,}",
        optional(row.same_sign, share_text(row.same_sign)),
        optional(row.significant_share, share_text(row.significant_share)),
        p(row.pre_period_p),
        optional(row.pre_period_difference, number(row.pre_period_difference)),
        p(row.control_p) + control,
        optional(row.detectable_fall, f"{row.detectable_fall:.1f}"),
    ]
