"""Sets of places that could have been treated: all of them, or as many as are drawn."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np


def placebo_sets(total: int, members: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Sets (P × members) of ``members`` of ``total`` places, every one of them where they are few; and whether it is every one."""
    if comb(total, members) <= draws:
        return np.array(list(combinations(range(total), members))), True
    return np.random.default_rng(seed).random((draws, total)).argsort(axis=1)[:, :members], False
