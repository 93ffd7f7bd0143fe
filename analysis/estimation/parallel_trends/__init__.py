"""Sensitivity of event studies to departures from parallel trends (Rambachan and Roth 2023)."""
