"""Errors, files, processes, the workspace, the checkout's commit, and text from outside: what every layer may use."""
