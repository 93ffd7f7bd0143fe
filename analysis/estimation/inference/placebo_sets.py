"""Sets of places that could have been treated: all of them, or as many as are drawn."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np


def placebo_sets(total: int, members: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Sets (P × members) of ``members`` of ``total`` places, every one of them where they are few; and whether it is every one."""
    if comb(total, members) <= draws:
        return np.array(list(combinations(range(total), members))), True
    return random_sets(total, members, draws, seed), False


@lru_cache(maxsize=8)
def random_sets(total: int, members: int, draws: int, seed: int) -> np.ndarray:
    """Random sets (draws × members), read-only: many specifications of a cohort draw from as many places, and so share their sets."""
    sets = np.random.default_rng(seed).random((draws, total)).argsort(axis=1)[:, :members].copy()  # without the rest of the permutation
    sets.flags.writeable = False
    return sets
