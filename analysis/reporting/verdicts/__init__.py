"""Verdicts, and how the two main designs agree."""
