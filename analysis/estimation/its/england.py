"""England as a whole: its own interrupted time series, and the return's totals against those of another publication.

The programme covered a small part of England, so that a change of its level or slope is what such a model finds of everything
else, from whichever months it learns the trend: it is run with all comparable months before the start, and with fewer. The total
relative to another publication of the same activity would change where the counting did.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.estimation.its.estimates import FEWER_METHODS, Interrupted, its_path, its_rows
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.segments import segments, within_baseline
from analysis.estimation.its.terms import CONTROLLED, SINGLE
from analysis.estimation.regression.absorbed import NotIdentified, not_identified_where_singular
from analysis.estimation.regression.estimates import Rows
from analysis.estimation.regression.series import Series
from analysis.protocol.protocol import ENGLAND_COHORT, Protocol
from analysis.protocol.schema import Outcome


def national_series(
    national: pd.DataFrame, dataset: str, protocol: Protocol
) -> tuple[Rows, pd.DataFrame, list[tuple[str, ...]]]:
    """Rows of the estimates table, the series as ``its_series`` holds them, and what could not be estimated.

    ``national`` is [outcome, month, value, missing], of which the sum is modelled. Rates are per day, not per head: the trend takes up a steady growth of population.
    """
    rows: Rows = []
    paths: list[pd.DataFrame] = []
    absent: list[tuple[str, ...]] = []
    wanted = list(_wanted(national, protocol))
    for specification in protocol.specifications:
        headline = specification.id == protocol.specifications[0].id
        if not headline and not ("its" in specification.designs and specification.baseline):
            continue
        for name, outcome, kind, series, notes in wanted:
            if series is None and not headline:
                continue  # said once
            labels = {"outcome": name, "cohort": ENGLAND_COHORT, "specification": specification.id, "design": kind}
            try:
                if series is None:
                    raise NotIdentified("not in this data set")
                seen = _within(series, within_baseline(series.months, specification, protocol))
                start = protocol.study.programme_start + pd.DateOffset(months=specification.start_shift)
                one = Interrupted(seen, segments(seen.months, start, protocol.its, outcome, specification), notes=notes)
                with not_identified_where_singular():
                    found, path = (
                        its_rows(one, kind, METHODS if headline else FEWER_METHODS, protocol),
                        its_path(one, protocol),
                    )
            except NotIdentified as problem:
                absent.append((name, ENGLAND_COHORT, specification.id, kind, str(problem)))
                continue
            context = {
                "n_units": 1, "n_treated": 1, "window": f"{seen.months[0]:%Y-%m}/{seen.months[-1]:%Y-%m}", "dataset": dataset,
                "conf_level": protocol.study.conf_level,
            }  # fmt: skip
            rows += [labels | row | context for row in found]
            paths.append(path.assign(**labels))
    return rows, pd.concat(paths, ignore_index=True) if paths else pd.DataFrame(), absent


def _within(series: Series, months: np.ndarray) -> Series:
    return Series(series.months[months], series.counts[months], series.exposure[months])


def _wanted(national: pd.DataFrame, protocol: Protocol) -> Iterator[tuple[str, Outcome, str, Series | None, str]]:
    """Every outcome by itself, each check by itself, and the outcome against it: id, outcome, kind, series and notes."""
    made_whole = national.assign(value=national.value + national.missing).set_index("month")
    held = {name: rows.value for name, rows in made_whole.groupby("outcome")}
    for outcome in protocol.outcomes:
        if outcome.source == "mar":
            yield outcome.id, outcome, SINGLE, _per_day(held.get(outcome.id)), "per day"
    for check in protocol.its.national_checks:
        outcome, other = protocol.outcome(check.outcome), held.get(check.id)
        yield check.id, outcome, SINGLE, _per_day(other), "per day"
        ours = held.get(check.outcome)
        against = None
        if other is not None and ours is not None:
            both = pd.concat([ours, other], axis=1, join="inner")
            months = pd.DatetimeIndex(both.index)
            against = Series(months, *(both.iloc[:, column].to_numpy(float) for column in (0, 1)))
        yield check.outcome, outcome, CONTROLLED, against, f"against {check.label}"


def _per_day(values: pd.Series | None) -> Series | None:
    if values is None:
        return None
    months = pd.DatetimeIndex(values.index)
    return Series(months, values.to_numpy(float), np.asarray(months.days_in_month, float))
