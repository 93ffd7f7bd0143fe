"""What a table of units and periods must be before group-time effects can be estimated from it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.core.errors import DataError
from analysis.estimation.regression.absorbed import NotIdentified


def check_panel(table: pd.DataFrame, unit: str, period: str, fixed: list[str], values: list[str]) -> None:
    """Each unit once in each period, nothing missing but ``fixed[0]``, and ``fixed`` the same in all of a unit's rows."""
    for column in [unit, period, *fixed, *values]:
        if column not in table:
            raise refusal(
                "no such column", f"one of {', '.join(map(str, table.columns))}", "Name a column of the table.", column
            )
    numbers = [period, fixed[0], *values]
    for column in numbers:
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise refusal(f"{table[column].dtype} values", "numbers", "Turn the column into numbers.", column)
    for column in [period, fixed[0]]:
        fractions = table[column].dropna() % 1 != 0
        if fractions.any():
            raise refusal(
                str(table[column].dropna()[fractions].iloc[0]), "whole numbers", "Number the periods.", column
            )
    for column in [unit, period, *fixed[1:], *values]:
        gaps = ~np.isfinite(table[column]) if column in numbers else table[column].isna()
        if gaps.any():
            where = table.loc[gaps, [unit, period]].iloc[0]
            found = (
                f"{gaps.sum()} values missing or infinite, the first of unit {where[unit]} in period {where[period]}"
            )
            raise refusal(found, "a value in every row", "Fill the gap or leave the unit out.", column)
    if table.empty:
        raise refusal("no rows", "every unit in every period", "Give a table that is not empty.")
    repeated = table.duplicated([unit, period])
    if repeated.any():
        where = table.loc[repeated, [unit, period]].iloc[0]
        found = f"more than one row for unit {where[unit]} in period {where[period]}"
        raise refusal(found, "one row for each", "Sum or drop the rows that repeat.")
    present = table.groupby(unit)[period].nunique()
    short = present.index[present < table[period].nunique()]
    if len(short):
        absent = sorted(set(table[period]) - set(table[period][table[unit] == short[0]]))
        found = f"{len(short)} units lack a period, the first is {short[0]}, which lacks {absent[0]}"
        raise refusal(found, "every unit in every period", "Leave out the units with gaps.")
    for column in fixed:
        changing = table.groupby(unit)[column].nunique(dropna=False) > 1
        if changing.any():
            found = f"more than one value for unit {changing.idxmax()}"
            raise refusal(found, "one for each unit", "Give all rows of the unit one value.", column)


def check_groups(groups: np.ndarray, units: np.ndarray, periods: np.ndarray, control: str) -> None:
    treated = np.isfinite(groups)
    if not treated.any():
        raise NotIdentified("no unit is treated in any of the periods")
    if treated.all() and (control == "never_treated" or len(np.unique(groups)) == 1):
        raise NotIdentified("every unit is treated: there is no one to compare with")
    early = groups <= periods[0]
    if early.any():
        raise NotIdentified(
            f"{early.sum()} units are treated from the first period ({periods[0]}) on, the first is {units[early][0]}: "
            "there is no period before to compare with"
        )
    between = treated & ~np.isin(groups, periods)
    if between.any():
        raise NotIdentified(
            f"unit {units[between][0]} is first treated in {groups[between][0]:.0f}, which is not in the table"
        )


def refusal(found: str, expected: str, action: str, column: str | None = None) -> DataError:
    return DataError("table of units and periods", found, expected, action, column=column)
