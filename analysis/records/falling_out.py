"""What is said where too many rows fall out: the reason, the share, and the column with its most frequent values."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import pandas as pd

from analysis.core.errors import DataError
from analysis.protocol.schema import Records
from analysis.records.by_place import At
from analysis.records.cells import common_value, form_of
from analysis.records.codes import expected_of, known_values, provider_of
from analysis.records.counts import LATE, OF_USED, financial_year
from analysis.records.definitions import OUTSIDE_ENGLAND, PROVIDER_FORM
from analysis.records.episodes import APRIL, CODED, OF_ROWS, backwards
from analysis.records.extract import Extract
from analysis.records.spells import OF_SPELLS

# A spell loses its first episode where that falls out for one of these, rarely rightly; or where a column that says which rows are of one spell is
# wrong. EPIORDER itself is sound then.
BEFORE_THE_FIRST = ("no_date", "runs_backwards", "unknown_code")
ENOUGH = 0.5  # rows of the earlier reason for one of a spell without its first episode: the spell has others
OF_A_SPELL = ("EPIORDER", "PROCODE3", "ADMIDATE", "CLASSPAT", "DISDATE", "TOKEN_PERSON_ID")
COLUMN_OF = {
    "unfinished": "EPISTAT", "no_date": "ADMIDATE", "runs_backwards": "EPIEND", "not_emergency": "ADMIMETH", "other_class": "CLASSPAT",
    "no_first_episode": "EPIORDER", "too_long": "EPIEND", "transfer_alone": "ADMISORC", "outside_england": "CCG_RESPONSIBILITY",
    "unknown_commissioner": "CCG_RESPONSIBILITY", LATE: "DISDATE",
}  # fmt: skip
# Columns of persons, and reasons that go by several columns: no values are listed.
NO_VALUES = ("TOKEN_PERSON_ID", "runs_backwards", "no_first_episode", "too_long", "transfer_alone", LATE)
VALUES = 4  # that a message lists
COMMISSIONERS = "codes of commissioners, such as 05C or 05C00 (three characters, and 00 or a site)"
READ_ANEW = (
    "Look whether a program took the code for a number (03E00 is 3.00E+00 to a spreadsheet), or a letter for a figure, and correct the column{or_name}; if the "
    "code means that nothing is known, add it to [records] missing of the protocol. Nothing was written."
)


@dataclass(frozen=True)
class Extracted:
    """An extract as ``read_episodes`` types it, where it came from, the rules it is counted by (``practices``: by practice too), and the ``years`` of
    the study, by the year in which each begins; its ``units``."""

    typed: ir.Table
    source: Extract
    place: str
    rules: Records
    practices: bool
    years: list[int]
    units: tuple[str, ...]


def many(what: str, years: list[int], share: float, extract: Extracted, strangers: pd.DataFrame | None) -> DataError:
    column, rules = COLUMN_OF.get(what, what), extract.rules
    if what == "PROCODE3":
        odd = of_no_form(_values(what, years, extract, None), PROVIDER_FORM)
        if odd.sum() >= rules.smallest_count:
            return no_code(what, odd, share, extract)
    listed = _listed(what, years, extract, strangers)
    if what == "runs_backwards":
        column, listed = _cause(what, years, extract)
    when = f" of {_said(years)}" if years else ""
    wanted = "none" if what in COLUMN_OF else expected_of(column, rules)
    wanted = COMMISSIONERS if what == "unknown_commissioner" else wanted
    return DataError(
        extract.place, f"{share:.0%} of the rows{when} that come to this check {sentence(what)}{listed}",
        f"{wanted}, in all but {rules.unexpected_share:.0%} of the rows",
        "Correct the column, or name the right one in [records.columns] of the protocol; if the extract is right, raise unexpected_share in its "
        "[records]. Nothing was written.", column=extract.source.column(column),
    )  # fmt: skip


def change(
    what: str, year: int, share: float, usual: float, extract: Extracted, strangers: pd.DataFrame | None
) -> DataError:
    column = COLUMN_OF.get(what, what)
    return DataError(
        extract.place,
        f"{share:.0%} of the rows of {_said([year])} that come to this check, but {usual:.0%} in other years, {sentence(what)}"
        f"{_listed(what, [year], extract, strangers)}",
        f"a share that differs between the years by {extract.rules.share_change:.0%} of the rows at most",
        "Look whether the file of that year is of the same kind as the others, with the same columns and codes; if the extract is right, raise "
        "share_change in [records] of the protocol. Nothing was written.", column=extract.source.column(column),
    )  # fmt: skip


def at_one_place(at: At, extract: Extracted) -> DataError:
    rules = extract.rules
    column = COLUMN_OF.get(at.what, at.what)
    years = [at.year] if at.year else []
    others = f" (and many of {', '.join(at.codes[1:VALUES])})" if len(at.codes) > 1 else ""
    when = f" of {_said(years)}" if years else ""
    found = f"{at.share:.0%} of the rows{when} of {at.of} {at.codes[0]!r}{others} that come to this check {sentence(at.what)}"
    if at.what in COLUMN_OF:
        return DataError(
            extract.place, found, f"fewer than half of the rows of every {at.of}",
            "Look at the columns of that place: its codes or dates may be written in another way. Correct them, or leave its rows out of the extract. "
            "Nothing was written.", column=extract.source.column(column),
        )  # fmt: skip
    rows = _not_known(extract.typed, column, extract)
    if at.of == "commissioner":
        rows = rows.filter(rows.CCG_RESPONSIBILITY.upper().left(len(at.codes[0])) == at.codes[0])
    else:
        rows = rows.filter(provider_of(rows.PROCODE3) == at.codes[0])
    listed = _most_frequent(_counted(rows, column, years), rules.smallest_count)
    return DataError(
        extract.place, f"{found}: {listed}",
        f"{expected_of(column, rules)}, in all but {rules.unexpected_share:.0%} of the rows of every commissioner and provider",
        "Correct the column there; if the extract is right, raise unexpected_share in [records] of the protocol. Nothing was written.",
        column=extract.source.column(column),
    )  # fmt: skip


def unknown_commissioner(code: str, rows: int, of: int, absent: str, extract: Extracted) -> DataError:
    """A code that seems to be one of the study's commissioners, written in another way."""
    column = extract.source.column("CCG_RESPONSIBILITY")
    beside = f", and commissioner {absent!r} has no row" if absent else ""
    return DataError(
        extract.place, f"{common_value(code)} in {_percent(rows / of)} of the rows that come to this check{beside}",
        COMMISSIONERS, READ_ANEW.format(or_name=""), column=column,
    )  # fmt: skip


def of_no_form(rows: pd.Series, form: str) -> pd.Series:
    """Of ``rows`` by code, those whose code has not this form; an empty one is none."""
    there = rows[rows.index.notna() & (rows.index != "")]
    return there[~there.index.astype(str).str.fullmatch(form)]


def no_code(column: str, odd: pd.Series, share: float, extract: Extracted) -> DataError:
    """Codes that no commissioner or provider can have: ``odd`` as ``of_no_form`` gives it. No share of them is right."""
    listed = _most_frequent(odd, extract.rules.smallest_count) or f"of the form {form_of(str(odd.idxmax()))!r} and others"
    return DataError(
        extract.place, f"{_percent(share)} of the rows that come to this check have what is no code: {listed}",
        COMMISSIONERS if column == "CCG_RESPONSIBILITY" else expected_of(column, extract.rules),
        READ_ANEW.format(or_name=", or name the right one in [records.columns]"), column=extract.source.column(column),
    )  # fmt: skip


def one_day(column: str, day: str, share: float, extract: Extracted) -> DataError:
    """A day that stands for a date that is not known."""
    return DataError(
        extract.place, f"{day} in {_percent(share)} of the stays", "days of which none has many times the stays of others",
        "The day seems to stand for a date that is not known, or for the day of the extract: leave it empty in those rows. Nothing was written.",
        column=extract.source.column(column),
    )  # fmt: skip


def long_stays(year: int | None, share: float, extract: Extracted) -> DataError:
    """Nights of stays of more than a year, of all that begin in the study or in a year of it."""
    when = f" of {_said([year])}" if year else ""
    return DataError(
        extract.place, f"{share:.0%} of the nights{when} are of stays of more than a year", f"{extract.rules.long_stay_share:.0%} of them at most",
        "Look whether a year is wrong in some of the dates of admission or of ends of episodes, or a date stands for one that is not known; if the extract is right, raise "
        "long_stay_share in [records] of the protocol. Nothing was written.", column=extract.source.column("EPIEND"),
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def no_first_episode(years: list[int], share: float, shares: pd.DataFrame, extract: Extracted) -> DataError:
    """What a spell without its first episode follows from: mostly from another reason, or from a column by which rows are put together."""
    rules, what = extract.rules, "no_first_episode"
    looked_at = shares[shares.what.isin([*OF_ROWS, what]) & (shares.year.isin(years) if years else True)]
    sums = looked_at.groupby("what", sort=False)[["rows", "of"]].sum()
    when = f" of {_said(years)}" if years else ""
    found = f"{share:.0%} of the rows{when} that come to this check {sentence(what)}"
    earlier = sums.drop(what)
    causes = earlier.rows[[*BEFORE_THE_FIRST]]
    causes = causes[causes >= max(ENOUGH * sums.rows[what], rules.smallest_count)]
    shown = earlier[(earlier.rows >= rules.smallest_count) & (earlier.rows >= 0.01 * earlier.of)]
    listed = ", ".join(f"{name} {lost / of:.0%}" for name, lost, of in shown.itertuples())
    before = f"; fell out before, of the rows that came to each check: {listed}" if listed else ""
    if len(causes):
        cause = str(causes.index[0])
        column, values = _cause(cause, years, extract)
        return DataError(
            extract.place, f"{found}{before}. Most had their first episode among those left out as {cause} ({OF_ROWS[cause]}){values}",
            f"few rows that are left out as {cause}", f"Correct {column} first. Nothing was written.", column=extract.source.column(column),
        )  # fmt: skip
    candidates = ", ".join(extract.source.column(column) for column in OF_A_SPELL)
    return DataError(
        extract.place, f"{found}{before}", f"the first episode of the spell, in all but {rules.unexpected_share:.0%} of the rows",
        "Look at the columns that say which episodes are one spell, and whether its first one stays: one spell has one person, one provider and one date of "
        f"admission, and its first episode is numbered 1. One of these is wrong: {candidates}. If the extract is right, raise unexpected_share in [records] of the "
        "protocol. Nothing was written.",
    )  # fmt: skip


def _cause(reason: str, years: list[int], extract: Extracted) -> tuple[str, str]:
    """The column that a reason goes by in most of its rows, and its value where most of them share one."""
    if reason == "runs_backwards":
        choices = backwards(extract.typed, extract.rules)
    else:
        columns = CODED if reason == "unknown_code" else ("ADMIDATE", "EPISTART", "EPIEND")
        choices = {column: _not_known(extract.typed, column, extract) for column in columns}
    counts = {column: _counted(rows, column, years) for column, rows in choices.items()}
    column = max(counts, key=lambda name: counts[name].sum())
    common = counts[column][counts[column] > ENOUGH * counts[column].sum()]
    value = _most_frequent(common, extract.rules.smallest_count).rpartition(" ")[0]
    # A date that most rows have is nobody's in a large extract; in a small one it may be that of a patient with many episodes.
    value = "one and the same date" if "9999-99-99" in value else value
    return column, f": {column} is {value} in most of them" if value else f": {column}"


def sentence(what: str) -> str:
    """The verb and what follows, of rows that a reason leaves out or whose value of a column is not known."""
    if what in OF_USED:
        return f"are {what} ({OF_USED[what]})"
    if what in COLUMN_OF:
        return f"are left out as {what} ({OF_ROWS.get(what) or OF_SPELLS[what]})"
    return "have no value, or one that is in no dictionary"


def _said(years: list[int]) -> str:
    return ", ".join(f"{year}/{(year + 1) % 100:02d}" for year in years)


def _listed(what: str, years: list[int], extract: Extracted, strangers: pd.DataFrame | None) -> str:
    values = _values(what, years, extract, strangers)
    listed = _most_frequent(values, extract.rules.smallest_count)
    return f": {listed}" if listed else ""


def _most_frequent(counts: pd.Series, smallest: int) -> str:
    """The most frequent values with their shares; only those of as many rows as may be shown. A patient with many episodes has many
    rows, so that what is no code is given by its form."""
    shown = counts[counts >= smallest].nlargest(VALUES)
    texts = ["empty" if pd.isna(value) or value == "" else common_value(str(value)) for value in shown.index]
    return ", ".join(f"{text} {rows / counts.sum():.0%}" for text, rows in zip(texts, shown, strict=True))


def _values(what: str, years: list[int], extract: Extracted, strangers: pd.DataFrame | None) -> pd.Series:
    """Rows by value: of those that are not known, of commissioners of no unit, or of all that a reason goes by."""
    column = COLUMN_OF.get(what, what)
    rows = extract.typed
    if column == "CCG_RESPONSIBILITY" and strangers is not None:
        abroad = strangers.code.str.startswith(OUTSIDE_ENGLAND)
        chosen = strangers[financial_year(strangers.day).isin(years or extract.years) & (abroad == (what == "outside_england"))]
        return chosen.groupby("code").rows.sum()
    if what in NO_VALUES:
        return pd.Series(dtype=int)
    if what not in COLUMN_OF:
        rows = _not_known(rows, column, extract)
    return _counted(rows, column, years)


def _not_known(rows: ir.Table, column: str, extract: Extracted) -> ir.Table:
    return rows.filter(~known_values(rows, extract.rules, extract.practices)[column].fill_null(False))


def _counted(rows: ir.Table, column: str, years: list[int]) -> pd.Series:
    """Rows by value of a column, of some years of admission or of all."""
    if years:
        rows = rows.filter((rows.ADMIDATE.year() - (rows.ADMIDATE.month() < APRIL).cast("int32")).isin(years))
    table = rows.group_by(value=rows[column]).aggregate(rows=lambda t: t.count()).to_pyarrow().to_pandas()
    return table.set_index("value").rows
