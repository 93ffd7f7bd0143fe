"""Made-up panels, samples and protocols whose truth is known."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.core.workspace import PROTOCOL_FILE
from analysis.estimation.did.event_study import event_study, fit_event_study, placebo_event_studies
from analysis.estimation.regression.absorbed import Nuisance, two_way
from analysis.estimation.regression.poisson import Poisson
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample
from analysis.panel.panel import Cleaned, clean
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.protocol.schema import Specification

FIRST_MONTH = "2013-04-01"
PROGRAMME_START = pd.Timestamp("2015-04-01")


def months(number: int = 60) -> pd.DatetimeIndex:
    return pd.date_range(FIRST_MONTH, periods=number, freq="MS")


def make_sample(
    clusters: list[int],
    treated_clusters: list[int],
    periods: int,
    seed: int,
    *,
    missing: float = 0.0,
    effect: float = 0.0,
    noise: float = 0.05,
) -> tuple[Sample, np.ndarray]:
    """A sample with one unit per entry of ``clusters``, and the months of treatment (the last half).

    Counts are Poisson around a rate with unit, month and lasting random parts (``noise``, log points); ``effect`` is
    the log rate ratio; a share ``missing`` of the cells is masked, never a whole unit or month.
    """
    generator = np.random.default_rng(seed)
    cluster = np.array(clusters)
    n, post = len(cluster), np.arange(periods) >= periods // 2
    treated = np.isin(cluster, treated_clusters)
    population = generator.lognormal(12, 0.5, (n, 1)) * np.exp(
        generator.normal(0.003, 0.002, (n, 1)) * np.arange(periods)
    )
    drift = generator.normal(0, noise, (n, 1)) * post + generator.normal(0, noise / 2, (n, periods))
    season = 0.1 * np.sin(np.arange(periods) * np.pi / 6)
    rate = np.exp(-4.6 + generator.normal(0, 0.2, (n, 1)) + season + drift + effect * np.outer(treated, post))
    counts = generator.poisson(population * rate).astype(float)
    gone = generator.random((n, periods)) < missing
    gone[:, [0, -1]] = False
    gone[[0, -1]] = False
    known = np.where(gone, np.nan, population)
    counts = np.where(gone, np.nan, counts)
    sample = Sample(
        pd.Index([f"U{i:03d}" for i in range(n)]), months(periods), counts, known, population, treated, cluster,
        site=np.array([f"Site {c}" for c in cluster]),
    )  # fmt: skip
    return sample, post


def comparison_of(sample: Sample, post: np.ndarray) -> Comparison:
    """The Poisson comparison of a sample with unit and month effects, as the primary specification makes it."""
    model = Poisson(sample.counts, sample.population, two_way(*sample.counts.shape))
    return Comparison(model, sample.dose, post, sample.cluster)


def realistic_sample(
    seed: int, controls: int = 177, periods: int = 60, effect: float = 0.0
) -> tuple[Sample, np.ndarray]:
    """The shape of the MCP panel: ten treated units in nine sites (one site of two), every control its own cluster."""
    return make_sample(
        [0, 0, *range(1, 9), *range(9, 9 + controls)], list(range(9)), periods, seed, missing=0.004, effect=effect
    )


def permuted(sample: Sample, order: np.ndarray) -> Sample:
    """The same units in another order, clusters numbered anew in order of appearance."""
    return Sample(
        sample.units[order], sample.months, sample.counts[order], sample.population[order],
        sample.population_full[order], sample.treated[order], pd.factorize(sample.cluster[order])[0],
    )  # fmt: skip


def cells(sample: Sample, regressors: np.ndarray) -> pd.DataFrame:
    """One row per observed cell: y, offset, unit, month, cluster and x0, x1, …, as other packages want it."""
    unit, month = np.nonzero(sample.observed)
    table = pd.DataFrame(
        {
            "y": sample.counts[unit, month],
            "log_population": np.log(sample.population[unit, month]),
            "unit": unit, "month": month, "cluster": sample.cluster[unit],
        }
    )  # fmt: skip
    return table.assign(**{f"x{k}": x[unit, month] for k, x in enumerate(regressors)})


def dummies(n: int, periods: int) -> np.ndarray:
    """Unit dummies and all but one of the month dummies, (n · T) × (n + T − 1)."""
    unit = np.kron(np.eye(n), np.ones((periods, 1)))
    return np.hstack([unit, np.kron(np.ones((n, 1)), np.eye(periods))[:, 1:]])


def explicit_effects(nuisance: Nuisance) -> np.ndarray:
    """Every unit's and every month's columns written out, (n · T) × (n · a + T · q), more than are independent."""
    by_unit = np.kron(np.eye(len(nuisance.across)), nuisance.within)
    return np.hstack([by_unit, np.kron(nuisance.across, np.eye(len(nuisance.within)))])


def every_assignment(clusters: int, treated: int) -> list[tuple[int, ...]]:
    return list(combinations(range(clusters), treated))


def two_way_counts(units: int = 40, periods: int = 60) -> pd.DataFrame:
    """Noise-free counts, units × months: a level for each unit times a national, seasonal path."""
    level = np.geomspace(400, 9000, units)[:, None]
    path = 1 + 0.002 * np.arange(periods) + 0.08 * np.cos(np.arange(periods) * np.pi / 6)
    index = pd.Index([f"U{i:02d}" for i in range(units)], name="unit")
    return pd.DataFrame(level * path, index=index, columns=months(periods).rename("month"))


def changed(counts: pd.DataFrame, unit: str, first: int, last: int, factor: float) -> pd.DataFrame:
    """The counts of ``unit`` times ``factor`` from month ``first`` up to, not including, ``last``."""
    result = counts.copy()
    result.loc[unit, result.columns[first:last]] *= factor
    return result


def quicker(protocol: str) -> str:
    """The protocol's text with few draws everywhere, but more in the first specification than in the others."""
    few = {"9999": "199", "999": "99", "499": "99"}
    return re.sub(r"(draws = )(\d+)", lambda found: found[1] + few[found[2]], protocol)


def smaller(protocol: str) -> str:
    """The protocol's text with few draws, and three choices crossed instead of all: where what the numbers are does not matter."""
    crossed = 'crossed = ["log_rate", "unmasked", "fixed_population"]'
    return re.sub(r"crossed = \[[^]]*\]", crossed, quicker(protocol))


def protocol_with(folder: Path, *replacements: tuple[str, str]) -> Protocol:
    """The project's protocol with pieces of its text replaced, each of which must be there."""
    text = PROTOCOL_FILE.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the protocol"
        text = text.replace(old, new, 1)
    path = folder / "protocol.toml"
    path.write_text(text, encoding="utf-8")
    return load_protocol(path)


def attributes_of(units: list[str], treated: dict[str, tuple[str, str, float | None]]) -> pd.DataFrame:
    """[unit, unit_name, model, site, covered_share, other_programmes]; ``treated``: unit → model, site, share."""
    rows = [(unit, f"NHS {unit} CCG", *treated.get(unit, ("none", None, 0.0)), "") for unit in units]
    return pd.DataFrame(rows, columns=["unit", "unit_name", "model", "site", "covered_share", "other_programmes"])


def cleaned_panel(tables: dict[str, pd.DataFrame], attributes: pd.DataFrame, protocol: Protocol) -> Cleaned:
    """The cleaned panel of these counts, outcome → units × months, each unit with a population of its own."""
    counts = pd.concat([t.stack().rename("value").reset_index().assign(outcome=name) for name, t in tables.items()])
    units = next(iter(tables.values())).index
    population = pd.DataFrame(
        {
            (unit, month): 10_000.0 + 100 * i + j
            for i, unit in enumerate(units)
            for j, month in enumerate(protocol.months)
        }.items(),
        columns=["key", "population"],
    )
    population[["unit", "month"]] = pd.DataFrame(population.key.tolist())
    return clean(counts, population.drop(columns="key"), attributes, {}, protocol)


def row_of(rows: list[dict[str, Any]], term: str, inference: str | None = None) -> dict[str, Any]:
    """The one row with this term (and method)."""
    found = [row for row in rows if row["term"] == term and inference in (None, row["inference"])]
    assert len(found) == 1, f"{len(found)} rows for {term}"
    return found[0]


def event_study_rows(
    sample: Sample, specification: Specification, draws: int, seed: int, protocol: Protocol
) -> list[dict[str, Any]]:
    """Rows of an event study, with the band and the joint test where there are ``draws``."""
    study = fit_event_study(sample, specification, protocol)
    placebos = placebo_event_studies(study.comparison, study.shapes, study.before, draws, seed) if draws else None
    return event_study(study, placebos, protocol)
