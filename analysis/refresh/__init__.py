"""A new edition: what came in, what moved, and why."""
