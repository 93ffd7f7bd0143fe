"""Every interrupted time series by every method in one table, and where the methods disagree."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.its.terms import (
    AGAINST_SYNTHETIC,
    CONTROLLED,
    LEVEL,
    MODEL_BASED,
    PSEUDO_COHORTS,
    SINGLE,
    SLOPE,
)
from analysis.estimation.regression.estimates import PERCENT, PERCENT_SUFFIX
from analysis.protocol.protocol import Protocol

COLUMNS = [
    "outcome", "cohort", "design", "term", "method", "percent", "ci_low", "ci_high", "p_value", "reject", "methods", "disagree",
]  # fmt: skip


def methods_table(estimates: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """One row a series (outcome, cohort, design), term and method, under the first specification, in percent.

    Terms are the changes of level and slope and the late effect. ``reject``: how many of the ``methods`` that have a test reject no
    change at the study's level; ``disagree``: whether some do and some do not. A method without a test has no p-value.
    """
    order = [*MODEL_BASED, PSEUDO_COHORTS]
    terms = [LEVEL, SLOPE, f"effect_{protocol.its.effect_month}"]
    table = estimates[
        estimates.design.isin([SINGLE, CONTROLLED, AGAINST_SYNTHETIC])
        & (estimates.specification == protocol.specifications[0].id)
        & (estimates.scale == PERCENT)
        & estimates.inference.isin(order)
    ]
    table = table.assign(
        term=table.term.str.removesuffix(PERCENT_SUFFIX), method=table.inference, percent=table.estimate
    )
    table = table[table.term.isin(terms)]
    keys = ["outcome", "cohort", "design", "term"]
    rejects = (table.p_value < protocol.study.level).groupby([table[key] for key in keys])
    table = table.assign(
        reject=rejects.transform("sum"),
        methods=table.p_value.notna().groupby([table[key] for key in keys]).transform("sum"),
    )
    table = table.assign(disagree=(table.reject > 0) & (table.reject < table.methods))
    table = table.assign(by_method=table.method.map(order.index), by_term=table.term.map(terms.index))
    return table.sort_values([*keys[:3], "by_term", "by_method"], ignore_index=True)[COLUMNS]
