"""Linear models of one design whose errors are autoregressive of order one, for many series at once.

With correlation φ between neighbouring months the likelihood depends on φ alone once the coefficients and the variance are
profiled out, and every sum in it is A − φB + φ²C with A, B, C made once. REML is the likelihood of what the design leaves;
its small-sample tests are Satterthwaite's and those of Kenward & Roger (1997), Biometrics 53(3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAST_PHI = 0.99  # nearer to one, a level and a trend cannot be told from the errors' own wandering
GRID = np.linspace(-0.95, LAST_PHI, 98)
ZOOM = np.linspace(0, 1, 17)[:, None]  # points between the two that enclose the maximum ...
ROUNDS = 8  # ... which each round brings eight times nearer, until the likelihood cannot tell them apart
STEP = 1e-4  # of numerical derivatives, in atanh φ


@dataclass(frozen=True)
class Autoregressive:
    """Of B series: ``phi`` (B), ``coefficients`` (B × k), ``variance`` (B) of a month's error, ``covariance`` (B × k × k)."""

    phi: np.ndarray
    coefficients: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray


def fit_autoregressive(matrix: np.ndarray, outcomes: np.ndarray, restricted: bool = True) -> Autoregressive:
    """Fit ``outcomes`` (B × T) on ``matrix`` (T × k) by REML, or by maximum likelihood where not ``restricted``.

    The variance is divided by T − k under REML and by T under maximum likelihood; the covariance takes φ as known.
    """
    problem = _Problem(matrix, outcomes, restricted)
    return problem.at(problem.best_phi())


def prais_winsten(
    matrix: np.ndarray, outcomes: np.ndarray, rounds: int = 100, settled: float = 1e-10
) -> Autoregressive:
    """Feasible generalised least squares, the first month kept (Prais & Winsten 1954), iterated until φ settles.

    φ is the regression of each residual on the one before. Arguments and result as in ``fit_autoregressive``, with T − k.
    """
    problem = _Problem(matrix, outcomes, restricted=True)
    phi = np.zeros(len(outcomes))
    for _ in range(rounds):
        residual = outcomes - problem.at(phi).coefficients @ matrix.T
        previous, phi = phi, (residual[:, 1:] * residual[:, :-1]).sum(axis=1) / (residual[:, :-1] ** 2).sum(axis=1)
        phi = np.clip(phi, GRID[0], GRID[-1])
        if np.abs(phi - previous).max() < settled:
            break
    return problem.at(phi)


@dataclass(frozen=True)
class SmallSample:
    """Tests of one REML fit: the contrast's error and degrees of freedom come from these."""

    covariance: np.ndarray
    adjusted: np.ndarray
    gradients: np.ndarray
    information_inverse: np.ndarray
    observed_gradients: np.ndarray
    observed_inverse: np.ndarray

    def satterthwaite(self, contrast: np.ndarray) -> float:
        """Degrees of freedom from the observed information on (log variance, atanh φ)."""
        return _degrees(contrast, self.covariance, self.observed_gradients, self.observed_inverse)

    def kenward_roger(self, contrast: np.ndarray) -> float:
        """Degrees of freedom from the expected information on (variance, φ)."""
        return _degrees(contrast, self.covariance, self.gradients, self.information_inverse)


def small_sample(matrix: np.ndarray, outcome: np.ndarray, fit: Autoregressive) -> SmallSample:
    """Small-sample inference for the REML fit of one series ``outcome`` (T).

    ``adjusted`` is Kenward and Roger's covariance with its second-order term, which depends on how the covariance is
    parametrised: here by the variance and φ.
    """
    phi, variance = float(fit.phi[0]), float(fit.variance[0])
    covariance = fit.covariance[0]
    lag = np.abs(np.subtract.outer(np.arange(len(outcome)), np.arange(len(outcome)))).astype(float)
    correlation = phi**lag
    first = np.where(lag > 0, lag * phi ** np.maximum(lag - 1, 0), 0.0)
    second = np.where(lag > 1, lag * (lag - 1) * phi ** np.maximum(lag - 2, 0), 0.0)
    inverse = np.linalg.inv(correlation) / variance
    derivatives = [correlation, variance * first]
    seconds = [[np.zeros_like(lag), first], [first, variance * second]]
    seen = inverse @ matrix
    spread = [inverse @ each for each in derivatives]  # V⁻¹ dV
    p = [-seen.T @ each @ seen for each in derivatives]
    q = [[seen.T @ a @ inverse @ b @ seen for b in derivatives] for a in derivatives]
    information = np.array(
        [
            [
                0.5 * (
                    np.sum(spread[i] * spread[j].T)
                    - np.trace(2 * covariance @ q[i][j] - covariance @ p[i] @ covariance @ p[j])
                )
                for j in range(2)
            ]
            for i in range(2)
        ]
    )  # fmt: skip
    weights = np.linalg.inv(information)
    middle = sum(
        weights[i, j] * (q[i][j] - p[i] @ covariance @ p[j] - seen.T @ seconds[i][j] @ seen / 4)
        for i in range(2)
        for j in range(2)
    )
    gradients = np.array([-covariance @ each @ covariance for each in p])
    observed_gradients, observed = _observed(matrix, outcome, phi, variance)
    adjusted = covariance + 2 * covariance @ middle @ covariance
    return SmallSample(covariance, adjusted, gradients, weights, observed_gradients, np.linalg.inv(observed))


def _degrees(contrast: np.ndarray, covariance: np.ndarray, gradients: np.ndarray, inverse: np.ndarray) -> float:
    """2v² ÷ g'Wg, v the contrast's variance and g its derivatives by the parameters of the covariance."""
    variance = contrast @ covariance @ contrast
    gradient = np.einsum("i,pij,j->p", contrast, gradients, contrast)
    return float(2 * variance**2 / (gradient @ inverse @ gradient))


def _observed(matrix: np.ndarray, outcome: np.ndarray, phi: float, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the covariance by (log variance, atanh φ) (2 × k × k), and the observed information on them (2 × 2)."""
    problem = _Problem(matrix, outcome[None], restricted=True)
    angle = np.arctanh(phi) + STEP * np.arange(-1, 2)
    at = np.tanh(angle)
    fits = [problem.at(np.array([each])) for each in at]
    unit = [fit.covariance[0] / fit.variance[0] for fit in fits]
    gradients = np.array([variance * unit[1], variance * (unit[2] - unit[0]) / (2 * STEP)])
    degrees = len(outcome) - matrix.shape[1]
    squares = np.array([fit.variance[0] * degrees for fit in fits])  # in the metric of the correlation
    constant = np.array([problem.constant(np.array([each]))[0] for each in at])
    slope = (squares[2] - squares[0]) / (2 * STEP)
    bend = (
        (squares[2] - 2 * squares[1] + squares[0]) / variance - 2 * (constant[2] - 2 * constant[1] + constant[0])
    ) / STEP**2
    return gradients, 0.5 * np.array([[squares[1] / variance, -slope / variance], [-slope / variance, bend]])


class _Problem:
    """The sums of squares and products for any φ, of the design made orthonormal and of residuals of least squares."""

    def __init__(self, matrix: np.ndarray, outcomes: np.ndarray, restricted: bool) -> None:
        self.size, self.number = matrix.shape
        self.restricted = restricted
        self.basis, self.triangle = np.linalg.qr(matrix)
        self.least_squares = outcomes @ self.basis
        residual = outcomes - self.least_squares @ self.basis.T
        self.of_basis = _moments(self.basis, self.basis)
        self.crossed = tuple(part.T for part in _moments(self.basis, residual.T))
        self.of_residual = (
            (residual**2).sum(axis=1),
            2 * (residual[:, 1:] * residual[:, :-1]).sum(axis=1),
            (residual[:, 1:-1] ** 2).sum(axis=1),
        )
        self.degrees = self.size - self.number if restricted else self.size

    def solve(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """In the metric of the innovations: products of the basis (B × k × k), coefficients on it (B × k), squares left (B);
        or so many of each as ``phi`` has rows."""
        products = _at(phi[..., None, None], self.of_basis)
        crossed = _at(phi[..., None], self.crossed)
        beyond = np.linalg.solve(products, crossed[..., None])[..., 0]
        return products, beyond, _at(phi, self.of_residual) - (beyond * crossed).sum(axis=-1)

    def log_likelihood(self, phi: np.ndarray) -> np.ndarray:
        """Profile log-likelihood of each φ (B, or rows × B), constants dropped."""
        products, _, squares = self.solve(phi)
        return self._profile(phi, squares, np.linalg.slogdet(products)[1])

    def on_grid(self) -> np.ndarray:
        """The same for every φ of the grid (grid × B): the products are those of the design alone."""
        phi = GRID[:, None, None]
        products, crossed = _at(phi, self.of_basis), _at(phi, self.crossed).swapaxes(1, 2)
        beyond = np.linalg.solve(products, crossed)
        squares = _at(GRID[:, None], self.of_residual) - (beyond * crossed).sum(axis=1)
        return self._profile(GRID[:, None], squares, np.linalg.slogdet(products)[1][:, None])

    def _profile(self, phi: np.ndarray, squares: np.ndarray, log_determinant: np.ndarray) -> np.ndarray:
        value = self.degrees * np.log(np.maximum(squares, np.finfo(float).tiny)) - np.log1p(-(phi**2))
        return np.asarray(-0.5 * (value + log_determinant if self.restricted else value))

    def constant(self, phi: np.ndarray) -> np.ndarray:
        """What the REML log-likelihood has beside the squares: −½(log |R| + log |X'R⁻¹X|), R the correlation (B)."""
        products = self.solve(phi)[0]
        scale = np.log1p(-(phi**2))
        return np.asarray(-0.5 * ((self.size - 1 - self.number) * scale + np.linalg.slogdet(products)[1]))

    def best_phi(self) -> np.ndarray:
        best = self.on_grid().argmax(axis=0)
        low, high = GRID[np.maximum(best - 1, 0)], GRID[np.minimum(best + 1, len(GRID) - 1)]
        series = np.arange(len(low))
        for _ in range(ROUNDS):
            points = low + (high - low) * ZOOM
            best = self.log_likelihood(points).argmax(axis=0)
            low = points[np.maximum(best - 1, 0), series]
            high = points[np.minimum(best + 1, len(ZOOM) - 1), series]
        return np.asarray((low + high) / 2)

    def at(self, phi: np.ndarray) -> Autoregressive:
        products, beyond, squares = self.solve(phi)
        variance = squares / (1 - phi**2) / self.degrees  # of a month's error, which innovations add up to
        back = np.linalg.inv(self.triangle)
        coefficients = (self.least_squares + beyond) @ back.T
        inner = np.linalg.inv(products) * (variance * (1 - phi**2))[:, None, None]
        return Autoregressive(phi, coefficients, variance, back @ inner @ back.T)


def _moments(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, B and C of left'T right = A − φB + φ²C, T the inverse correlation times 1 − φ²."""
    crossed = left[1:].T @ right[:-1] + left[:-1].T @ right[1:]
    return left.T @ right, crossed, left[1:-1].T @ right[1:-1]


def _at(phi: np.ndarray, parts: tuple[np.ndarray, ...]) -> np.ndarray:
    whole, crossed, inner = parts
    return whole - phi * crossed + phi**2 * inner
