"""The refresh ledger: estimates of two editions joined on their id, what moved, by how much, and what moved it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.panel.quality import OK

CAUSES = {
    "code": "the code",
    "tables": "the tables of places",
    "protocol": "the protocol",
    "seed": "the seed",
    "revised": "revised history",
    "new_months": "new months",
    "rule": "the masking rule, looked at again",
}
SAME, MOVED, NEW, GONE = "same", "moved", "new", "gone"
LABELS = ["design", "outcome", "cohort", "specification", "term", "scale", "inference"]
RUN = ["outcome", "unit", "month", "rule"]  # of the quality ledger: what is masked
RELATIVE, ABSOLUTE = 1e-9, 1e-12  # below which two builds' numbers are the same: tables between stages are text


def refresh_ledger(editions: Sequence[pd.DataFrame], causes: Sequence[str]) -> pd.DataFrame:
    """What moved between the first and the last of ``editions`` (tables of estimates), one row an estimate.

    ``causes`` names what was changed from each edition to the next; those between are rebuilds in which everything that comes
    later is held as it was. Their movements add up to the whole.

    Returns
    -------
    DataFrame
        [estimate_id, design, …, before, after and p-values, moved, moved_in_se (in standard errors of the earlier edition),
        by_<cause> for every cause, cause (the largest part), status]
    """
    assert len(editions) == len(causes) + 1
    tables = [edition.set_index("estimate_id") for edition in editions]
    first, last = tables[0], tables[-1]
    ids = [*last.index, *first.index.difference(last.index, sort=False)]
    labels = pd.concat([last, first.loc[first.index.difference(last.index, sort=False)]])[LABELS]
    estimates = pd.DataFrame({at: table.estimate.reindex(ids) for at, table in enumerate(tables)})
    before, after = estimates[0], estimates[len(causes)]
    ledger = labels.assign(
        before=before,
        after=after,
        std_error_before=_std_error(first).reindex(ids),
        p_before=first.p_value.reindex(ids),
        p_after=last.p_value.reindex(ids),
        moved=after - before,
    )
    moved = ~np.isclose(after, before, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    held = [pd.Index(ids).isin(table.index) for table in (first, last)]
    ledger["status"] = np.select([~held[0], ~held[1], moved], [NEW, GONE, MOVED], SAME)
    ledger["moved_in_se"] = ledger.moved / ledger.std_error_before.where(ledger.std_error_before > 0)
    parts = pd.DataFrame(0.0, index=ids, columns=list(CAUSES))
    for at, cause in enumerate(causes):
        parts[cause] += estimates[at + 1] - estimates[at]
    parts[ledger.status != MOVED] = np.nan
    ledger["cause"] = parts.abs().fillna(-1).idxmax(axis=1).where(parts.notna().any(axis=1), "")
    ledger = ledger.join(parts.add_prefix("by_"))
    return ledger.rename_axis("estimate_id").reset_index()


def changed_runs(before: pd.DataFrame, after: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    """Unit-months up to a month of which two quality ledgers say different things [outcome, unit, month, was, now]."""
    key = RUN[:-1]
    old, new = (ledger[ledger.month <= until][RUN].set_index(key).rule for ledger in (before, after))
    both = pd.concat([old.rename("was"), new.rename("now")], axis=1).fillna(OK).reset_index()
    return both[both.was != both.now].sort_values(key, ignore_index=True)


def _std_error(table: pd.DataFrame) -> pd.Series:
    """Standard errors; where a method gives an interval alone, the one that a normal interval of its width would have."""
    width = table.ci_high - table.ci_low
    return table.std_error.fillna(width / (2 * norm.ppf((1 + table.conf_level) / 2)))
