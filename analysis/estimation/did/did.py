"""Difference-in-differences, cohort against the units of no model, by every inference method side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.inference.bootstrap import cluster_bootstrap
from analysis.estimation.inference.clustered import cr1_std_error, cr3_std_error, t_interval
from analysis.estimation.inference.randomisation import draw_assignments, randomisation_test
from analysis.estimation.regression.absorbed import LEAST_NOISE, NotIdentified, Nuisance
from analysis.estimation.regression.estimates import both_scales, minimum_detectable
from analysis.estimation.regression.log_rate import log_rate
from analysis.estimation.regression.poisson import Poisson, fitted_without_treatment
from analysis.estimation.regression.regression import Comparison, Model, by_cluster
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

CR1, CR3, RANDOMISATION = "CR1", "CR3", "randomisation"
BOOTSTRAP = {"poisson": "score_bootstrap", "log_rate": "wild_bootstrap"}
MONTHS_A_YEAR = 12
ONE_TREATED = "one treated cluster: cluster-robust errors do not hold"


@dataclass(frozen=True)
class Effect:
    """One effect of treatment: its ``term``, the months the model sees, and those of them in which treatment acts."""

    term: str
    used: np.ndarray
    post: np.ndarray
    notes: str = ""


def effects(months: pd.DatetimeIndex, specification: Specification, protocol: Protocol) -> list[Effect]:
    """The programme as a whole and, where the specification asks for them, its years.

    A year's effect compares that year with the months before the programme; the other years are left out, so that
    neither its estimate nor its test's null says anything of them.
    """
    start = protocol.study.programme_start + pd.DateOffset(months=specification.start_shift)
    after = np.asarray(months >= start)
    moved = f"start moved to {start:%B %Y}" if specification.start_shift else ""
    first = start - pd.DateOffset(months=specification.baseline) if specification.baseline else months[0]
    seen = np.asarray(months >= first)
    listed = [Effect("att", seen, after, moved)]
    for year in protocol.programme_years if specification.years else []:
        inside = np.asarray((months >= year.start) & (months <= year.end))
        note = f"{year.label} against the months before the programme; the other years are left out"
        listed.append(Effect(f"att_{year.id}", seen & (~after | inside), inside, note))
    return listed


def difference_in_differences(
    sample: Sample,
    specification: Specification,
    seed: int,
    protocol: Protocol,
    every_method: bool = False,
    wanted: list[Effect] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the estimates table: every effect by each inference method, with its minimum detectable effect.

    Units: log points of the rate per head. ``every_method`` adds the jackknife and the cluster bootstrap to CR1 and
    randomisation; ``wanted`` are the specification's ``effects`` unless said otherwise.
    """
    rows: list[dict[str, Any]] = []
    for effect in effects(sample.months, specification, protocol) if wanted is None else wanted:
        seen = sample.restrict(effect.used)
        comparison = compare(seen, specification, effect.post[effect.used])
        rows += infer(comparison, specification, effect.term, seed, protocol, every_method, effect.notes)
    return rows


def compare(sample: Sample, specification: Specification, post: np.ndarray) -> Comparison:
    """The comparison that the specification makes of a sample, with treatment in the months ``post``."""
    return Comparison(model_of(sample, specification), sample.dose, post, sample.cluster)


def model_of(sample: Sample, specification: Specification) -> Model:
    """The outcome with the estimator, the effects and the weights of the specification."""
    effects = _nuisance(sample, specification)
    equal = specification.weights == "equal_sites"
    if specification.estimator == "log_rate":
        cells = (sample.counts > 0).sum(axis=1)
        return log_rate(
            sample.counts, sample.population, effects, _equal(cells, sample) if equal else np.ones(len(cells))
        )
    weight = _equal(_expected(sample), sample) if equal else np.ones(len(sample.units))
    # A weight on a unit's pseudo-likelihood is a factor on its counts and its population alike.
    return Poisson(sample.counts * weight[:, None], sample.population * weight[:, None], effects)


def infer(
    comparison: Comparison,
    specification: Specification,
    term: str,
    seed: int,
    protocol: Protocol,
    every_method: bool = False,
    notes: str = "",
    design: str = "did",
) -> list[dict[str, Any]]:
    """One effect's rows: the estimate with each method's interval and p-value, and what each could have found.

    Raises
    ------
    NotIdentified
        The comparison has no estimate, or nothing departs from it, so that there is no chance to judge it by.
    """
    conf_level, draws = protocol.study.conf_level, specification.draws
    fit = comparison.fit()
    estimate = float(fit.coefficients[0])
    std_error = cr1_std_error(comparison, fit)
    if not np.abs(fit.scores).sum() > LEAST_NOISE * fit.weights.sum():
        raise NotIdentified("no unit departs from the model: there is no noise to judge an effect by")
    degrees = comparison.clusters - 1
    flag = ONE_TREATED if treated_clusters(comparison) == 1 else ""
    dosed = "the effect of covering everyone" if not np.isin(comparison.dose, (0, 1)).all() else ""
    rows: list[dict[str, Any]] = []

    def add(method: str, interval: tuple[float, float], p_value: float, error: float = math.nan, how: str = "") -> None:
        context: dict[str, Any] = {"n_obs": int(comparison.model.observed.sum())}
        warning = "" if method == RANDOMISATION else flag
        said = "; ".join(filter(None, [notes, dosed, how, warning]))
        rows.extend(
            both_scales(
                term, method, estimate, interval, std_error=error, p_value=p_value, notes=said, design=design, **context
            )
        )
        detectable = minimum_detectable((interval[1] - interval[0]) / 2, conf_level, protocol.inference.power)
        if term.startswith("att") and design == "did":
            rows.extend(
                both_scales(term.replace("att", "mde"), method, detectable, notes=warning, design="power", **context)
            )

    interval, p_value = t_interval(estimate, std_error, degrees, conf_level)
    add(CR1, interval, p_value, std_error)
    assignments = draw_assignments(comparison.cluster, comparison.dose, draws, seed)
    test = randomisation_test(comparison, assignments, estimate, std_error, conf_level)
    add(RANDOMISATION, test.interval, test.p_value, how=_scheme(test.exact, "assignment", len(test.statistics) - 1))
    if every_method:
        bootstrap = cluster_bootstrap(comparison, draws, seed, estimate, std_error, conf_level)
        how = _scheme(bootstrap.exact, "set of signs", len(bootstrap.statistics) - 1)
        add(BOOTSTRAP[specification.estimator], bootstrap.interval, bootstrap.p_value, how=how)
        try:
            jackknife = cr3_std_error(comparison, fit)
        except NotIdentified as problem:
            add(CR3, (math.nan, math.nan), math.nan, how=str(problem))
        else:
            interval, p_value = t_interval(estimate, jackknife, degrees, conf_level)
            add(CR3, interval, p_value, jackknife)
    return rows


def treated_clusters(comparison: Comparison) -> int:
    return len(np.unique(comparison.cluster[comparison.dose != 0]))


def _scheme(exact: bool, what: str, draws: int) -> str:
    return f"every {what}, {draws + 1:,} in all" if exact else f"{draws:,} random draws"


def _nuisance(sample: Sample, specification: Specification) -> Nuisance:
    constant = np.ones((len(sample.months), 1))
    within = {
        "constant": constant,
        "calendar_month": (sample.months.month.to_numpy()[:, None] == np.arange(1, MONTHS_A_YEAR + 1)).astype(float),
        "trend": np.hstack([constant, np.linspace(-1, 1, len(sample.months))[:, None]]),
    }[specification.unit_effects]
    across = np.ones((len(sample.units), 1))
    if sample.covariates is not None:
        across = np.hstack([across, sample.covariates])
    return Nuisance(within, across)


def _expected(sample: Sample) -> np.ndarray:
    """Expected count of each unit (n) in the months observed, without treatment."""
    expected = fitted_without_treatment(sample) * np.nan_to_num(sample.population)
    return np.asarray(np.where(sample.observed, expected, 0.0).sum(axis=1))


def _equal(size: np.ndarray, sample: Sample) -> np.ndarray:
    """Weights (n), of mean 1, with which the ``size`` (n) of every cluster is the same."""
    weight = 1 / by_cluster(size, sample.cluster)[sample.cluster]
    return np.asarray(weight / weight.mean())
