"""Sites left out, placebo starts, placebo places and pseudo-vanguards: each is the plain thing done by hand.

Tolerances. Estimates 1e-9 of a fit on the smaller panel: the same arithmetic. Placebo estimates 1e-8 of a weighted
regression with every dummy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from brute_force import least_squares, poisson
from synthetic import comparison_of, make_sample, row_of

from analysis.estimation.did.did import compare, difference_in_differences
from analysis.estimation.did.robustness import high_use_placebo, leave_one_out, placebo_places, placebo_starts
from analysis.estimation.inference.randomisation import draw_assignments
from analysis.estimation.regression.absorbed import NotIdentified, two_way
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

SEED = 5
CLUSTERS = [0, 0, *range(1, 30)]  # thirty sites; those treated are 0 (two units), 1, 2 and 3
BEFORE = slice(0, 24)
LAST_YEAR = slice(12, 24)


@pytest.fixture(scope="module")
def sample() -> Sample:
    made, _ = make_sample(CLUSTERS, [0, 1, 2, 3], 60, seed=83, missing=0.02, effect=-0.08)
    return made


@pytest.fixture
def specification(protocol: Protocol) -> Specification:
    return protocol.specification("primary").model_copy(update={"draws": 99, "years": False})


def _post(sample: Sample, protocol: Protocol) -> np.ndarray:
    return np.asarray(sample.months >= protocol.study.programme_start)


def _without(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was found, without the names and notes that differ by design."""
    return [{k: v for k, v in row.items() if k not in ("term", "notes", "design")} for row in rows]


# Sites left out


@pytest.mark.slow
def test_a_site_left_out_is_a_panel_without_it(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """Every row of each site, estimate, error, interval and p, is that of a sample built without the site's units."""
    rows = leave_one_out(sample, specification, SEED, protocol)
    terms = {row["term"] for row in rows if row["scale"] == "log_rate"}
    assert terms == {f"att_without_site_{site}" for site in range(4)}
    for site in range(4):
        kept = np.array(CLUSTERS) != site
        smaller = Sample(
            sample.units[kept], sample.months, sample.counts[kept], sample.population[kept],
            sample.population_full[kept], sample.treated[kept], pd.factorize(np.array(CLUSTERS)[kept])[0],
        )  # fmt: skip
        expected = difference_in_differences(smaller, specification, SEED, protocol)
        expected = [row for row in expected if row["design"] == "did"]
        found = [row for row in rows if row["term"].removesuffix("_percent") == f"att_without_site_{site}"]
        assert len(found) == len(expected) == 4
        for ours, theirs in zip(_without(found), _without(expected), strict=True):
            assert ours == pytest.approx(theirs, nan_ok=True)
        assert {row["notes"].split(";")[0] for row in found} == {f"without Site {site}"}
        assert {row["design"] for row in found} == {"leave_one_out"}


@pytest.mark.slow
def test_the_site_left_out_is_not_a_control(sample: Sample, specification: Specification, protocol: Protocol) -> None:
    """Another count in a treated site changes every estimate but the one without it."""
    bent = sample.counts.copy()
    bent[2, 30:40] *= 2  # the unit of site 1
    rows = [leave_one_out(s, specification, SEED, protocol) for s in (sample, replace(sample, counts=bent))]
    for site in range(4):
        estimates = [row_of(r, f"att_without_site_{site}", "CR1")["estimate"] for r in rows]
        assert (estimates[0] == estimates[1]) == (site == 1)


# Placebo starts


@pytest.mark.slow
def test_placebo_starts_see_only_the_months_before(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """Whatever is written into the months from the programme's start on, no number changes; a month before does."""
    specification = specification.model_copy(update={"draws": 19})
    rows = placebo_starts(sample, specification, SEED, protocol)
    after, before = sample.counts.copy(), sample.counts.copy()
    after[:, 24:] = after[::-1, 24:] * 7
    before[0, 20] *= 2
    again = placebo_starts(replace(sample, counts=after), specification, SEED, protocol)
    assert [*map(str, rows)] == [*map(str, again)]  # as text: a missing number equals itself
    other = placebo_starts(replace(sample, counts=before), specification, SEED, protocol)
    assert all(a["estimate"] != b["estimate"] for a, b in zip(rows, other, strict=True))


@pytest.mark.slow
def test_every_placebo_start_with_six_months_on_either_side(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """October 2013 to October 2014, thirteen starts; each is a Poisson fit of the 24 months, by statsmodels."""
    rows = [row for row in placebo_starts(sample, specification, SEED, protocol) if row["scale"] == "log_rate"]
    starts = pd.date_range("2013-10-01", "2014-10-01", freq="MS")
    assert protocol.inference.shortest_placebo == 6
    assert [row["term"] for row in rows if row["inference"] == "CR1"] == [f"att_from_{s:%Y-%m}" for s in starts]
    nuisance = two_way(len(sample.units), 24)
    for start in starts[[0, 5, 12]]:
        treatment = np.outer(sample.treated, sample.months[BEFORE] >= start)[None].astype(float)
        estimate, covariance = poisson(
            sample.counts[:, BEFORE], sample.population[:, BEFORE], treatment, nuisance, sample.cluster
        )
        row = row_of(rows, f"att_from_{start:%Y-%m}", "CR1")
        assert row["estimate"] == pytest.approx(estimate[0], abs=1e-8)
        assert row["std_error"] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)
        assert row["n_obs"] == sample.observed[:, BEFORE].sum()


# Placebo places


@pytest.mark.slow
def test_placebo_places_are_the_estimates_of_the_randomisation(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """The actual first, the draws those of the same seed; mean, spread, central range and share as far from zero by hand."""
    rows, draws = placebo_places(sample, specification, SEED, protocol)
    comparison = comparison_of(sample, _post(sample, protocol))
    null = comparison.null()
    residual = np.divide(null.scores, null.weights, out=np.zeros_like(null.scores), where=null.weights > 0)
    chosen = draw_assignments(sample.cluster, sample.treated, 99, SEED).clusters
    assert draws.draw.tolist() == list(range(100))
    for number in (0, 1, 50, 99):
        treatment = np.outer(np.isin(sample.cluster, chosen[number]), comparison.post)[None].astype(float)
        expected, covariance = least_squares(
            residual, null.weights, treatment, two_way(*sample.counts.shape), sample.cluster
        )
        assert draws.estimate[number] == pytest.approx(expected[0], abs=1e-8)
        assert draws.statistic[number] == pytest.approx(expected[0] / np.sqrt(covariance[0, 0]), abs=1e-7)
    row = row_of(rows, "att")
    placebo = draws.estimate[1:]
    assert row["estimate"] == pytest.approx(placebo.mean(), abs=1e-12)
    assert row["std_error"] == pytest.approx(placebo.std(ddof=1), abs=1e-12)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(np.quantile(placebo, [0.025, 0.975])), abs=1e-12)
    assert row["p_value"] == (1 + (placebo.abs() >= abs(draws.estimate[0])).sum()) / 100
    actual = comparison.fit().coefficients[0]
    assert draws.estimate[0] == pytest.approx(actual, abs=0.002)  # one Newton step from no effect


# Pseudo-vanguards of high use


def _use(sample: Sample) -> np.ndarray:
    """Admissions per head and month of each unit in the year before the programme, months observed only."""
    seen = sample.observed[:, LAST_YEAR]
    counts = np.where(seen, sample.counts[:, LAST_YEAR], 0).sum(axis=1)
    return np.asarray(counts / np.where(seen, sample.population[:, LAST_YEAR], 0).sum(axis=1))


def _numbers(rows: list[dict[str, Any]]) -> tuple[float, ...]:
    row = row_of(rows, "att")
    return tuple(row[name] for name in ("estimate", "std_error", "ci_low", "ci_high"))


@pytest.mark.slow
@pytest.mark.parametrize("lifted", [None, LAST_YEAR, slice(0, 12), slice(24, 60)])
def test_pseudo_vanguards_are_sets_of_the_highest_quarter(
    sample: Sample, specification: Specification, protocol: Protocol, lifted: slice | None
) -> None:
    """Four of the five controls of highest use, five sets in all: of 999 draws the range and the mean are of those sets.

    The control of lowest use, tenfold in the last year before, is one of the five; tenfold a year earlier, or afterwards, not.
    """
    kept = sample.treated | (np.cumsum(~sample.treated) <= 20)
    sample = sample.only(kept)
    controls = np.flatnonzero(~sample.treated)
    lowest = int(controls[_use(sample)[controls].argmin()])
    if lifted is not None:
        counts = sample.counts.copy()
        counts[lowest, lifted] *= 10
        sample = replace(sample, counts=counts)
    pool = set(controls[np.argsort(_use(sample)[controls])][-5:].tolist())
    assert (lowest in pool) == (lifted == LAST_YEAR)

    alone = sample.only(~sample.treated)
    comparison = comparison_of(alone, _post(sample, protocol))
    null = comparison.null()
    residual = np.divide(null.scores, null.weights, out=np.zeros_like(null.scores), where=null.weights > 0)
    estimates = []
    for without in pool:
        chosen = np.isin(controls, list(pool - {without}))
        treatment = np.outer(chosen, comparison.post)[None].astype(float)
        effects = two_way(*alone.counts.shape)
        estimates.append(least_squares(residual, null.weights, treatment, effects, alone.cluster)[0][0])
    wanted = specification.model_copy(update={"draws": 999})
    row = row_of(high_use_placebo(sample, wanted, SEED, protocol), "att")
    assert "999 pseudo-vanguards from the 5 controls of highest use" in row["notes"]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((min(estimates), max(estimates)), abs=1e-8)
    assert row["estimate"] == pytest.approx(np.mean(estimates), abs=4 * np.std(estimates) / np.sqrt(999))
    assert row["std_error"] == pytest.approx(np.std(estimates), rel=0.1)


def test_treated_sites_are_not_in_the_pool(sample: Sample, specification: Specification, protocol: Protocol) -> None:
    """Whatever the treated do, the pseudo-vanguards' estimates stay; only the share as far from zero may move."""
    other = replace(sample, counts=np.where(sample.treated[:, None], sample.counts * 20, sample.counts))
    found = [_numbers(high_use_placebo(s, specification, SEED, protocol)) for s in (sample, other)]
    assert found[0] == found[1]


def test_the_actual_estimate_and_its_share(sample: Sample, specification: Specification, protocol: Protocol) -> None:
    """p is the share of pseudo-vanguards as far from zero as the real ones: near 0 for −70%, and 1 for no effect at all."""
    tiny = 1 / (specification.draws + 1)
    post = _post(sample, protocol)
    strong = replace(sample, counts=sample.counts * np.exp(np.outer(sample.treated, post) * np.log(0.3)))
    assert row_of(high_use_placebo(strong, specification, SEED, protocol), "att")["p_value"] == tiny
    estimate = compare(sample, specification, post).fit().coefficients[0]
    none = replace(sample, counts=sample.counts * np.exp(-estimate * np.outer(sample.treated, post)))
    assert row_of(high_use_placebo(none, specification, SEED, protocol), "att")["p_value"] == 1


def test_places_chosen_for_their_use_fall_back(specification: Specification, protocol: Protocol) -> None:
    """Where one year's use is chance, pseudo-vanguards picked for it fall afterwards: their mean lies well below zero."""
    sample, _ = make_sample(CLUSTERS, [0, 1, 2, 3], 60, seed=89, noise=0.01)
    luck = np.random.default_rng(2).normal(0, 0.15, (len(sample.units), 1)) * (np.arange(60) // 12 == 1)
    chance = replace(sample, counts=sample.counts / _use(sample)[:, None] * 0.01 * np.exp(luck))
    mean, _, _, high = _numbers(high_use_placebo(chance, specification, SEED, protocol))
    assert mean < -0.05
    assert high < 0


def test_too_few_controls_of_high_use_are_refused(
    sample: Sample, specification: Specification, protocol: Protocol
) -> None:
    """Four pseudo-vanguards cannot be drawn from three controls: an error with both numbers."""
    few = sample.only(np.array(CLUSTERS) < 14)
    with pytest.raises(NotIdentified, match="3 controls of high use, too few to draw 4"):
        high_use_placebo(few, specification, SEED, protocol)
