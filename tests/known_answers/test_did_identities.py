"""Difference-in-differences: identities that hold exactly, and noise-free effects that must come back.

Tolerances. 1e-9 where two fits must agree in theory: each stops within about 1e-10. Noise-free effects 1e-9.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from synthetic import event_study_rows, make_sample, months, row_of

from analysis.estimation.did.did import difference_in_differences, effects
from analysis.estimation.regression.estimates import minimum_detectable
from analysis.estimation.regression.poisson import fit_poisson
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol

QUARTERS = [q for q in range(-8, 12) if q != -1]


def _att(sample: Sample, post: np.ndarray) -> float:
    return float(
        fit_poisson(sample.counts, sample.population, np.outer(sample.treated, post)[None].astype(float)).coefficients[
            0
        ]
    )


def _summed(sample: Sample, area: np.ndarray) -> Sample:
    """Units summed into areas, each within one treatment group; a masked unit-month leaves the sums."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.stack([np.nansum(values[area == a], axis=0) for a in np.unique(area)])

    treated = np.array([sample.treated[area == a].all() for a in np.unique(area)])
    full = total(sample.population_full)
    return Sample(
        pd.Index(np.unique(area)),
        sample.months,
        total(sample.counts),
        total(sample.population),
        full,
        treated,
        np.arange(len(full)),
    )


def _factored(seed: int, missing: float) -> tuple[Sample, np.ndarray]:
    """A sample whose population is a unit's size times a national path."""
    sample, post = make_sample(list(range(20)), [0, 1, 2, 3, 4], 24, seed, effect=-0.1, missing=missing)
    people = sample.population_full[:, :1] * np.linspace(1, 1.04, 24)
    known = np.where(sample.observed, people, np.nan)
    return Sample(sample.units, sample.months, sample.counts, known, people, sample.treated, sample.cluster), post


def test_areas_within_a_group_give_the_same_att() -> None:
    """Complete cells and a factoring population: the Poisson ATT does not see how a group is cut into units."""
    sample, post = _factored(seed=1, missing=0.0)
    areas = np.array([0, 0, 1, 1, 1, *np.repeat([2, 3, 4], 5)])
    assert _att(_summed(sample, areas), post) == pytest.approx(_att(sample, post), abs=1e-9)
    ratio = np.log(
        [sample.counts[group][:, when].sum() for group in (sample.treated, ~sample.treated) for when in (post, ~post)]
    )
    assert _att(sample, post) == pytest.approx(ratio[0] - ratio[1] - ratio[2] + ratio[3], abs=1e-9)


def test_with_masked_cells_areas_differ() -> None:
    """With masked months the identity fails, so that a snapshot by area cannot be exact."""
    sample, post = _factored(seed=1, missing=0.1)
    areas = np.array([0, 0, 1, 1, 1, *np.repeat([2, 3, 4], 5)])
    assert abs(_att(_summed(sample, areas), post) - _att(sample, post)) > 1e-5


def test_treated_and_controls_swapped_flip_the_sign() -> None:
    """Swapping the groups gives exactly minus the effect, with any cells missing."""
    sample, post = _factored(seed=2, missing=0.1)
    swapped = Sample(
        *(getattr(sample, name) for name in ("units", "months", "counts", "population", "population_full")),
        ~sample.treated,
        sample.cluster,
    )
    assert _att(swapped, post) == pytest.approx(-_att(sample, post), abs=1e-9)


def _noise_free(log_effect: np.ndarray) -> Sample:
    """Twelve units over the study's months; three treated, with this log effect by month."""
    sample, _ = make_sample([0, 0, *range(1, 11)], [0, 1], 60, seed=7)
    generator = np.random.default_rng(7)
    rate = np.exp(
        generator.normal(-5, 0.3, (12, 1)) + generator.normal(0, 0.1, 60) + np.outer(sample.treated, log_effect)
    )
    return Sample(
        sample.units,
        months(),
        sample.population_full * rate,
        *(sample.population_full,) * 2,
        sample.treated,
        sample.cluster,
    )


def test_event_study_recovers_noise_free_effects(protocol: Protocol) -> None:
    """Each quarter's effect against the last before the programme comes back, under its own name."""
    by_quarter = dict(zip(QUARTERS, np.random.default_rng(3).normal(0, 0.1, len(QUARTERS)), strict=True)) | {-1: 0.0}
    sample = _noise_free(np.array([by_quarter[month // 3 - 8] for month in range(60)]))
    rows = event_study_rows(sample, protocol.specification("primary"), 0, 1, protocol)
    terms = [row["term"] for row in rows if row["scale"] == "log_rate"]
    assert terms == [*(f"quarter_{q:+d}" for q in QUARTERS), "pre_period"]
    for quarter in QUARTERS:
        assert row_of(rows, f"quarter_{quarter:+d}")["estimate"] == pytest.approx(by_quarter[quarter], abs=1e-9)


def test_a_year_sees_only_itself_and_the_months_before(protocol: Protocol) -> None:
    """Effects of different size by year come back each on its own, and the whole lies between them."""
    by_year = {"year1": 0.02, "year2": -0.05, "year3": -0.12}
    path = np.concatenate([np.zeros(24), *(np.full(12, value) for value in by_year.values())])
    sample = _noise_free(path)
    found = {}
    for effect in effects(sample.months, protocol.specification("primary"), protocol):
        seen = sample.restrict(effect.used)
        found[effect.term] = _att(seen, effect.post[effect.used])
    for year, value in by_year.items():
        assert found[f"att_{year}"] == pytest.approx(value, abs=1e-9)
    assert -0.12 < found["att"] < 0.02


def test_rows_of_the_table(protocol: Protocol) -> None:
    """Every effect has a CR1 and a randomisation row around one estimate, and a minimum detectable effect from each."""
    sample, _ = make_sample([0, 0, *range(1, 40)], [0, 1, 2], 60, seed=2, missing=0.01)
    specification = protocol.specification("primary").model_copy(update={"draws": 199})
    rows = difference_in_differences(sample, specification, 1, protocol)
    assert len(rows) == 4 * 2 * 2 * 2
    for term in ("att", "att_year1", "att_year2", "att_year3"):
        both = [row_of(rows, term, method) for method in ("CR1", "randomisation")]
        assert both[0]["estimate"] == both[1]["estimate"]
        for row in both:
            detectable = row_of(rows, term.replace("att", "mde"), row["inference"])
            half = (row["ci_high"] - row["ci_low"]) / 2
            assert detectable["estimate"] == pytest.approx(half * 2.80 / 1.96, rel=1e-3)
            assert detectable["design"] == "power"
    assert row_of(rows, "att", "CR1")["n_obs"] == sample.observed.sum()
    assert row_of(rows, "att_year2", "CR1")["n_obs"] == sample.observed[:, [*range(24), *range(36, 48)]].sum()


@pytest.mark.parametrize(
    ("conf_level", "power", "ratio"),
    [(0.95, 0.80, 2.80 / 1.96), (0.90, 0.80, 2.486 / 1.645), (0.95, 0.90, 3.24 / 1.96)],
)
def test_minimum_detectable_effect(conf_level: float, power: float, ratio: float) -> None:
    """Half-width times 2.80 ÷ 1.96 at 95% and 80% (printed normal points), and exactly the power it promises."""
    assert minimum_detectable(0.1, conf_level, power) == pytest.approx(0.1 * ratio, rel=1e-3)
    std_error = 0.1 / norm.ppf(0.5 + conf_level / 2)
    assert norm.sf(
        norm.ppf(0.5 + conf_level / 2), loc=minimum_detectable(0.1, conf_level, power) / std_error
    ) == pytest.approx(power, abs=1e-12)
