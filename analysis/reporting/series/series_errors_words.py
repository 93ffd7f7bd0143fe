"""Sentences about how often each method for an interrupted time series errs, from simulated series and from real places."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.its.terms import AUTOREGRESSIVE, REAL_PLACES
from analysis.reporting.results import Results
from analysis.reporting.series.series_methods_words import SERIES_METHODS
from analysis.reporting.series.words import set_size
from analysis.reporting.wording import counted, listed, untouched


def errors(results: Results, scenario: str) -> pd.DataFrame:
    """Rows of the simulated error rates without an effect, of one scenario."""
    table = results.its_simulation
    assert table is not None
    return table[(table.scenario == scenario) & (table.true_effect == 0)]


def kept_size(results: Results) -> tuple[list[str], list[str]]:
    """Methods whose size stays within the protocol's limit, for every term, up to its autocorrelation; and the others."""
    its = results.protocol.its
    rows = errors(results, AUTOREGRESSIVE)
    worst = rows[rows.phi <= its.size_up_to].groupby("method").size_or_power.max()
    keeps = [method for method in SERIES_METHODS if method in worst.index and worst[method] <= its.largest_size]
    return keeps, [method for method in SERIES_METHODS if method in worst.index and method not in keeps]


def size_sentence(results: Results) -> str:
    """Which methods keep their size in series of this shape, and what becomes of that in real places."""
    if results.its_simulation is None:
        return "Simulated error rates of the methods for time series are not part of this edition."
    return f"{_in_series(results)} {_in_places(results)}".strip()


def _in_series(results: Results) -> str:
    its, level = results.protocol.its, results.protocol.study.level
    rows = errors(results, AUTOREGRESSIVE)
    rows = rows[rows.phi <= its.size_up_to]
    keeps, others = kept_size(results)
    kept = listed([SERIES_METHODS[method] for method in keeps]) if keeps else "no method"
    worse = [f"{SERIES_METHODS[m]} in up to {rows.size_or_power[rows.method == m].max():.1%}" for m in others]
    return (
        f"In simulated series of this length, without a change and with autocorrelation up to {its.size_up_to:g}, a method should find a change in {level:.0%}. "
        f"Those that find one in no more than {its.largest_size:.0%}, whatever the term: {kept}."
        + (f" The others: {listed(worse)}." if worse else "")
    )


def _in_places(results: Results) -> str:
    rows = errors(results, REAL_PLACES)
    if rows.empty:
        return ""
    shares = {
        method: rows.size_or_power[rows.method == method] for method in SERIES_METHODS if (rows.method == method).any()
    }
    spans = [f"{SERIES_METHODS[method]} in {share.min():.0%} to {share.max():.0%}" for method, share in shares.items()]
    return (
        f"Real places bend more than an autoregression about a straight line. In {int(rows.draws.max()):,} sets of {counted(set_size(results))} controls, as many as the largest model has units, {untouched(results.protocol.models)}, the methods "
        f"find a change of level, of slope, or a late departure: {listed(spans)}. The sets share places with one another, so that these shares are less sure than "
        "their number suggests; but no method comes near its level. That is why the controlled series is judged beside such sets: their own share is right "
        "by construction, if places are exchangeable."
    )
