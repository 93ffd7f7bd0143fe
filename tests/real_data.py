"""What the session's fixture of the real panel holds."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.core.workspace import Workspace


@dataclass(frozen=True)
class RealData:
    """What the data stage writes from the published files, and the panel it writes from the committed snapshot."""

    work: Workspace
    panel: pd.DataFrame
    ledger: pd.DataFrame
    shifts: pd.DataFrame
    snapshot: pd.DataFrame

    @property
    def ccgs(self) -> pd.DataFrame:
        return self.panel[self.panel.geography == "ccg"]
