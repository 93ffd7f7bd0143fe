"""Sensitivity to departures from parallel trends."""
