"""A made-up study that the tests of refusals change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import attributes_of, cleaned_panel, two_way_counts

from analysis.protocol.protocol import Protocol

TREATED = {"U00": ("MCP", "Alpha", 1.0), "U01": ("MCP", "Beta", 1.0), "U02": ("PACS", "Gamma", 1.0)}


@pytest.fixture(scope="module")
def panel(protocol: Protocol) -> pd.DataFrame:
    """Forty units: two MCP sites, one of PACS, and the rest; one outcome."""
    noise = np.exp(np.random.default_rng(6).normal(0, 0.03, (40, 60)))
    counts = (two_way_counts() * noise).round()
    tables = {outcome.id: counts for outcome in protocol.outcomes}
    panel = cleaned_panel(tables, attributes_of(list(counts.index), TREATED), protocol).panel
    return panel[(panel.geography == "ccg") & (panel.outcome == protocol.primary_outcomes[0].id)]
