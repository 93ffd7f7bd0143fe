"""Interrupted time series: results, methods, residuals, simulated error rates."""
