"""CCG codes through time: one unit per CCG on the boundaries of the protocol's date.

Mergers up to that date are back-cast as sums. Two CCGs that exchanged practices under unchanged codes
(``kind`` "boundary move") form one pooled unit, since no sum can undo the exchange. Mergers after that
date lead from a unit to the later area whose registered lists move its population through time.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.errors import DataError, StudyError
from analysis.tabular import read_table

CHANGE_COLUMNS = ["pred_code", "pred_name", "succ_code", "succ_name", "effective", "kind"]
MERGER = "merger"
POOL_SEPARATOR = "+"


@dataclass(frozen=True)
class Geography:
    """``units``: one row per CCG code [ccg_code, current_code, unit]; ``earlier`` and ``later``: mergers up to and after the
    boundaries' date.
    """

    units: pd.DataFrame
    earlier: pd.DataFrame
    later: pd.DataFrame

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
        done = self.earlier.effective <= pd.Timestamp(on)
        return self.known_codes - set(self.earlier.pred_code[done]) - set(self.earlier.succ_code[~done])

    def areas(self, on: dt.date | None = None) -> pd.DataFrame:
        """The CCG(s) into which each unit had turned by a later date, or by the last change known [unit, area]."""
        changes = self.later if on is None else self.later[self.later.effective <= pd.Timestamp(on)]
        successor = dict(zip(changes.pred_code, changes.succ_code, strict=True))
        area = self.units.current_code.map(lambda code: successor.get(code, code))
        return pd.DataFrame({"unit": self.units.unit, "area": area}).drop_duplicates(ignore_index=True)


def read_ccg_changes(path: Path) -> pd.DataFrame:
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


def build_geography(changes: pd.DataFrame, ccg_codes: list[str], boundaries: dt.date) -> Geography:
    """Map every CCG code to its unit.

    ``ccg_codes`` are the codes in force at any one date before ``boundaries``; predecessors and successors
    come from ``changes``.

    Raises
    ------
    StudyError
        A code has two successors, so that a sum would count its people twice.
    """
    until = pd.Timestamp(boundaries)
    mergers = changes[changes.kind == MERGER]
    moves = changes[changes.kind != MERGER]
    doubled = mergers.pred_code[mergers.pred_code.duplicated()]
    if len(doubled):
        code = doubled.iloc[0]
        raise StudyError(
            "ccg_changes.csv",
            f"{code} merges into more than one CCG",
            "one successor for each code",
            "Write a split as a boundary move, which pools the CCGs concerned.",
            column="pred_code",
        )
    early, late = mergers[mergers.effective <= until], mergers[mergers.effective > until]
    codes = sorted(set(ccg_codes) | set(early.pred_code) | set(early.succ_code) | set(late.pred_code))
    merged = dict(zip(early.pred_code, early.succ_code, strict=True))
    pools = {
        code: POOL_SEPARATOR.join(sorted(pair))
        for pair in zip(moves.pred_code, moves.succ_code, strict=True)
        for code in pair
    }
    current = {code: merged.get(code, code) for code in codes}
    units = pd.DataFrame(
        {
            "ccg_code": codes,
            "current_code": [current[c] for c in codes],
            "unit": [pools.get(current[c], current[c]) for c in codes],
        }
    )
    return Geography(units, early, late)
