"""Episodes → spells at a provider → continuous spells: what one stay in hospital is.

Written once for every engine; each input table holds whole persons.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from analysis.records.definitions import LONGEST_GAP_DAYS

OF_SPELLS = {
    "duplicate": "the same person, provider, admission, order, start and end as another row",
    "no_first_episode": "of a spell whose first episode (EPIORDER 1) is not here",
    "transfer_alone": "a transfer that no emergency admission leads to",
    "outside_england": "the commissioner is not English",
    "unknown_commissioner": "the commissioner is unknown",
    "outside_window": "admitted outside the study's window",
}


def provider_spells(episodes: ir.Table) -> ir.Table:
    """One row a person, provider and day of admission, duplicates counted once.

    Duplicates are rows that agree in person, provider, admission, order, start and end (Aylin et al., BMJ 329:1207, 2004, web appendix).
    The spell takes commissioner, age and condition from its first episode, and ends when the last of its episodes does.
    Returns [person, provider, admitted, ended, code, age_band, emergency, transfer, sensitive, rows, duplicates]; ``code`` is null
    where no first episode is there.
    """
    once = episodes.group_by("person", "provider", "admitted", "order", "starts", "ends").aggregate(
        rows=lambda t: t.count(), discharged=lambda t: t.discharged.max(), code=lambda t: t.code.min(),
        age_band=lambda t: t.age_band.min(), emergency=lambda t: t.emergency.any(), transfer=lambda t: t.transfer.any(),
        sensitive=lambda t: t.sensitive.any(),
    )  # fmt: skip
    return once.group_by("person", "provider", "admitted").aggregate(
        ended=lambda t: ibis.greatest(t.ends.max(), ibis.coalesce(t.discharged.max(), t.ends.max())),
        code=lambda t: t.code.min(where=t.order == 1),
        age_band=lambda t: t.age_band.min(where=t.order == 1),
        emergency=lambda t: t.emergency.any(),
        transfer=lambda t: t.transfer.any(),
        sensitive=lambda t: t.sensitive.any(where=t.order == 1),
        rows=lambda t: t.rows.sum(),
        duplicates=lambda t: t.rows.sum() - t.count(),
    )


def continuous_spells(spells: ir.Table) -> ir.Table:
    """Spells joined to the one they continue.

    A spell continues the person's earlier ones if it begins while one of them goes on, or within two days of their end
    as a transfer (``definitions``). Returns [code, age_band, admitted, ended, emergency, sensitive, rows, duplicates], the first five of the
    first spell but ``ended`` of the last.
    """
    order = [spells.admitted, spells.ended, spells.provider]
    earlier = ibis.window(group_by=spells.person, order_by=order, preceding=(None, 1))
    with_end = spells.mutate(before=spells.ended.max().over(earlier))
    goes_on = (with_end.admitted < with_end.before) | (
        with_end.transfer & (with_end.admitted <= with_end.before + LONGEST_GAP_DAYS)
    )
    begun = with_end.mutate(begins=(~goes_on).fill_null(True).cast("int32"))
    numbered = begun.mutate(
        number=begun.begins.sum().over(
            ibis.window(
                group_by=begun.person,
                order_by=[begun.admitted, begun.ended, begun.provider],
                preceding=None,
                following=0,
            )
        )
    )
    first = numbered.begins == 1
    return numbered.group_by("person", "number").aggregate(
        code=numbered.code.min(where=first),
        age_band=numbered.age_band.min(where=first),
        admitted=numbered.admitted.min(),
        ended=numbered.ended.max(),
        emergency=numbered.emergency.any(where=first),
        sensitive=numbered.sensitive.any(where=first),
        rows=numbered.rows.sum(),
        duplicates=numbered.duplicates.sum(),
    )
