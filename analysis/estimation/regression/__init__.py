"""Samples, series and regressions, and the job and rows that every design reads and writes."""
