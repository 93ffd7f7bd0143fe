"""What takes the place of a sentence, or of a part of one, where an estimate could not be made: that it could not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from analysis.reporting.results import NotEstimated, Results
from analysis.reporting.wording import headed, in_sentence

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

DESIGNS = {
    "did": "the difference-in-differences",
    "event_study": "the event study",
    "growth": "growth per head",
    "its": "the interrupted time series",
    "cits": "the controlled time series",
}


def or_reason(
    sentence: Callable[Concatenate[Results, Arguments], str],
) -> Callable[Concatenate[Results, Arguments], str]:
    """The sentence; or, where an estimate that it needs could not be made, one that says so with the recorded reason."""

    @wraps(sentence)
    def told(results: Results, /, *arguments: Arguments.args, **options: Arguments.kwargs) -> str:
        try:
            return sentence(results, *arguments, **options)
        except NotEstimated as absent:
            return reason(results, absent)

    return told


def reason(results: Results, absent: NotEstimated) -> str:
    """For whom, and of which outcome, an estimate could not be made, and why."""
    whom = headed(results.protocol.cohort_labels.get(absent.cohort, absent.cohort))
    outcome = in_sentence(results.protocol.outcome(absent.outcome).label)
    return f"{whom}: {DESIGNS.get(absent.design, 'the estimate')} of {outcome} could not be estimated ({absent.why})."


def estimated(
    results: Results, cohorts: Iterable[str], ask: Callable[[str], Value]
) -> tuple[dict[str, Value], list[str]]:
    """Cohort → what is asked of it, and the reasons of those for whom it could not be estimated, a sentence each.

    Raises
    ------
    NotEstimated
        It could be estimated for none of them.
    """
    found: dict[str, Value] = {}
    lost: list[NotEstimated] = []
    for cohort in cohorts:
        try:
            found[cohort] = ask(cohort)
        except NotEstimated as absent:
            lost.append(absent)
    if lost and not found:
        raise lost[0]
    return found, [reason(results, absent) for absent in lost]
