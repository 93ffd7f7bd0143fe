"""The tables that leave the private folder, column by column, and the standard that their counts are judged by.

The standard is fixed, as disclosure control of Hospital Episode Statistics has it; no setting of a protocol changes what the scanner calls safe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from analysis.panel.panel import PANEL
from analysis.protocol.vocabulary import BASE, SMALLEST
from analysis.records.definitions import ADMISSIONS, BED_DAYS, LENGTH_OF_STAY, MADE_UP, OUTCOMES, PATIENTS
from analysis.records.identifiers import normal, plain_name


@dataclass(frozen=True)
class Columns:
    """``counts`` of persons' events; ``others`` are labels, notes and measures made from counts that are shown. There is no further column."""

    counts: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


def _columns(counts: Collection[str], others: Collection[str]) -> Columns:
    return Columns(frozenset(counts), frozenset(others))


_PANEL_COUNTS = {"value_published", "value"}
_PLACES = ["source", "unit", "unit_name", "age_band", "network", "month", LENGTH_OF_STAY]
# The files of BUILD/records, which hold nothing else.
RELEASED: Mapping[str, Columns] = {
    "records/panel.parquet": _columns(_PANEL_COUNTS, set(PANEL.columns) - _PANEL_COUNTS),
    "records/by_commissioner.csv": _columns(OUTCOMES, _PLACES),
    "records/by_age.csv": _columns(OUTCOMES, _PLACES),
    "records/by_network.csv": _columns(OUTCOMES, _PLACES),
    "records/ledger.csv": _columns(["rows"], ["reason", "note", "what"]),
    "records/shifts.csv": _columns([], ["outcome", "unit", "unit_name", "month", "ratio"]),
    "records/provenance.json": _columns([], ["engine", "made_up", "files"]),
}
# Columns whose whole numbers are of places, months, draws and ranks, or are a model's: they count no persons in any table ...
_LABELS = """
    estimateid design outcome cohort specification specifications term scale estimate stderror cilow cihigh conflevel pvalue inference nunits ntreated nobs
    window dataset percent change varianceshare share rank choice departures crossed reason method methods reject disagree unit units unitname unitnames
    site sites model month months year quarter eventtime draw draws lag population populationpublished days coveredshare maskedmonths breakdown
    samesign significantshare holmp preperiodp preperioddifference controlp detectablefall detectablerise weight statistic placebos preperiodrmse
    effectivedonors ratiop ratio magnitude ageband phi dispersion influence influenceerrors bound acf pacf observed fitted counterfactual counterfactuallow
    counterfactualhigh synthetic syntheticlow synthetichigh shrunken moved movedinse pbefore pafter
"""
# ... and those that do so in a table that a step of the build made: figures of other publications, and numbers of an edition before.
_OF_STEPS = "published publishedlow publishedhigh baseline before after stderrorbefore low high smooth rate level slope seed number id"
LABELS = frozenset(_LABELS.split())
LABELS_OF_STEPS = LABELS | frozenset(_OF_STEPS.split())
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.0*)?")
LONGEST_NAME = 60
ROUNDING = 0.006  # of a measure with two decimals
EDITIONS = "editions/"  # copies of what steps made
TABLES = (".csv", ".tsv", ".psv", ".parquet", ".xlsx")
SOURCES = frozenset(("records", PATIENTS, MADE_UP))
_NAMES = {name.lower() for id, (label, _) in OUTCOMES.items() for name in (id, id.replace("_", " "), label)}
_UNIT = r"(?:(?:emergency )?(?:admissions?|bed[ -]days?)|patients?|persons?|people|spells?|episodes?|stays?|nights)"
# Headers that say of what a count is, in a page or a JSON that no step of the build made.
_COUNTED = "admissions beddays patients persons people spells stays nights episodes discharges deaths count counts n"
COUNTED = frozenset(_COUNTED.split())
_SMALL = re.compile(rf"(?<![\w.,%±+/(–-])(?<![\d–] )([1-7]) {_UNIT}\b", re.IGNORECASE)
_AFTER = re.compile(
    rf"\b({'|'.join(sorted(map(re.escape, _NAMES), key=len, reverse=True))})[\"']?\s*[:=]\s*[\"']?([1-7])(?![\d.,%])",
    re.IGNORECASE,
)


def small_counts(text: str) -> Iterator[tuple[str, str]]:
    """Counts of 1 to 7 that a sentence or a line of a log tells."""
    for match in (*_SMALL.finditer(text), *_AFTER.finditer(text)):
        yield "a count of 1 to 7", re.sub(r"\d", "…", match[0])


@dataclass(frozen=True)
class Standard:
    """Judges counts: ``made``, the files that the steps of the build made; ``names`` of outcomes that are counted from records."""

    made: frozenset[str]
    names: re.Pattern[str]

    @classmethod
    def of(cls, made: Collection[str], outcomes: Collection[str]) -> Standard:
        names = sorted({*_NAMES, *(name.strip().lower() for name in outcomes)}, key=len, reverse=True)
        return cls(
            frozenset(made), re.compile(rf"(?<![a-z_])({'|'.join(map(re.escape, names))})(?![a-z])", re.IGNORECASE)
        )

    def unsafe(self, name: str, rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
        """What is not safe in a table of the file ``name``."""
        known = RELEASED.get(name)
        if known:
            yield from _by_columns(rows, known)
            yield from _lengths(rows)
            return
        unknown = name not in self.made and not name.startswith(EDITIONS)
        strict = unknown and PurePosixPath(name).suffix.lower() in TABLES
        of_records = np.full(len(rows), True) if strict else self._of_records(rows)
        for at, column in enumerate(map(str, rows)):
            plain = plain_name(column)
            judged = of_records | (unknown and plain in COUNTED)
            if judged.any() and plain not in (LABELS if strict else LABELS_OF_STEPS):
                numbers = np.where(judged, _numbers(rows.iloc[:, at]), math.nan)
                yield from _wrong(column, rows.index, np.where(numbers % 1 == 0, numbers, math.nan))

    def _of_records(self, rows: pd.DataFrame) -> np.ndarray:
        """Which rows are of outcomes that are counted from records; all, where a column is one."""
        found = np.full(len(rows), any(self.names.search(column) for column in map(str, rows)))
        for at in range(rows.shape[1]):
            cells = rows.iloc[:, at]
            if (
                not found.all()
                and not pd.api.types.is_numeric_dtype(cells)
                and not pd.api.types.is_datetime64_any_dtype(cells)
            ):
                ours = {cell for cell in cells.dropna().unique() if self._is_of_records(str(cell).strip())}
                found |= cells.isin(ours).to_numpy(bool)
        return found

    def _is_of_records(self, cell: str) -> bool:
        """Whether a cell begins with such an outcome; a long one is a sentence."""
        return cell in SOURCES or (len(cell) <= LONGEST_NAME and bool(self.names.match(cell)))


def _by_columns(rows: pd.DataFrame, known: Columns) -> Iterator[tuple[str, str]]:
    for at, column in enumerate(map(str, rows)):
        if column in known.counts:
            cells = rows.iloc[:, at]
            numbers = _numbers(cells)
            filled = cells.notna().to_numpy(bool) & np.array([str(cell).strip() != "" for cell in cells], dtype=bool)
            for row in rows.index[filled & np.isnan(numbers)]:
                yield "neither a count nor an empty cell", f"column {column}, row {row}"
            yield from _wrong(column, rows.index, numbers)
        elif column not in known.others:
            yield "a column that the released table does not have", column or f"column {at + 1}"


def _lengths(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Mean lengths of stay that are not those of the counts in their row: one beside a suppressed count would tell of it."""
    columns = list(map(str, rows))
    if {LENGTH_OF_STAY, ADMISSIONS, BED_DAYS} <= set(columns):
        shown, days, stays = (
            _numbers(rows.iloc[:, columns.index(name)]) for name in (LENGTH_OF_STAY, BED_DAYS, ADMISSIONS)
        )
        given = np.abs(shown - days / np.where(stays > 0, stays, math.nan)) < ROUNDING
        for row in rows.index[~np.isnan(shown) & ~given]:
            yield "a measure that the counts in its row do not give", f"column {LENGTH_OF_STAY}, row {row}"


def _wrong(column: str, index: pd.Index, numbers: np.ndarray) -> Iterator[tuple[str, str]]:
    """Counts that the standard does not let out; NaN is none."""
    small = (numbers > 0) & (numbers < SMALLEST)
    for row in index[small]:
        yield f"a count of 1 to {SMALLEST - 1}", f"column {column}, row {row}"
    for row in index[~small & ~np.isnan(numbers) & ((numbers % BASE != 0) | (numbers < 0))]:
        yield f"a count that is not rounded to {BASE}", f"column {column}, row {row}"


def _numbers(cells: pd.Series) -> np.ndarray:
    """The numbers in cells, also those that are written as texts, with commas or a guard of spreadsheets; NaN where there is none."""
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return np.full(len(cells), math.nan)
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy(float, na_value=math.nan)
    each = {cell: _number(str(cell)) for cell in cells.dropna().unique()}
    return np.array([each.get(cell, math.nan) for cell in cells], dtype=float)


def _number(text: str) -> float:
    text = normal(text).strip(" '\"\t")
    try:
        value = float(text.replace(",", "") if THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
