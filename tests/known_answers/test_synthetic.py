"""Synthetic difference-in-differences and synthetic control: the published numbers, an independent package, closed forms.

Tolerances. Proposition 99 1e-4, as printed by Arkhangelsky et al. (2021). With the steps and stops of R's synthdid, 1e-8 of
the package synthdid-py, its port: the same iterations. The minimum 1e-6 of SciPy's SLSQP in the objective, since SLSQP stops
about there. One problem against a batch 1e-8: the order of sums. What is exact in theory 1e-9, or the
bias of the penalty that makes weights unique, which shrinks with its square.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import synthdid
from scipy.optimize import minimize
from synthdid.datasets import load_california_prop99
from synthetic import make_sample, permuted

from analysis.estimation.inference.placebo_sites import scaled_placebo
from analysis.estimation.regression.sample import Sample
from analysis.estimation.synthetic.synthetic import Pool, synthetic_designs
from analysis.estimation.synthetic.synthetic_fit import (
    AS_PUBLISHED,
    DID,
    MINIMUM,
    SDID,
    SYNTHETIC_CONTROL,
    Fits,
    Solver,
    fit_synthetic,
)
from analysis.estimation.synthetic.synthetic_weights import Shared, interior_point
from analysis.protocol.protocol import Protocol

BOTH = [SDID, SYNTHETIC_CONTROL]
LIBRARY = {SDID: synthdid.synthdid_estimate, SYNTHETIC_CONTROL: synthdid.sc_estimate, DID: synthdid.did_estimate}
BEFORE, PERIODS = 24, 60
SEED = 11


@pytest.fixture(scope="module")
def california() -> tuple[np.ndarray, int, int]:
    """Packs a head, 38 states and then California × 31 years; the number of donors; the years before."""
    values, donors, before, _ = synthdid.panel_matrices(load_california_prop99())
    return np.asarray(values), donors, before


@pytest.fixture(scope="module")
def panel() -> np.ndarray:
    """Thirty units × sixty months that wander about a common path."""
    generator = np.random.default_rng(7)
    walk = generator.normal(0, 0.02, (30, PERIODS)).cumsum(axis=1) + generator.normal(0, 0.02, (30, PERIODS))
    return walk + generator.normal(0, 0.2, (30, 1)) + 0.1 * np.sin(np.arange(PERIODS) * np.pi / 6) - 8


def alone(values: np.ndarray, target: np.ndarray, before: int, design: str, **choices: Any) -> Fits:
    """The fit of one series with every unit a donor."""
    return fit_synthetic(values, target[None], np.ones((1, len(values)), bool), before, design, **choices)


def single_placebos(values: np.ndarray, before: int, design: str, which: range, **choices: Any) -> Fits:
    """Each of these units against all the others."""
    donors = np.ones((len(which), len(values)), bool)
    donors[np.arange(len(which)), list(which)] = False
    return fit_synthetic(values, values[list(which)], donors, before, design, **choices)


# The published numbers


@pytest.mark.slow
@pytest.mark.parametrize(("design", "published"), [(SDID, -15.60383), (SYNTHETIC_CONTROL, -19.61966), (DID, -27.34911)])
def test_proposition_99(california: tuple[np.ndarray, int, int], design: str, published: float) -> None:
    values, donors, before = california
    fit = alone(values[:donors], values[donors], before, design, solver=AS_PUBLISHED)
    assert fit.estimates[0] == pytest.approx(published, abs=1e-4)
    library = LIBRARY[design](values, donors, before)
    np.testing.assert_allclose(fit.unit_weights[0], library.weights.omega, atol=1e-8)
    np.testing.assert_allclose(fit.month_weights[0], library.weights.lambda_, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("design", BOTH)
def test_placebos_of_proposition_99_are_those_of_the_library(
    california: tuple[np.ndarray, int, int], design: str
) -> None:
    """The same placebo states, each by the library's own loop; the standard error is that of algorithm 4 of the paper."""
    values, states, before = california
    fit = single_placebos(values[:states], before, design, range(5), solver=AS_PUBLISHED)
    orders = [[*range(k), *range(k + 1, states), k] for k in range(5)]
    library = [float(LIBRARY[design](values[order], states - 1, before)) for order in orders]
    np.testing.assert_allclose(fit.estimates, library, atol=1e-8)
    assert fit.estimates.std() == pytest.approx(np.sqrt(4 / 5) * np.std(library, ddof=1), abs=1e-8)


@pytest.mark.slow
def test_placebos_of_several_units_are_those_of_the_library(panel: np.ndarray) -> None:
    """Three units behind one series: their mean, their share in the penalty, their absence among the donors."""
    values, sets = panel[:, :40], np.array([[0, 1, 2], [5, 9, 20]])
    donors = np.ones((2, 30), bool)
    donors[np.arange(2)[:, None], sets] = False
    fit = fit_synthetic(values, values[sets].mean(axis=1), donors, BEFORE, SDID, treated=3, solver=AS_PUBLISHED)
    orders = [[k for k in range(30) if k not in chosen] + list(chosen) for chosen in sets]
    library = [float(synthdid.synthdid_estimate(values[order], 27, BEFORE)) for order in orders]
    np.testing.assert_allclose(fit.estimates, library, atol=1e-8)


# The minimum


@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 1.0])
def test_minimum_meets_the_conditions_that_only_a_minimum_meets(panel: np.ndarray, ridge: float) -> None:
    """The gradient is the same at every weight above zero and nowhere lower (Karush, Kuhn and Tucker)."""
    factor = panel[:25, :BEFORE].T - panel[:25, :BEFORE].mean(axis=0)[:, None]
    shared = Shared(factor, np.full(5, ridge))
    c = (panel[25:, :BEFORE] - panel[:25, :BEFORE].mean(axis=0)) @ factor
    allowed = np.ones((5, 25), bool)
    allowed[1, :5] = False
    weights = interior_point(shared, c, allowed, np.full(5, 0.02))
    gradient = np.where(allowed, shared.times(weights) - c, np.inf)
    least = gradient.min(axis=1, keepdims=True)
    assert ((gradient - least)[weights > 1e-6] < 1e-7).all()
    assert (weights[~allowed] == 0).all()


def test_minimum_is_that_of_another_optimiser(panel: np.ndarray) -> None:
    factor, target, ridge = panel[:10, :BEFORE].T + 8, panel[10, :BEFORE] + 8, 0.01

    def objective(w: np.ndarray) -> float:
        return float(((factor @ w - target) ** 2).sum() + ridge * (w**2).sum())

    other = minimize(
        objective, np.full(10, 0.1), bounds=[(0, 1)] * 10, method="SLSQP", options={"ftol": 1e-14, "maxiter": 1000},
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )  # fmt: skip
    shared, everything = Shared(factor, np.array([ridge])), np.ones((1, 10), bool)
    ours = interior_point(shared, (target @ factor)[None], everything, np.array([0.02]))[0]
    assert objective(ours) <= other.fun + 1e-12
    assert objective(ours) == pytest.approx(other.fun, abs=1e-6)
    np.testing.assert_allclose(ours, other.x, atol=1e-3)


def test_published_stops_lie_above_the_minimum(california: tuple[np.ndarray, int, int]) -> None:
    """Frank and Wolfe's steps end near the minimum of Proposition 99, and not at it."""
    values, donors, before = california
    fits = [
        alone(values[:donors], values[donors], before, SYNTHETIC_CONTROL, solver=s) for s in (MINIMUM, AS_PUBLISHED)
    ]
    best, published = (float(fit.pre_period_rmse()[0]) for fit in fits)
    assert best < published < 1.01 * best
    assert fits[0].estimates[0] == pytest.approx(-19.5134, abs=1e-3)
    assert alone(values[:donors], values[donors], before, SDID).estimates[0] == pytest.approx(-15.6054, abs=1e-3)


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.parametrize("design", BOTH)
@pytest.mark.parametrize("solver", [MINIMUM, AS_PUBLISHED], ids=["minimum", "as_published"])
def test_a_batch_is_its_single_problems(panel: np.ndarray, design: str, solver: Solver) -> None:
    values = panel[:12, :40]
    every = single_placebos(values, BEFORE, design, range(12), solver=solver)
    for k in (0, 7, 11):
        one = single_placebos(values, BEFORE, design, range(k, k + 1), solver=solver)
        assert one.estimates[0] == pytest.approx(every.estimates[k], abs=1e-8)
        np.testing.assert_allclose(one.unit_weights[0], every.unit_weights[k], atol=1e-8)
    others = np.delete(values, 7, axis=0)
    assert alone(others, values[7], BEFORE, design, solver=solver).estimates[0] == pytest.approx(
        every.estimates[7], abs=1e-8
    )


# Closed forms and what must not matter


@pytest.mark.parametrize("design", BOTH)
def test_weights_are_shares(panel: np.ndarray, design: str) -> None:
    fit = single_placebos(panel, BEFORE, design, range(30))
    np.testing.assert_allclose(fit.unit_weights.sum(axis=1), 1, atol=1e-12)
    assert (fit.unit_weights >= 0).all() and (np.diag(fit.unit_weights) == 0).all()
    months = fit.month_weights.sum(axis=1)
    np.testing.assert_allclose(months, 1 if design == SDID else 0, atol=1e-12)
    assert (fit.month_weights >= 0).all()


def test_a_mixture_of_donors_is_found_and_its_effect_exactly() -> None:
    """Treated = 0.5, 0.3 and 0.2 of three donors, and −0.1 after the start; only the penalty stands between."""
    values = np.random.default_rng(3).normal(0, 0.1, (10, PERIODS))
    mixture = np.array([0.5, 0.3, 0.2, *np.zeros(7)])
    target = mixture @ values - 0.1 * (np.arange(PERIODS) >= BEFORE)
    for penalty, bias in ((1e-2, 1e-3), (1e-3, 1e-5)):
        fit = alone(values, target, BEFORE, SYNTHETIC_CONTROL, solver=Solver(interior_point, penalty))
        np.testing.assert_allclose(fit.unit_weights[0], mixture, atol=bias)
        assert fit.estimates[0] == pytest.approx(-0.1, abs=bias / 10)
        assert fit.pre_period_rmse()[0] < bias / 10


def test_unit_and_month_effects_alone_leave_the_effect_exactly() -> None:
    generator = np.random.default_rng(4)
    path = generator.normal(0, 0.1, PERIODS).cumsum()
    values = generator.normal(0, 1, (12, 1)) + path
    target = 3 + path + 0.07 * (np.arange(PERIODS) >= BEFORE)
    for design in (SDID, DID):
        assert alone(values, target, BEFORE, design).estimates[0] == pytest.approx(0.07, abs=1e-9)


def test_difference_in_differences_is_four_means(panel: np.ndarray) -> None:
    gap = panel[0] - panel[1:].mean(axis=0)
    fit = alone(panel[1:], panel[0], BEFORE, DID)
    assert fit.estimates[0] == pytest.approx(gap[BEFORE:].mean() - gap[:BEFORE].mean(), abs=1e-12)


@pytest.mark.parametrize("design", BOTH)
def test_a_constant_effect_moves_the_estimate_and_nothing_else(panel: np.ndarray, design: str) -> None:
    """On this rests the interval."""
    without = alone(panel[1:], panel[0], BEFORE, design)
    moved = alone(panel[1:], panel[0] - 0.3 * (np.arange(PERIODS) >= BEFORE), BEFORE, design)
    assert moved.estimates[0] == pytest.approx(without.estimates[0] - 0.3, abs=1e-12)
    np.testing.assert_array_equal(moved.unit_weights, without.unit_weights)


def test_levels_and_a_common_trend_do_not_matter(panel: np.ndarray) -> None:
    """With an intercept, a constant for each unit drops out; a straight line of all units does not change the noise level."""
    added = np.random.default_rng(5).normal(0, 2, (30, 1)) + 0.01 * np.arange(PERIODS)
    plain = alone(panel[1:], panel[0], BEFORE, SDID)
    other = alone(panel[1:] + added[1:], panel[0] + added[0], BEFORE, SDID)
    assert other.estimates[0] == pytest.approx(plain.estimates[0], abs=1e-8)
    np.testing.assert_allclose(other.unit_weights, plain.unit_weights, atol=1e-7)


@pytest.mark.parametrize("design", BOTH)
def test_the_unit_of_measurement_scales_the_estimate(panel: np.ndarray, design: str) -> None:
    plain, scaled = (alone(unit * panel[1:], unit * panel[0], BEFORE, design) for unit in (1.0, 1000.0))
    assert scaled.estimates[0] == pytest.approx(1000 * plain.estimates[0], rel=1e-7)


@pytest.mark.parametrize("design", BOTH)
def test_the_order_of_donors_does_not_matter(panel: np.ndarray, design: str) -> None:
    order = np.random.default_rng(6).permutation(29)
    plain, turned = alone(panel[1:], panel[0], BEFORE, design), alone(panel[1:][order], panel[0], BEFORE, design)
    assert turned.estimates[0] == pytest.approx(plain.estimates[0], abs=1e-8)
    np.testing.assert_allclose(turned.unit_weights[0], plain.unit_weights[0, order], atol=1e-7)


def test_donors_that_are_alike_share_a_weight(panel: np.ndarray) -> None:
    """The penalty chooses, among mixtures that fit alike, the most even."""
    fit = alone(np.vstack([panel[1:], panel[1:2]]), panel[1], BEFORE, SYNTHETIC_CONTROL)
    assert fit.unit_weights[0, 0] == pytest.approx(0.5, abs=1e-3)
    assert fit.unit_weights[0, 29] == pytest.approx(fit.unit_weights[0, 0], abs=1e-6)


# The study's entry


def study_sample(effect: float = 0.0, treated: int = 3, missing: float = 0.0) -> Sample:
    return make_sample(list(range(40)), list(range(treated)), PERIODS, 29, missing=missing, effect=effect)[0]


@pytest.fixture(scope="module")
def few_draws(protocol: Protocol) -> Protocol:
    fewer = protocol.inference.model_copy(update={"variant_draws": 199})
    return protocol.model_copy(update={"inference": fewer})


def row(rows: list[dict[str, Any]], design: str, scale: str = "log_rate") -> dict[str, Any]:
    (found,) = [each for each in rows if each["design"] == design and each["scale"] == scale]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("design", BOTH)
def test_the_entry_is_the_fit_and_its_placebos_by_hand(few_draws: Protocol, design: str) -> None:
    """Log of summed counts over summed population a day; p, interval and error counted from the placebos."""
    sample = study_sample(effect=-0.2)
    pool = Pool(sample, SEED, few_draws)
    rows, fits, *_ = synthetic_designs(sample, SEED, few_draws)
    found = row(rows, design)
    days = sample.months.days_in_month.to_numpy()
    target = np.log(sample.counts[:3].sum(axis=0) / sample.population[:3].sum(axis=0) / days)
    donors = np.log(sample.counts[3:] / sample.population[3:] / days)
    by_hand = alone(donors, target, BEFORE, design, treated=3)
    assert found["estimate"] == pytest.approx(by_hand.estimates[0], abs=1e-9)
    placebos = np.abs(pool.placebos(3, 3).fits[design].estimates)
    assert len(placebos) == 199
    assert found["p_value"] == (1 + (placebos >= abs(found["estimate"])).sum()) / 200
    half = np.sort(placebos)[
        -9
    ]  # nine of two hundred, the actual one among them, may lie outside: p = 5% is not rejected
    assert found["ci_high"] - found["estimate"] == pytest.approx(half, abs=1e-12)
    assert found["estimate"] - found["ci_low"] == pytest.approx(half, abs=1e-12)
    assert found["std_error"] == pytest.approx(pool.placebos(3, 3).fits[design].estimates.std())
    summary = fits.set_index("design").loc[design]
    assert summary["rank"] == round(found["p_value"] * 200) and summary.placebos == 199
    assert summary.effective_donors == pytest.approx(1 / (by_hand.unit_weights**2).sum())


@pytest.mark.slow
@pytest.mark.parametrize("design", BOTH)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_large_effect_is_found_with_its_sign(few_draws: Protocol, design: str, sign: int) -> None:
    """Counts times exp(±0.6) after the start: the estimate and both ends of the interval move by ±0.6."""
    plain = study_sample()
    effect = 0.6 * sign * np.outer(plain.treated, plain.months >= few_draws.study.programme_start)
    moved = replace(plain, counts=plain.counts * np.exp(effect))
    before, after = (row(synthetic_designs(each, SEED, few_draws)[0], design) for each in (plain, moved))
    for name in ("estimate", "ci_low", "ci_high"):
        assert after[name] == pytest.approx(before[name] + 0.6 * sign, abs=1e-9)
    assert after["p_value"] == 1 / 200 < before["p_value"]
    assert after["ci_low"] * after["ci_high"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("design", BOTH)
def test_paths_and_weights_give_the_estimate_back(few_draws: Protocol, design: str) -> None:
    rows, _, weights, paths = synthetic_designs(study_sample(-0.1), SEED, few_draws)
    path = paths[paths.design == design]
    gap = (path.observed - path.synthetic)[(path.month >= few_draws.study.programme_start).to_numpy()]
    assert gap.mean() == pytest.approx(row(rows, design)["estimate"], abs=1e-9)
    mine = weights[weights.design == design]
    shares = mine.groupby("kind").weight.sum()
    np.testing.assert_allclose(shares, 1)
    assert set(shares.index) == ({"unit", "month"} if design == SDID else {"unit"})
    assert set(mine.name[mine.kind == "month"]) <= set(path.month.dt.strftime("%Y-%m"))


def test_one_site_is_judged_by_size(few_draws: Protocol) -> None:
    """Every control by itself, scaled as Ferman and Pinto do; a pool made once serves any site with the same controls."""
    sample = study_sample(treated=1)
    pool = Pool(study_sample(treated=1).only(~sample.treated), SEED, few_draws)
    rows, fits, *_ = synthetic_designs(sample, SEED, few_draws, pool)
    assert (fits.placebos == 39).all()
    for design in BOTH:
        found, placebos = row(rows, design), pool.placebos(1, 1)
        size = sample.counts[0, :BEFORE].sum()
        by_hand = scaled_placebo(found["estimate"], size, placebos.fits[design].estimates, placebos.sizes, 0.95)
        assert (found["p_value"], found["std_error"]) == (by_hand.p_value, by_hand.std_error)
        assert (found["ci_low"], found["ci_high"]) == by_hand.interval
    own = synthetic_designs(sample, SEED, few_draws)[0]
    assert own == rows


def test_masked_months_are_filled_as_in_the_interrupted_series(few_draws: Protocol) -> None:
    """Where units and months have effects and nothing else, what is masked is known, and nothing is lost with it."""
    sample = study_sample()
    level = np.exp(-4 + 0.01 * np.arange(40)[:, None] + 0.1 * np.sin(np.arange(PERIODS)))
    whole = replace(sample, counts=sample.population_full * level, population=sample.population_full)
    hidden = np.zeros(level.shape, bool)
    hidden[[0, 5, 17], [3, 40, 12]] = True
    some = replace(
        whole, counts=np.where(hidden, np.nan, whole.counts), population=np.where(hidden, np.nan, whole.population)
    )
    paths = [synthetic_designs(each, SEED, few_draws)[3] for each in (whole, some)]
    np.testing.assert_allclose(paths[0].observed, paths[1].observed, atol=1e-6)
    np.testing.assert_allclose(paths[0].synthetic, paths[1].synthetic, atol=1e-6)


@pytest.mark.slow
def test_the_order_of_units_and_a_second_run_change_nothing(few_draws: Protocol) -> None:
    sample = study_sample(effect=-0.1, missing=0.01)
    first, again = (synthetic_designs(sample, SEED, few_draws) for _ in range(2))
    assert first[0] == again[0]
    for before, after in zip(first[1:], again[1:], strict=True):
        pd.testing.assert_frame_equal(before, after, check_exact=True)
    turned = permuted(sample, np.random.default_rng(1).permutation(40))
    for design in BOTH:
        expected, found = (row(rows, design) for rows in (first[0], synthetic_designs(turned, SEED, few_draws)[0]))
        assert found["estimate"] == pytest.approx(expected["estimate"], abs=1e-7)
