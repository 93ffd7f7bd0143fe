"""Single sites: all of them together, and the brief of each."""
