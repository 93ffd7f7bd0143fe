"""What synthetic designs cannot tell is refused with a plain reason, or said in the notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_sample

from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.sample import Sample
from analysis.estimation.synthetic.synthetic import synthetic_designs
from analysis.estimation.synthetic.synthetic_weights import Shared, interior_point
from analysis.protocol.protocol import Protocol

SEED = 2


@pytest.fixture(scope="module")
def few_draws(protocol: Protocol) -> Protocol:
    fewer = protocol.inference.model_copy(update={"variant_draws": 39})
    return protocol.model_copy(update={"inference": fewer})


def sample_of(units: int = 30, treated: int = 2) -> Sample:
    return make_sample(list(range(units)), list(range(treated)), 60, seed=4)[0]


def changed(sample: Sample, units: list[int], months: slice, value: float) -> Sample:
    """With these counts; where the value is missing, so is the population behind it."""
    counts, population = sample.counts.copy(), sample.population.copy()
    counts[units, months] = value
    population[units, months] = np.nan if np.isnan(value) else population[units, months]
    return replace(sample, counts=counts, population=population)


def refusal(sample: Sample, protocol: Protocol) -> str:
    with pytest.raises(NotIdentified) as refused:
        synthetic_designs(sample, SEED, protocol)
    return str(refused.value)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_site_with_no_usable_month(few_draws: Protocol, value: float) -> None:
    assert "no treated unit has a usable month" in refusal(changed(sample_of(), [0, 1], slice(None), value), few_draws)


def test_a_site_with_a_month_without_counts(few_draws: Protocol) -> None:
    assert "a month without any count" in refusal(changed(sample_of(), [0, 1], slice(5, 6), 0.0), few_draws)


@pytest.mark.parametrize("first", [19, 24])
def test_too_few_months_before_the_start(few_draws: Protocol, first: int) -> None:
    seen = sample_of().restrict(np.arange(60) >= first)
    assert f"{24 - first} months before the start and 36 after are too few" in refusal(seen, few_draws)


def test_no_month_after_the_start(few_draws: Protocol) -> None:
    assert "24 months before the start and 0 after" in refusal(sample_of().restrict(np.arange(60) < 24), few_draws)


def test_fewer_controls_than_placebos_need(few_draws: Protocol) -> None:
    assert "4 controls, too few for placebos of 3" in refusal(sample_of(units=7, treated=3), few_draws)


def test_too_few_single_controls_for_an_interval(few_draws: Protocol) -> None:
    assert "too few" in refusal(sample_of(units=11, treated=1), few_draws)


def test_no_control_at_all(few_draws: Protocol) -> None:
    gaps = changed(changed(sample_of(units=4), [2], slice(3, 4), 0.0), [3], slice(8, 9), 0.0)
    assert "no control has a known count above zero in every month" in refusal(gaps, few_draws)


def test_controls_without_a_usable_month_are_left_out_and_counted(few_draws: Protocol) -> None:
    without = changed(changed(sample_of(), [7], slice(None), np.nan), [9], slice(30, 31), 0.0)
    rows, _, weights, _ = synthetic_designs(without, SEED, few_draws)
    assert all("2 controls left out: a month without any count" in row["notes"] for row in rows)
    assert not set(weights.name) & {"U007", "U009"}


def test_a_fit_worse_than_that_of_placebos_is_said(few_draws: Protocol) -> None:
    """A level far above every donor's: synthetic control has no intercept to meet it."""
    sample = sample_of()
    counts = np.where(sample.treated[:, None], 20 * sample.counts, sample.counts)
    rows = synthetic_designs(replace(sample, counts=counts), SEED, few_draws)[0]
    said = {row["design"]: "fits the months before worse than 100% of placebos" in row["notes"] for row in rows}
    assert said["synthetic_control"] and not said["sdid"]


def test_a_place_smaller_than_any_placebo_is_flagged(few_draws: Protocol) -> None:
    sample = make_sample(list(range(45)), [0], 60, seed=4)[0]
    small = np.where(sample.treated[:, None], 0.05, 1.0)
    tiny = replace(
        sample, counts=np.ceil(sample.counts * small), population=sample.population * small,
        population_full=sample.population_full * small,
    )  # fmt: skip
    notes = [synthetic_designs(each, SEED, few_draws)[0][0]["notes"] for each in (tiny, sample)]
    assert "smaller than any placebo site" in notes[0]
    assert "smaller than any placebo site" not in notes[1]


def test_weights_that_do_not_settle_are_refused() -> None:
    problem = Shared(np.full((3, 4), np.nan), np.ones(1))
    with pytest.raises(NotIdentified, match="did not settle"):
        interior_point(problem, np.ones((1, 4)), np.ones((1, 4), bool), np.ones(1))
