"""Growth per head against sums by hand and a cluster jackknife.

Tolerances. Estimates 1e-12: they are sums. The linearised standard error is a first-order expansion, so the jackknife
may differ by terms of the order of 1/G: 5% with 40 clusters; the bootstrap adds its own noise: 10% with 1,000 draws.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import make_sample, months, row_of

from analysis.estimation.did.growth import growth_gap, growth_per_head
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Growth


@pytest.fixture(scope="module")
def rule(protocol: Protocol) -> Growth:
    """Calendar 2016 on the twelve months to September 2015: the windows start in different months."""
    return next(rule for rule in protocol.growth if rule.id == "2016_on_2014_10_2015_09")


def _sample(counts: np.ndarray, population: np.ndarray, cluster: list[int] | None = None) -> Sample:
    n, periods = counts.shape
    clusters = np.arange(n) if cluster is None else np.array(cluster)
    known = np.where(np.isfinite(counts), population, np.nan)
    return Sample(
        pd.Index([f"U{i}" for i in range(n)]), months(periods), counts, known, population, np.ones(n, bool), clusters
    )


def _columns(first: str, last: str) -> np.ndarray:
    return months().get_indexer(pd.date_range(first, last, freq="MS"))


def _estimate(sample: Sample, rule: Growth) -> float:
    return row_of(growth_per_head(sample, rule, 0.95), f"growth_{rule.id}")["estimate"]


def test_sums_by_hand(rule: Growth) -> None:
    """Three units: counts per head over the window over counts per head over the baseline."""
    counts, population = np.full((3, 60), 100.0), np.full((3, 60), 1e4)
    counts[0, _columns("2016-01", "2016-12")] = 130
    population[1, _columns("2016-01", "2016-12")] = 1.1e4
    expected = np.log((12 * 330 / (12 * 3.1e4)) / (12 * 300 / (12 * 3e4)))
    assert _estimate(_sample(counts, population), rule) == pytest.approx(expected, abs=1e-12)


def test_a_month_masked_in_one_window_leaves_both(rule: Growth) -> None:
    """The masked unit's same calendar month goes from the other window, count and people; nobody else's does."""
    generator = np.random.default_rng(1)
    counts = generator.poisson(500, (3, 60)).astype(float)
    population = generator.uniform(1e4, 2e4, (3, 60))
    window, baseline = _columns("2016-01", "2016-12"), _columns("2014-10", "2015-09")
    counts[0, window[2]] = np.nan  # March 2016: March 2015 must leave the baseline
    counts[1, baseline[0]] = np.nan  # October 2014: October 2016 must leave the window
    kept_w, kept_b = np.ones((3, 12), bool), np.ones((3, 12), bool)
    kept_w[0, 2] = kept_w[1, 9] = False
    kept_b[0, 5] = kept_b[1, 0] = False

    def rate(columns: np.ndarray, kept: np.ndarray) -> float:
        return counts[:, columns][kept].sum() / population[:, columns][kept].sum()

    expected = np.log(rate(window, kept_w) / rate(baseline, kept_b))
    rows = growth_per_head(_sample(counts, population), rule, 0.95)
    assert row_of(rows, f"growth_{rule.id}")["estimate"] == pytest.approx(expected, abs=1e-12)
    assert row_of(rows, f"growth_{rule.id}")["n_obs"] == 2 * (36 - 2)
    assert row_of(rows, f"growth_{rule.id}_percent")["estimate"] == pytest.approx(100 * np.expm1(expected), abs=1e-10)


def test_a_masked_winter_does_not_pass_for_growth(rule: Growth) -> None:
    """Counts that are only seasonal show no growth, whatever is masked: the calendar months stay matched."""
    season = 1 + 0.4 * np.cos(months().month.to_numpy() * np.pi / 6)
    counts = 1000 * np.outer([1, 2, 3], season)
    counts[0, _columns("2016-01", "2016-02")] = np.nan
    counts[2, _columns("2014-12", "2014-12")] = np.nan
    assert _estimate(_sample(counts, np.outer([1, 2, 3], np.ones(60)) * 1e5), rule) == pytest.approx(0, abs=1e-12)


def _clustered(seed: int) -> Sample:
    return make_sample([*np.repeat(range(10), 2), *range(10, 40)], list(range(40)), 60, seed, missing=0.01, noise=0.08)[
        0
    ]


def _without(sample: Sample, weights: np.ndarray) -> Sample:
    """The sample with every cluster as often as ``weights`` says."""
    rows = np.repeat(np.arange(len(sample.units)), weights[sample.cluster])
    return Sample(
        sample.units[rows], sample.months, sample.counts[rows], sample.population[rows],
        sample.population_full[rows], sample.treated[rows], sample.cluster[rows],
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_standard_error_is_the_jackknifes(rule: Growth, seed: int) -> None:
    """Leaving out one cluster at a time gives the linearised standard error within 5%."""
    sample = _clustered(seed)
    clusters = int(sample.cluster.max()) + 1
    left_out = [_estimate(_without(sample, 1 - (np.arange(clusters) == g).astype(int)), rule) for g in range(clusters)]
    jackknife = np.sqrt((clusters - 1) / clusters * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    found = row_of(growth_per_head(sample, rule, 0.95), f"growth_{rule.id}")["std_error"]
    assert found == pytest.approx(jackknife, rel=0.05)


@pytest.mark.slow
def test_standard_error_is_the_bootstraps(rule: Growth) -> None:
    """Drawing clusters with replacement gives the linearised standard error within 10%."""
    sample, generator = _clustered(9), np.random.default_rng(2)
    draws = [_estimate(_without(sample, generator.multinomial(40, np.full(40, 1 / 40))), rule) for _ in range(1000)]
    found = row_of(growth_per_head(sample, rule, 0.95), f"growth_{rule.id}")["std_error"]
    assert found == pytest.approx(np.std(draws), rel=0.10)


def test_the_gap_is_the_difference(rule: Growth) -> None:
    """The gap's estimate is the two growths' difference, and its variance their sum."""
    cohort, rest = _clustered(4), _clustered(5)
    rows = [row_of(growth_per_head(sample, rule, 0.95), f"growth_{rule.id}") for sample in (cohort, rest)]
    gap = row_of(growth_gap(cohort, rest, rule, 0.95), f"growth_gap_{rule.id}")
    assert gap["estimate"] == pytest.approx(rows[0]["estimate"] - rows[1]["estimate"], abs=1e-12)
    assert gap["std_error"] == pytest.approx(np.hypot(rows[0]["std_error"], rows[1]["std_error"]), rel=1e-12)
    assert gap["n_obs"] == rows[0]["n_obs"] + rows[1]["n_obs"]


def test_one_cluster_has_no_interval(rule: Growth) -> None:
    """A single site's growth is a number without a standard error, not one with an error of zero."""
    row = row_of(
        growth_per_head(_sample(np.full((1, 60), 90.0), np.full((1, 60), 1e4)), rule, 0.95), f"growth_{rule.id}"
    )
    assert row["estimate"] == pytest.approx(0, abs=1e-12)
    assert np.isnan([row["std_error"], row["ci_low"], row["p_value"]]).all()
