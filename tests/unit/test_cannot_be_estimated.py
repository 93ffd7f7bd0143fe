"""Where numbers cannot be had, the design refuses with a plain reason: no noise, one control, nothing to compare, a singular system."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import make_sample, months

from analysis.estimation.did.did import difference_in_differences
from analysis.estimation.did.growth import growth_per_head
from analysis.estimation.inference.power import _changes, evaluability
from analysis.estimation.regression.absorbed import NotIdentified, not_identified_where_singular
from analysis.estimation.regression.estimates import ESTIMATES, both_scales, estimates_table
from analysis.estimation.regression.job_results import Job, Record
from analysis.estimation.regression.sample import Sample, UnitTables
from analysis.protocol.protocol import Protocol


def alike(units: int = 6) -> Sample:
    """Every unit the same count of the same people in every month."""
    sample = make_sample(list(range(units)), [0], 60, seed=1)[0]
    same = np.full(sample.counts.shape, 1000.0)
    return replace(sample, counts=same, population=100 * same, population_full=100 * same)


def test_an_effect_beyond_any_number_is_infinite() -> None:
    """The smallest change that one place could show may be a factor that no float holds; the percent twin then has no end."""
    (stored, percent) = both_scales("mde", "REML", 5_000.0, (-5_000.0, 5_000.0))
    assert stored["estimate"] == 5_000.0 and percent["estimate"] == math.inf
    assert percent["ci_low"] == -100 and percent["ci_high"] == math.inf


def test_a_table_without_an_estimate_is_an_empty_one() -> None:
    table = estimates_table([])
    assert table.empty and list(table.columns) == list(ESTIMATES.columns)


def test_units_that_do_not_vary_leave_nothing_to_judge_by(protocol: Protocol) -> None:
    specification = protocol.specification("primary").model_copy(update={"draws": 19, "years": False})
    with pytest.raises(NotIdentified, match="no noise to judge an effect by"):
        difference_in_differences(alike(), specification, 1, protocol)


@pytest.mark.parametrize(
    ("units", "said"), [(1, "in fewer than two of them"), (5, "all untreated units change alike")]
)
def test_the_spread_of_changes_needs_untreated_units_that_vary(protocol: Protocol, units: int, said: str) -> None:
    with pytest.raises(NotIdentified, match=said):
        evaluability(alike(units + 1).only(np.arange(units + 1) > 0), protocol)


def test_the_chance_of_a_change_is_that_of_both_its_counts(protocol: Protocol) -> None:
    """What of the spread between places is their size: a Poisson count's logarithm has a variance of one over the count, before and after."""
    sample = make_sample(list(range(8)), [0], 60, seed=1)[0]
    counts, post = sample.counts[~sample.treated], np.asarray(sample.months >= protocol.study.programme_start)
    _, _, chance = _changes(sample.only(~sample.treated), post)
    assert chance == pytest.approx(1 / counts[:, post].sum(axis=1) + 1 / counts[:, ~post].sum(axis=1))


def test_growth_between_months_that_no_unit_has_in_both_windows(protocol: Protocol) -> None:
    sample, rule = alike(), protocol.growth[0]
    gone = np.asarray((months() >= rule.window[0]) & (months() <= rule.window[1]))
    masked = np.where(gone, np.nan, sample.counts)
    with pytest.raises(NotIdentified, match=f"no known count above zero in the months that can be compared for {rule.label}"):
        growth_per_head(replace(sample, counts=masked), rule, 0.95)


def test_a_singular_system_is_recorded_and_a_fault_of_the_code_is_not_hidden(protocol: Protocol) -> None:
    outcome, panel = protocol.primary_outcomes[0], pd.DataFrame({"dataset": ["mar"]})
    record = Record(Job(panel, outcome, "MCP", protocol.specifications[0], protocol, UnitTables()))
    record.attempt("did", lambda: list(np.linalg.inv(np.zeros((2, 2)))), alike())
    (entry,) = record.found.absent
    assert entry[3:] == ("did", "the data do not determine the terms of the model (Singular matrix)")
    with pytest.raises(KeyError):
        record.attempt("did", lambda: list({}["a key that is not there"]), alike())
    with pytest.raises(NotIdentified), not_identified_where_singular():
        np.linalg.solve(np.zeros((2, 2)), np.zeros(2))
