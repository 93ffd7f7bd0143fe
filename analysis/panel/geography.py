"""CCG codes through time: one unit per CCG on the boundaries of the protocol's date.

Mergers up to that date are back-cast as sums. Two CCGs that exchanged practices under unchanged codes
(``kind`` "boundary move") form one pooled unit, since no sum can undo the exchange. Tables made for another date are carried to
the units by ``Geography.areas``: each of an earlier date's CCGs lies in one unit, and each unit in one of a later date's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.core.errors import DataError, StudyError
from analysis.core.tabular import read_table
from analysis.protocol.schema import Study

CHANGE_COLUMNS = ["pred_code", "pred_name", "succ_code", "succ_name", "effective", "kind"]
MERGER = "merger"
POOL_SEPARATOR = "+"
CCGS_BEGAN = pd.Timestamp("2013-04-01")


@dataclass(frozen=True)
class Geography:
    """``units``: one row per CCG code up to the boundaries' date [ccg_code, current_code, unit]; ``mergers``: those of every date."""

    units: pd.DataFrame
    mergers: pd.DataFrame
    boundaries: dt.date

    @property
    def earlier(self) -> pd.DataFrame:
        """Mergers up to the boundaries' date."""
        return self.mergers[self.mergers.effective <= pd.Timestamp(self.boundaries)]

    @property
    def later(self) -> pd.DataFrame:
        """Mergers after the boundaries' date."""
        return self.mergers[self.mergers.effective > pd.Timestamp(self.boundaries)]

    @property
    def known_codes(self) -> set[str]:
        return set(self.units.ccg_code)

    @property
    def unit_of(self) -> dict[str, str]:
        return dict(zip(self.units.ccg_code, self.units.unit, strict=True))

    def members(self) -> dict[str, dict[str, set[str]]]:
        """Unit → each of its current CCGs → that CCG's predecessors."""
        return {
            str(unit): {
                str(current): set(codes.ccg_code) - {str(current)} for current, codes in rows.groupby("current_code")
            }
            for unit, rows in self.units.groupby("unit")
        }

    def in_force(self, on: dt.date) -> set[str]:
        """The CCG codes of a date up to the boundaries' own."""
        return _in_force(self.known_codes, self.mergers, on)

    def areas(self, on: dt.date) -> pd.DataFrame:
        """The CCGs of any date that each unit held or had become part of [unit, area]: those of which a table of that date tells."""
        if on <= self.boundaries:
            held = self.units[self.units.ccg_code.isin(self.in_force(on))]
            return held[["unit", "ccg_code"]].set_axis(["unit", "area"], axis=1).reset_index(drop=True)
        successor = _successors(set(self.units.current_code), self.later[self.later.effective <= pd.Timestamp(on)])
        area = self.units.current_code.map(successor)
        return pd.DataFrame({"unit": self.units.unit, "area": area}).drop_duplicates(ignore_index=True)


def read_changes(path: Path) -> pd.DataFrame:
    """Dated mergers and boundary moves [pred_code, pred_name, succ_code, succ_name, effective, kind].

    Raises
    ------
    DataError
        A column is missing, or a date is not one.
    """
    changes = read_table(path, CHANGE_COLUMNS)
    effective = pd.to_datetime(changes.effective, format="%Y-%m-%d", errors="coerce")
    if effective.isna().any():
        row = int(effective.isna().idxmax())
        raise DataError(
            path,
            repr(changes.effective[row]),
            "a date, YYYY-MM-DD",
            "Correct the date.",
            row=row + 2,
            column="effective",
        )
    return changes.assign(effective=effective)


def check_boundaries(changes: pd.DataFrame, study: Study, protocol_file: Path) -> None:
    """Check that units on the study's boundaries can be formed in every month of its window.

    Raises
    ------
    StudyError
        CCGs merged between that date and the window's end, or the table of changes does not reach the date.
    """
    mergers = changes[changes.kind == MERGER]
    boundaries, known = pd.Timestamp(study.boundaries), changes.effective.max()
    within = mergers[mergers.effective <= study.end].sort_values("effective")
    split = within[within.effective > boundaries]
    if len(split):
        last = split.iloc[-1]
        found = f"{boundaries:%Y-%m-%d}; on {last.effective:%Y-%m-%d} {last.pred_code} merged into {last.succ_code}, of which later months alone tell"
    elif boundaries > known:
        found = f"{boundaries:%Y-%m-%d}; the last change of CCGs that is known is of {known:%Y-%m-%d}"
    else:
        return
    first = within.effective.max() if len(within) else CCGS_BEGAN
    raise StudyError(
        protocol_file,
        found,
        f"a date from {first:%Y-%m-%d} to {known:%Y-%m-%d}, for a window that ends in {study.end:%B %Y}",
        f"Set boundaries = {min(max(boundaries, first), known):%Y-%m-%d} in [study]: earlier months are then summed to the merged "
        "commissioners. For a later date, add the changes up to it to data_raw/ccg_changes.csv.",
        column="study.boundaries",
    )


def build_geography(
    changes: pd.DataFrame, ccg_codes: list[str], boundaries: dt.date, table: str = "ccg_changes.csv"
) -> Geography:
    """Map every CCG code up to the boundaries' date to its unit.

    ``ccg_codes`` are the codes in force at any one date; predecessors and successors come from ``changes``, the ``table`` that a
    message names.

    Raises
    ------
    StudyError
        A code has two successors, so that a sum would count its people twice.
    """
    mergers = changes[changes.kind == MERGER]
    moves = changes[changes.kind != MERGER]
    doubled = mergers.pred_code[mergers.pred_code.duplicated()]
    if len(doubled):
        code = doubled.iloc[0]
        raise StudyError(
            table,
            f"{code} merges into more than one",
            "one successor for each code",
            "Write a split as a boundary move, which pools those concerned.",
            column="pred_code",
        )
    late = mergers.effective > pd.Timestamp(boundaries)
    begun_later = set(mergers.succ_code[late]) - set(mergers.succ_code[~late]) - set(mergers.pred_code[~late])
    codes = sorted((set(ccg_codes) | set(mergers.pred_code) | set(mergers.succ_code)) - begun_later)
    current = _successors(set(codes), mergers[~late])
    pools = _pools(current, moves)
    units = pd.DataFrame(
        {
            "ccg_code": codes,
            "current_code": [current[code] for code in codes],
            "unit": [pools.get(current[code], current[code]) for code in codes],
        }
    )
    return Geography(units, mergers, boundaries)


def members(unit: str) -> list[str]:
    """The codes that a unit's code is made of."""
    return unit.split(POOL_SEPARATOR)


def _in_force(codes: set[str], mergers: pd.DataFrame, on: dt.date) -> set[str]:
    done = mergers.effective <= pd.Timestamp(on)
    begun_later = set(mergers.succ_code[~done]) - set(mergers.succ_code[done])
    return codes - set(mergers.pred_code[done]) - begun_later


def _successors(codes: set[str], mergers: pd.DataFrame) -> dict[str, str]:
    """Code → the code that it has become after these mergers, one after the other."""
    current = {code: code for code in codes}
    for _, together in mergers.sort_values("effective").groupby("effective"):
        into = dict(zip(together.pred_code, together.succ_code, strict=True))
        current = {code: into.get(now, now) for code, now in current.items()}
    return current


def _pools(current: dict[str, str], moves: pd.DataFrame) -> dict[str, str]:
    """Current code → the unit that it forms with all those with which it exchanged people, directly or not."""
    pool = {code: {code} for code in current.values()}
    for one, other in zip(moves.pred_code, moves.succ_code, strict=True):
        if one not in current or other not in current:
            continue
        joined = pool[current[one]] | pool[current[other]]
        pool |= {code: joined for code in joined}
    return {code: POOL_SEPARATOR.join(sorted(members)) for code, members in pool.items() if len(members) > 1}
