"""Estimates to words, tables and figures, one folder for each topic. No report types a result."""
