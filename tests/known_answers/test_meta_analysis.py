"""Random-effects meta-analysis against R's metafor, statsmodels, closed forms and its own definitions.

Tolerances. metafor's numbers are printed with 15 digits; τ² is where two searches stop, and 1e-8 of a log point apart at
most. Its interval of τ² is an exception: metafor 3.8 searches for it with a tolerance of 1.2e-4 in τ² itself (R's
``uniroot`` default), so that its ends carry no more; ours are held to their definition instead, Q at the end being the
quantile. Closed forms are the same arithmetic: 1e-12.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, norm, t
from statsmodels.stats.meta_analysis import combine_effects

from analysis.estimation.inference.meta_analysis import RandomEffects, Test, random_effects
from analysis.estimation.regression.absorbed import NotIdentified

LEVEL = 0.95
UNIROOT = 0.0001220703125  # .Machine$double.eps ^ 0.25
TESTS: list[tuple[str, Test]] = [
    ("REML", "z"), ("REML_knapp_hartung", "knapp_hartung"), ("REML_knapp_hartung_adhoc", "adhoc"),
]  # fmt: skip
SETS = ["heterogeneous", "homogeneous"]


@pytest.fixture(scope="module")
def from_r(published_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((published_folder / "reference/r/reference.json").read_text())["meta"]
    return found


def _made(seed: int, number: int = 12, spread: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    errors = generator.uniform(0.01, 0.05, number)
    return generator.normal(-0.02, np.sqrt(errors**2 + spread**2)), errors


def _data(from_r: dict[str, Any], which: str) -> tuple[np.ndarray, np.ndarray]:
    data = from_r[which]["data"]
    return np.array(data["yi"]), np.array(data["sei"])


def _q(effects: np.ndarray, errors: np.ndarray, tau_squared: float) -> float:
    weights = 1 / (errors**2 + tau_squared)
    return float(weights @ (effects - weights @ effects / weights.sum()) ** 2)


# metafor


@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize(("key", "test"), TESTS)
def test_metafor_pools_the_same(from_r: dict[str, Any], which: str, key: str, test: Test) -> None:
    """Mean, error, test, both intervals, τ² and its error, I², Q and its p, for the three kinds of error."""
    found, expected = random_effects(*_data(from_r, which), LEVEL, test), from_r[which]["results"][key]
    ours = [
        found.mean, found.std_error, found.statistic, found.p_value, *found.interval, *found.prediction, found.tau_squared,
        found.tau_squared_error, 100 * found.i_squared, found.q, found.q_p_value,
    ]  # fmt: skip
    theirs = [
        expected["mu"], expected["se"], expected["statistic"], expected["p"], *expected["ci95"],
        *expected["prediction_interval_metafor"], expected["tau2"], expected["tau2_se"], expected["I2"], expected["Q"],
        expected["Q_p"],
    ]  # fmt: skip
    assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("which", SETS)
def test_metafor_shrinks_the_same(from_r: dict[str, Any], which: str) -> None:
    """``blup``: 23 effects, their errors and both ends of their intervals."""
    found, expected = (
        random_effects(*_data(from_r, which), LEVEL, "z"),
        from_r[which]["results"]["shrunken_effects_REML"],
    )
    assert found.shrunken == pytest.approx(np.array(expected["blup"]), abs=1e-9)
    assert found.shrunken_errors == pytest.approx(np.array(expected["se"]), abs=1e-9)
    bounds = np.column_stack([expected["pi_lb"], expected["pi_ub"]])
    assert found.shrunken_intervals == pytest.approx(bounds, abs=1e-9)


@pytest.mark.parametrize("which", SETS)
def test_metafor_bounds_the_spread_as_closely_as_it_searches(from_r: dict[str, Any], which: str) -> None:
    """Our upper end makes Q the 2.5% quantile; metafor's does not quite, and lies within its own tolerance of ours."""
    effects, errors = _data(from_r, which)
    low, high = random_effects(effects, errors, LEVEL).tau_squared_interval
    expected = from_r[which]["results"]["tau2_ci95_q_profile"]
    quantile = chi2.ppf(0.025, len(effects) - 1)
    assert low == expected[0] == 0
    assert high == pytest.approx(expected[1], abs=UNIROOT)
    assert _q(effects, errors, high) == pytest.approx(quantile, abs=1e-9)
    assert abs(_q(effects, errors, expected[1]) - quantile) > 0.01


def test_metafor_without_spread_is_the_fixed_effect(from_r: dict[str, Any]) -> None:
    found, expected = random_effects(*_data(from_r, "homogeneous"), LEVEL, "z"), from_r["homogeneous"]["results"]
    assert found.tau_squared == 0
    assert [found.mean, found.std_error] == pytest.approx(list(expected["fixed_effect"].values()), abs=1e-14)
    assert found.std_error > random_effects(*_data(from_r, "homogeneous"), LEVEL).std_error


# statsmodels


@pytest.mark.parametrize("seed", [3, 4])
def test_statsmodels_has_the_same_fixed_effect_and_q(seed: int) -> None:
    effects, errors = _made(seed, spread=0.0)
    theirs, found = combine_effects(effects, errors**2), random_effects(effects, errors, LEVEL)
    assert found.q == pytest.approx(theirs.q, rel=1e-12)
    assert found.q_p_value == pytest.approx(chi2.sf(theirs.q, len(effects) - 1), rel=1e-12)
    if found.tau_squared == 0:
        assert found.mean == pytest.approx(theirs.mean_effect_fe, abs=1e-14)


def test_statsmodels_pools_the_same_given_the_same_spread() -> None:
    """Where all errors are equal, REML, DerSimonian–Laird and Paule–Mandel are one: mean, τ² and the Knapp–Hartung error."""
    effects, _ = _made(5)
    errors = np.full(len(effects), 0.02)
    for method in ("chi2", "iterated"):
        theirs = combine_effects(effects, errors**2, method_re=method, atol=1e-14)
        found = random_effects(effects, errors, LEVEL)
        assert found.tau_squared == pytest.approx(theirs.tau2, rel=1e-8)
        assert found.mean == pytest.approx(theirs.mean_effect_re, abs=1e-12)
        assert found.std_error == pytest.approx(theirs.sd_eff_w_re_hksj, rel=1e-8)
        assert random_effects(effects, errors, LEVEL, "z").std_error == pytest.approx(theirs.sd_eff_w_re, rel=1e-8)


# Closed forms


def test_equal_errors() -> None:
    """τ² is the effects' variance less that of the errors; the mean is plain and has the effects' own standard error."""
    effects, _ = _made(6)
    found = random_effects(effects, np.full(12, 0.02), LEVEL)
    variance = effects.var(ddof=1)
    assert found.tau_squared == pytest.approx(variance - 0.02**2, rel=1e-10)
    assert found.tau == pytest.approx(np.sqrt(variance - 0.02**2), rel=1e-10)
    assert found.mean == pytest.approx(effects.mean(), abs=1e-15)
    assert found.std_error == pytest.approx(np.sqrt(variance / 12), rel=1e-10)
    assert found.interval[1] - found.mean == pytest.approx(t.ppf(0.975, 11) * np.sqrt(variance / 12), rel=1e-10)
    assert found.i_squared == pytest.approx(1 - 0.02**2 / variance, rel=1e-10)
    assert found.shrunken == pytest.approx(effects.mean() + found.i_squared * (effects - effects.mean()), abs=1e-14)
    ends = [11 * variance / chi2.ppf(p, 11) - 0.02**2 for p in (0.975, 0.025)]
    assert found.tau_squared_interval == pytest.approx(ends, rel=1e-9)


def test_two_effects() -> None:
    """d apart with one error: τ² = d²/2 − s², the error d/2, and t with one degree of freedom."""
    found = random_effects(np.array([0.1, 0.3]), np.array([0.02, 0.02]), LEVEL)
    assert found.tau_squared == pytest.approx(0.2**2 / 2 - 0.02**2, rel=1e-12)
    assert found.mean == pytest.approx(0.2, abs=1e-14)
    assert found.std_error == pytest.approx(0.1, rel=1e-12)
    assert found.p_value == pytest.approx(2 * t.sf(2.0, 1), rel=1e-10)
    assert found.q == pytest.approx(0.2**2 / (2 * 0.02**2), rel=1e-12)


def test_one_effect_pools_to_itself() -> None:
    found = random_effects(np.array([0.1]), np.array([0.2]), LEVEL, "z")
    assert (found.mean, found.tau_squared, found.i_squared) == (pytest.approx(0.1), 0.0, 0.0)
    assert found.interval == pytest.approx((0.1 - norm.ppf(0.975) * 0.2, 0.1 + norm.ppf(0.975) * 0.2))
    assert found.shrunken == pytest.approx(np.array([0.1]))
    cautious = random_effects(np.array([0.1]), np.array([0.2]), LEVEL, "adhoc")
    assert np.isnan([*cautious.interval, cautious.std_error, cautious.p_value]).all()
    alone = random_effects(np.array([0.1]), np.array([0.2]), LEVEL)
    assert np.isnan([*alone.interval, alone.std_error, alone.p_value, *alone.tau_squared_interval]).all()


def test_effects_that_do_not_differ_leave_no_error() -> None:
    found = random_effects(np.full(3, 0.1), np.array([0.01, 0.02, 0.03]), LEVEL)
    assert (found.tau_squared, found.std_error, found.p_value) == (0, pytest.approx(0, abs=1e-15), pytest.approx(0))
    assert random_effects(np.full(3, 0.1), np.array([0.01, 0.02, 0.03]), LEVEL, "adhoc").std_error > 0.008


def test_an_error_without_bound_drops_the_effect() -> None:
    effects, errors = _made(7)
    more = random_effects(np.append(effects, 5.0), np.append(errors, 1e9), LEVEL, "z")
    found = random_effects(effects, errors, LEVEL, "z")
    assert more.mean == pytest.approx(found.mean, abs=1e-10)
    assert more.tau_squared == pytest.approx(found.tau_squared, rel=1e-6)
    assert more.shrunken[-1] == pytest.approx(found.mean, abs=1e-10)


# Definitions


@pytest.mark.parametrize("seed", range(4))
def test_the_spread_maximises_the_restricted_likelihood(seed: int) -> None:
    """No τ² on a grid, nor one a little beside it, has a higher likelihood."""
    effects, errors = _made(seed, spread=0.02 * seed)
    found = random_effects(effects, errors, LEVEL)

    def likelihood(tau_squared: float) -> float:
        weights = 1 / (errors**2 + tau_squared)
        return float(np.log(weights).sum() - np.log(weights.sum()) - _q(effects, errors, tau_squared)) / 2

    best = likelihood(found.tau_squared)
    grid = [*np.linspace(0, 0.02, 400), found.tau_squared * 1.001, found.tau_squared * 0.999]
    assert max(likelihood(value) for value in grid) <= best + 1e-9


def test_steps_that_go_to_and_fro_settle() -> None:
    """Undamped, Fisher scoring goes between 0 and 3.4e-4 for ever on these; between them the likelihood's slope is zero."""
    effects = np.array([-0.015, 0.02, -0.01, -0.025, -0.029, -0.034])
    errors = np.array([0.034, 0.016, 0.042, 0.036, 0.046, 0.04])
    found = random_effects(effects, errors, LEVEL)
    weights = 1 / (errors**2 + found.tau_squared)
    residual = weights * (effects - found.mean)
    slope = residual @ residual - weights.sum() + (weights**2).sum() / weights.sum()
    assert 1e-6 < found.tau_squared < 3e-4
    assert slope == pytest.approx(0, abs=1e-8 * weights.sum())


@pytest.mark.parametrize("seed", [0, 2, 8])
def test_shrunken_effects_lie_between_their_own_and_the_mean(seed: int) -> None:
    effects, errors = _made(seed)
    found = random_effects(effects, errors, LEVEL)
    assert found.tau > 0.01
    low, high = np.minimum(effects, found.mean), np.maximum(effects, found.mean)
    assert ((low - 1e-15 <= found.shrunken) & (found.shrunken <= high + 1e-15)).all()
    pull = (effects - found.shrunken) / (effects - found.mean)
    assert (np.diff(pull[np.argsort(errors)]) > 0).all()  # the less certain, the further


def test_prediction_and_confidence() -> None:
    found = random_effects(*_made(8), LEVEL)
    assert found.prediction[0] < found.interval[0] < found.mean < found.interval[1] < found.prediction[1]
    half_width = t.ppf(0.975, 11) * np.hypot(found.tau, found.std_error)
    assert found.prediction[1] - found.mean == pytest.approx(half_width, rel=1e-12)
    assert found.tau_squared_interval[0] < found.tau_squared < found.tau_squared_interval[1]
    assert found.i_squared_interval[0] < found.i_squared < found.i_squared_interval[1] < 1
    wider = random_effects(*_made(8), 0.99)
    assert wider.interval[0] < found.interval[0] and wider.tau_squared_interval[1] > found.tau_squared_interval[1]


# Invariance


def _scaled(found: RandomEffects, shift: float, scale: float) -> list[float]:
    """Everything a change of origin and unit should give."""
    moved = [found.mean, *found.interval, *found.prediction, *found.shrunken, *found.shrunken_intervals.ravel()]
    sized = [found.std_error, found.tau, *np.sqrt(found.tau_squared_interval), *found.shrunken_errors]
    same = [found.i_squared, *found.i_squared_interval, found.q, found.q_p_value]
    return [value * scale + shift for value in moved] + [abs(scale) * value for value in sized] + same


@pytest.mark.parametrize(("shift", "scale"), [(0.3, 1.0), (0.0, 100.0), (-2.0, 1e-3)])
def test_origin_and_unit_do_not_matter(shift: float, scale: float) -> None:
    effects, errors = _made(9)
    found, other = (
        random_effects(y, s, LEVEL) for y, s in ((effects, errors), (effects * scale + shift, errors * scale))
    )
    assert _scaled(other, 0, 1) == pytest.approx(_scaled(found, shift, scale), rel=1e-8)


def test_sign_mirrors_and_order_does_not_matter() -> None:
    effects, errors = _made(10)
    found, mirrored = random_effects(effects, errors, LEVEL), random_effects(-effects, errors, LEVEL)
    assert mirrored.interval == pytest.approx((-found.interval[1], -found.interval[0]), rel=1e-12)
    assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-12)
    turned = random_effects(effects[::-1], errors[::-1], LEVEL)
    assert turned.shrunken == pytest.approx(found.shrunken[::-1], abs=1e-13)
    assert turned.tau_squared == pytest.approx(found.tau_squared, rel=1e-10)


# Refusals


@pytest.mark.parametrize(
    ("effects", "errors", "said"),
    [
        ([], [], "no effect to pool"),
        ([0.1, np.nan], [0.1, 0.1], "not finite"),
        ([0.1, 0.2], [0.1, 0.0], "not above zero"),
        ([0.1, 0.2], [0.1, np.inf], "not finite"),
    ],
)
def test_effects_that_cannot_be_pooled(effects: list[float], errors: list[float], said: str) -> None:
    with pytest.raises(NotIdentified, match=said):
        random_effects(np.array(effects), np.array(errors), LEVEL)
