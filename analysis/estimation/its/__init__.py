"""Interrupted time series, single and controlled."""
