"""From a test to an interval: the effects that it does not reject, for statistics under placebo or bootstrap draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.optimize import brentq

from analysis.estimation.regression.absorbed import NotIdentified

ROUNDING = 1e-9
FIRST_REACH, LAST_REACH = 2.0, 5.0  # from the estimate, in standard errors and in log points: where an end is sought
ROUNDS = 4  # looks at the critical value ...
SETTLED = 0.003  # ... and the share of the half-width by which an end may still move


def p_value(statistics: np.ndarray) -> float:
    """Share of draws whose |t| is at least that of the first, the actual one, which counts as one of them."""
    return float((np.abs(statistics) >= np.abs(statistics[0]) * (1 - ROUNDING)).mean())


def critical_value(statistics: np.ndarray, conf_level: float) -> float:
    """The largest |t| of the actual draw, the first, that the others do not reject; infinite where they are too few."""
    others = np.sort(np.abs(statistics[1:]))[::-1]
    allowed = int(np.ceil((1 - conf_level) * len(statistics) - ROUNDING)) - 2  # p = 1 − level exactly is not rejected
    return float(others[allowed]) if allowed >= 0 else float("inf")


def invert(
    everywhere: Callable[[float], np.ndarray],
    actual: Callable[[float], float],
    under_null: np.ndarray,
    estimate: float,
    std_error: float,
    conf_level: float,
) -> tuple[float, float]:
    """Ends of the interval of effects θ₀ that are not rejected.

    ``everywhere`` gives the statistics of every draw under θ₀, ``actual`` that of the actual one alone; ``under_null`` are
    the former under no effect. The critical value moves little with θ₀ where many sites are treated: it is taken anew at
    each end found until the end settles. Where it does not settle, every draw is looked at for every θ₀.
    """
    if not np.isfinite(critical_value(under_null, conf_level)):
        return -np.inf, np.inf

    def boundary(excess: Callable[[float], float], side: int) -> float:
        """Where ``excess`` turns positive going outwards from the estimate; infinite beyond LAST_REACH."""
        inner, reach = estimate, FIRST_REACH * std_error
        while reach <= LAST_REACH:
            outer = estimate + side * reach
            try:
                if excess(outer) > 0:
                    return float(brentq(excess, inner, outer, xtol=1e-5))
            except NotIdentified:
                break
            inner, reach = outer, 1.5 * reach
        return side * float("inf")

    actual = cache(actual)  # every look at the critical value begins at the same effects

    def against(threshold: float) -> Callable[[float], float]:
        return lambda theta: abs(actual(theta)) - threshold * (1 + ROUNDING)

    def rejected(theta: float) -> float:
        values = everywhere(theta)
        return abs(float(values[0])) - critical_value(values, conf_level) * (1 + ROUNDING)

    def end(side: int) -> float:
        threshold, previous = critical_value(under_null, conf_level), float("nan")
        for _ in range(ROUNDS):
            found = boundary(against(threshold), side)
            if not np.isfinite(found):
                break
            if abs(found - previous) <= SETTLED * abs(found - estimate):
                return found
            previous, threshold = found, critical_value(everywhere(found), conf_level)
        return boundary(rejected, side)

    return end(-1), end(1)
