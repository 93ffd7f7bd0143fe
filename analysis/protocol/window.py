"""The months that a study needs before and after its programme's start, and the rule of the protocol that needs each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from analysis.protocol.protocol import Protocol

QUARTER = 3  # months


class Contradiction(ValueError):
    """Keys of the protocol that contradict each other, or the study's window: the parts of the message that says so."""

    def __init__(self, key: str, found: str, expected: str, action: str) -> None:
        super().__init__(f"{key} is {found}; {expected}")
        self.key, self.found, self.expected, self.action = key, found, expected, action


@dataclass(frozen=True)
class Need:
    """A span of months that the data have to hold, and what needs it."""

    first: pd.Timestamp
    last: pd.Timestamp
    why: str


def check_window(protocol: Protocol) -> None:
    """Check that the study's window holds every month that its rules and the designs of its first specification need.

    What a design of the first specification cannot do without, the reports cannot do without either. Whatever only further
    specifications need is listed as not run where the window is too short for it.

    Raises
    ------
    Contradiction
        It does not: the message says which months are needed, and for what.
    """
    study = protocol.study
    _check_base(protocol)
    last, end_key = (study.data_to, "data_to") if study.data_to else (study.end, "end")
    needs = list(_needs(protocol, last))
    for need in needs:
        if need.first > need.last:
            raise ValueError(f"{need.why} ends before it begins: it does not lie inside the study's window")
    early = [need for need in needs if need.first < study.start]
    if early:
        earliest = min(need.first for need in early)
        before = (study.programme_start.to_period("M") - study.start.to_period("M")).n
        raise Contradiction(
            "study.start",
            f"{study.start:%Y-%m}, {before} months before programme_start",
            "a window that holds what the rules need: "
            + "; ".join(f"from {need.first:%Y-%m}: {need.why}" for need in early)
            + ". Each has to lie inside the study's window",
            f'Set start = "{earliest:%Y-%m}" or earlier, or change the rules that need more months.',
        )
    late = [need for need in needs if need.last > last]
    if late:
        latest = max(need.last for need in late)
        raise Contradiction(
            f"study.{end_key}",
            f"{last:%Y-%m}",
            "a window that holds what the rules need: "
            + "; ".join(f"to {need.last:%Y-%m}: {need.why}" for need in late)
            + ". Each has to lie inside the study's window",
            f'Set {end_key} = "{latest:%Y-%m}" or later, or change the rules that need more months.',
        )


def _has_event_study(protocol: Protocol) -> bool:
    return any("event_study" in specification.designs for specification in protocol.specifications)


def _check_base(protocol: Protocol) -> None:
    base, start = protocol.inference.event_study_base, protocol.study.programme_start
    ahead = (start.to_period("M") - base.to_period("M")).n
    if _has_event_study(protocol) and (ahead < QUARTER or ahead % QUARTER):
        raise Contradiction(
            "inference.event_study_base",
            f"{base:%Y-%m}",
            f"the first month of a quarter before the programme, counted back from programme_start = {start:%Y-%m}",
            f'Set event_study_base = "{start - pd.DateOffset(months=QUARTER):%Y-%m}", the last quarter before it.',
        )


def _needs(protocol: Protocol, last: pd.Timestamp) -> Iterator[Need]:
    """Spans of months that are needed by data to ``last``: an interim edition leaves out the rules whose months lie after it."""
    study, inference, designs = protocol.study, protocol.inference, protocol.specifications[0].designs
    start = study.programme_start
    if "its" in designs:
        fewest = protocol.its.fewest_months
        yield Need(
            start - pd.DateOffset(months=fewest),
            start + pd.DateOffset(months=fewest - 1),
            f"time series need {fewest} months before the programme's start and {fewest} from it on (its.fewest_months)",
        )
    if _has_event_study(protocol):
        base = inference.event_study_base
        yield Need(base, base + pd.DateOffset(months=QUARTER - 1), "the quarter of inference.event_study_base")
    if "event_study" in designs:
        yield Need(
            start - pd.DateOffset(months=2 * QUARTER),
            start,
            "an event study needs two quarters before the programme's start, one to measure from and one to test",
        )
    yield Need(protocol.population.anchor, protocol.population.anchor, "population.anchor")
    for rule in protocol.growth:
        for what, window in (("baseline", rule.baseline), ("window", rule.window)):
            if study.data_to is None or rule.within(last):
                yield Need(*window, f"the {what} of growth {rule.id}")
    for year in protocol.programme_years:
        if study.data_to is None or year.end <= last:
            yield Need(year.start, year.end, f"programme year {year.id}")
