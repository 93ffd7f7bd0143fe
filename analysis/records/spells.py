"""Episodes → spells at a provider → continuous spells: what one stay in hospital is.

Written once for every engine; each input table holds whole persons.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from analysis.records.definitions import LATEST_DISCHARGE, LONGEST_GAP_DAYS

KEYS = ("code", "age_band", "practice")
OF_SPELLS = {
    "duplicate": "the same person, provider, admission, order, start and end as another row",
    "no_first_episode": "of a spell whose first episode (EPIORDER 1) is not here",
    "too_long": "of a stay at one provider that is longer than any that is counted (longest_stay in the protocol)",
    "transfer_alone": "a transfer that no emergency admission leads to",
    "outside_england": "the commissioner is not English",
    "unknown_commissioner": "the commissioner is unknown",
    "outside_window": "admitted outside the study's window",
}


def keys_of(table: ir.Table) -> list[str]:
    """By what the spells of a table are counted, beside the day."""
    return [name for name in KEYS if name in table.columns]


def provider_spells(episodes: ir.Table, longest_stay: int) -> ir.Table:
    """One row a person, provider and day of admission, duplicates counted once.

    Duplicates are rows that agree in person, provider, admission, order, start and end (Aylin et al., BMJ 329:1207, 2004, web appendix).
    The spell takes commissioner, age, practice and condition from its first episode, and ends when the last of its episodes does: HES has the date of
    discharge on the last episode alone, whose end it is. A later one is wrong, or of an episode that the extract lacks, and adds no nights.
    Returns [person, provider, admitted, ended, named, emergency, transfer, sensitive, rows, duplicates, late, reason] and ``keys_of(episodes)``; ``code`` is
    null where no first episode is there; ``late`` is the rows without duplicates where the discharge is later by more than ``LATEST_DISCHARGE`` days,
    else 0. ``reason`` says why a spell is left out, null where it stays: one of more than ``longest_stay`` days is,
    before spells are joined, since with a wrong date it would swallow every later stay of the person.
    """
    keys, stay = keys_of(episodes), ["person", "provider", "admitted"]
    first = episodes.order == 1
    # A row and its duplicate count as one: what these sums take of a spell is the same of either.
    spells = episodes.group_by(*stay).aggregate(
        ended=episodes.ends.max(), discharged=episodes.discharged.max(), named=episodes.named.max(), emergency=episodes.emergency.any(),
        transfer=episodes.transfer.any(), sensitive=episodes.sensitive.any(where=first), rows=episodes.count(),
        **{key: episodes[key].min(where=first) for key in keys},
    )  # fmt: skip
    several = spells.filter(spells.rows > 1).select(*stay)
    same = episodes.semi_join(several, stay).group_by(*stay, "order", "starts", "ends").aggregate(again=lambda t: t.count() - 1)
    same = same.filter(same.again > 0).group_by(*stay).aggregate(duplicates=lambda t: t.again.sum())
    spells = spells.left_join(same, stay).select(*spells.columns, duplicates=same.duplicates.fill_null(0))
    is_late = (spells.discharged > spells.ended + LATEST_DISCHARGE).fill_null(False)
    spells = spells.mutate(late=is_late.ifelse(spells.rows - spells.duplicates, 0)).drop("discharged")
    too_long = spells.ended - spells.admitted > longest_stay
    return spells.mutate(
        reason=ibis.cases((spells.code.isnull(), "no_first_episode"), (too_long, "too_long"), else_=ibis.null("string"))
    )


def continuous_spells(spells: ir.Table) -> ir.Table:
    """Spells joined to the one they continue.

    A spell continues the person's earlier ones if it begins while one of them goes on, or within two days of their end
    as a transfer (``definitions``). Returns [admitted, ended, emergency, sensitive, rows, duplicates, late] and ``keys_of(spells)``, all of the
    first spell but ``ended``, of the last, and the sums ``rows``, ``duplicates`` and ``late``.
    """
    keys = keys_of(spells)
    order = ["admitted", "ended", "provider"]
    earlier = ibis.window(group_by="person", order_by=order, preceding=(None, 1))
    with_end = spells.mutate(before=spells.ended.max().over(earlier))
    goes_on = (with_end.admitted < with_end.before) | (
        with_end.transfer & (with_end.admitted <= with_end.before + LONGEST_GAP_DAYS)
    )
    begun = with_end.mutate(begins=(~goes_on).fill_null(True))
    # Few persons have a spell that continues another; the spells of all others are continuous as they are.
    of_several = begun.filter(~begun.begins).select("person").distinct()
    alone = begun.anti_join(of_several, "person")
    theirs = begun.semi_join(of_several, "person")
    so_far = ibis.window(group_by="person", order_by=order, preceding=None, following=0)
    numbered = theirs.mutate(number=theirs.begins.cast("int32").sum().over(so_far))
    first = numbered.begins
    joined = numbered.group_by("person", "number").aggregate(
        admitted=numbered.admitted.min(),
        ended=numbered.ended.max(),
        emergency=numbered.emergency.any(where=first),
        sensitive=numbered.sensitive.any(where=first),
        rows=numbered.rows.sum(),
        duplicates=numbered.duplicates.sum(),
        late=numbered.late.sum(),
        **{key: numbered[key].min(where=first) for key in keys},
    )
    columns = ["admitted", "ended", "emergency", "sensitive", "rows", "duplicates", "late", *keys]
    return alone.select(columns).union(joined.select(columns))
