"""Effects that are not rejected if trends change after treatment by at most M̄ times their largest change before it.

Say which change before treatment is the largest, and its sign: call it u. The moments are then |x_t| ≤ M̄u for the changes x_t of the
difference in trends after treatment, t = 1 … T, and the test's statistic is the least η with which every one is met, given η
standard errors of leeway (σ_t⁺ above, σ_t⁻ below). The x_t are free, but for their weighted sum: Σ c_t x_t = D, the estimate less the
effect tested, where c_t are the target's weights from t on. So two things can keep η up: a range −M̄u − ησ_t⁻ … M̄u + ησ_t⁺ may not be
empty, and D must lie in the weighted sum of all ranges. Hence

    η = max { (D − M̄uC) ÷ Σ|c_t|σ_t^±,  (−D − M̄uC) ÷ Σ|c_t|σ_t^∓,  −2M̄u ÷ (σ_t⁺ + σ_t⁻) },   C = Σ|c_t|,

(± by the sign of c_t), and of the last kind only those with the largest and the smallest denominator matter. These are the
vertices that ``moment_inequalities`` asks for, and they move with u and D alone. No linear program is left to solve, and no critical
value to simulate. The moments are those after treatment only, as in the authors' R package HonestDiD where there are several
periods after; the confidence set is the union over u (Rambachan & Roth 2023, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.estimation.parallel_trends.moment_inequalities import least_favourable, rejects

FIRST_STAGE = 0.1  # share of the size that the hybrid spends on its first test, as the paper does
REACH = 6.0  # standard errors within which the ends of the set are first looked for
POINTS = 801  # values of the effect looked at; an odd number, so that the estimate itself, never rejected, is one
HALVINGS = 30


@dataclass(frozen=True)
class Moments:
    """Those of one bound, for each of the S choices of u (periods before × signs).

    ``change`` (S) are the values of u, ``estimate`` the target's. ``slopes`` (S × 4 × 2) of the moments in (u, D); ``loadings`` (S × 4 × 2)
    on two independent standard normals. ``size`` of the test and the ``ceiling`` (S) on the statistic, infinite without a first test.
    ``reach``: how far from the estimate to look for the ends.
    """

    change: np.ndarray
    estimate: float
    slopes: np.ndarray
    loadings: np.ndarray
    size: float
    ceiling: np.ndarray
    reach: float

    def accepted(self, effects: np.ndarray) -> np.ndarray:
        """Which ``effects`` (k) are not rejected for some u."""
        distance = self.estimate - effects
        in_change, in_distance = self.slopes[:, None, :, 0], self.slopes[:, None, :, 1]
        levels = in_change * self.change[:, None, None] + in_distance * distance[:, None]
        return np.asarray(~rejects(levels, self.loadings[:, None], self.size, self.ceiling[:, None]).all(axis=0))


def moments(
    estimates: np.ndarray,
    covariance: np.ndarray,
    before: int,
    weights: np.ndarray,
    bound: float,
    conf_level: float,
    hybrid: bool,
) -> Moments:
    """The moments of ``bound`` (M̄) for the target with ``weights`` (T), after ``before`` periods; the base period is left out."""
    with_base = np.insert(np.eye(len(estimates)), before, 0.0, axis=0)
    changes = np.diff(with_base, axis=0)  # rows of weights of the estimates
    u = np.concatenate([changes[:before], -changes[:before]])
    x = changes[before:]
    target = np.concatenate([np.zeros(before), weights])
    u_variance, u_target = np.einsum("si,ij,sj->s", u, covariance, u), u @ covariance @ target
    target_variance = target @ covariance @ target

    leeway = np.einsum("ti,ij,tj->t", x, covariance, x) + bound**2 * u_variance[:, None]
    shared = 2 * bound * (u @ covariance @ x.T)
    above, below = np.sqrt(leeway - shared), np.sqrt(leeway + shared)  # S × T: errors of ±x − M̄u
    ahead = np.cumsum(weights[::-1])[::-1]  # c_t
    rising = np.where(ahead > 0, above, below) @ np.abs(ahead)
    falling = np.where(ahead > 0, below, above) @ np.abs(ahead)
    whole = np.full(len(u), bound * np.abs(ahead).sum())  # M̄C
    width, none = above + below, np.zeros(len(u))
    in_u = [-whole / rising, -whole / falling, -2 * bound / width.min(axis=1), -2 * bound / width.max(axis=1)]
    in_distance = [1 / rising, -1 / falling, none, none]
    slopes = np.stack([np.stack(in_u, axis=1), np.stack(in_distance, axis=1)], axis=2)

    error = np.sqrt(u_variance)
    root = np.stack(  # Cholesky factor of the covariance of (u, D)
        [
            np.stack([error, none], axis=1),
            np.stack([u_target / error, np.sqrt(target_variance - u_target**2 / u_variance)], axis=1),
        ],
        axis=1,
    )
    loadings = slopes @ root
    size, ceiling = 1 - conf_level, np.full(len(u), np.inf)
    if hybrid:
        first = FIRST_STAGE * size
        size, ceiling = (size - first) / (1 - first), least_favourable(loadings, first)
    reach = whole[0] * (np.abs(u @ estimates) + REACH * error).max() + REACH * np.sqrt(target_variance)
    return Moments(u @ estimates, float(target @ estimates), slopes, loadings, size, ceiling, float(reach))


def confidence_set(tested: Moments) -> tuple[float, float]:
    """Least and greatest effect that is not rejected: from a grid around the estimate, then by halving at both ends.

    Where the set is not one interval, these are the ends of the whole, as HonestDiD reports it.
    """
    reach = tested.reach
    while True:
        grid = tested.estimate + np.linspace(-reach, reach, POINTS)
        accepted = np.flatnonzero(tested.accepted(grid))
        first, last = accepted[0], accepted[-1]
        if first > 0 and last < POINTS - 1:
            break
        reach *= 2
    inside, outside = grid[[first, last]], grid[[first - 1, last + 1]]
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        kept = tested.accepted(middle)
        inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
    return float(inside[0]), float(inside[1])


def clear_of_zero(tested: Moments) -> bool:
    """Whether zero is outside of the confidence set: it, and all that lies beyond it seen from the estimate, is rejected."""
    if tested.estimate == 0:
        return False
    away = -np.sign(tested.estimate)
    beyond = max(tested.reach - abs(tested.estimate), 0.0)
    return not tested.accepted(away * np.linspace(0.0, beyond, POINTS // 2)).any()
