"""Errors, files, processes, the workspace, and text from outside: what every layer may use."""
