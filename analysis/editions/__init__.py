"""One edition after another: which files came in, what moved, and why."""
