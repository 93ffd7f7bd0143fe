"""Samples, series, and the regressions that every design rests on."""
