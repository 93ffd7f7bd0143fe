"""The design of a segmented regression: level, trend, season, and how both level and trend change at the start.

log(rate) = level + trend + season (+ working days, Easter) + level change + slope change · months since the start.
Source: Wagner, Soumerai, Zhang & Ross-Degnan (2002), J Clin Pharm Ther 27(4); Bernal, Cummins & Gasparrini (2017), Int J
Epidemiol 46(1). Months of phasing in have an effect each, which leaves them out of everything else and keeps the
distance in time between the months on either side of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from analysis.estimation.its.terms import LEVEL, MEAN, SLOPE, STEP, TREND
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.calendar import easter_share, working_days
from analysis.protocol.protocol import MONTHS_A_YEAR, Protocol
from analysis.protocol.schema import Its, Outcome, Specification

COLLINEAR = 1e-10


@dataclass(frozen=True)
class Break:
    """A further change of level, known beforehand and no part of the programme: its month, and what happened."""

    month: pd.Timestamp
    label: str


@dataclass(frozen=True, eq=False)  # as a ``Series`` is
class Segments:
    """``matrix`` (T × k) with named ``columns``. ``contrasts``: term → weights (k) of the coefficients, log points.

    ``after`` (T) marks the months in which the change is measured, phasing in left out; ``change`` (T × k) is the part of the
    matrix that the programme adds, so that the counterfactual is what the rest of it gives.
    """

    months: pd.DatetimeIndex
    columns: tuple[str, ...]
    matrix: np.ndarray
    change: np.ndarray
    after: np.ndarray
    contrasts: dict[str, np.ndarray]
    notes: str = ""

    @property
    def latest(self) -> np.ndarray:
        """The contrast of the latest effect that the months reach; the mean effect where they reach none."""
        effects = [name for name in self.contrasts if name.startswith("effect_") and name != MEAN]
        return self.contrasts[max(effects, key=lambda name: int(name.removeprefix("effect_")), default=MEAN)]


def segments(
    months: pd.DatetimeIndex,
    start: pd.Timestamp,
    rule: Its,
    outcome: Outcome,
    specification: Specification,
    breaks: Sequence[Break] = (),
    trends: bool = True,
) -> Segments:
    """The design for these months, with the programme from ``start`` on.

    Terms: ``level`` in the first month after phasing in, ``slope`` a month, ``effect_m`` in month m from the start (1 is the
    first), ``effect_mean`` over the months after, ``trend_before`` a month. Without ``trends`` the only term is ``step``: the
    level after less that before.

    Raises
    ------
    NotIdentified
        The months have a gap; the start lies outside them; too few months on a side; a further break outside them, inside
        the phasing in, or too near the start, the end or another break; or columns that depend on one another.
    """
    _check_months(months, start, rule, specification, breaks)
    time = np.arange(len(months), dtype=float)
    first = int(months.get_indexer([start])[0]) + specification.phase_in
    after = time >= first
    columns: dict[str, np.ndarray] = {"constant": np.ones(len(months))}
    if trends:
        columns["trend"] = time
    columns |= _season(months, rule, specification) | _calendar(months, outcome)
    columns |= {
        f"phase_in_{month:%Y_%m}": (months == month) * 1.0 for month in months[first - specification.phase_in : first]
    }
    columns |= {f"break_{each.month:%Y_%m}": (months >= each.month) * 1.0 for each in breaks}
    changes = {"level_change": after * 1.0} | ({"slope_change": after * (time - first)} if trends else {})
    columns |= changes
    names = tuple(columns)
    matrix = np.column_stack(list(columns.values()))
    scaled = matrix / np.linalg.norm(matrix, axis=0)
    if np.linalg.eigvalsh(scaled.T @ scaled)[0] < COLLINEAR:
        raise NotIdentified("columns of the segmented regression depend on one another")
    change = np.where([name in changes for name in names], matrix, 0.0)
    return Segments(
        months,
        names,
        matrix,
        change,
        after,
        _contrasts(names, after, time - first, rule, specification),
        _notes(specification, breaks),
    )


def within_baseline(months: pd.DatetimeIndex, specification: Specification, protocol: Protocol) -> np.ndarray:
    """Which of the months (T) a specification sees: all, or those from so many before the start on."""
    if not specification.baseline:
        return np.ones(len(months), bool)
    start = protocol.study.programme_start + pd.DateOffset(months=specification.start_shift)
    return np.asarray(months >= start - pd.DateOffset(months=specification.baseline))


def _contrasts(
    names: tuple[str, ...], after: np.ndarray, since: np.ndarray, rule: Its, specification: Specification
) -> dict[str, np.ndarray]:
    def weights(**given: float) -> np.ndarray:
        return np.array([given.get(name, 0.0) for name in names])

    if "trend" not in names:
        return {STEP: weights(level_change=1.0)}
    late = {
        f"effect_{month}": weights(level_change=1.0, slope_change=month - 1 - specification.phase_in)
        for month in rule.effect_months
        if 0 <= month - 1 - specification.phase_in <= since[-1]
    }
    return {
        LEVEL: weights(level_change=1.0),
        SLOPE: weights(slope_change=1.0),
        **late,
        MEAN: weights(level_change=1.0, slope_change=float(since[after].mean())),
        TREND: weights(trend=1.0),
    }


def _season(months: pd.DatetimeIndex, rule: Its, specification: Specification) -> dict[str, np.ndarray]:
    calendar_month = months.month.to_numpy()
    if specification.seasonality == "calendar_months":
        return {f"month_{m}": (calendar_month == m) * 1.0 for m in range(2, MONTHS_A_YEAR + 1)}
    columns: dict[str, np.ndarray] = {}
    for pair in range(1, rule.harmonics + 1):
        angle = 2 * np.pi * pair * calendar_month / MONTHS_A_YEAR
        columns |= {f"sine_{pair}": np.sin(angle), f"cosine_{pair}": np.cos(angle)}
    return columns


def _calendar(months: pd.DatetimeIndex, outcome: Outcome) -> dict[str, np.ndarray]:
    return dict(_working_calendar(months[0], len(months))) if outcome.working_days else {}


@lru_cache(maxsize=16)
def _working_calendar(first: pd.Timestamp, number: int) -> dict[str, np.ndarray]:
    """Of so many months, which all series of a study share."""
    months = pd.date_range(first, periods=number, freq="MS")
    share = np.log(working_days(months) / months.days_in_month.to_numpy())
    return {"working_days": share - share.mean(), "easter": easter_share(months)}


def _check_months(
    months: pd.DatetimeIndex, start: pd.Timestamp, rule: Its, specification: Specification, breaks: Sequence[Break]
) -> None:
    if not months.is_unique:
        raise NotIdentified(f"the series has {months[months.duplicated()][0]:%B %Y} twice")
    whole = pd.date_range(months[0], months[-1], freq="MS")
    missing = whole.difference(months)
    if len(missing):
        raise NotIdentified(f"the series has a gap: no {missing[0]:%B %Y}")
    if not months[0] < start <= months[-1]:
        raise NotIdentified(f"the start, {start:%B %Y}, lies outside {months[0]:%B %Y} to {months[-1]:%B %Y}")
    before = int((months < start).sum())
    after = len(months) - before - specification.phase_in
    if min(before, after) < rule.fewest_months:
        phasing = f" and {specification.phase_in} of phasing in" if specification.phase_in else ""
        raise NotIdentified(
            f"{before} months before the start and {after} after it{phasing}: a side needs at least {rule.fewest_months}"
        )
    for number, each in enumerate(breaks):
        reason = _why_not(each, breaks[:number], months, start, rule, specification)
        if reason:
            raise NotIdentified(reason)


def admissible(
    breaks: Sequence[Break],
    months: pd.DatetimeIndex,
    start: pd.Timestamp,
    rule: Its,
    specification: Specification,
) -> tuple[list[Break], list[str]]:
    """The breaks that can be told from the start, the end and those before them, and why the others cannot."""
    kept: list[Break] = []
    reasons: list[str] = []
    for each in breaks:
        reason = _why_not(each, kept, months, start, rule, specification)
        if reason:
            reasons.append(reason)
        else:
            kept.append(each)
    return kept, reasons


def _why_not(
    each: Break,
    others: Sequence[Break],
    months: pd.DatetimeIndex,
    start: pd.Timestamp,
    rule: Its,
    specification: Specification,
) -> str | None:
    name = f"a break in {each.month:%B %Y} ({each.label})"
    first = start + pd.DateOffset(months=specification.phase_in)
    if not months[0] < each.month <= months[-1]:
        return f"{name} lies outside the series"
    if start <= each.month < first:
        return f"{name} lies inside the phasing in"
    marks = [(start, "the start"), (months[-1] + pd.DateOffset(months=1), "the end"), (months[0], "the beginning")]
    marks += [(first, "the end of phasing in")] if specification.phase_in else []
    marks += [(other.month, f"another break ({other.label})") for other in others]
    for mark, of in marks:
        apart = abs((each.month.to_period("M") - mark.to_period("M")).n)
        if apart < rule.fewest_months_between:
            return f"{name}, {apart} months from {of}, cannot be told apart from it"
    return None


def _notes(specification: Specification, breaks: Sequence[Break]) -> str:
    said = [f"a further step in {each.month:%B %Y}: {each.label}" for each in breaks]
    said += [f"{specification.phase_in} months of phasing in left out"] if specification.phase_in else []
    return "; ".join(said)
