"""A world to try inference methods in: panels simulated around the real treated sites, measured on the real panel.

The treated sites stay as they are, with their populations, STPs and masked months; expected counts are those of the Poisson
model without treatment. A unit's log rate departs from it by noise with the controls' month-by-month covariance, so that real
persistence is kept, a variance of a + b ÷ population, and a part that the units of an STP share. Counts are Poisson on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from analysis.estimation.regression.poisson import fitted_without_treatment
from analysis.estimation.regression.sample import Sample

LEAST_STP_CORRELATION = 0.17  # the protocol's; what is measured rests on some forty STPs
MASKED_SHARE = 0.25  # of the units, in a world of heavy masking


@dataclass(frozen=True)
class Noise:
    """Departures of log rates from the Poisson model beyond Poisson, of variance ``constant`` + ``slope`` ÷ population.

    ``root`` (T × T) times its transpose is their correlation over months (mean diagonal 1). ``paths`` (controls × T) are the
    residuals themselves, of mean square 1. ``stp_correlation`` is that of two units of one STP.
    """

    constant: float
    slope: float
    root: np.ndarray
    paths: np.ndarray
    stp_correlation: float

    def variance(self, population: np.ndarray) -> np.ndarray:
        return self.constant + self.slope / population


@dataclass(frozen=True)
class Variation:
    """How a world differs from the base.

    Treated units' noise variance ÷ the controls'; standard deviation of effects between sites (log points); every draw
    masks the longest run that the masking rule may take in a share of the units; whole residual paths of controls for noise.
    """

    treated_variance: float = 1.0
    effect_spread: float = 0.0
    heavy_masking: bool = False
    real_paths: bool = False


@dataclass(frozen=True)
class World:
    """``mean`` (n × T): expected counts without treatment, of masked months too; ``variance`` (n) of the noise; ``stp`` (n)."""

    sample: Sample
    post: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    stp: np.ndarray
    noise: Noise
    longest_run: int


def build_world(sample: Sample, post: np.ndarray, stp_of: pd.Series, noise: Noise, longest_run: int) -> World:
    """``stp_of``: unit → its STP; ``longest_run``: months that the masking rule may take."""
    mean = sample.population_full * fitted_without_treatment(sample)
    variance = noise.variance(sample.population_full.mean(axis=1))
    return World(sample, post, mean, variance, pd.factorize(stp_of.loc[sample.units])[0], noise, longest_run)


def measure_noise(sample: Sample, stp_of: pd.Series) -> Noise:
    """Noise of the sample's controls: residual log ratios of the Poisson model, less what Poisson counts add.

    A unit's mean square residual less its mean 1 ÷ expected count is fitted as a + b ÷ population (non-negative least
    squares). Negative eigenvalues of the correlation over months are set to zero. Unit effects have taken each residual's
    mean, which no comparison of months sees.
    """
    controls = sample.only(~sample.treated)
    expected = fitted_without_treatment(controls) * controls.population
    residual = np.log(controls.counts / expected)
    people = controls.population_full.mean(axis=1)
    (constant, slope), _ = nnls(
        np.column_stack([np.ones(len(people)), 1 / people]), np.nanmean(residual**2 - 1 / expected, axis=1)
    )
    scale = np.sqrt(constant + slope / people)[:, None]
    paths, seen = np.nan_to_num(residual / scale), controls.observed.astype(float)
    months = paths.T @ paths / (seen.T @ seen) - np.diag(np.nanmean(1 / expected / scale**2, axis=0))
    values, vectors = np.linalg.eigh(months)
    values = values.clip(0) * len(values) / values.clip(0).sum()
    return Noise(
        constant=float(constant),
        slope=float(slope),
        root=vectors * np.sqrt(values),
        paths=(paths - paths.mean(axis=0)) / paths.std(),
        stp_correlation=max(_correlation(paths, stp_of.loc[controls.units].to_numpy(), np.trace(months)), LEAST_STP_CORRELATION),
    )  # fmt: skip


def simulated(
    world: World, variation: Variation, effects: Sequence[float], generator: np.random.Generator
) -> Iterator[Sample]:
    """One panel for each average effect (log rate ratio), all with the same noise, masks and differences between sites."""
    sample = world.sample
    departure = log_noise(world, variation, generator)
    spread = site_effects(world, variation, generator)
    observed = sample.observed & ~_more_masks(world, variation, generator)
    population = np.where(observed, sample.population, np.nan)
    for effect in effects:
        log_ratio = departure + np.outer(sample.treated * (effect + spread), world.post)
        counts = generator.poisson(world.mean * np.exp(log_ratio)).astype(float)
        yield replace(sample, counts=np.where(observed, counts, np.nan), population=population)


def log_noise(world: World, variation: Variation, generator: np.random.Generator) -> np.ndarray:
    """Departures of log rates (n × T), less half their variance, so that departures of rates have mean 1."""
    noise, (units, months) = world.noise, world.mean.shape
    number = units + int(world.stp.max()) + 1
    if variation.real_paths:
        paths, each = noise.paths[generator.integers(len(noise.paths), size=number)], (noise.paths**2).mean(axis=0)
    else:
        paths, each = generator.standard_normal((number, months)) @ noise.root.T, (noise.root**2).sum(axis=1)
    own, shared = paths[:units], paths[units:][world.stp]
    standard = np.sqrt(1 - noise.stp_correlation) * own + np.sqrt(noise.stp_correlation) * shared
    variance = world.variance * np.where(world.sample.treated, variation.treated_variance, 1.0)
    return np.sqrt(variance)[:, None] * standard - np.outer(variance, each) / 2


def site_effects(world: World, variation: Variation, generator: np.random.Generator) -> np.ndarray:
    """Log rate ratios (n) of each unit's site to the average effect: their mean ratio, weighted by expected counts, is 1."""
    sample = world.sample
    ratio = np.exp(variation.effect_spread * generator.standard_normal(int(sample.cluster.max()) + 1))[sample.cluster]
    expected = world.mean[:, world.post].sum(axis=1) * sample.treated
    return np.asarray(np.log(ratio / np.average(ratio, weights=expected)))


def _more_masks(world: World, variation: Variation, generator: np.random.Generator) -> np.ndarray:
    units, months = world.mean.shape
    if not variation.heavy_masking:
        return np.zeros((units, months), bool)
    start = generator.integers(months - world.longest_run + 1, size=(units, 1))
    hit = generator.random((units, 1)) < MASKED_SHARE
    return hit & (np.arange(months) >= start) & (np.arange(months) < start + world.longest_run)


def _correlation(paths: np.ndarray, stp: np.ndarray, variance: float) -> float:
    """Mean product of two units' paths in one STP, as a share of the ``variance`` of one; that in different STPs is zero.

    It is measured a little below zero, as the month effects have taken what all units share.
    """
    products = paths @ paths.T
    together = stp[:, None] == stp
    apart = products[~together].mean()
    np.fill_diagonal(together, False)
    return float((products[together].mean() - apart) / (variance - apart))
