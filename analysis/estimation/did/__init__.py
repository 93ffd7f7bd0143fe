"""Difference-in-differences: the primary design, its event study, robustness checks and specification curve."""
