"""What a model sees: units × months of counts and population for one outcome, cohort and specification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.cleaning.panel import ANALYSED, CCG
from analysis.cleaning.quality import PENDING
from analysis.protocol import NO_MODEL, Protocol, Specification


@dataclass(frozen=True)
class Sample:
    """``counts`` and ``population`` are units × months, NaN where masked; ``population_full`` is that with nobody masked; ``cluster`` numbers the sites (a control is its own)."""

    units: pd.Index
    months: pd.DatetimeIndex
    counts: np.ndarray
    population: np.ndarray
    population_full: np.ndarray
    treated: np.ndarray
    cluster: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        return np.isfinite(self.counts)

    def restrict(self, months: np.ndarray) -> Sample:
        """The same units in the months where the mask is true."""
        return Sample(
            self.units, self.months[months], self.counts[:, months], self.population[:, months],
            self.population_full[:, months], self.treated, self.cluster,
        )  # fmt: skip


def runs_on(panel: pd.DataFrame, specification: Specification) -> bool:
    """Whether the specification can be run: leaving out single units needs a panel of CCGs."""
    return specification.units == "all" or CCG in set(panel.geography)


def build_sample(
    panel: pd.DataFrame,
    outcome: str,
    models: list[str],
    specification: Specification,
    protocol: Protocol,
    shifted_units: frozenset[str] = frozenset(),
) -> Sample:
    """The wholly covered units of ``models`` and the units of no model, as arrays.

    Units of other models, and units covered in part, are in neither group. ``shifted_units`` are those with a
    lasting shift of level, left out where the specification says so.
    """
    rows = panel[panel.geography.isin(ANALYSED) & (panel.outcome == outcome)]
    in_cohort = rows.model.isin(models) & (rows.covered_share == 1)
    rows = rows[in_cohort | (rows.model == NO_MODEL)]
    if specification.units == "no_lasting_shift":
        rows = rows[~rows.unit.isin(shifted_units)]
    rows = apply_specification(rows, specification, protocol)
    wide = rows.pivot(index="unit", columns="month", values=["y", "people", "everyone"]).sort_index()
    attributes = rows.drop_duplicates("unit").set_index("unit").loc[wide.index]
    names = attributes.site.where(attributes.model != NO_MODEL, attributes.index.to_series())
    return Sample(
        units=wide.index,
        months=pd.DatetimeIndex(wide["y"].columns),
        counts=wide["y"].to_numpy(float),
        population=wide["people"].to_numpy(float),
        population_full=wide["everyone"].to_numpy(float),
        treated=(attributes.model != NO_MODEL).to_numpy(),
        cluster=pd.factorize(names)[0],
    )


def apply_specification(rows: pd.DataFrame, specification: Specification, protocol: Protocol) -> pd.DataFrame:
    """Add ``y`` (count, NaN where masked), ``people`` (its population) and ``everyone`` (population with nobody masked).

    Where an area has masked members, ``people`` is the share of them who remain of whichever population is wanted.
    """
    if specification.masked:
        y, people = rows.value, rows.population
        if specification.pending_masked:
            y, people = y.mask(rows.quality == PENDING), people.mask(rows.quality == PENDING)
    else:
        y, people = rows.value_published, rows.population_published
    everyone = _everyone(rows, specification, protocol)
    return rows.assign(y=y, people=people / rows.population_published * everyone, everyone=everyone)


def _everyone(rows: pd.DataFrame, specification: Specification, protocol: Protocol) -> pd.Series:
    """Population with nobody masked: as it moved, held at the anchor month, or held flat before the first lists."""
    if specification.population == "moving":
        return rows.population_published
    if specification.population == "fixed":
        return rows.unit.map(_at(rows, protocol.population.anchor))
    first = protocol.population.first_list
    return rows.population_published.where(rows.month >= first, rows.unit.map(_at(rows, first)))


def _at(rows: pd.DataFrame, month: pd.Timestamp) -> pd.Series:
    return rows[rows.month == month].set_index("unit").population_published
