"""Stops a run in which one value of the person stands for several people: their stays would be joined, and most of them would not be counted.

No list of markers of a missing person is complete, so the stays of each person are checked too: nobody is in six hospitals on one day, or in dozens
of hospitals over some years.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from analysis.core.errors import DataError
from analysis.core.untrusted import printable
from analysis.protocol.schema import Records
from analysis.records.engines import Engine

# As spreadsheets write a long number; the digits after the first few are lost.
SCIENTIFIC = "(?i)^[0-9]([.,][0-9]{1,20})?E[+][0-9]{2,3}$"
LONGEST_SCIENTIFIC = 27  # characters, which most pseudonyms exceed: they need no search
NOBODY, SOMEBODY, ROUNDED = 0, 1, 2
# Of the rows: a national extract has some persons who were linked wrongly, and so few of them change no number. Two patients under one value may be in
# hospital at once; that they are at dozens of providers is hardly ever an error of a link.
NEGLIGIBLE, NEGLIGIBLE_EVERYWHERE = 0.001, 0.0001
SHORT = (
    4  # characters, which cannot tell the patients of a country from each other; a number of a hospital can be as short
)
SEVERAL_TIMES = 4  # the bound on providers: no person is there, so that the value may be shown


def named(person: ir.StringValue) -> ir.IntegerValue:
    """Whether a row has a person, or a number that may be of several."""
    rounded = (person.length() <= LONGEST_SCIENTIFIC) & person.re_search(SCIENTIFIC)
    return ibis.cases((person.isnull(), NOBODY), (rounded, ROUNDED), else_=SOMEBODY).cast("int8")


def implausible(spells: ir.Table, rules: Records) -> pd.DataFrame:
    """Persons in more stays on one day, or at more providers, than ``rules`` allow, and one whose number is rounded [person, rows,
    at_once, providers, named]; ``spells`` as ``provider_spells`` gives them."""
    # Whoever has a later episode of a spell was there.
    spells = spells.filter((spells.named != NOBODY) & (spells.reason.isnull() | (spells.reason == "no_first_episode")))
    rounded = spells.filter(spells.named == ROUNDED).select("person", "rows").limit(1)
    often = _often(spells, min(rules.most_at_once, rules.most_providers))
    with often.cache() as theirs:
        at_once, providers = _at_once(theirs), _providers(theirs)
        found = [
            rounded.mutate(at_once=0, providers=0, named=ROUNDED),
            at_once.filter(at_once.at_once > rules.most_at_once).mutate(providers=0, named=SOMEBODY),
            providers.filter(providers.providers > rules.most_providers).mutate(at_once=0, named=SOMEBODY),
        ]
        columns = ["person", "rows", "at_once", "providers", "named"]
        return pd.concat([table.select(columns).to_pyarrow().to_pandas() for table in found])


def check_written(persons: pd.DataFrame, place: str, column: str) -> None:
    """``persons`` as ``implausible`` gives them.

    Raises
    ------
    DataError
        A person is in scientific notation.
    """
    if (persons.named == ROUNDED).any():
        raise DataError(
            place, "numbers in scientific notation, such as 1.23E+09", "every digit of the person's number, or a pseudonym",
            "Export the column as text from where the extract comes from: a spreadsheet rounded the numbers, so that one stands for several persons. "
            "Nothing was written.", column=column,
        )  # fmt: skip


def check_possible(
    persons: pd.DataFrame, engine: Engine, kept: ir.Table, of: int, rules: Records, place: str, column: str
) -> None:
    """``persons`` as ``implausible`` gives them; ``kept``, the episodes that they were found in, of which there are ``of``.

    Raises
    ------
    DataError
        Persons who are in more stays on one day, or at more providers, than one can be have one row in a thousand or more; those at more providers
        alone, one in ten thousand.
    """
    if persons.empty:
        return
    each = persons.groupby("person")[["rows", "at_once", "providers"]].max()
    if each.rows.sum() < NEGLIGIBLE * of:
        each = each[each.providers > 0]
        if each.empty or each.rows.sum() < NEGLIGIBLE_EVERYWHERE * of:
            return
    worst = each.loc[each.rows.idxmax()]
    what = [
        where.format(bound)
        for bound, where, over in (
            (rules.most_at_once, "in more than {} stays on one day", worst.at_once > 0),
            (rules.most_providers, "at more than {} providers", worst.providers > 0),
        )
        if over
    ]
    share = f"{each.rows.sum() / of:.0%}" if each.rows.sum() >= 0.01 * of else "less than 1%"
    key = ibis.literal(worst.name, engine.key_of(kept.person).type())
    token = str(kept.filter(engine.key_of(kept.person) == key).select("person").limit(1).to_pyarrow()["person"][0])
    marker = len(token) <= SHORT and (len(set(token)) == 1 or not any(sign.isdigit() for sign in token))
    shown = marker or worst.providers > SEVERAL_TIMES * rules.most_providers
    name = repr(printable(token)) if shown else f"a value of {len(token)} characters"
    raise DataError(
        place, f"{name}, which stands for a person who is {' and '.join(what)}; {share} of the rows that are counted by person have such values",
        f"one person a value, who is in at most {rules.most_at_once} stays on one day and at {rules.most_providers} providers, and none where "
        "nobody is known",
        "If the value means that the person is not known, add it to [records] missing of the protocol, or name the right column in [records.columns]; if ends of episodes "
        "are too late, correct them; if it is one person, raise most_at_once or most_providers in [records]. Nothing was written.", column=column,
    )  # fmt: skip


def _often(spells: ir.Table, stays: int) -> ir.Table:
    """The spells of persons who have more than so many: few have, and others need not be looked at."""
    many = spells.group_by("person").having(lambda t: t.count() > stays).aggregate(stays=lambda t: t.count())
    return spells.semi_join(many, "person").select("person", "provider", "admitted", "ended", "rows")


def _at_once(spells: ir.Table) -> ir.Table:
    """The most stays of each person on one day, first and last days included."""
    begun = spells.select("person", "rows", day=spells.admitted, change=ibis.literal(1, "int32"))
    left = spells.select(
        "person", rows=ibis.literal(0, "int64"), day=spells.ended + 1, change=ibis.literal(-1, "int32")
    )
    left = left.mutate(day=left.day.cast(begun.day.type()))
    changes = begun.mutate(rows=begun.rows.cast("int64")).union(left.select("person", "rows", "day", "change"))
    by_day = changes.group_by("person", "day").aggregate(rows=lambda t: t.rows.sum(), change=lambda t: t.change.sum())
    so_far = ibis.window(group_by="person", order_by="day", preceding=None, following=0)
    there = by_day.mutate(there=by_day.change.sum().over(so_far))
    return there.group_by("person").aggregate(rows=lambda t: t.rows.sum(), at_once=lambda t: t.there.max())


def _providers(spells: ir.Table) -> ir.Table:
    """The providers of each person, in all years: a value in few rows is at few of them in any one."""
    return spells.group_by("person").aggregate(rows=lambda t: t.rows.sum(), providers=lambda t: t.provider.nunique())
