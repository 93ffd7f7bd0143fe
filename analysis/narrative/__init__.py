"""Rules that turn estimates into sentences: other numbers, other words. No report types a result."""
