"""Effects by difference-in-differences: over the programme, by year, by quarter."""
