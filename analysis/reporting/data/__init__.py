"""The data: sources, baseline, masked months, records."""
