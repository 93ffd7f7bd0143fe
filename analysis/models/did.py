"""Difference-in-differences and event study by Poisson pseudo-likelihood, cohort against the units of no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.inference.clustered import cr1_covariance, t_interval
from analysis.inference.randomisation import draw_assignments, randomisation_test
from analysis.models.estimates import both_scales, minimum_detectable
from analysis.models.poisson import fit_poisson
from analysis.models.sample import Sample
from analysis.protocol import Protocol

CR1, RANDOMISATION = "CR1", "randomisation"


@dataclass(frozen=True)
class Effect:
    """One effect of treatment: its ``term``, the months the model sees, and those of them in which treatment acts."""

    term: str
    used: np.ndarray
    post: np.ndarray
    notes: str = ""


def effects(months: pd.DatetimeIndex, protocol: Protocol) -> list[Effect]:
    """The programme as a whole, then each year.

    A year's effect compares that year with the months before the programme; the other years are left out, so that
    neither its estimate nor its test's null says anything of them.
    """
    after = months >= protocol.study.programme_start
    listed = [Effect("att", np.ones(len(months), bool), np.asarray(after))]
    for year in protocol.programme_years:
        inside = np.asarray((months >= year.start) & (months <= year.end))
        note = f"{year.label} against the months before the programme; the other years are left out"
        listed.append(Effect(f"att_{year.id}", ~np.asarray(after) | inside, inside, note))
    return listed


def difference_in_differences(sample: Sample, draws: int, seed: int, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the estimates table: every effect by CR1 and by randomisation, with its minimum detectable effect.

    Units: log points of the rate per head. ``draws`` is the number of placebo assignments.
    """
    assignments = draw_assignments(sample.cluster, sample.treated, draws, seed)
    rows: list[dict[str, Any]] = []
    for effect in effects(sample.months, protocol):
        seen = sample.restrict(effect.used)
        post = effect.post[effect.used]
        fit = fit_poisson(seen.counts, seen.population, np.outer(seen.treated, post)[None].astype(float))
        estimate = float(fit.coefficients[0])
        std_error = float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, seen.cluster)[0, 0]))
        interval, p_value = t_interval(estimate, std_error, seen.cluster.max(), protocol.study.conf_level)
        test = randomisation_test(seen, post, assignments, estimate, std_error, protocol.study.conf_level)
        context: dict[str, Any] = {"design": "did", "n_obs": int(seen.observed.sum())}
        scheme = "every assignment" if test.exact else f"{draws:,} random assignments"
        rows += both_scales(
            effect.term, CR1, estimate, interval, std_error=std_error, p_value=p_value, notes=effect.notes, **context
        )
        rows += both_scales(
            effect.term, RANDOMISATION, estimate, test.interval, p_value=test.p_value,
            notes="; ".join(filter(None, [effect.notes, scheme])), **context,
        )  # fmt: skip
        half_width = (test.interval[1] - test.interval[0]) / 2
        detectable = minimum_detectable(half_width, protocol.study.conf_level, protocol.inference.power)
        rows += both_scales(
            effect.term.replace("att", "mde"), RANDOMISATION, detectable, **context | {"design": "power"}
        )
    return rows


def event_study(sample: Sample, protocol: Protocol) -> list[dict[str, Any]]:
    """Effect of treatment in every quarter relative to the last before the programme, with pointwise CR1 intervals."""
    quarter = (sample.months.year - protocol.study.programme_start.year) * 4 + sample.months.quarter
    event_time = np.asarray(quarter - protocol.study.programme_start.quarter)
    base = protocol.inference.event_study_base
    base_time = int(event_time[sample.months.get_loc(base)])
    times = [time for time in np.unique(event_time) if time != base_time]
    regressors = np.stack([np.outer(sample.treated, event_time == time) for time in times]).astype(float)
    fit = fit_poisson(sample.counts, sample.population, regressors)
    errors = np.sqrt(np.diag(cr1_covariance(fit.bread, fit.unit_scores, sample.cluster)))
    rows: list[dict[str, Any]] = []
    for time, estimate, error in zip(times, fit.coefficients, errors, strict=True):
        interval, p_value = t_interval(float(estimate), float(error), sample.cluster.max(), protocol.study.conf_level)
        rows += both_scales(
            f"quarter_{time:+d}", CR1, float(estimate), interval, std_error=float(error), p_value=p_value,
            notes=f"against the quarter from {base:%B %Y}; pointwise interval",
            design="event_study", n_obs=int(sample.observed.sum()),
        )  # fmt: skip
    return rows


def fitted_without_treatment(sample: Sample) -> np.ndarray:
    """Expected admissions per head, units × months, from unit and month effects alone: what fills a masked month."""
    fit = fit_poisson(sample.counts, sample.population, np.empty((0, *sample.counts.shape)))
    return np.exp(fit.log_unit[:, None] + fit.log_month)
