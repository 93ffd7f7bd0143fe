"""Tidy tables to the panel: geography, population, cohorts and data quality."""
